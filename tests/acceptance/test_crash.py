"""Kill -9 of any process while fans buy: everything acknowledged exists, once."""

import asyncio
import os
import signal

from testkit.server import FrontrowServer, serving, until
from tests.acceptance.fans import Crowd, check_kept

FANS = 60
KILLED_WORKERS = 3


async def kill_worker(server: FrontrowServer) -> None:
    """Kills a worker with SIGKILL; a new worker starts soon."""
    before = server.workers()
    os.kill(min(before), signal.SIGKILL)
    await asyncio.to_thread(until, lambda: len(server.workers() - before) == 1)


async def kill_postgres(server: FrontrowServer) -> None:
    """Kills PostgreSQL's first process with SIGKILL; a new one starts soon."""
    before = server.postgres
    os.kill(before, signal.SIGKILL)
    await asyncio.to_thread(until, lambda: server.postgres_now() not in (None, before))


async def kill_everything(server: FrontrowServer) -> None:
    """Kills the command and its workers with SIGKILL; the next server takes PostgreSQL over."""
    server.kill()
    await asyncio.to_thread(server.start)
    assert "taking over from a frontrow that was killed" in server.log.read_text()


async def test_nothing_acknowledged_is_lost() -> None:
    """Workers, PostgreSQL and the whole server are killed while 60 fans buy and retry."""
    with serving(workers=2) as server:
        concert = await server.concert(
            shows=10, seats=300, policy={"kind": "max_active", "max_active": FANS // 2}
        )
        crowd = Crowd(server.port, concert["concert_id"])
        async with crowd.coming(FANS):
            await crowd.further_sales(20)
            for _ in range(KILLED_WORKERS):
                await kill_worker(server)
                await crowd.further_sales(20)
            await kill_postgres(server)
            await crowd.further_sales(20)
            await kill_everything(server)
            await crowd.further_sales(20)
            beside = await asyncio.to_thread(server.frontrow, "audit")
            await kill_postgres(server)
            await crowd.further_sales(20)
        assert crowd.lost > 0
        await check_kept(crowd)
        checked = await server.audited()
        assert checked["sale_has_one_debit"] == len(crowd.sales)
        assert checked["numbers_follow_joining"] == len(crowd.visits)
        assert beside.returncode == 0, beside.stdout + beside.stderr
        after = await asyncio.to_thread(server.frontrow, "audit")
        assert after.returncode == 0, after.stdout + after.stderr
        assert server.end() == 0
        assert "a call failed" not in server.log.read_text()
