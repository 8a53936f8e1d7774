"""A race against the limit on unpaid seats of one address: many users over two processes."""

import random

from frontrow.reservations.model import Wish
from testkit.database import Database
from tests.buyers import make_concert, services_on
from tests.races.crowds import answers, crowd, granted
from tests.races.rivals import fetch, rivals

LIMIT = 20
SITES = 0x2001_0DB8 << 32
COUNT = "SELECT count(*) FROM held"
ADD = "INSERT INTO held DEFAULT VALUES"


async def test_seats_of_an_address_stop_at_the_limit(database: Database) -> None:
    """Of 100 users half want best seats; from an IPv4 address and a /56, each gets its limit."""
    few = {"unpaid_seats_ipv4": LIMIT, "unpaid_seats_ipv6_56": LIMIT}
    async with services_on(database, **few) as one, services_on(database, **few) as other:
        made = await make_concert(one, seats=400)
        places = await crowd(one, made.concert_id, 200)
        seats = random.sample(range(1, 401), 200)
        found = await answers(
            (one if turn % 2 else other).reservations.hold(
                place,
                made.shows[0],
                Wish(1) if turn % 3 else [seat],
                None,
                # The users of the /56 have a /64 each.
                7 if turn < 100 else SITES + turn,
            )
            for turn, (place, seat) in enumerate(zip(places, seats, strict=True))
        )
        assert len(granted(found)) == 2 * LIMIT
        rows = await fetch(
            database, "SELECT network < 100 AS ipv4, count(*) FROM reservation GROUP BY 1"
        )
        assert {row["ipv4"]: row["count"] for row in rows} == {True: LIMIT, False: LIMIT}


async def test_control_counting_without_a_lock_exceeds_the_limit(database: Database) -> None:
    """Control: two transactions that count before either has inserted both stay under the limit."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE held (number int GENERATED ALWAYS AS IDENTITY)")
        counted = [await sides.one.fetchval(COUNT), await sides.other.fetchval(COUNT)]
        for rival, before in zip((sides.one, sides.other), counted, strict=True):
            if before < 1:
                await rival.execute(ADD)
        assert await sides.one.fetchval(COUNT) == 2
