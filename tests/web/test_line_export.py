"""The export of a line over HTTP: two formats, access, and clients that disconnect."""

import asyncio
import contextlib
import csv
import io
import re
import socket
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest

from frontrow.waiting_room.reports.line_export import export_line
from frontrow.web import exports
from frontrow.web.operator import line_export
from testkit.desk import BASE, Concert, Desk, check_problem, eventually
from testkit.serving import OPERATOR_KEY

COLUMNS = ["number", "position", "state", "reason", "joined_at", "admitted_at", "finished_at"]
LONG = 100_000
CSV = {"Accept": "text/csv"}
MIB = 1024 * 1024
MARK = b'"number":'


def path_of(concert: Concert) -> str:
    """Returns the path of a line's export."""
    return f"/admin/concerts/{concert.concert_id}/order"


@pytest.fixture(scope="module")
async def empty(desk: Desk) -> Concert:
    """A concert with an empty line."""
    return await desk.concert()


@pytest.fixture(scope="module")
async def long(desk: Desk) -> Concert:
    """A long line of waiting places without events."""
    concert = await desk.concert()
    await desk.operate("POST", f"/admin/concerts/{concert.concert_id}/waiting-room/pause")
    room_id = await desk.owner.fetchval(
        "UPDATE waiting_room SET issued = $2 WHERE concert_id = $1 RETURNING room_id",
        UUID(concert.concert_id),
        LONG,
    )
    await desk.owner.execute(
        """INSERT INTO place (place_id, user_id, room_id, number, joined_at)
        SELECT gen_random_uuid(), gen_random_uuid(), $1, n, clock_timestamp()
        FROM generate_series(1, $2::int) AS n""",
        room_id,
        LONG,
    )
    return concert


@asynccontextmanager
async def standing_still(desk: Desk, concert: Concert) -> AsyncIterator[socket.socket]:
    """A client that asks for an export and reads nothing, until the block ends."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, (desk.http.base_url.host, desk.http.base_url.port))
        request = (
            f"GET {BASE}{path_of(concert)} HTTP/1.1\r\nHost: frontrow\r\n"
            f"Authorization: Bearer {OPERATOR_KEY}\r\nConnection: close\r\n\r\n"
        )
        await loop.sock_sendall(client, request.encode())
        yield client


async def lengths(client: socket.socket) -> tuple[int, int]:
    """Reads a response; returns the length of its content by its header, and as received."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
    received = bytearray()
    with contextlib.suppress(ConnectionError):
        while part := await asyncio.get_running_loop().sock_recv(client, MIB):
            received += part
    head, _, content = bytes(received).partition(b"\r\n\r\n")
    (length,) = re.findall(rb"content-length: (\d+)", head.lower())
    return int(length), len(content)


async def test_export_has_every_place(desk: Desk) -> None:
    """GET …/order: every place by number, with the state that its status has."""
    concert = await desk.concert()
    paid = await desk.buyer(concert, 50_000)
    await paid.pay(await paid.hold(concert, 1))
    left, admitted = await desk.buyer(concert), await desk.buyer(concert)
    await left.by_token("DELETE", "/queue/tokens/me")
    await desk.operate("POST", f"/admin/concerts/{concert.concert_id}/waiting-room/pause")
    waiting = await desk.waiting(concert)
    response = await desk.operate("GET", path_of(concert))
    assert response.headers["content-type"] == "application/json"
    assert response.headers["vary"] == "accept"
    assert "content-disposition" not in response.headers
    places = response.json()["places"]
    for number, (fan, place) in enumerate(
        zip((paid, left, admitted, waiting), places, strict=True), start=1
    ):
        status = await fan.status()
        assert place == {
            **{name: status[name] for name in ("position", "state", "reason", "admitted_at")},
            "number": number,
            "joined_at": place["joined_at"],
            "finished_at": place["finished_at"],
        }
        assert place["joined_at"][:19] == status["issued_at"][:19]
        assert (place["finished_at"] is None) == (status["state"] != "finished")
    assert [place["reason"] for place in places] == ["paid", "left", None, None]


async def test_csv_export(desk: Desk) -> None:
    """With Accept: text/csv, a file with a header line (RFC 4180); null is empty."""
    concert = await desk.concert()
    left = await desk.buyer(concert)
    await left.by_token("DELETE", "/queue/tokens/me")
    await desk.buyer(concert)
    response = await desk.operate("GET", path_of(concert), headers=CSV)
    assert response.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert response.headers["vary"] == "accept"
    assert response.headers["content-disposition"] == (
        f'attachment; filename="order-{concert.concert_id}.csv"'
    )
    assert response.text.count("\r\n") == response.text.count("\n") == 3
    header, *rows = csv.reader(io.StringIO(response.text, newline=""))
    assert header == COLUMNS
    places = (await desk.operate("GET", path_of(concert))).json()["places"]
    assert rows == [[str(place[name] or "") for name in COLUMNS] for place in places]


@pytest.mark.parametrize(
    ("accept", "is_csv"),
    [
        ("text/csv", True),
        ("Text/CSV ; header=present", True),
        ("text/*", True),
        ("text/csv, application/json", True),
        ("text/csv;q=0.5, */*;q=0.1", True),
        ("text/csv, */*", True),
        ("*/*;q=0.5, application/json;q=0.1", True),
        ('text/plain;a="x,y", text/csv', True),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/csv;q=0.9", False),
        ("text/csv;q=0", False),
        ("text/csv; q=0.000, text/*", False),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
        ("image/png", False),
        ("application/*, text/csv;q=0.2", False),
        (",;q=1,,", False),
    ],
)
async def test_format_follows_accept(desk: Desk, empty: Concert, accept: str, is_csv: bool) -> None:
    """CSV if Accept prefers it, or names it with the same weight; else JSON, never 406."""
    response = await desk.operate("GET", path_of(empty), headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/csv" if is_csv else "application/json")


async def test_several_accept_headers_are_one_list(desk: Desk, empty: Concert) -> None:
    """Several Accept headers are one list."""
    headers = [
        ("Accept", "application/json;q=0.5"),
        ("Accept", "text/csv"),
        ("Authorization", f"Bearer {OPERATOR_KEY}"),
    ]
    response = await desk.http.get(BASE + path_of(empty), headers=headers)
    assert response.headers["content-type"].startswith("text/csv")


async def test_only_the_operator_may_export(desk: Desk) -> None:
    """No credential or another one is 401, an unknown concert 404, as problems."""
    concert = await desk.concert()
    fan = await desk.buyer(concert)
    refused = await desk.ask("GET", path_of(concert), headers=CSV)
    check_problem(refused, 401, "credential_missing")
    for credential in (fan.user_key, fan.token, "nonsense"):
        refused = await desk.ask("GET", path_of(concert), credential, headers=CSV)
        check_problem(refused, 401, "credential_invalid")
    unknown = await desk.operate("GET", f"/admin/concerts/{uuid4()}/order", headers=CSV)
    check_problem(unknown, 404, "not_found")


async def test_long_line_is_complete(desk: Desk, long: Concert) -> None:
    """100,000 places arrive with their length, and neither side has more than a part in memory."""
    arrived = places = 0
    overlap = b""
    tracemalloc.start()
    try:
        async with desk.http.stream(
            "GET", BASE + path_of(long), headers={"Authorization": f"Bearer {OPERATOR_KEY}"}
        ) as response:
            assert "transfer-encoding" not in response.headers
            async for chunk in response.aiter_raw():
                arrived += len(chunk)
                places += (overlap + chunk).count(MARK)
                overlap = (overlap + chunk)[1 - len(MARK) :]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert places == LONG
    assert arrived == int(response.headers["content-length"]) > 12 * MIB
    assert peak < 8 * MIB


class Gate:
    """Holds up each export after its first page, until the test opens it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reading = 0
        self.was_whole: list[bool] = []
        self.is_open = False
        monkeypatch.setattr(line_export, "export_line", self._pages)

    async def _pages(self, *args: Any, **named: Any) -> AsyncGenerator[bytes, None]:
        is_whole = False
        self.reading += 1
        try:
            async with aclosing(export_line(*args, **named)) as pages:
                async for page in pages:
                    yield page
                    while not self.is_open:
                        yield b" "
                        await asyncio.sleep(0.01)
            is_whole = True
        finally:
            self.reading -= 1
            self.was_whole.append(is_whole)

    async def until_reading(self, count: int) -> None:
        """Waits until this number of exports is read."""

        async def are_reading() -> bool:
            return self.reading == count

        await eventually(are_reading)


async def test_concurrent_reads_are_limited(
    desk: Desk, long: Concert, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many is 503 overloaded; the others complete, and make room for the next."""
    gate = Gate(monkeypatch)
    running = [asyncio.create_task(desk.operate("GET", path_of(long), headers=CSV)) for _ in "ab"]
    await gate.until_reading(2)
    refused = await desk.operate("GET", path_of(long))
    check_problem(refused, 503, "overloaded")
    assert refused.headers["retry-after"] == "1"
    assert exports.READ_AT_ONCE == 2
    # Exports of users don't count here.
    assert (await (await desk.fan()).by_key("GET", "/users/me/export")).status_code == 200
    gate.is_open = True
    for one in [*running, desk.operate("GET", path_of(long), headers=CSV)]:
        assert (await one).text.count("\r\n") == LONG + 1


async def test_disconnected_client_ends_the_read(
    desk: Desk, long: Concert, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is read only for a client that stays connected."""
    gate = Gate(monkeypatch)
    asking = asyncio.create_task(desk.operate("GET", path_of(long)))
    await gate.until_reading(1)
    asking.cancel()
    await gate.until_reading(0)
    gate.is_open = True
    await desk.operate("GET", path_of(long), headers=CSV)
    assert gate.was_whole == [False, True]


async def test_refused_export_does_not_count(desk: Desk, empty: Concert) -> None:
    """A refused export doesn't count: any number of them, one after the other."""
    for _ in range(2 * exports.READ_AT_ONCE):
        unknown = await desk.operate("GET", f"/admin/concerts/{uuid4()}/order")
        check_problem(unknown, 404, "not_found")
        assert (await desk.operate("GET", path_of(empty))).json() == {"places": []}


async def test_slow_read_is_refused(
    desk: Desk, long: Concert, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its time the reading of an export ends, and its response is 503."""
    monkeypatch.setattr(exports, "EXPORT_SECONDS", 0.3)
    gate = Gate(monkeypatch)
    check_problem(await desk.operate("GET", path_of(long)), 503, "overloaded")
    assert gate.was_whole == [False]


async def test_lost_database_is_unavailable(
    desk: Desk, long: Concert, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During the read the response has not begun: it is 503, and no part is sent."""
    gate = Gate(monkeypatch)
    asking = asyncio.create_task(desk.operate("GET", path_of(long)))
    await eventually(
        lambda: desk.owner.fetch(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND state <> 'idle'
            AND query LIKE 'SELECT CASE%btrim(exported%'"""
        )
    )
    gate.is_open = True
    check_problem(await asking, 503, "unavailable")
    whole = await desk.operate("GET", path_of(long), headers=CSV)
    assert whole.text.count("\r\n") == LONG + 1


async def test_stalled_client_is_cut_off(
    desk: Desk, long: Concert, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that stops reading is cut off after its time: it gets less than the length."""
    async with standing_still(desk, long) as client:  # control: there is no bound yet
        length, received = await lengths(client)
        assert received == length
    gate = Gate(monkeypatch)
    ended: list[asyncio.Task[None]] = []
    leave = exports.Exports._leave

    def leave_and_note(of: exports.Exports, task: "asyncio.Task[None]") -> None:
        leave(of, task)
        ended.append(task)

    monkeypatch.setattr(exports.Exports, "_leave", leave_and_note)
    async with standing_still(desk, long) as client:
        await gate.until_reading(1)
        monkeypatch.setattr(exports, "EXPORT_SECONDS", 0.3)
        gate.is_open = True

        async def was_cut_off() -> bool:
            return bool(ended)

        await eventually(was_cut_off)
        announced, received = await lengths(client)
        assert received < length <= announced
