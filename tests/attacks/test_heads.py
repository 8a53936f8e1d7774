"""Heads of requests that are too large, too slow, too many or not well formed."""

import asyncio
import logging
import resource
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from frontrow.errors import RateLimited
from frontrow.settings import Settings
from frontrow.web.access.client_addresses import ClientAddresses
from frontrow.web.server.connections import Connections
from testkit.desk import Desk, eventually, open_desk
from tests.attacks.raw import hold_poll, problem_code, raw_client

GET = b"GET /healthz HTTP/1.1\r\nHost: frontrow\r\n"
MIB = 1024 * 1024
FLOOD = 32 * MIB
HEAD_BYTES = 32_768
POST = b"POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


async def health_seconds(desk: Desk) -> float:
    """Returns how long another client waits for its answer."""
    started = time.perf_counter()
    assert (await desk.ask("GET", "//healthz")).status_code == 200
    return time.perf_counter() - started


@pytest.mark.parametrize(
    ("start", "repeated"),
    [
        (b"GET /", b"x" * 4096),
        (GET + b"X-Long: ", b"x" * 4096),
        (GET, b"x" * 4096),
        (GET, b"X-Line: x\r\n" * 400),
        (b"GET /?", b"a=1&" * 1024),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ", b"x" * 4096),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 4096),
    ],
    ids=["target", "value", "name", "lines", "query", "trailer", "chunk extension"],
)
async def test_endless_head_is_refused(desk: Desk, start: bytes, repeated: bytes) -> None:
    """A head, a trailer or a chunk's extension without an end is refused long before 32 MiB."""
    async with raw_client(desk) as client:
        await client.send(start)
        sent = 0
        while sent < FLOOD and not client.is_lost:
            await client.send(repeated)
            sent += len(repeated)
        assert sent < FLOOD / 4  # what the kernel takes is not what the server has read
    assert await health_seconds(desk) < 5


@pytest.mark.parametrize(
    "head",
    [
        b"GET /?" + b"x" * HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        GET + b"X-Long: " + b"x" * HEAD_BYTES + b"\r\n\r\n",
        GET + b"X-Line: x\r\n" * 100 + b"\r\n",
    ],
    ids=["target", "value", "lines"],
)
async def test_large_head_is_refused(desk: Desk, head: bytes) -> None:
    """Beyond 32 KiB or 100 lines: 431, and the connection is closed."""
    async with raw_client(desk) as client:
        await client.send(head)
        answer = await client.answer()
        assert (answer.status, problem_code(answer)) == (431, "head_too_large")
        assert await client.is_closed()


@pytest.mark.parametrize("size", [1, 100, 5_000, 1_000_000])
async def test_largest_head_is_accepted(desk: Desk, size: int) -> None:
    """Control: a head of 32 KB in parts of any size, and another request on the connection."""
    async with raw_client(desk) as client:
        for _ in range(2):
            head = GET + b"X-Line: x\r\n" * 98 + b"X-Long: "
            head += b"x" * (min(HEAD_BYTES, size * 500) - len(head) - 10) + b"\r\n\r\n"
            for start in range(0, len(head), size):
                await client.send(head[start : start + size])
            assert (await client.answer()).status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\n\r\n",
        GET + b"Host: other\r\n\r\n",
        GET + b"host: frontrow\r\n\r\n",
        b"GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    ],
    ids=["none", "two", "the same twice", "two in HTTP/1.0"],
)
async def test_request_without_one_host_is_refused(desk: Desk, head: bytes) -> None:
    """A request of HTTP/1.1 has one Host: otherwise 400 (RFC 9112, section 3.2)."""
    async with raw_client(desk) as client:
        await client.send(head)
        answer = await client.answer()
        assert (answer.status, problem_code(answer)) == (400, "malformed")
        assert await client.is_closed()


@pytest.mark.parametrize(
    "host",
    [b"", b"a b", b"a/b", b"user@a", b"a:port", b"a:123456", b"a,b", b"a?b", b"[::1", b"\xc3\xbc"],
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_invalid_host_is_refused(desk: Desk, host: bytes, version: bytes) -> None:
    """An empty Host, or one that is no name or address with a port: 400."""
    async with raw_client(desk) as client:
        await client.send(b"GET /healthz HTTP/%b\r\nHost: %b\r\n\r\n" % (version, host))
        answer = await client.answer()
        assert (answer.status, problem_code(answer)) == (400, "malformed")
        assert await client.is_closed()


async def test_valid_hosts_are_accepted(desk: Desk) -> None:
    """Control: names, addresses and ports, changing on one connection; then an invalid one."""
    hosts = [b"a", b"A_b-c.example:", b"192.0.2.1:80", b"[2001:db8::1]:8000", b"[::ffff:1.2.3.4]"]
    async with raw_client(desk) as client:
        for host in hosts:
            await client.send(b"GET /healthz HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
            assert (await client.answer()).status == 200
        await client.send(b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n")
        assert (await client.answer()).status == 400


@pytest.mark.parametrize("version", [b"0.9", b"1.2", b"2.0", b"3.0"])
async def test_other_version_is_refused(desk: Desk, version: bytes) -> None:
    """A request line of another version than 1.0 and 1.1: 400, in HTTP/1.1."""
    async with raw_client(desk) as client:
        await client.send(b"GET /healthz HTTP/%b\r\nHost: x\r\n\r\n" % version)
        answer = await client.answer()
        assert (answer.status, problem_code(answer)) == (400, "malformed")
        assert await client.is_closed()


CODED = b"Transfer-Encoding: %b\r\n"


@pytest.mark.parametrize(
    "head",
    [
        POST + CODED % b"gzip, chunked",
        POST + CODED % b"gzip" + CODED % b"chunked",
        POST + CODED % b"gzip",
        POST + CODED % b"chunked" + CODED % b"chunked",
        POST + CODED % b"identity",
        POST + CODED % b"",
        POST + CODED % b"chunked, ",
        POST.replace(b"1.1", b"1.0") + CODED % b"chunked",
    ],
    ids=["gzip, chunked", "two lines", "gzip", "twice", "identity", "empty", "comma", "HTTP/1.0"],
)
async def test_other_transfer_coding_is_refused(desk: Desk, head: bytes) -> None:
    """Only chunked alone is accepted: proxies would find another end of the body (smuggling)."""
    async with raw_client(desk) as client:
        await client.send(head + b"\r\n2\r\n{}\r\n0\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, problem_code(answer)) == (400, "malformed")
        assert await client.is_closed()


async def test_chunked_bodies_are_accepted(desk: Desk) -> None:
    """Control: one after another on a connection, in any case."""
    async with raw_client(desk) as client:
        for coding in (b"chunked", b"Chunked"):
            await client.send(POST + CODED % coding + b"\r\n2\r\n{}\r\n0\r\n\r\n")
            assert (await client.answer()).status == 201


async def test_http_1_0_without_host_is_accepted(desk: Desk) -> None:
    """Control: HTTP/1.0 has no Host."""
    async with raw_client(desk) as client:
        await client.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert (await client.answer()).status == 200


async def test_trailer_is_no_header(desk: Desk) -> None:
    """A credential in a trailer is ignored, although it arrives with the head."""
    fan = await desk.fan()
    request = (
        b"DELETE /api/v1/users/me HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\nAuthorization: Bearer " + fan.user_key.encode() + b"\r\n\r\n"
    )
    async with raw_client(desk) as client:
        await client.send(request)
        answer = await client.answer()
        assert (answer.status, problem_code(answer)) == (401, "credential_missing")
    assert (await fan.by_key("GET", "/users/me")).status_code == 200


OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


async def test_upgrade_is_ignored(desk: Desk) -> None:
    """A client that offers HTTP/2 gets its answers in HTTP/1.1, pipelined ones too."""
    async with raw_client(desk) as client:
        await client.send(GET + OFFER + b"\r\n" + GET + OFFER + b"\r\n" + GET + b"\r\n")
        assert [(await client.answer()).status for _ in range(3)] == [200] * 3


@pytest.mark.parametrize("length", [b"Content-Length: 99", b"Transfer-Encoding: chunked"])
async def test_upgrade_with_a_body_is_refused(desk: Desk, length: bytes) -> None:
    """The parser would take the body for the next request, with another sender's credentials."""
    async with raw_client(desk) as client:
        await client.send(POST + OFFER + length + b"\r\n\r\n" + GET + b"\r\n")
        answer = await client.answer()
        assert (answer.status, problem_code(answer)) == (400, "malformed")
        assert await client.is_closed()


async def test_malformed_request_doesnt_overtake_an_answer(desk: Desk) -> None:
    """Behind a request that is being answered it is dropped: its answer would be taken for it."""
    concert = await desk.concert()
    fan = await desk.buyer(concert)
    held = await fan.hold(concert, 1)
    waiting = hold_poll(fan, held, 0.5)
    for malformed in (b"nonsense\r\n\r\n", GET + b"X: " + b"x" * HEAD_BYTES + b"\r\n\r\n"):
        async with raw_client(desk) as client:
            await client.send(waiting + malformed)
            answer = await client.answer()
            assert (answer.status, answer.json()["state"]) == (200, "held")
            assert await client.is_closed()


async def test_reset_of_pipelined_requests_is_no_fault(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Clients that reset the connection between answers leave no traceback in the log."""
    document = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    create = POST + b"Content-Length: 2\r\n\r\n{}"
    for pause in range(40):
        async with raw_client(desk) as client:
            await client.send(document * 20)
            await client.answer()
            await client.send(create * 3 + document)
            await asyncio.sleep(pause / 1000)
            client.reset()
    assert await health_seconds(desk) < 5
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.fixture(scope="module")
async def impatient(desk: Desk) -> AsyncIterator[Desk]:
    """A server that waits 0.4 s for a head and as long again for a body."""
    async with open_desk(desk.database, head_seconds=0.4, body_seconds=0.4) as made:
        yield made


@pytest.mark.parametrize(
    ("start", "repeated"),
    [
        (b"G", b""),
        (GET, b""),
        (GET, b"X: y\r\n"),
        (POST + b"Content-Length: 2\r\n\r\n", b""),
        (POST + b"Content-Length: 2000\r\n\r\n", b" "),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
    ids=["letter", "line", "slow lines", "no body", "slow body", "slow chunks"],
)
async def test_slow_request_is_refused(impatient: Desk, start: bytes, repeated: bytes) -> None:
    """A request that hasn't arrived in its time is 408, however regularly its bytes come."""
    async with raw_client(impatient) as client:
        await client.send(start)
        answering = asyncio.create_task(client.answer())
        while not answering.done():
            await client.send(repeated)
            await asyncio.sleep(0.05)
        answer = await answering
        assert (answer.status, problem_code(answer)) == (408, "request_timeout")
        assert await client.is_closed()


async def test_silent_connection_is_closed(impatient: Desk) -> None:
    """A connection on which no request begins is closed without an answer to nothing."""
    async with raw_client(impatient) as client:
        assert await client.is_closed()


async def test_time_of_an_answer_is_not_bounded(impatient: Desk) -> None:
    """Control: a long poll, a pause between requests, and a head behind a running request."""
    concert = await impatient.concert()
    fan = await impatient.buyer(concert)
    held = await fan.hold(concert, 1)
    waiting = hold_poll(fan, held, 1)
    async with raw_client(impatient) as client:
        await client.send(waiting + GET)
        assert (await client.answer()).json()["state"] == "held"
        await client.send(b"\r\n")
        assert (await client.answer()).status == 200
        await asyncio.sleep(0.6)
        await client.send(GET + b"\r\n")
        assert (await client.answer()).status == 200


async def test_half_open_requests_dont_block_other_clients(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more half-open requests than a process may have files, the oldest make room."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (400, 400))
    async with open_desk(desk.database) as small, AsyncExitStack() as opened:
        concert = await small.concert()
        fan = await small.buyer(concert)
        held = await fan.hold(concert, 1)
        path = f"/reservations/{held['reservation_id']}"
        waiting = asyncio.create_task(fan.by_key("GET", f"{path}?wait_seconds=20"))
        half_open = []
        for _ in range(300):
            client = await opened.enter_async_context(raw_client(small))
            await client.send(GET)
            half_open.append(client)
        assert await health_seconds(small) < 5

        async def some_are_closed() -> bool:
            return sum(client.reader.at_eof() for client in half_open) >= 90

        await eventually(some_are_closed)
        # The oldest are closed without an answer; a new one that is refused gets a 503.
        assert not any(client.has_answer for client in half_open)
        # A request that is being answered is not given up for them.
        await fan.by_key("DELETE", path)
        assert (await waiting).json()["state"] == "released"


async def test_connections_of_an_address_are_limited(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many is 429 and closed; a closed connection makes room for the next."""
    monkeypatch.setattr(ClientAddresses, "of", lambda _, scope: scope["client"][0])
    async with open_desk(desk.database, address_connections=3) as limited:
        async with raw_client(limited), raw_client(limited) as second, raw_client(limited):
            async with raw_client(limited) as client:
                answer = await client.answer()
                assert (answer.status, problem_code(answer)) == (429, "rate_limited")
                assert answer.headers["retry-after"] == "1"
                assert await client.is_closed()
            second.abort()
            assert await health_seconds(limited) < 5
        counted = (await limited.ask("GET", "//metrics")).text
        assert 'frontrow_rate_limited_total{by="connections"} 1.0' in counted


async def test_each_worker_allows_its_share_of_connections() -> None:
    """Clients of this machine are not counted: a proxy may be among them."""

    class Client:
        is_answering = True
        is_unread = False

        def __init__(self, address: str) -> None:
            self.client: tuple[str, int] | None = (address, 1)

        def close(self) -> None:
            raise AssertionError

        def check_reading(self, least_bytes: int) -> None:
            raise AssertionError(least_bytes)

    connections = Connections(Settings(workers=2, address_connections=3))
    here, there = ([Client(at) for _ in range(4)] for at in ("127.0.0.1", "192.0.2.1"))
    assert [connections.enter(one) for one in here] == [None] * 4
    refused = [connections.enter(one) for one in there]
    assert [type(one) for one in refused] == [type(None)] * 2 + [RateLimited] * 2
    connections.leave(there[3])  # it was refused
    connections.leave(there[0])
    assert connections.enter(there[2]) is None
    assert isinstance(connections.enter(there[3]), RateLimited)
