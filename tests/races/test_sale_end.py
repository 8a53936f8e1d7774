"""Races at the end of a sale that the operator sets while seats are held."""

import asyncio
from datetime import UTC, datetime, timedelta

from frontrow.errors import ShowClosed
from frontrow.services import Services
from testkit.database import Database
from tests.buyers import make_concert
from tests.races.crowds import answers, crowd, granted, refused
from tests.races.rivals import fetch, rivals

Pair = tuple[Services, Services]

USERS = 200


async def test_no_hold_after_the_end_of_sale_was_answered(pair: Pair, database: Database) -> None:
    """200 holds over two processes; meanwhile the end of the sale is set to one minute ago."""
    made = await make_concert(pair[0], seats=USERS)
    places = await crowd(pair[0], made.concert_id, USERS)
    held = asyncio.Semaphore(0)
    ended_at: list[datetime] = []

    async def hold(turn: int) -> datetime:
        held.release()
        reservation, _ = await pair[turn % 2].reservations.hold(
            places[turn], made.shows[0], [turn + 1], None
        )
        return reservation.created_at

    async def end() -> None:
        for _ in range(USERS // 2):
            await held.acquire()
        past = datetime.now(UTC) - timedelta(minutes=1)
        await pair[0].concerts.end_sale(made.shows[0].show_id, past)
        ended_at.extend(row[0] for row in await fetch(database, "SELECT clock_timestamp()"))

    async def later() -> list[datetime]:
        await ending
        return granted(await answers(hold(turn) for turn in range(USERS // 2, USERS)))

    ending = asyncio.create_task(end())
    early, late = await asyncio.gather(answers(hold(turn) for turn in range(USERS // 2)), later())
    assert late == []
    assert all(at < ended_at[0] for at in granted(early))
    assert {type(loser) for loser in refused(early)} <= {ShowClosed}


async def test_control_plain_update_does_not_wait_for_buyers(database: Database) -> None:
    """Control: a plain update of the end commits while a hold that read the old one runs."""
    async with rivals(database) as sides:
        await sides.one.execute(
            "CREATE TABLE sale (id int PRIMARY KEY, ends timestamptz);"
            "CREATE TABLE chair (taken bool)"
        )
        await sides.one.execute("INSERT INTO sale VALUES (1, 'infinity')")
        async with sides.one.transaction():
            await sides.one.fetchval("SELECT 1 FROM sale WHERE id = 1 FOR KEY SHARE")
            assert await sides.one.fetchval("SELECT ends > clock_timestamp() FROM sale")
            await sides.other.execute("UPDATE sale SET ends = clock_timestamp() WHERE id = 1")
            assert not await sides.other.fetchval("SELECT ends > clock_timestamp() FROM sale")
            await sides.one.execute("INSERT INTO chair VALUES (true)")
        assert await sides.other.fetchval("SELECT count(*) FROM chair") == 1
        # With the row locked FOR UPDATE first, it waits.
        async with sides.one.transaction():
            await sides.one.fetchval("SELECT 1 FROM sale WHERE id = 1 FOR KEY SHARE")
            locking = "SELECT 1 FROM sale WHERE id = 1 FOR UPDATE"
            async with sides.other_waits(locking):
                await sides.one.execute("COMMIT; BEGIN")
