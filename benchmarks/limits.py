"""The cost of the rate limits for a poll: the application with and without them, in turn.

``python -m benchmarks.limits`` prints the CPU of a poll from the bytes of the request to those of
the answer, with uvicorn and the framework but without the sockets, and writes
``benchmarks/results/limits.json``. Exits 1 if the limits cost more than a tenth.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import uvicorn
import uvloop
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from uvicorn.lifespan.on import LifespanOn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from benchmarks import house
from benchmarks.load import Request
from benchmarks.servers import API, OPERATOR_KEY, traversable
from frontrow.db.cluster import APP
from frontrow.db.migrate import migrate
from frontrow.db.server import EmbeddedServer
from frontrow.settings import Settings
from frontrow.web.app import create_app
from frontrow.web.server.protocol import protocol_for

RESULTS = Path(__file__).with_name("results") / "limits.json"
MOST = 1.10
"""The allowed cost of a poll with limits, relative to one without."""
PEOPLE = 10_000
ON: dict[str, Any] = {"trusted_proxies": "127.0.0.1"}
OFF: dict[str, Any] = {"address_requests_per_second": 0, "user_requests_per_second": 0}


class Cost(msgspec.Struct, frozen=True):
    """The medians of all rounds, in µs of CPU a poll."""

    poll: str
    without_us: float
    with_us: float
    ratio: float
    """The median of each round's ratio."""


class Wire(asyncio.Transport):
    """A connection that keeps the last written bytes."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 8000), "peername": ("127.0.0.1", 40000)})
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keeps the bytes."""
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        """Returns False."""
        return False

    def close(self) -> None:
        """Does nothing."""

    def pause_reading(self) -> None:
        """Does nothing."""

    def resume_reading(self) -> None:
        """Does nothing."""


class Served:
    """An application behind a protocol of uvicorn's, on one connection without a socket."""

    def __init__(
        self, config: uvicorn.Config, protocol: type[HttpToolsProtocol], state: dict[str, Any]
    ) -> None:
        self._wire = Wire()
        self._protocol = protocol(config, ServerState(), state)
        self._protocol.connection_made(self._wire)

    async def ask_all(self, requests: Sequence[bytes]) -> float:
        """Makes one request after the other. Returns the CPU of each, in µs."""
        wire, protocol = self._wire, self._protocol
        begun = time.process_time()
        for request in requests:
            wire.written.clear()
            protocol.data_received(request)
            while not protocol.cycle.response_complete:  # noqa: ASYNC110 - what is measured, not a wait
                await asyncio.sleep(0)
            if not wire.written[0].startswith(b"HTTP/1.1 200"):
                raise RuntimeError(b"".join(wire.written).decode())
        return (time.process_time() - begun) / len(requests) * 1e6


@asynccontextmanager
async def served(url: str, **settings: Any) -> AsyncIterator[Served]:  # noqa: ANN401 - as they are
    """Yields the application on a database, started and stopped."""
    chosen = Settings(database_url=SecretStr(url), operator_key=SecretStr(OPERATOR_KEY), **settings)
    config = uvicorn.Config(create_app(chosen), http="httptools", lifespan="on", log_config=None)
    config.load()
    lifespan = LifespanOn(config)
    await lifespan.startup()
    try:
        yield Served(config, protocol_for(chosen), lifespan.state)
    finally:
        await lifespan.shutdown()


async def measure(
    name: str, requests: Sequence[bytes], with_and_without: tuple[Served, Served], rounds: int
) -> Cost:
    """Polls both in turn, round after round."""
    size = len(requests) // 10
    parts = [requests[at : at + size] for at in range(0, len(requests), size)]
    for one in with_and_without:
        await one.ask_all(requests)  # the tokens have been verified before
    found = []
    for turn in range(rounds):
        costs = [0.0, 0.0]
        for index in (0, 1) if turn % 2 else (1, 0):
            costs[index] = await with_and_without[index].ask_all(parts[turn % len(parts)])
        found.append(costs)
    return Cost(
        name,
        statistics.median(without for _, without in found),
        statistics.median(limited for limited, _ in found),
        statistics.median(limited / without for limited, without in found),
    )


async def measure_all(url: str, owner_url: str, rounds: int) -> list[Cost]:
    """Fills one line and polls it, directly and as through a proxy."""
    await migrate(owner_url, app_role=APP)
    async with asyncpg.create_pool(owner_url, min_size=1, max_size=2) as pool:
        tokens = (await house.fill(pool, PEOPLE, admitted=False)).tokens
    straight = [Request("GET", f"{API}/queue/tokens/me", token) for token in tokens]
    proxied = [
        msgspec.structs.replace(
            request, headers=f"X-Forwarded-For: 198.18.{number >> 8}.{number & 255}\r\n"
        )
        for number, request in enumerate(straight)
    ]
    async with served(url, **ON) as limited, served(url, **OFF) as unlimited:
        return [
            await measure(
                name, [one.raw("127.0.0.1") for one in requests], (limited, unlimited), rounds
            )
            for name, requests in (
                ("straight: by user", straight),
                ("through a proxy: by user and address", proxied),
            )
        ]


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    with (
        tempfile.TemporaryDirectory(prefix="frontrow-bench-") as folder,
        traversable(Path(folder)) as data_dir,
        EmbeddedServer(data_dir) as server,
    ):
        costs = uvloop.run(measure_all(server.app_url, server.owner_url, rounds))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(costs)))
    table = Table("poll", "without µs", "with µs", "ratio", "at most")
    for cost in costs:
        table.add_row(
            cost.poll, f"{cost.without_us:.1f}", f"{cost.with_us:.1f}", f"{cost.ratio:.3f}",
            f"{MOST:.2f}",
        )  # fmt: skip
    Console(width=100).print(table)
    missed = [cost.poll for cost in costs if cost.ratio > MOST]
    if missed:
        sys.exit(f"cost more than that: {', '.join(missed)}")


if __name__ == "__main__":
    main()
