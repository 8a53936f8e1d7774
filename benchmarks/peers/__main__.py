"""Measures Frontrow beside the textbook system: ``python -m benchmarks.peers``, or ``make peers``.

Both have one worker, and databases of one PostgreSQL. They run in turns, and start in turns. Prints
tables, and writes them to ``benchmarks/results/peers.md`` and all figures to ``peers.json``. Exits
1 if a seat is sold twice, or if a goal is missed (not with ``--quick``).
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec
import psutil
from redis.asyncio import Redis

from benchmarks.load import Request, Result, available, run
from benchmarks.peers.calls import CALLS, ONCE, Call, System
from benchmarks.peers.comparison import GOALS, Rush, Turn, compare, markdown
from benchmarks.peers.frontrow import Frontrow
from benchmarks.peers.textbook.filling import Textbook
from benchmarks.peers.textbook.serving import redis_server, textbook_server
from benchmarks.peers.textbook.tables import Base, open_engine
from benchmarks.servers import free_port, serving, traversable
from benchmarks.timing import machine, tree_seconds
from frontrow.db.server import running_urls
from testkit.connection import read_answer

RESULTS = Path(__file__).parents[1] / "results" / "peers.md"
REST_SECONDS = 1.0
USERS_PER_SECOND = 15_000
"""More than either system answers."""
ALONE_SECONDS = 1
USERS_PER_SECOND_ALONE = 4_000
WARM_UP_PER_SECOND = 6_000
RUSH_REQUESTS = 20_000
RUSH_SEATS = 50


class Bench:
    """Both systems, and the processes of their databases."""

    def __init__(
        self, systems: Sequence[System], owner: asyncpg.Pool, databases: Sequence[psutil.Process]
    ) -> None:
        self.systems = systems
        self._owner = owner
        self._databases = databases

    async def turns(
        self, calls: Sequence[Call], *, times: int, connections: int, seconds: int, users: int
    ) -> list[Turn]:
        """Measures calls with a number of connections."""
        found = []
        for call in calls:
            for time_ in range(times):
                order = self.systems if time_ % 2 == 0 else self.systems[::-1]
                for system in order:
                    turn = await self._turn(system, call, connections, seconds, users)
                    found.append(turn)
                    print(f"{turn.call}, {turn.system}: {turn.result}", file=sys.stderr)
        return found

    async def _turn(
        self, system: System, call: Call, connections: int, seconds: int, users: int
    ) -> Turn:
        requests, before = await system.requests(call, users)
        if before:
            await self._run(system, before, 64, -(-len(before) // WARM_UP_PER_SECOND))
        await self._owner.execute("CHECKPOINT")
        await asyncio.sleep(REST_SECONDS)
        used = tree_seconds(*self._databases)
        result = await self._run(system, requests, connections, seconds)
        used = tree_seconds(*self._databases) - used
        if result.refused != (result.requests if call == "refused hold" else 0):
            raise RuntimeError(f"{call}: {result.refused} of {result.requests} were refused")
        if call in ONCE and result.requests > len(requests):
            raise RuntimeError(f"{call}: {len(requests)} requests were not enough")
        return Turn(system.name, call, result, used / max(result.requests, 1) * 1e6)

    @staticmethod
    async def _run(
        system: System, requests: Sequence[Request], connections: int, seconds: int
    ) -> Result:
        return await asyncio.to_thread(
            run, requests, port=system.port, server_pids=[system.pid], seconds=seconds,
            connections=connections,
        )  # fmt: skip

    async def rush(self, system: System, connections: int, requests: int) -> Rush:
        """Sends each request once, on a number of connections."""
        holds, show_id = await system.rush(requests, RUSH_SEATS)
        waiting, statuses = iter(holds), Counter[int]()

        async def client() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", system.port)
            for one in waiting:
                writer.write(one.raw("127.0.0.1"))
                statuses[(await read_answer(reader)).status] += 1
            writer.close()
            await writer.wait_closed()

        started = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(connections)))
        seconds = time.perf_counter() - started
        if statuses.keys() != {201, 409}:
            raise RuntimeError(f"{system.name} answered {dict(statuses)}")
        held = Counter(await system.held(show_id))
        twice = sum(number > 1 for number in held.values())
        return Rush(system.name, requests, seconds, len(held), statuses[201], twice)


@asynccontextmanager
async def both_systems() -> AsyncIterator[Bench]:
    """Starts both systems on one PostgreSQL: Frontrow's embedded one, with its settings."""
    ports = free_port(), free_port()
    with (
        tempfile.TemporaryDirectory(prefix="frontrow-peers-") as folder,
        traversable(Path(folder)) as data_dir,
        serving(data_dir, ports[0]) as pid,
        redis_server(Path(folder)) as (redis_pid, redis_url),
    ):
        urls = running_urls(data_dir)
        if urls is None:
            raise RuntimeError("the embedded database doesn't run")
        url = urlsplit(urls[0])._replace(path="/textbook").geturl()
        async with asyncpg.create_pool(urls[0], min_size=1, max_size=2) as owner:
            await owner.execute("CREATE DATABASE textbook")
            engine = open_engine(url)
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)
            await engine.dispose()
            (postgres,) = (
                child for child in psutil.Process(pid).children() if child.name() == "postgres"
            )
            with textbook_server(ports[1], url, redis_url) as textbook_pid:
                async with (
                    asyncpg.create_pool(url, min_size=1, max_size=2) as pool,
                    Redis.from_url(redis_url) as redis,
                ):
                    systems = (
                        Frontrow(ports[0], pid, owner),
                        Textbook(ports[1], textbook_pid, pool, redis),
                    )
                    yield Bench(systems, owner, [postgres, psutil.Process(redis_pid)])


async def measure(options: argparse.Namespace) -> int:
    """Runs everything; returns the exit code."""
    seconds = options.seconds
    async with both_systems() as bench:
        # The first calls open connections and prepare statements.
        await bench.turns(
            options.calls, times=1, connections=options.connections, seconds=seconds,
            users=seconds * USERS_PER_SECOND,
        )  # fmt: skip
        loaded = await bench.turns(
            options.calls,
            times=options.turns,
            connections=options.connections,
            seconds=seconds,
            users=seconds * USERS_PER_SECOND,
        )
        alone = await bench.turns(
            options.calls,
            times=options.turns,
            connections=1,
            seconds=ALONE_SECONDS,
            users=ALONE_SECONDS * USERS_PER_SECOND_ALONE,
        )
        requests = RUSH_REQUESTS // (10 if options.quick else 1)
        rushes = [
            await bench.rush(system, options.connections, requests) for system in bench.systems
        ]
    rows = compare(loaded)
    table = markdown(rows, compare(alone), rushes)
    print(table)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(table)
    whole = {"loaded": loaded, "alone": alone, "rushes": rushes, "machine": machine()}
    options.output.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(whole)))
    wrong = [f"{rush.system} sold a seat twice" for rush in rushes if rush.sold_twice]
    if not options.quick:
        wrong += [
            f"{row.call}: {row.ratio:.1f} times the textbook system, not {GOALS[row.call]:g}"
            for row in rows
            if not row.met
        ]
    for line in wrong:
        print(f"MISSED {line}", file=sys.stderr)
    return 1 if wrong else 0


def main() -> int:
    """Reads the options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="length of each run")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--calls", nargs="+", choices=CALLS, default=CALLS)
    parser.add_argument("--quick", action="store_true", help="a small run, to check that it works")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.quick:
        options.turns, options.seconds = 1, 1
    if not available():
        sys.exit("wrk is missing: install it (Debian: apt-get install wrk) and run this again")
    return asyncio.run(measure(options))


if __name__ == "__main__":
    sys.exit(main())
