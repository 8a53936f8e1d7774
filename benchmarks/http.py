"""HTTP on loopback: ``frontrow serve`` with its embedded database, one worker, 256 connections.

``python -m benchmarks.http`` writes a table and ``benchmarks/results/http.json``. Each call is
compared with an empty typed handler in the same run: same framework and server, same headers and
sizes.
"""

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request as Question
from urllib.request import urlopen

import asyncpg
import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks import house
from benchmarks.load import Request, Result, available, run
from frontrow.db.server import running_urls

RESULTS = Path(__file__).with_name("results") / "http.json"
API = "/api/v1"
OPERATOR_KEY = "benchmark-operator-key"
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


class Measured(msgspec.Struct, frozen=True):
    """The figures of one call and of the empty handler."""

    call: str
    result: Result
    empty: Result
    ratio: float
    floor: float | None


class Scenario(msgspec.Struct, frozen=True):
    """The requests of one call, and the size of its answer."""

    call: str
    requests: list[Request]
    answer_bytes: int
    refused: bool = False
    seen: bool = False
    """The server has verified each token before, as is usual in the middle of a buyer's path."""
    once: bool = False
    """Each request can be sent only once: the run ends before they are used up."""


@contextmanager
def serving(data_dir: Path, port: int) -> Iterator[int]:
    """Yields a Frontrow server: the id of the process that answers."""
    command = [
        str(Path(sys.executable).with_name("frontrow")), "serve", "--workers", "1",
        "--data-dir", str(data_dir), "--port", str(port),
    ]  # fmt: skip
    environment = os.environ | {
        "FRONTROW_OPERATOR_KEY": OPERATOR_KEY,
        "FRONTROW_LOG_LEVEL": "warning",
        "FRONTROW_CACHED_CREDENTIALS": "200000",
    }
    with _process(command, environment, f"http://127.0.0.1:{port}/readyz") as pid:
        yield pid


@contextmanager
def empty_handler(port: int) -> Iterator[int]:
    """The baseline, served the same way."""
    command = [
        sys.executable, "-m", "uvicorn", "benchmarks.empty:app", "--loop", "uvloop", "--http",
        "httptools", "--no-access-log", "--no-server-header", "--log-level", "warning",
        "--port", str(port), "--backlog", "4096",
    ]  # fmt: skip
    with _process(command, dict(os.environ), f"http://127.0.0.1:{port}/empty?size=1") as pid:
        yield pid


@contextmanager
def _process(command: list[str], environment: dict[str, str], ready_url: str) -> Iterator[int]:
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not _answers(ready_url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=1) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except OSError:
        return False


def measure(scenario: Scenario, *, ports: tuple[int, int], pids: tuple[int, int], seconds: float,
            ) -> Measured:  # fmt: skip
    """Runs a scenario against Frontrow, then the same sizes against the empty handler."""
    _wait_for_rest(pids[0])
    result = run(scenario.requests, port=ports[0], server_pids=[pids[0]], seconds=seconds)
    if (result.refused > 0) != scenario.refused:
        raise RuntimeError(f"{scenario.call}: {result.refused} of {result.requests} were refused")
    if scenario.once and result.requests > len(scenario.requests):
        raise RuntimeError(f"{scenario.call}: {len(scenario.requests)} requests were not enough")
    like = scenario.requests[0]
    body = b'{"text":"%b"}' % (b"x" * max(len(like.body) - len('{"text":""}'), 30))
    size = max(scenario.answer_bytes - len('{"text":""}'), 0)
    empty = run(
        [Request("POST", f"/empty?size={size}", like.token, body)],
        port=ports[1], server_pids=[pids[1]], seconds=seconds,
    )  # fmt: skip
    return Measured(
        scenario.call, result, empty,
        result.requests_per_second / empty.requests_per_second, FLOORS.get(scenario.call),
    )  # fmt: skip


def _wait_for_rest(pid: int) -> None:
    """Waits for the remaining work of filling the house (checkpoints, vacuum)."""
    os.sync()
    time.sleep(2)


def arenas(
    pool: asyncpg.Pool, people: int, port: int
) -> list[Callable[[], Coroutine[Any, Any, Scenario]]]:
    """Returns makers of the scenarios with 50,000 seats, some of them held."""

    async def arena(name: str, *, knows: bool) -> Scenario:
        full = await house.fill(pool, people, admitted=True, seats=50_000)
        await house.hold_one_each(pool, full)
        path = f"{API}/concerts/{full.concert_id}/dates/{full.shows[0].date}/seats?form=compact"
        tag, size = await asyncio.to_thread(
            _tag_and_size, f"http://127.0.0.1:{port}{path}", full.tokens[0]
        )
        header = f"If-None-Match: {tag}\r\n" if knows else "Accept-Encoding: gzip\r\n"
        requests = [Request("GET", path, token, headers=header) for token in full.tokens]
        return Scenario(name, requests, 0 if knows else size, seen=True)

    async def arena_unchanged() -> Scenario:
        return await arena("seat map of 50,000, unchanged", knows=True)

    async def arena_whole() -> Scenario:
        return await arena("seat map of 50,000, compact", knows=False)

    return [arena_unchanged, arena_whole]


def holds(pool: asyncpg.Pool, people: int) -> list[Callable[[], Coroutine[Any, Any, Scenario]]]:
    """Returns makers of the scenarios that hold a seat each: a named one, and the best."""

    async def hold() -> Scenario:
        full = await house.fill(pool, people, admitted=True, shows=2)
        requests = [
            Request(
                "POST", f"{API}/reservations", full.tokens[i % len(full.tokens)],
                b'{"show_id":"%b","seats":[%d]}' % (str(show.show_id).encode(), number),
            )
            for i, (show, number) in enumerate(
                (show, number) for show in full.shows for number in range(1, 100_001)
            )
        ]  # fmt: skip
        return Scenario("hold", requests, 480, seen=True, once=True)

    async def hold_best() -> Scenario:
        full = await house.fill(pool, people, admitted=True, shows=2)
        requests = [
            Request(
                "POST", f"{API}/reservations", full.tokens[i % len(full.tokens)],
                b'{"show_id":"%b","count":1}' % str(full.shows[i % 2].show_id).encode(),
            )
            for i in range(200_000)
        ]  # fmt: skip
        return Scenario("hold, best seats", requests, 480, seen=True, once=True)

    return [hold, hold_best]


async def scenarios(
    pool: asyncpg.Pool, scale: float, port: int
) -> list[Callable[[], Coroutine[Any, Any, Scenario]]]:
    """Returns makers of the scenarios, in running order; each fills its own house."""

    def n(count: int) -> int:
        return max(1000, int(count * scale))

    async def poll_seen() -> Scenario:
        full = await house.fill(pool, n(20_000), admitted=False)
        requests = [Request("GET", f"{API}/queue/tokens/me", token) for token in full.tokens]
        return Scenario("status poll, token seen before", requests, 370, seen=True)

    async def poll_unseen() -> Scenario:
        full = await house.fill(pool, n(250_000), admitted=False)
        requests = [Request("GET", f"{API}/queue/tokens/me", token) for token in full.tokens]
        return Scenario("status poll, token never seen", requests, 370, once=True)

    async def seats() -> Scenario:
        full = await house.fill(pool, n(20_000), admitted=True, seats=50)
        path = f"{API}/concerts/{full.concert_id}/dates/{full.shows[0].date}/seats"
        return Scenario(
            "seats of a date", [Request("GET", path, t) for t in full.tokens], 3300, seen=True
        )

    async def join() -> Scenario:
        full = await house.fill(pool, 1, admitted=False)
        body = b'{"concert_id":"%b"}' % str(full.concert_id).encode()
        keys = await house.add_users(pool, n(200_000))
        requests = [Request("POST", f"{API}/queue/tokens", key, body) for key in keys]
        return Scenario("join", requests, 750, once=True)

    async def refused() -> Scenario:
        full = await house.fill(pool, n(20_000), admitted=True, seats=50)
        await house.hold_one_each(pool, full)
        body = b'{"show_id":"%b","seats":[7]}' % str(full.shows[0].show_id).encode()
        requests = [Request("POST", f"{API}/reservations", t, body) for t in full.tokens]
        return Scenario("hold, refused", requests, 150, seen=True, refused=True)

    async def pay() -> Scenario:
        full = await house.fill(pool, n(100_000), admitted=True, balance=10_000)
        reservations = await house.hold_one_each(pool, full)
        requests = [
            Request(
                "POST", f"{API}/payments", token,
                b'{"reservation_id":"%b","amount":1000}' % str(reservation).encode(),
            )
            for token, reservation in zip(full.tokens, reservations, strict=True)
        ]  # fmt: skip
        return Scenario("pay", requests, 460, seen=True, once=True)

    async def check_in() -> Scenario:
        full = await house.fill(pool, 1, admitted=True)
        codes = await house.give_tickets(pool, full, n(100_000))
        requests = [
            Request(
                "POST", f"{API}/admin/tickets/check-ins", OPERATOR_KEY,
                b'{"code":"%b","gate":"North 2","show_id":"%b"}'
                % (code.encode(), str(full.shows[0].show_id).encode()),
            )
            for code in codes
        ]  # fmt: skip
        return Scenario("check-in", requests, 390, once=True)

    return [
        poll_seen,
        *arenas(pool, n(20_000), port),
        poll_unseen,
        seats,
        join,
        *holds(pool, n(20_000)),
        refused,
        pay,
        check_in,
    ]


def main() -> None:
    """Measures everything and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each run")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="the number of users in the houses"
    )
    parser.add_argument(
        "--only",
        default="",
        help="only calls whose name contains one of these, with commas between",
    )
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if not available():
        sys.exit("wrk is missing: install it (Debian: apt-get install wrk) and run this again")
    measured = asyncio.run(_measure_all(options))
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_bytes(msgspec.json.format(msgspec.json.encode(measured)))
    Console(width=120).print(_table(measured))
    missed = [one.call for one in measured if one.floor is not None and one.ratio < one.floor]
    if missed:
        sys.exit(f"below their floor: {', '.join(missed)}")


async def _measure_all(options: argparse.Namespace) -> list[Measured]:
    ports = (free_port(), free_port())
    measured = []
    with (
        tempfile.TemporaryDirectory(prefix="frontrow-bench-") as folder,
        traversable(Path(folder)) as data_dir,
        serving(data_dir, ports[0]) as server,
        empty_handler(ports[1]) as empty,
    ):
        urls = running_urls(data_dir)
        if urls is None:
            raise RuntimeError("the embedded database doesn't run")
        async with asyncpg.create_pool(urls[0], min_size=1, max_size=2) as pool:
            for make in await scenarios(pool, options.scale, ports[0]):
                if not any(part in make.__name__ for part in options.only.split(",")):
                    continue
                scenario = await make()
                await pool.execute("CHECKPOINT")
                if scenario.seen:
                    _warm_up(scenario, ports[0], server)
                measured.append(
                    measure(scenario, ports=ports, pids=(server, empty), seconds=options.seconds)
                )
                print(f"{scenario.call}: {measured[-1].ratio:.0%}", file=sys.stderr)
    return measured


def _tag_and_size(url: str, token: str) -> tuple[str, int]:
    """Returns the entity tag of an answer, and its length as received in gzip."""
    question = Question(  # noqa: S310 - loopback
        url, headers={"Authorization": f"Bearer {token}", "Accept-Encoding": "gzip"}
    )
    with urlopen(question, timeout=10) as answer:  # noqa: S310 - loopback
        return answer.headers["ETag"], len(answer.read())


def _warm_up(scenario: Scenario, port: int, pid: int) -> None:
    """Polls once with every token, as users have done before holding or paying."""
    tokens = list(dict.fromkeys(request.token for request in scenario.requests))
    polls = [Request("GET", f"{API}/queue/tokens/me", token) for token in tokens]
    run(polls, port=port, server_pids=[pid], seconds=max(3.0, len(polls) / 5_000))


@contextmanager
def traversable(folder: Path) -> Iterator[Path]:
    """Makes a folder accessible: as root the database runs under another account."""
    folder.chmod(0o711)
    yield folder / "data"


def free_port() -> int:
    """Returns a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _table(measured: list[Measured]) -> Table:
    table = Table("call", "requests/s", "p50 ms", "p99 ms", "server CPU µs", "of empty", "floor")
    for one in measured:
        table.add_row(
            one.call, f"{one.result.requests_per_second:,.0f}", f"{one.result.p50_ms:.1f}",
            f"{one.result.p99_ms:.1f}", f"{one.result.cpu_us:.1f}", f"{one.ratio:.0%}",
            "" if one.floor is None else f"{one.floor:.0%}",
        )  # fmt: skip
        table.add_row(
            "  empty handler", f"{one.empty.requests_per_second:,.0f}", f"{one.empty.p50_ms:.1f}",
            f"{one.empty.p99_ms:.1f}", f"{one.empty.cpu_us:.1f}", "", "",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    main()
