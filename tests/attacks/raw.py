"""Clients that send bytes of their own choice, to a server on this machine."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from testkit.connection import BASE, Answer, read_answer
from testkit.desk import Desk, Fan, Json


class RawClient:
    """A connection on which any bytes can be sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Sends bytes; waits while the server doesn't read. A closed connection is no error."""
        with contextlib.suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def answer(self) -> Answer:
        """Reads one response with a Content-Length. Raises EOFError if the connection is closed."""
        return await read_answer(self.reader)

    @property
    def is_lost(self) -> bool:
        """Whether the connection is known to be lost."""
        return self._writer.transport.is_closing()

    @property
    def has_answer(self) -> bool:
        """Whether bytes of the server wait to be read."""
        return len(self.reader._buffer) > 0  # type: ignore[attr-defined]

    async def is_closed(self) -> bool:
        """Returns whether the server closes the connection without another byte."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True

    def reset(self) -> None:
        """Closes the connection with a reset: what is sent to it fails."""
        bare = self._writer.get_extra_info("socket")
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    def abort(self) -> None:
        """Closes the connection at once."""
        self._writer.transport.abort()


@asynccontextmanager
async def raw_client(desk: Desk) -> AsyncIterator[RawClient]:
    """Yields a connection to the server of a desk."""
    url: httpx2.URL = desk.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    client = RawClient(reader, writer)
    try:
        yield client
    finally:
        client.abort()


def hold_poll(fan: Fan, held: Json, seconds: float) -> bytes:
    """Returns a request that waits for a hold to end."""
    return (
        f"GET {BASE}/reservations/{held['reservation_id']}?wait_seconds={seconds} HTTP/1.1\r\n"
        f"Host: x\r\nAuthorization: Bearer {fan.user_key}\r\n\r\n"
    ).encode()


def problem_code(answer: Answer) -> str:
    """Returns the code of a problem response."""
    assert answer.headers["content-type"] == "application/problem+json", answer
    problem: Json = answer.json()
    assert problem["status"] == answer.status
    return str(problem["code"])
