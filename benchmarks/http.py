"""HTTP on loopback: ``frontrow serve`` with its embedded database, one worker, 256 connections.

``python -m benchmarks.http`` writes a table and ``benchmarks/results/http.json``. Each call is
measured in turns with a bare ASGI handler that sends the same response to the same requests, and
with an empty typed handler of the framework. ``--before FOLDER`` also measures the Frontrow of
another checkout, in turns with this one.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.calls import Scenario, scenarios
from benchmarks.load import Request, Result, available, run
from benchmarks.servers import (
    API,
    PYTHON,
    bare_handler,
    empty_handler,
    free_port,
    record,
    serving,
    traversable,
)
from frontrow.db.server import running_urls

RESULTS = Path(__file__).with_name("results") / "http.json"
# The minimum share of the empty handler's throughput that a call has to reach.
FLOORS = {
    "status poll, token seen before": 0.75,
    "seats of a date": 0.60,
    "seat map of 50,000, unchanged": 0.75,
    "join": 0.35,
    "hold": 0.40,
    # Six tenths of the named ones.
    "hold, best seats": 0.24,
    "hold, refused": 0.55,
    "pay": 0.30,
    "check-in": 0.40,
}
# The maximum CPU of a call, relative to the bare handler's.
MOST_CPU = {"status poll, token seen before": 4 / 3}
# The maximum CPU above the bare handler's, relative to that of the checkout before.
MOST_ABOVE = {
    "status poll, token seen before": 0.5,
    "seat map of 50,000, unchanged": 0.5,
    "seats of a date": 0.5,
    "hold": 0.6,
    "hold, refused": 0.6,
    "join": 0.65,
    "pay": 0.65,
    "check-in": 0.65,
}
Maker = Callable[[], Coroutine[Any, Any, Scenario]]


class Server(msgspec.Struct, frozen=True):
    """A running Frontrow, and the makers of its scenarios."""

    port: int
    pid: int
    makers: Sequence[Maker]
    pool: asyncpg.Pool


class Measured(msgspec.Struct, frozen=True):
    """The figures of one call, and of the handlers that it is compared with; medians of turns."""

    call: str
    result: Result
    bare: Result
    empty: Result
    before: Result | None

    @property
    def of_empty(self) -> float:
        """The throughput, relative to the empty handler's."""
        return self.result.requests_per_second / self.empty.requests_per_second

    @property
    def of_bare(self) -> float:
        """The CPU, relative to the bare handler's."""
        return self.result.cpu_us / self.bare.cpu_us

    @property
    def of_before(self) -> float | None:
        """The CPU above the bare handler's, relative to that of the checkout before."""
        if self.before is None:
            return None
        return (self.result.cpu_us - self.bare.cpu_us) / (self.before.cpu_us - self.bare.cpu_us)

    @property
    def missed(self) -> list[str]:
        """What misses its bound."""
        above = self.of_before
        return [
            f"{self.call}: {what}"
            for what, missed in (
                ("throughput", self.of_empty < FLOORS.get(self.call, 0)),
                ("CPU", self.of_bare > MOST_CPU.get(self.call, float("inf"))),
                ("CPU above bare", above is not None and above > MOST_ABOVE.get(self.call, 1.0)),
            )
            if missed
        ]


def measure(
    made: Sequence[tuple[Server, Scenario]], empty: tuple[int, int], *, turns: int, seconds: float
) -> Measured:
    """Measures a call in turns: Frontrow, the one before, the bare and the empty handler.

    Args:
        made: the Frontrow of this checkout, then the one before if any, each with its scenario.
        empty: port and process of the empty handler.
        turns: how often each is measured.
        seconds: how long each time.
    """
    # The last request is not sent again: some can be sent only once.
    recorded = record(made[0][1].requests[-1], made[0][0].port)
    requests, bare_port = made[0][1].requests[:-1], free_port()
    sent: list[tuple[Callable[[int], Sequence[Request]], int, int]] = []
    _wait_for_rest()
    with bare_handler(recorded, bare_port) as bare:
        for server, scenario in made:
            sent.append((partial(_part, scenario, turns), server.port, server.pid))
        sent.append((lambda _: requests[:10_000], bare_port, bare))
        sent.append((lambda _: [_like(requests[0], len(recorded.body))], *empty))
        found = [list[Result]() for _ in sent]
        for turn in range(turns):
            for at in range(len(sent)) if turn % 2 else reversed(range(len(sent))):
                part, port, pid = sent[at]
                found[at].append(run(part(turn), port=port, server_pids=[pid], seconds=seconds))
    for (_, scenario), results in zip(made, found, strict=False):
        _check(scenario, turns, results)
    result, *before, of_bare, of_empty = map(_median, found)
    return Measured(made[0][1].call, result, of_bare, of_empty, before[0] if before else None)


def _part(scenario: Scenario, turns: int, turn: int) -> Sequence[Request]:
    """Returns the requests of one turn: all of them, or a part if each can be sent only once."""
    requests = scenario.requests[:-1]
    size = len(requests) // turns
    return requests[turn * size : (turn + 1) * size] if scenario.once else requests


def _check(scenario: Scenario, turns: int, results: Sequence[Result]) -> None:
    """Checks that a scenario was answered as intended.

    Raises:
        RuntimeError: it wasn't.
    """
    for turn, result in enumerate(results):
        if (result.refused > 0) != scenario.refused:
            raise RuntimeError(
                f"{scenario.call}: {result.refused} of {result.requests} were refused"
            )
        if scenario.once and result.requests > len(_part(scenario, turns, turn)):
            raise RuntimeError(f"{scenario.call}: there were too few requests for {turns} turns")


def _like(request: Request, answer_bytes: int) -> Request:
    """Returns the request for the empty handler with a body and a response of these sizes."""
    body = b'{"text":"%b"}' % (b"x" * max(len(request.body) - len('{"text":""}'), 30))
    size = max(answer_bytes - len('{"text":""}'), 0)
    return Request("POST", f"/empty?size={size}", request.token, body)


def _median(results: Sequence[Result]) -> Result:
    """Returns the median of each figure."""
    return Result(
        *(
            type(getattr(results[0], name))(statistics.median(getattr(r, name) for r in results))
            for name in Result.__struct_fields__
        )
    )


def _wait_for_rest() -> None:
    """Waits for the remaining work of filling the house (checkpoints, vacuum)."""
    os.sync()
    time.sleep(2)


def main() -> None:
    """Measures everything and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each run")
    parser.add_argument("--turns", type=int, default=3, help="runs of each call")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="the number of users in the houses"
    )
    parser.add_argument(
        "--only",
        default="",
        help="only calls whose name contains one of these, with commas between",
    )
    parser.add_argument(
        "--before", type=Path, help="another checkout, with its .venv, to compare with"
    )
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if not available():
        sys.exit("wrk is missing: install it (Debian: apt-get install wrk) and run this again")
    measured = asyncio.run(_measure_all(options))
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_bytes(msgspec.json.format(msgspec.json.encode(measured)))
    Console(width=150).print(_table(measured))
    missed = [bound for one in measured for bound in one.missed]
    if missed:
        sys.exit(f"bounds missed: {', '.join(missed)}")


async def _measure_all(options: argparse.Namespace) -> list[Measured]:
    pythons = [PYTHON]
    if options.before is not None:
        pythons.append(options.before.resolve() / ".venv/bin/python")
    measured = []
    empty_port = free_port()
    async with AsyncExitStack() as stack:
        empty = stack.enter_context(empty_handler(empty_port))
        servers = [await start(stack, python, options.scale) for python in pythons]
        for makers in zip(*(server.makers for server in servers), strict=True):
            if not any(part in makers[0].__name__ for part in options.only.split(",")):
                continue
            made = [
                (server, await prepare(server, make))
                for server, make in zip(servers, makers, strict=True)
            ]
            one = measure(made, (empty_port, empty), turns=options.turns, seconds=options.seconds)
            measured.append(one)
            print(f"{one.call}: {one.of_bare:.2f} times bare", file=sys.stderr)
    return measured


async def start(stack: AsyncExitStack, python: Path, scale: float) -> Server:
    """Starts the Frontrow of a virtual environment."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="frontrow-bench-"))
    data_dir, port = stack.enter_context(traversable(Path(folder))), free_port()
    pid = stack.enter_context(serving(data_dir, port, python=python))
    urls = running_urls(data_dir)
    if urls is None:
        raise RuntimeError("the embedded database doesn't run")
    pool = await stack.enter_async_context(asyncpg.create_pool(urls[0], min_size=1, max_size=2))
    return Server(port, pid, scenarios(pool, scale, port), pool)


async def prepare(server: Server, make: Maker) -> Scenario:
    """Returns a scenario whose tokens the server has seen, if it is to have seen them."""
    scenario = await make()
    await server.pool.execute("CHECKPOINT")
    if scenario.seen:
        _warm_up(scenario, server)
    return scenario


def _warm_up(scenario: Scenario, server: Server) -> None:
    """Polls once with every token, as users have done before holding or paying."""
    tokens = list(dict.fromkeys(request.token for request in scenario.requests))
    polls = [Request("GET", f"{API}/queue/tokens/me", token) for token in tokens]
    seconds = max(3.0, len(polls) / 5_000)
    run(polls, port=server.port, server_pids=[server.pid], seconds=seconds)


def _table(measured: Sequence[Measured]) -> Table:
    table = Table(
        "call", "requests/s", "p50 ms", "p99 ms", "CPU µs", "bare CPU µs", "times bare",
        "above bare: before", "now", "share", "of empty",
    )  # fmt: skip
    for one in measured:
        above, before = one.result.cpu_us - one.bare.cpu_us, one.before
        table.add_row(
            one.call, f"{one.result.requests_per_second:,.0f}", f"{one.result.p50_ms:.1f}",
            f"{one.result.p99_ms:.1f}", f"{one.result.cpu_us:.1f}", f"{one.bare.cpu_us:.1f}",
            f"{one.of_bare:.2f}",
            "" if before is None else f"{before.cpu_us - one.bare.cpu_us:.1f}", f"{above:.1f}",
            "" if one.of_before is None else f"{one.of_before:.2f}", f"{one.of_empty:.0%}",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    main()
