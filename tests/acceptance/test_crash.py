"""Kill -9 of anything while fans buy: what was acknowledged is there, once."""

import asyncio
import os
import signal

from testkit.server import FrontrowServer, serving, until
from tests.acceptance.fans import Crowd, check_kept

FANS = 60
KILLED_WORKERS = 3


async def kill_worker(house: FrontrowServer) -> None:
    """Kill -9 of a worker; there is another one soon."""
    before = house.workers()
    os.kill(min(before), signal.SIGKILL)
    await asyncio.to_thread(until, lambda: len(house.workers() - before) == 1)


async def kill_postgres(house: FrontrowServer) -> None:
    """Kill -9 of PostgreSQL's first process; there is another one soon."""
    before = house.postgres
    os.kill(before, signal.SIGKILL)
    await asyncio.to_thread(until, lambda: house.postgres_now() not in (None, before))


async def kill_everything(house: FrontrowServer) -> None:
    """Kill -9 of the command and its workers: PostgreSQL is left behind and taken over."""
    house.kill()
    await asyncio.to_thread(house.start)
    assert "taking over from a frontrow that was killed" in house.log.read_text()


async def test_nothing_acknowledged_is_lost() -> None:
    """Workers, PostgreSQL and the whole server die while 60 fans buy, ask again and go on."""
    with serving(workers=2) as house:
        concert = await house.concert(
            shows=10, seats=300, policy={"kind": "max_active", "max_active": FANS // 2}
        )
        crowd = Crowd(house.port, concert["concert_id"])
        async with crowd.coming(FANS):
            await crowd.further_sales(20)
            for _ in range(KILLED_WORKERS):
                await kill_worker(house)
                await crowd.further_sales(20)
            await kill_postgres(house)
            await crowd.further_sales(20)
            await kill_everything(house)
            await crowd.further_sales(20)
            beside = await asyncio.to_thread(house.frontrow, "audit")
            await kill_postgres(house)
            await crowd.further_sales(20)
        assert crowd.lost > 0
        await check_kept(crowd)
        checked = await house.audited()
        assert checked["sale_has_one_debit"] == len(crowd.sales)
        assert checked["numbers_follow_joining"] == len(crowd.visits)
        assert beside.returncode == 0, beside.stdout + beside.stderr
        after = await asyncio.to_thread(house.frontrow, "audit")
        assert after.returncode == 0, after.stdout + after.stderr
        assert house.end() == 0
        assert "a call failed" not in house.log.read_text()
