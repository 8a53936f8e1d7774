"""SIGTERM while fans buy: running calls are answered, and nothing remains."""

import asyncio
import signal
import time
from pathlib import Path

import pytest

from testkit.connection import Answer
from testkit.server import FrontrowServer, alive, command_line, serving
from tests.acceptance.fans import Crowd, Fan, check_kept

FANS = 30
SOON_SECONDS = 8
"""The drain alone may take 15 s: a slower end means that a part missed the signal."""


async def long_poll(fan: Fan, reservation_id: str) -> tuple[Answer, float]:
    """Waits for the end of a hold with the longest poll; returns the answer and its time."""
    path = f"/reservations/{reservation_id}?wait_seconds=30"
    answer = await fan.connection.ask("GET", path, fan.visit.token)
    return answer, time.monotonic()


async def stop(server: FrontrowServer) -> float:
    """Sends SIGTERM; returns the seconds until the end."""
    started = time.monotonic()
    assert await asyncio.to_thread(server.end, signal.SIGTERM) == 0
    return time.monotonic() - started


def left_behind(server: FrontrowServer) -> list[str]:
    """Returns the command lines of processes that use this data directory."""
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    lines = (command_line(pid) for pid in pids)
    return [line for line in lines if str(server.directory.path) in line]


@pytest.mark.parametrize("workers", [1, 2])
async def test_sigterm_answers_every_running_call(workers: int) -> None:
    """The server ends soon and cleanly, a long poll is answered early, and answers are true."""
    with serving(workers=workers) as server:
        concert = await server.concert(shows=4, seats=300)
        crowd = Crowd(server.port, concert["concert_id"])
        patient = Fan(crowd)
        await patient.enter()
        reservation = await patient.hold()
        assert reservation is not None
        postgres = server.postgres
        async with crowd.coming(FANS):
            waiting = asyncio.create_task(long_poll(patient, reservation["reservation_id"]))
            await crowd.further_sales(20)
            assert not waiting.done()
            asked = time.monotonic()
            assert await stop(server) < SOON_SECONDS
            answer, answered = await waiting
            assert answer.status == 200
            assert answer.json() == reservation
            assert answered - asked < SOON_SECONDS
            assert not alive(postgres)
            assert left_behind(server) == []
            log = server.log.read_text()
            # Fans who were refused meanwhile continue.
            await asyncio.to_thread(server.start)
            await crowd.further_sales(5)
        await patient.leave()
        await patient.connection.close()
        await check_kept(crowd)
        checked = await server.audited()
        assert checked["sale_has_one_debit"] == len(crowd.sales) > 0
    assert "Traceback" not in log
    assert "doesn't stop" not in log
