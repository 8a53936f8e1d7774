"""A seat map of 50,000 seats compared with the status poll: ``python -m benchmarks.seat_maps``.

One worker, wrk with 256 connections on loopback. The calls take turns, several rounds of each, and
the median counts, so that other load of the machine affects all of them. Prints a table and writes
a JSON file. Exits 1 if an answer is longer than its limit, or an unchanged map costs more than a
poll.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import Request as Question
from urllib.request import urlopen

import asyncpg
import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks import house
from benchmarks.load import Request, Result, available, run
from benchmarks.servers import API, free_port, serving, traversable
from benchmarks.timing import machine
from frontrow.db.server import running_urls

RESULTS = Path(__file__).with_name("results") / "seat_maps.json"
SEATS = 50_000
MOST_WHOLE_BYTES = 150_000
MOST_CHANGE_BYTES = 1_000
MOST_OF_A_POLL = 1.1
"""CPU of the server for an unchanged map, relative to a poll."""
POLL = "status poll"
UNCHANGED = "unchanged (304)"


class Turns(msgspec.Struct, frozen=True):
    """The figures of a call, the median of its turns."""

    call: str
    answer_bytes: int
    requests_per_second: float
    p99_ms: float
    cpu_us: float


class Found(msgspec.Struct, frozen=True):
    """All figures."""

    calls: list[Turns]
    first_look_ms: float
    """Of a process that hasn't read the show yet."""
    next_look_ms: float
    plain_bytes: int
    machine: dict[str, object]


class Arena:
    """A show of 50,000 seats and the users who read it."""

    def __init__(self, full: house.House, port: int) -> None:
        self.tokens = full.tokens
        self.path = f"{API}/concerts/{full.concert_id}/dates/{full.shows[0].date}/seats"
        self._base = f"http://127.0.0.1:{port}"

    def fetch(self, query: str, coding: str = "gzip") -> tuple[bytes, str, float]:
        """Returns an answer as received, its tag, and its time in ms."""
        head = {"Authorization": f"Bearer {self.tokens[0]}", "Accept-Encoding": coding}
        question = Question(f"{self._base}{self.path}?{query}", headers=head)  # noqa: S310 - loopback
        started = time.perf_counter()
        with urlopen(question, timeout=30) as answer:  # noqa: S310 - loopback
            body: bytes = answer.read()
            return body, answer.headers["ETag"], (time.perf_counter() - started) * 1e3

    def requests(self, query: str, header: str) -> list[Request]:
        """Returns the same request for every user."""
        path = f"{self.path}?{query}"
        return [Request("GET", path, token, headers=f"{header}\r\n") for token in self.tokens]

    def version(self) -> str:
        """Returns the current version."""
        body, _, _ = self.fetch("form=compact", "identity")
        return str(msgspec.json.decode(body)["version"])


async def measure(rounds: int, seconds: float, people: int) -> Found:
    """Fills the houses and takes turns."""
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="frontrow-bench-") as folder,
        traversable(Path(folder)) as data_dir,
        serving(data_dir, port) as server,
    ):
        urls = running_urls(data_dir)
        if urls is None:
            raise RuntimeError("the embedded database doesn't run")
        async with asyncpg.create_pool(urls[0], min_size=1, max_size=2) as pool:
            waiting = await house.fill(pool, people, admitted=False)
            full = await house.fill(pool, people, admitted=True, seats=SEATS)
            await house.hold_one_each(pool, full)
            # Half of the remaining seats are sold in random order: such a map compresses worst.
            await pool.execute(
                "UPDATE seat SET reservation_id = gen_random_uuid(), held_until = 'infinity'"
                " WHERE show_id = $1 AND reservation_id IS NULL AND random() < 0.5",
                full.shows[0].show_id,
            )
            arena = Arena(full, port)
            _, _, first = await asyncio.to_thread(arena.fetch, "form=compact")
            before = await asyncio.to_thread(arena.version)
            # Ten seats are sold, with the row in the log that such a change has.
            await pool.execute(
                "WITH sold AS (UPDATE seat SET held_until = 'infinity' WHERE show_id = $1"
                " AND number <= 10 RETURNING number) INSERT INTO seat_change"
                " (show_id, numbers, changed_at) SELECT $1, array_agg(number), clock_timestamp()"
                " FROM sold",
                full.shows[0].show_id,
            )
        whole, tag, following = await asyncio.to_thread(arena.fetch, "form=compact")
        change, _, _ = await asyncio.to_thread(arena.fetch, f"form=compact&since={before}")
        plain, _, _ = await asyncio.to_thread(arena.fetch, "form=plain")
        now = await asyncio.to_thread(arena.version)
        poll = [Request("GET", f"{API}/queue/tokens/me", token) for token in waiting.tokens]
        known = f"If-None-Match: {tag}"
        calls = {
            POLL: (poll, 370),
            UNCHANGED: (arena.requests("form=compact", known), 0),
            "unchanged (304), since": (arena.requests(f"form=compact&since={now}", known), 0),
            "ten seats changed": (
                arena.requests(f"form=compact&since={before}", "Accept-Encoding: gzip"),
                len(change),
            ),
            "all, compact": (
                arena.requests("form=compact", "Accept-Encoding: gzip"),
                len(whole),
            ),
        }
        results: dict[str, list[Result]] = {call: [] for call in calls}
        for turn in range(rounds + 1):
            for call, (requests, _) in calls.items():
                result = run(requests, port=port, server_pids=[server], seconds=seconds)
                if result.refused:
                    raise RuntimeError(f"{call}: {result.refused} were refused")
                if turn:  # the first run lets the server verify the tokens
                    results[call].append(result)
    return Found(
        [
            Turns(
                call,
                size,
                statistics.median(one.requests_per_second for one in results[call]),
                statistics.median(one.p99_ms for one in results[call]),
                statistics.median(one.cpu_us for one in results[call]),
            )
            for call, (_, size) in calls.items()
        ],
        round(first, 1),
        round(following, 1),
        len(plain),
        machine(),
    )


def missed(found: Found) -> list[str]:
    """Returns the figures above their limits."""
    calls = {one.call: one for one in found.calls}
    wrong = []
    whole = max(calls["all, compact"].answer_bytes, found.plain_bytes)
    if whole > MOST_WHOLE_BYTES:
        wrong.append(f"all seats are {whole:,} bytes")
    if calls["ten seats changed"].answer_bytes > MOST_CHANGE_BYTES:
        wrong.append(f"ten seats are {calls['ten seats changed'].answer_bytes:,} bytes")
    ratio = calls[UNCHANGED].cpu_us / calls[POLL].cpu_us
    if ratio > MOST_OF_A_POLL:
        wrong.append(f"an unchanged map takes {ratio:.2f} times the CPU of a poll")
    return wrong


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seat_maps", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each call")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a turn")
    parser.add_argument(
        "--people", type=int, default=10_000, help="users who read, and users who poll"
    )
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args()
    if not available():
        sys.exit("wrk is missing: install it (Debian: apt-get install wrk) and run this again")
    found = asyncio.run(measure(asked.rounds, asked.seconds, asked.people))
    asked.output.parent.mkdir(exist_ok=True)
    asked.output.write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    table = Table("call", "answer bytes", "requests/s", "p99 ms", "server CPU µs")
    for one in found.calls:
        table.add_row(
            one.call, f"{one.answer_bytes:,}", f"{one.requests_per_second:,.0f}",
            f"{one.p99_ms:.1f}", f"{one.cpu_us:.1f}",
        )  # fmt: skip
    console = Console(width=120)
    console.print(table)
    console.print(
        f"first fetch {found.first_look_ms} ms, the next {found.next_look_ms} ms;"
        f" plain form in gzip {found.plain_bytes:,} bytes"
    )
    wrong = missed(found)
    for line in wrong:
        print(f"MISSED {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
