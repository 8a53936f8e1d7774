"""An HTTP/1.1 client on one connection, which reports the worker process that answered."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
BASE = "/api/v1"
LOST = (OSError, EOFError)
"""What a lost connection raises: whether the call was processed isn't known."""
RETRY_SECONDS = 0.05
PROCESS_CHARACTERS = 8
"""The length of the worker's prefix in a request id that the server generates."""


@dataclass(frozen=True)
class Answer:
    """A response; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Returns the decoded body."""
        return json.loads(self.body)

    @property
    def worker(self) -> str:
        """Returns the prefix of the process that answered."""
        return self.headers["x-request-id"][:PROCESS_CHARACTERS]


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Reads one response with a Content-Length. Raises EOFError if the connection is closed."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(head[0].split()[1]), headers, body)


class Connection:
    """A connection that is opened on first use, and again after it was lost."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def ask(
        self,
        method: str,
        path: str,
        credential: str | None = None,
        *,
        body: Json | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Makes one call: a path of the API, or any path after two slashes. Raises LOST."""
        target = path.removeprefix("/") if path.startswith("//") else BASE + path
        lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1"]
        if credential is not None:
            lines.append(f"Authorization: Bearer {credential}")
        if idempotency_key is not None:
            lines.append(f"Idempotency-Key: {idempotency_key}")
        content = b""
        if body is not None:
            content = json.dumps(body).encode()
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        try:
            return await self._exchange("\r\n".join([*lines, "", ""]).encode() + content)
        except BaseException:
            # Its answer may still arrive; it must not be taken for the next one's.
            await self.close()
            raise

    async def _exchange(self, request: bytes) -> Answer:
        if self._writer is None or self._reader.at_eof():
            await self.close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(request)
        answer = await read_answer(self._reader)
        if answer.headers.get("connection") == "close":
            await self.close()
        return answer

    async def close(self) -> None:
        """Closes it; the next call opens another."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()
            with contextlib.suppress(*LOST):
                await writer.wait_closed()


@asynccontextmanager
async def connections_by_worker(
    port: int, each: int, *, workers: int = 2
) -> AsyncIterator[list[list[Connection]]]:
    """Opens ``count`` connections to each worker; returns one list a worker.

    The kernel chooses the worker for a new connection, so that some more are opened.
    """
    found: dict[str, list[Connection]] = {}
    made: list[Connection] = []
    try:
        while len(found) < workers or min(map(len, found.values())) < each:
            assert len(made) < 100 * each * workers, {k: len(v) for k, v in found.items()}
            more = [Connection(port) for _ in range(2 * each)]
            made += more
            answers = await asyncio.gather(*(one.ask("GET", "//healthz") for one in more))
            for one, answer in zip(more, answers, strict=True):
                found.setdefault(answer.worker, []).append(one)
        yield [some[:each] for some in found.values()]
    finally:
        await close(made)


async def close(made: Iterable[Connection]) -> None:
    """Closes connections."""
    await asyncio.gather(*(one.close() for one in made))


async def insist(
    ask: Callable[[], Awaitable[Answer]], troubles: Counter[str], patience_seconds: float
) -> Answer:
    """Repeats a call until it is answered: after a lost connection and after 503.

    Counts both in ``troubles``: ``lost`` and ``unavailable``.
    """
    async with asyncio.timeout(patience_seconds):
        while True:
            try:
                answer = await ask()
            except LOST:
                troubles["lost"] += 1
            else:
                if answer.status != 503:
                    return answer
                troubles["unavailable"] += 1
            await asyncio.sleep(RETRY_SECONDS)
