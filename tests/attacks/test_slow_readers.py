"""Clients that ask for exports and other long answers, and don't read them."""

import asyncio
import resource
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import pytest

from frontrow.retention.export import export_user
from frontrow.web import exports
from frontrow.web.api import user_data
from frontrow.web.server import connections
from frontrow.web.server.protocol import Protocol
from testkit.desk import BASE, Desk, check_problem, eventually, open_desk
from testkit.serving import OPERATOR_KEY
from tests.attacks.raw import RawClient

PLACES = 20_000
READERS = 4
REQUESTS = 12


@pytest.fixture(scope="module")
async def path(desk: Desk) -> str:
    """The path of the export of a line of some MB."""
    concert = await desk.concert()
    await desk.operate("POST", f"/admin/concerts/{concert.concert_id}/waiting-room/pause")
    await desk.owner.execute(
        """WITH room AS (
            UPDATE waiting_room SET issued = $2 WHERE concert_id = $1 RETURNING room_id
        )
        INSERT INTO place (place_id, user_id, room_id, number, joined_at)
        SELECT gen_random_uuid(), gen_random_uuid(), room_id, n, clock_timestamp()
        FROM room, generate_series(1, $2::int) AS n""",
        UUID(concert.concert_id),
        PLACES,
    )
    return f"/admin/concerts/{concert.concert_id}/order"


async def small_socket(desk: Desk, stack: ExitStack) -> socket.socket:
    """Returns a connection for which the system buffers little."""
    bare = stack.enter_context(socket.socket())
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    bare.setblocking(False)
    url = desk.http.base_url
    await asyncio.get_running_loop().sock_connect(bare, (url.host, url.port))
    return bare


async def slow_reader(desk: Desk, stack: ExitStack, path: str) -> RawClient:
    """Returns a client that has asked for an export and reads nothing but the status."""
    request = (
        f"GET {BASE}{path} HTTP/1.1\r\nHost: frontrow\r\n"
        f"Authorization: Bearer {OPERATOR_KEY}\r\n\r\n"
    ).encode()
    bare = await small_socket(desk, stack)
    client = RawClient(*await asyncio.open_connection(sock=bare, limit=1024))
    stack.callback(client.abort)
    while True:  # two exports are read at a time
        await client.send(request)
        status = (await client.reader.readline()).split()[1]
        if status == b"200":
            return client
        assert status == b"503"
        head = await client.reader.readuntil(b"\r\n\r\n")
        (length,) = [
            int(line.split(b":")[1])
            for line in head.splitlines()
            if line.lower().startswith(b"content-length")
        ]
        await client.reader.readexactly(length)


async def test_slow_readers_dont_block_other_exports(desk: Desk, path: str) -> None:
    """With any number of them no transaction stays open, and others get their exports."""
    with ExitStack() as stack:
        for _ in range(READERS):
            await slow_reader(desk, stack, path)
        assert READERS > exports.READ_AT_ONCE
        assert not await desk.owner.fetchval(
            """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND state = 'idle in transaction' AND query LIKE 'SELECT CASE%btrim(exported%'"""
        )
        whole = await desk.operate("GET", path)
        assert len(whole.json()["places"]) == PLACES
        assert (await (await desk.fan()).by_key("GET", "/users/me/export")).status_code == 200


async def test_oldest_file_makes_room(
    desk: Desk, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are bounded too: for one too many, the oldest export is cut off."""
    monkeypatch.setattr(exports, "KEPT_AT_ONCE", 2)
    with ExitStack() as stack:
        first, *_ = [await slow_reader(desk, stack, path) for _ in range(3)]
        arrived = 0
        while part := await first.reader.read(2**20):
            arrived += len(part)
    whole = await desk.operate("GET", path)
    assert arrived < len(whole.content)


async def test_user_has_one_export_at_a_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one is 429; other users are not affected; afterwards the user may ask again."""
    begun: list[object] = []
    is_open: list[object] = []

    async def slow(*args: Any, **named: Any) -> AsyncGenerator[bytes, None]:
        begun.append(args)
        while not is_open:  # noqa: ASYNC110 - the test has another event loop
            await asyncio.sleep(0.01)
        async for page in export_user(*args, **named):
            yield page

    async def has_begun() -> bool:
        return bool(begun)

    fan, other = await desk.fan(), await desk.fan()
    monkeypatch.setattr(user_data, "export_user", slow)
    running = asyncio.create_task(fan.by_key("GET", "/users/me/export"))
    await eventually(has_begun)
    monkeypatch.setattr(user_data, "export_user", export_user)
    refused = await fan.by_key("GET", "/users/me/export")
    check_problem(refused, 429, "rate_limited")
    assert (await other.by_key("GET", "/users/me/export")).status_code == 200
    is_open.append(True)
    assert (await running).status_code == 200
    assert (await fan.by_key("GET", "/users/me/export")).status_code == 200


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> set[Protocol]:
    """The connections whose clients don't read what is ready for them, until they are lost."""
    found: set[Protocol] = set()
    pause, lose = Protocol.pause_writing, Protocol.connection_lost

    def pause_writing(self: Protocol) -> None:
        found.add(self)
        pause(self)

    def connection_lost(self: Protocol, error: Exception | None) -> None:
        found.discard(self)
        lose(self, error)

    monkeypatch.setattr(Protocol, "pause_writing", pause_writing)
    monkeypatch.setattr(Protocol, "connection_lost", connection_lost)
    return found


async def read_nothing(desk: Desk, stack: ExitStack) -> socket.socket:
    """Connects, asks for more than the system buffers, and reads nothing."""
    bare = await small_socket(desk, stack)
    requests = b"GET /openapi.json HTTP/1.1\r\nHost: frontrow\r\n\r\n" * REQUESTS
    await asyncio.get_running_loop().sock_sendall(bare, requests)
    return bare


@pytest.fixture
async def impatient(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """A server that checks every 0.3 s that 5,000 bytes were read."""
    monkeypatch.setattr(connections, "_CHECK_SECONDS", 0.3)
    monkeypatch.setattr(connections, "_LEAST_BYTES", 5_000)
    async with open_desk(desk.database) as made:
        yield made


async def test_unread_answers_shut_nobody_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, unread: set[Protocol]
) -> None:
    """When a process may have no more connections, it closes those whose clients don't read."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (40, 40))
    async with open_desk(desk.database) as small:
        with ExitStack() as stack:
            for _ in range(20):
                await read_nothing(small, stack)

            async def all_wait() -> bool:
                return len(unread) == 20

            await eventually(all_wait)
            assert (await small.ask("GET", "//healthz")).status_code == 200


async def test_client_that_reads_nothing_is_cut_off(impatient: Desk, unread: set[Protocol]) -> None:
    """A connection ends when its client has read nothing for a while."""
    with ExitStack() as stack:
        await read_nothing(impatient, stack)
        await ends(unread)


async def test_client_that_reads_a_little_is_cut_off(
    impatient: Desk, unread: set[Protocol]
) -> None:
    """A few bytes now and then are less than a client must take."""
    with ExitStack() as stack:
        bare = await read_nothing(impatient, stack)
        reading = asyncio.create_task(read_slowly(bare, 50, 0.02))
        await ends(unread)
        reading.cancel()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Protocol]:
    """The open connections, for which the system buffers little."""
    made, lost = Protocol.connection_made, Protocol.connection_lost
    found: list[Protocol] = []

    def connection_made(self: Protocol, transport: asyncio.Transport) -> None:
        sending = transport.get_extra_info("socket")
        sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        found.append(self)
        made(self, transport)

    def connection_lost(self: Protocol, error: Exception | None) -> None:
        lost(self, error)
        found.remove(self)

    monkeypatch.setattr(Protocol, "connection_made", connection_made)
    monkeypatch.setattr(Protocol, "connection_lost", connection_lost)
    return found


@pytest.mark.usefixtures("opened")
async def test_slow_client_gets_its_answer(impatient: Desk) -> None:
    """Control: one that takes enough reads all, in many times as long."""
    with ExitStack() as stack:
        bare = await small_socket(impatient, stack)
        request = b"GET /openapi.json HTTP/1.0\r\n\r\n"
        await asyncio.get_running_loop().sock_sendall(bare, request)
        started = time.monotonic()
        arrived = await read_slowly(bare, 20_000, 0.01)
    assert arrived > len((await impatient.ask("GET", "//openapi.json")).content)
    assert time.monotonic() - started > 1


async def test_small_answer_must_be_read_too(impatient: Desk, opened: list[Protocol]) -> None:
    """Also when nothing is paused for it, and the server has closed the connection before."""
    with ExitStack() as stack:
        bare = await small_socket(impatient, stack)
        await asyncio.get_running_loop().sock_sendall(bare, b"GET /docs HTTP/1.0\r\n\r\n")

        async def is_answered() -> bool:
            return bool(opened) and opened[0].transport.get_write_buffer_size() > 0

        async def is_lost() -> bool:
            return not opened

        await eventually(is_answered)
        assert not opened[0].is_unread
        await eventually(is_lost)


async def read_slowly(bare: socket.socket, size: int, pause: float) -> int:
    """Reads at most ``size`` bytes after each pause; returns how many arrived."""
    loop, arrived = asyncio.get_running_loop(), 0
    while part := await loop.sock_recv(bare, size):
        arrived += len(part)
        await asyncio.sleep(pause)
    return arrived


async def ends(unread: set[Protocol]) -> None:
    """Waits until clients don't read, then until their connections have ended."""

    async def is_waiting() -> bool:
        return bool(unread)

    async def is_lost() -> bool:
        return not unread

    await eventually(is_waiting)
    await eventually(is_lost)
