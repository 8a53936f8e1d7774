"""A race against the limit on unpaid seats of one address: many users over two processes."""

import asyncio
import random
from typing import Any
from uuid import uuid4

import pytest

from frontrow.concerts.model import Show
from frontrow.ids import PlaceRef
from frontrow.reservations.model import Wish
from frontrow.reservations.queries import HoldItem, queries
from testkit.database import Database
from tests.buyers import make_concert, services_on
from tests.races.crowds import answers, crowd, granted
from tests.races.rivals import fetch, rivals

LIMIT = 20
SITES = 0x2001_0DB8 << 32
UNLOCKED = """
    CREATE OR REPLACE FUNCTION reservation_lock_networks(p_rooms int[], p_networks bigint[])
    RETURNS void LANGUAGE plpgsql AS 'BEGIN END'
"""
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


async def test_seats_of_a_48_stop_at_the_limit(database: Database) -> None:
    """100 users with a /56 each, within one /48: together they get its limit."""
    few = {"unpaid_seats_ipv6_48": LIMIT}
    async with services_on(database, **few) as one, services_on(database, **few) as other:
        made = await make_concert(one, seats=400)
        places = await crowd(one, made.concert_id, 100)
        found = await answers(
            (one if turn % 2 else other).reservations.hold(
                place, made.shows[0], Wish(1), None, SITES + (turn << 8)
            )
            for turn, place in enumerate(places)
        )
        assert len(granted(found)) == LIMIT
        (row,) = await fetch(database, "SELECT count(*) FROM reservation WHERE state = 'held'")
        assert row["count"] == LIMIT


async def hold_from(connection: Any, show: Show, place: PlaceRef, seat: int, network: int) -> str:
    """Holds a seat from an address in a /48 that may hold one; returns the outcome."""
    item = HoldItem(
        place.room_id, place.number, place.place_id, place.user_id, place.concert_id, uuid4(), 1,
        show.show_id, 1, network,
    )  # fmt: skip
    (row,) = await queries.hold(
        connection,
        [item],
        seats=[seat],
        address_seats=(80, 20, 80, 1),
        unpaid_holds=20,
        unpaid_seconds=600,
    )
    return str(row.outcome)


@pytest.mark.parametrize("is_locked", [True, False], ids=["locked", "control"])
async def test_hold_waits_for_another_of_the_same_48(database: Database, is_locked: bool) -> None:
    """The second one waits and is refused; without the lock, the control, both are held."""
    async with services_on(database) as services, rivals(database) as sides:
        made = await make_concert(services, seats=10)
        first, second = await crowd(services, made.concert_id, 2)
        show = made.shows[0]
        if not is_locked:
            await sides.one.execute(UNLOCKED)
        transaction = sides.one.transaction()
        await transaction.start()
        assert await hold_from(sides.one, show, first, 1, SITES) == "held"
        holding = asyncio.create_task(hold_from(sides.other, show, second, 2, SITES + (1 << 8)))
        if is_locked:
            await sides.until(
                "SELECT cardinality(pg_blocking_pids($1)) > 0", sides.other.get_server_pid()
            )
            assert not holding.done()
        else:
            assert await holding == "held"
        await transaction.commit()
        assert await holding == ("rate_limited" if is_locked else "held")


async def test_control_counting_without_a_lock_exceeds_the_limit(database: Database) -> None:
    """Control: two transactions that count before either has inserted both stay under the limit."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE held (number int GENERATED ALWAYS AS IDENTITY)")
        counted = [await sides.one.fetchval(COUNT), await sides.other.fetchval(COUNT)]
        for rival, before in zip((sides.one, sides.other), counted, strict=True):
            if before < 1:
                await rival.execute(ADD)
        assert await sides.one.fetchval(COUNT) == 2
