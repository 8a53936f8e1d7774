"""Open streams: the delay of a change for all of them, and their cost.

``python -m benchmarks.streams [--streams 10000]`` starts ``frontrow serve`` with one worker, opens
the streams of as many waiting users, and lets the user in front leave, which changes the status of
all others. First now and then, then ten times a second, while another user polls.
"""

import argparse
import asyncio
import resource
import select
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import asyncpg
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import house
from benchmarks.load import Request
from benchmarks.servers import API, serving
from frontrow.db.server import running_urls

ROUNDS = 5
QUIET_SECONDS = 2.0  # between two rounds: longer than the interval of a stream
SILENT_SECONDS = 5.0
BUSY_SECONDS = 10.0
BUSY_PAUSE_SECONDS = 0.1
POLLS_A_PAUSE = 5
PATIENCE_SECONDS = 60.0
_OPENED_AT_ONCE = 500
_STREAMS_AN_ADDRESS = 20_000  # fewer than an address has ports
_SPARE_FILES = 200
_EVENT = b"event: status\n"


class Stream(NamedTuple):
    """One open stream."""

    connection: socket.socket
    arrivals: list[float]
    """The times of its events, in seconds of the monotonic clock."""


class Round(NamedTuple):
    """One change: its delay in each stream, in seconds after the answer to its call."""

    delays: Sequence[float]
    cpu_seconds: float


class Busy(NamedTuple):
    """A period of steady change."""

    seconds: float
    events: int
    least_gap: float
    """Between two events of one stream, in seconds."""
    longest_gap: float
    poll_seconds: Sequence[float]
    cpu_seconds: float


class Audience:
    """All streams, read by one loop over epoll with the least overhead in Python."""

    def __init__(self, port: int) -> None:
        self.streams: dict[int, Stream] = {}
        self.expected: set[int] = set()
        """The streams whose next event is expected, by file number."""
        self._port = port
        self._poll = select.epoll()
        self._others: dict[int, Callable[[], None]] = {}

    def open(self, tokens: Sequence[str]) -> None:
        """Opens a stream for each token and waits for their first events."""
        for start in range(0, len(tokens), _OPENED_AT_ONCE):
            some = tokens[start : start + _OPENED_AT_ONCE]
            for token in some:
                connection = self._connect(len(self.streams) // _STREAMS_AN_ADDRESS)
                connection.sendall(Request("GET", f"{API}/queue/tokens/me/events", token).raw("me"))
                connection.setblocking(False)
                self.streams[connection.fileno()] = Stream(connection, [])
                self.expected.add(connection.fileno())
                self._poll.register(connection, select.EPOLLIN)
            self.read_until(lambda: not self.expected)

    def watch(self, connection: socket.socket, ready: Callable[[], None]) -> None:
        """Calls ``ready`` when another connection is readable."""
        self._others[connection.fileno()] = ready
        self._poll.register(connection, select.EPOLLIN)

    def read(self, seconds: float) -> None:
        """Reads events for some seconds."""
        end = time.monotonic() + seconds
        self.read_until(lambda: time.monotonic() >= end, 0.01)

    def read_until(self, condition: Callable[[], bool], look_seconds: float = 1.0) -> None:
        """Reads until a condition holds."""
        patience = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > patience:
                raise RuntimeError(f"{len(self.expected)} streams got no event")
            for file, _ in self._poll.poll(look_seconds):
                stream = self.streams.get(file)
                if stream is None:
                    self._others[file]()
                else:
                    self._take(stream)

    def _take(self, stream: Stream) -> None:
        received = stream.connection.recv(65_536)
        if not received:
            raise RuntimeError("the server has ended a stream")
        for _ in range(received.count(_EVENT)):
            stream.arrivals.append(time.monotonic())
            self.expected.discard(stream.connection.fileno())

    def _connect(self, address: int) -> socket.socket:
        connection = socket.socket()
        connection.bind((f"127.0.0.{1 + address}", 0))
        connection.connect(("127.0.0.1", self._port))
        return connection

    def forget(self) -> None:
        """Forgets the recorded events."""
        for stream in self.streams.values():
            stream.arrivals.clear()

    def close(self) -> None:
        """Closes all streams."""
        self._poll.close()
        for stream in self.streams.values():
            stream.connection.close()


class Poller:
    """A client that polls over one connection."""

    def __init__(self, port: int, token: str) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.seconds: list[float] = []
        self._request = Request("GET", f"{API}/queue/tokens/me", token).raw("me")
        self._asked = 0.0
        self._answer = b""

    def ask(self) -> None:
        """Sends the next poll, once the one before it is answered."""
        if self._asked:
            return
        self._asked, self._answer = time.monotonic(), b""
        self.connection.sendall(self._request)

    def take(self) -> None:
        """Reads what has arrived of an answer."""
        self._answer += self.connection.recv(65_536)
        if not self._answer.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError("a poll was refused")
        if self._answer.endswith(b"}"):
            self.seconds.append(time.monotonic() - self._asked)
            self._asked = 0.0


def leave(port: int, token: str) -> None:
    """The owner of a token leaves the line."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(Request("DELETE", f"{API}/queue/tokens/me", token).raw("me"))
        if b" 204 " not in connection.recv(65_536)[:16]:
            raise RuntimeError("leaving was refused")


def cpu_seconds(server: psutil.Process) -> float:
    """Returns the processor time that the worker has used so far."""
    times = server.cpu_times()
    return float(times.user + times.system)


def changes(
    audience: Audience, port: int, server: psutil.Process, leavers: Iterable[str]
) -> list[Round]:
    """Makes one change after another, each after all streams have received the one before."""
    rounds = []
    for leaver in leavers:
        audience.read(QUIET_SECONDS)
        audience.forget()
        audience.expected = set(audience.streams)
        used = cpu_seconds(server)
        leave(port, leaver)
        changed = time.monotonic()
        audience.read_until(lambda: not audience.expected)
        delays = [stream.arrivals[0] - changed for stream in audience.streams.values()]
        rounds.append(Round(sorted(delays), cpu_seconds(server) - used))
    return rounds


def steady_change(
    audience: Audience, port: int, server: psutil.Process, leavers: Sequence[str], poller: Poller
) -> Busy:
    """A user leaves each moment, and another one polls."""
    audience.read(QUIET_SECONDS)
    audience.forget()
    audience.watch(poller.connection, poller.take)
    used, started = cpu_seconds(server), time.monotonic()
    for leaver in leavers:
        leave(port, leaver)
        for _ in range(POLLS_A_PAUSE):
            poller.ask()
            audience.read(BUSY_PAUSE_SECONDS / POLLS_A_PAUSE)
    seconds, used = time.monotonic() - started, cpu_seconds(server) - used
    arrivals = [stream.arrivals for stream in audience.streams.values()]
    gaps = [b - a for came in arrivals for a, b in pairwise(came)]
    return Busy(
        seconds, sum(map(len, arrivals)), min(gaps), max(gaps), sorted(poller.seconds), used
    )


async def fill(data_dir: Path, people: int) -> Sequence[str]:
    """Creates a line of ``people`` users; returns their tokens."""
    urls = running_urls(data_dir)
    if urls is None:
        raise RuntimeError("the embedded database doesn't run")
    async with asyncpg.create_pool(urls[0], min_size=1, max_size=2) as pool:
        return (await house.fill(pool, people, admitted=False)).tokens


def silence(audience: Audience, server: psutil.Process) -> float:
    """Returns the cost of the streams without any event, as a share of a processor."""
    audience.read(QUIET_SECONDS)
    used, started = cpu_seconds(server), time.monotonic()
    audience.read(SILENT_SECONDS)
    return (cpu_seconds(server) - used) / (time.monotonic() - started)


def measure(data_dir: Path, streams: int) -> Table:
    """Runs a server and all streams; returns a table of the figures."""
    port, leavers = free_port(), ROUNDS + round(BUSY_SECONDS / BUSY_PAUSE_SECONDS)
    with serving(data_dir, port) as pid:
        tokens = asyncio.run(fill(data_dir, leavers + streams + 1))
        server, audience = psutil.Process(pid), Audience(port)
        followed = tokens[leavers : leavers + streams]
        # The first streams load code and caches, which is no part of the memory of each.
        first = len(followed) // 10
        audience.open(followed[:first])
        rss = server.memory_info().rss
        audience.open(followed[first:])
        rss = (server.memory_info().rss - rss) // (len(followed) - first)
        silent = silence(audience, server)
        rounds = changes(audience, port, server, tokens[:ROUNDS])
        poller = Poller(port, tokens[-1])
        busy = steady_change(audience, port, server, tokens[ROUNDS:leavers], poller)
        rss_after = server.memory_info().rss
        audience.close()
    table = Table("what", "result", title=f"{streams:,} open streams on one process")
    table.add_row("memory of a stream", f"{rss / 1024:.1f} KiB")
    table.add_row("memory of the process at the end", f"{rss_after / 2**20:.0f} MiB")
    table.add_row("CPU while nothing changes", f"{silent:.1%} of a processor")
    delays = sorted(delay for one in rounds for delay in one.delays)
    table.add_row("one change, until a stream has it", _spread(delays))
    used = sum(one.cpu_seconds for one in rounds)
    table.add_row("  CPU", f"{used / len(delays) * 1e6:.1f} µs an event")
    table.add_row("change all the time: events", f"{busy.events / busy.seconds:,.0f}/s")
    table.add_row("  between two of a stream", f"{busy.least_gap:.2f}–{busy.longest_gap:.2f} s")
    table.add_row(
        "  CPU",
        f"{busy.cpu_seconds / busy.events * 1e6:.1f} µs an event; "
        f"{busy.cpu_seconds / busy.seconds:.0%} of a processor",
    )
    table.add_row(
        "  a poll meanwhile",
        _spread(busy.poll_seconds),
    )
    return table


def _spread(seconds: Sequence[float]) -> str:
    p50, p99, longest = (
        seconds[min(len(seconds) - 1, int(len(seconds) * share))] * 1000 for share in (0.5, 0.99, 1)
    )
    return f"p50 {p50:,.0f} ms, p99 {p99:,.0f} ms, max {longest:,.0f} ms"


def free_port() -> int:
    """Returns a free port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def allow_files(count: int) -> None:
    """Raises the limit of open files for this process and the server that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        sys.exit(f"this account may open {hard} files, and {count} are needed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))


def main() -> None:
    """Measures everything and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=10_000)
    options = parser.parse_args()
    allow_files(options.streams + _SPARE_FILES)
    with tempfile.TemporaryDirectory(prefix="frontrow-bench-") as folder:
        Path(folder).chmod(0o711)  # as root the database runs under another account
        Console(width=100).print(measure(Path(folder) / "data", options.streams))


if __name__ == "__main__":
    main()
