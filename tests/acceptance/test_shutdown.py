"""SIGTERM while fans buy: running calls are answered, and nothing is left behind."""

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
"""The drain alone may take 15: what takes that long wasn't told of the end."""


async def long_poll(fan: Fan, reservation_id: str) -> tuple[Answer, float]:
    """Wait for the end of a hold, as long as one may; the answer, and when it came."""
    path = f"/reservations/{reservation_id}?wait_seconds=30"
    answer = await fan.connection.ask("GET", path, fan.visit.token)
    return answer, time.monotonic()


async def stop(house: FrontrowServer) -> float:
    """SIGTERM; how long the end took."""
    started = time.monotonic()
    assert await asyncio.to_thread(house.end, signal.SIGTERM) == 0
    return time.monotonic() - started


def left_behind(house: FrontrowServer) -> list[str]:
    """The command lines of processes that have to do with this data directory."""
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    lines = (command_line(pid) for pid in pids)
    return [line for line in lines if str(house.directory.path) in line]


@pytest.mark.parametrize("workers", [1, 2])
async def test_sigterm_answers_everybody(workers: int) -> None:
    """The end is quick and clean, a long poll is answered early, and no answer was a lie."""
    with serving(workers=workers) as house:
        concert = await house.concert(shows=4, seats=300)
        crowd = Crowd(house.port, concert["concert_id"])
        patient = Fan(crowd)
        await patient.enter()
        reservation = await patient.hold()
        assert reservation is not None
        postgres = house.postgres
        async with crowd.coming(FANS):
            waiting = asyncio.create_task(long_poll(patient, reservation["reservation_id"]))
            await crowd.further_sales(20)
            assert not waiting.done()
            asked = time.monotonic()
            assert await stop(house) < SOON_SECONDS
            answer, answered = await waiting
            assert answer.status == 200
            assert answer.json() == reservation
            assert answered - asked < SOON_SECONDS
            assert not alive(postgres)
            assert left_behind(house) == []
            log = house.log.read_text()
            # Those who were refused meanwhile go on where they were.
            await asyncio.to_thread(house.start)
            await crowd.further_sales(5)
        await patient.leave()
        await patient.connection.close()
        await check_kept(crowd)
        checked = await house.audited()
        assert checked["sale_has_one_debit"] == len(crowd.sales) > 0
    assert "Traceback" not in log
    assert "doesn't stop" not in log
