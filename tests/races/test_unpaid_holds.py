"""A race against the limit on unpaid holds: the same user over two processes."""

from typing import Any

from frontrow.errors import RateLimited
from frontrow.services import Services
from testkit.database import Database
from tests.buyers import make_concert, services_on
from tests.races.crowds import answers, crowd, granted, refused
from tests.races.rivals import fetch, rivals

LIMIT = 5
FEW: dict[str, Any] = {"unpaid_holds": LIMIT, "unpaid_holds_seconds": 600}
COUNT = "SELECT count(*) FROM let_go"
ADD = "INSERT INTO let_go DEFAULT VALUES"


async def test_unpaid_holds_stop_at_the_limit(database: Database) -> None:
    """Twenty tasks hold and release until they are refused: five unpaid holds in total."""
    async with services_on(database, **FEW) as one, services_on(database, **FEW) as other:
        made = await make_concert(one, max_seats_per_user=1)
        (place,) = await crowd(one, made.concert_id, 1)

        async def until_refused(services: Services, seat: int) -> None:
            # This user may have one seat, so one hold is open at a time.
            while True:
                found = await answers(
                    [services.reservations.hold(place, made.shows[0], [seat], None)]
                )
                for held, _ in granted(found):
                    await services.reservations.release(held.reservation_id, place.user_id, place)
                if any(isinstance(error, RateLimited) for error in refused(found)):
                    return

        await answers(until_refused(one if turn % 2 else other, turn + 1) for turn in range(20))
        rows = await fetch(database, "SELECT state::text FROM reservation")
        assert [row["state"] for row in rows] == ["released"] * LIMIT


async def test_control_counting_without_a_lock_exceeds_the_limit(database: Database) -> None:
    """Control: two transactions that count before either has inserted both stay under the limit."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE let_go (number int GENERATED ALWAYS AS IDENTITY)")
        counted = [await sides.one.fetchval(COUNT), await sides.other.fetchval(COUNT)]
        for rival, before in zip((sides.one, sides.other), counted, strict=True):
            if before < 1:
                await rival.execute(ADD)
        assert await sides.one.fetchval(COUNT) == 2
