"""The latency of calls: ``python -m benchmarks.latency``.

``frontrow serve`` with its embedded database and one worker. 32 clients, each on one connection
that it keeps: each takes a user, joins and polls the place a few times. They send their next
request as soon as the last one is answered, which is the maximum load; and once more, with a pause
of 10 ms between. This process is all the clients, on one loop over epoll.

The order in which requests were sent and answered is compared with the issued numbers: a join that
was sent after the answer to another one has the greater number.
"""

import argparse
import asyncio
import re
import select
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import asyncpg
import psutil
from msgspec.structs import replace

from benchmarks import house
from benchmarks.bounds import Found, report, spread
from benchmarks.load import Request
from benchmarks.servers import API, serving
from benchmarks.streams import free_port
from frontrow.db.server import running_urls

RESULTS = Path(__file__).with_name("results") / "latency.json"
BOUND_MS = 7.0
CLIENTS = 32
PAUSE_SECONDS = 0.01
POLLS = 3
WARM_UP = 500
PATIENCE_SECONDS = 30.0

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_NUMBER = re.compile(rb'"number":(\d+)')
_TOKEN = re.compile(rb'"token":"([^"]+)"')


class Join(NamedTuple):
    """A join, by the monotonic clock, and its number."""

    sent: float
    answered: float
    number: int


class Client:
    """One client: joins with a key, polls, takes the next key."""

    def __init__(self, port: int, keys: Iterator[str], body: bytes, results: "Results") -> None:
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._keys = keys
        self._body = body
        self._results = results
        self._token = ""
        self._polls_left = 0
        self._sent = 0.0
        self._answer = b""

    def ask(self) -> bool:
        """Sends the next request; returns False when there are no more users."""
        if self._polls_left:
            request = Request("GET", f"{API}/queue/tokens/me", self._token)
        else:
            key = next(self._keys, None)
            if key is None:
                return False
            request = Request("POST", f"{API}/queue/tokens", key, self._body)
        raw = request.raw("me")
        self._answer, self._sent = b"", time.perf_counter()
        self.connection.sendall(raw)
        return True

    def take(self) -> bool:
        """Reads what has arrived; returns whether that is the whole answer."""
        self._answer += self.connection.recv(65_536)
        now = time.perf_counter()
        head, _, content = self._answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is None or len(content) < int(length[1]):
            return False
        status, number = head[9:12], _NUMBER.search(content)
        if number is None or status != (b"200" if self._polls_left else b"201"):
            raise RuntimeError(f"a call was refused: {self._answer.decode()}")
        if self._polls_left:
            self._polls_left -= 1
            self._results.polls.append(now - self._sent)
        else:
            token = _TOKEN.search(content)
            if token is None:
                raise RuntimeError("a join gave no token")
            self._token, self._polls_left = token[1].decode(), POLLS
            self._results.joins.append(Join(self._sent, now, int(number[1])))
        return True


class Results:
    """The results of all clients."""

    def __init__(self) -> None:
        self.joins: list[Join] = []
        self.polls: list[float] = []


def run(port: int, keys: Sequence[str], concert_id: str, pause_seconds: float = 0) -> Results:
    """Runs all clients until every user has joined and polled, with a pause before each request."""
    results, waiting = Results(), iter(keys)
    body = b'{"concert_id":"%b"}' % concert_id.encode()
    poll, clients = select.epoll(), {}
    for _ in range(CLIENTS):
        client = Client(port, waiting, body, results)
        clients[client.connection.fileno()] = client
        poll.register(client.connection, select.EPOLLIN)
    begun = time.perf_counter()
    # Pausing clients, the first to continue in front; at the start one after the other.
    resting = deque(
        (begun + pause_seconds * at / CLIENTS, client) for at, client in enumerate(clients.values())
    )
    while True:
        while resting and resting[0][0] <= time.perf_counter():
            _, client = resting.popleft()
            if not client.ask():
                poll.unregister(client.connection)
                del clients[client.connection.fileno()]
                client.connection.close()
        if not clients:
            break
        rest = max(0.0, resting[0][0] - time.perf_counter()) if resting else PATIENCE_SECONDS
        ready = poll.poll(rest)
        if not ready and not resting:
            raise RuntimeError("the server doesn't answer")
        for file, _ in ready:
            if clients[file].take():
                resting.append((time.perf_counter() + pause_seconds, clients[file]))
    poll.close()
    return results


def inversions(joins: Sequence[Join]) -> int:
    """Returns the joins with a smaller number than one answered before they were sent."""
    answered = sorted(joins, key=lambda join: join.answered)
    found = at = highest = 0
    for join in sorted(joins, key=lambda join: join.sent):
        while answered[at].answered < join.sent:
            highest = max(highest, answered[at].number)
            at += 1
        found += join.number < highest
    return found


async def prepare(data_dir: Path, users: int) -> tuple[list[str], str]:
    """Creates users' keys, and a concert whose line stays full."""
    urls = running_urls(data_dir)
    if urls is None:
        raise RuntimeError("the embedded database doesn't run")
    async with asyncpg.create_pool(urls[0], min_size=1, max_size=2) as pool:
        full = await house.fill(pool, 1, admitted=False)
        return await house.add_users(pool, users), str(full.concert_id)


def measure(data_dir: Path, users: int) -> list[Found]:
    """Runs a server and all clients."""
    port = free_port()
    with serving(data_dir, port) as pid:
        keys, concert_id = asyncio.run(prepare(data_dir, WARM_UP + 2 * users))
        server = psutil.Process(pid)
        run(port, keys[:WARM_UP], concert_id)
        found = _measured(server, port, keys[WARM_UP : WARM_UP + users], concert_id, 0)
        rested = _measured(server, port, keys[WARM_UP + users :], concert_id, PAUSE_SECONDS)
    return found + [replace(one, what=f"{one.what}, with pauses") for one in rested]


def _measured(
    server: psutil.Process, port: int, keys: Sequence[str], concert_id: str, pause_seconds: float
) -> list[Found]:
    ours = psutil.Process()
    used, started = [_cpu(server), _cpu(ours)], time.perf_counter()
    results = run(port, keys, concert_id, pause_seconds)
    seconds = time.perf_counter() - started
    used = [_cpu(server) - used[0], _cpu(ours) - used[1]]
    numbers = {join.number for join in results.joins}
    answers = len(results.joins) + len(results.polls)
    return [
        *spread("join", [join.answered - join.sent for join in results.joins], at_most_ms=BOUND_MS),
        *spread("status", results.polls, at_most_ms=BOUND_MS),
        Found("answers a second", round(answers / seconds), "/s"),
        Found("CPU of the server", round(used[0] / answers * 1e6), "µs an answer"),
        Found("CPU of the clients", round(used[1] / answers * 1e6), "µs an answer"),
        Found("joins", len(results.joins), ""),
        Found("numbers out of order", inversions(results.joins), "", 0),
        Found("numbers issued twice", len(results.joins) - len(numbers), "", 0),
    ]


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="frontrow-bench-") as folder:
        Path(folder).chmod(0o711)  # as root the database runs under another account
        found = measure(Path(folder) / "data", asked.users)
    return report(f"{asked.users:,} users, {CLIENTS} at a time", found, asked.output)


if __name__ == "__main__":
    sys.exit(main())
