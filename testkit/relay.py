"""A port of the loopback in front of PostgreSQL, which can become silent.

A silent relay accepts connections and forwards nothing: so a machine looks that is frozen, or
behind a network that loses everything.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit


class Relay:
    """Forwards connections to the socket of an embedded PostgreSQL."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._forwards = asyncio.Event()
        self._forwards.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = ""
        """Host and port."""

    def silence(self) -> None:
        """Forwards nothing from now on, in either direction."""
        self._forwards.clear()

    def resume(self) -> None:
        """Forwards again, also what was sent meanwhile."""
        self._forwards.set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forwards one connection in a task that ``end`` ends."""
        task = asyncio.create_task(self._forward(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Ends all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await self._forwards.wait()
            answers, requests = await asyncio.open_unix_connection(self._socket)
            with contextlib.closing(requests):
                pumps = {
                    asyncio.create_task(self._pump(reader, requests)),
                    asyncio.create_task(self._pump(answers, writer)),
                }
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump in pumps:
                        pump.cancel()

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while part := await source.read(65_536):
                await self._forwards.wait()
                target.write(part)
                await target.drain()


@asynccontextmanager
async def relay(url: str) -> AsyncIterator[Relay]:
    """Opens a relay to the PostgreSQL of a URL, until the block ends."""
    folder = parse_qs(urlsplit(url).query)["host"][0]
    made = Relay(f"{folder}/.s.PGSQL.5432")
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        await made.end()


def through(url: str, *relays: Relay) -> str:
    """Returns the URL of the same database, by way of relays."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    hosts = ",".join(relay.address for relay in relays)
    return parts._replace(netloc=f"{user}@{hosts}", query="").geturl()
