"""The cost of following a line in a process: CPU for a poll, memory for the snapshot.

``benchmarks.line`` runs this; alone, ``python -m benchmarks.process URL`` is the fresh process that
reads the lines of a database and prints the cost.
"""

import gc
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil
import uvloop

from benchmarks.bounds import Found
from benchmarks.servers import OPERATOR_KEY
from frontrow.db.pool import open_pool
from frontrow.ids import PlaceRef
from frontrow.services import Services
from frontrow.settings import Settings
from frontrow.waiting_room.snapshot import Snapshot
from frontrow.web.app import FrontrowApplication, create_app

MEMORY_MB = 8.0
POLLS = 5_000
ROUNDS = 9
STILL = 3_600.0  # between two runs of a job that should not run meanwhile


class Memory(msgspec.Struct, frozen=True):
    """The memory for the first read of the lines, in MB (1,000,000 bytes)."""

    added: float
    peak: float
    held: float
    """The arrays alone."""


async def polls(url: str, services: Services, *lines: Sequence[PlaceRef]) -> list[float]:
    """Returns the CPU of a poll in µs, through the application without HTTP; per line."""
    slow = ("admission_tick", "snapshot", "stock", "expiry_tick", "adaptive_step")
    settings: dict[str, Any] = {f"{job}_seconds": STILL for job in slow}
    app = create_app(Settings(database_url=url, operator_key=OPERATOR_KEY, **settings))
    await app.start()  # type: ignore[no-untyped-call]
    try:
        tokens = [[services.signer.sign(place) for place in line] for line in lines]
        took: list[list[float]] = [[] for _ in lines]
        for turn in range(ROUNDS + 1):
            for line, spent in zip(tokens, took, strict=True):
                used = time.process_time()
                for at in range(POLLS):
                    await _poll(app, line[at % len(line)])
                if turn:  # the first one also verifies the signatures
                    spent.append((time.process_time() - used) / POLLS * 1e6)
        return [statistics.median(spent) for spent in took]
    finally:
        await app.stop()  # type: ignore[no-untyped-call]


async def _poll(app: FrontrowApplication, token: str) -> None:
    answer = bytearray()

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message.get("status", 200) != 200:
            raise RuntimeError(f"a poll was refused: {message}")
        answer.extend(message.get("body", b""))

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": "/api/v1/queue/tokens/me", "query_string": b"",
        "raw_path": b"/api/v1/queue/tokens/me", "root_path": "", "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "headers": [(b"host", b"localhost"), (b"authorization", b"Bearer " + token.encode())],
    }  # fmt: skip
    await app(scope, receive, send)
    if b'"state":"waiting"' not in answer:
        raise RuntimeError(f"not the poll of a waiting place: {answer.decode()}")


def memory_of_a_process(url: str) -> Memory:
    """Returns the memory for the lines of a database in a process that has just started."""
    command = [sys.executable, "-m", "benchmarks.process", url]
    output = subprocess.run(command, capture_output=True, check=True, timeout=300).stdout
    return msgspec.json.decode(output, type=Memory)


async def read_the_lines(url: str) -> Memory:
    """Measures in the fresh process: its resident set before and after."""
    pool = await open_pool(url, connections=1, connect_timeout_seconds=10)
    async with pool:
        # The connection and its codecs don't belong to the line.
        await pool.fetch("SELECT room_id, concert_id, policy::text FROM waiting_room")
        gc.collect()
        process, before = psutil.Process(), psutil.Process().memory_info().rss
        snapshot = Snapshot(pool)
        await snapshot.refresh()
        await snapshot.refresh()
        gc.collect()
        added = process.memory_info().rss - before
    peak = _highest() - before
    arrays = (a for line in snapshot.lines.values() for a in (line.left, line.positions))
    held = sum(sys.getsizeof(array) for array in arrays if array is not None)
    return Memory(*(round(size / 1e6, 2) for size in (added, peak, held)))


def _highest() -> int:
    """Returns the peak resident set of this program; getrusage may return its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kilobytes) * 1024


def memory_figures(what: str, memory: Memory) -> list[Found]:
    """Returns a process's memory as figures."""
    return [
        Found(f"memory of a process, {what}", memory.added, "MB", MEMORY_MB),
        Found("  the arrays alone", memory.held, "MB"),
        Found("  at the highest, while it reads them", memory.peak, "MB"),
    ]


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(uvloop.run(read_the_lines(sys.argv[1]))).decode())
