"""The export of a line: exact, of one moment, in little memory."""

import asyncio
import csv
import io
import tracemalloc
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from frontrow.db import pool as pools
from frontrow.errors import NotFound
from frontrow.services import Services
from frontrow.waiting_room.reports.line_export import (
    CSV,
    JSON,
    ExportFormat,
    LineExport,
    ServedPlace,
    export_line,
)
from testkit.database import Database
from tests.buyers import Owner, join, make_concert, services_on

PAGE = 5000
MIB = 1024 * 1024

# Every state and reason, with whole seconds, microseconds, and an overdue place that is not stored
# as finished.
_EVERY_STATE = """
INSERT INTO place (
    place_id, user_id, room_id, number, joined_at, state, reason, left_seq, admitted_at, claimed_at,
    session_until, expires_at, finished_at
)
SELECT gen_random_uuid(), gen_random_uuid(), $1, v.*
FROM (VALUES
    (1, timestamptz '2026-11-22 10:00:00Z', 'finished'::place_state, 'paid'::finish_reason,
        NULL::int, timestamptz '2026-11-22 10:01:00.000001Z', timestamptz '2026-11-22 10:01:01Z',
        timestamptz '2026-11-22 10:11:01Z', timestamptz '2026-11-22 10:11:01Z',
        timestamptz '2026-11-22 10:02:03.5Z'),
    (2, '2026-11-22 10:00:00.000001Z', 'finished', 'left', 1, NULL, NULL, NULL, NULL,
        '2026-11-22 10:00:30Z'),
    (3, '2026-11-22 10:00:00.1Z', 'finished', 'expired', NULL, '2026-11-22 10:01:00Z', NULL, NULL,
        '2026-11-22 10:03:00Z', '2026-11-22 10:03:00.2Z'),
    (4, '2026-11-22 10:00:01Z', 'admitted', NULL, NULL, '2026-11-22 10:01:00Z', NULL, NULL,
        '2026-11-22 10:03:00.000007Z', NULL),
    (5, '2026-11-22 10:00:02Z', 'admitted', NULL, NULL, '2026-11-22 10:01:00Z', NULL, NULL,
        '2126-11-22 10:03:00Z', NULL),
    (6, '2026-11-22 19:00:03+09', 'waiting', NULL, NULL, NULL, NULL, NULL, NULL, NULL)
) AS v
"""
_EVERY_STATE_CSV = """\
number,position,state,reason,joined_at,admitted_at,finished_at
1,1,finished,paid,2026-11-22T10:00:00Z,2026-11-22T10:01:00.000001Z,2026-11-22T10:02:03.500000Z
2,2,finished,left,2026-11-22T10:00:00.000001Z,,2026-11-22T10:00:30Z
3,3,finished,expired,2026-11-22T10:00:00.100000Z,2026-11-22T10:01:00Z,2026-11-22T10:03:00.200000Z
4,4,finished,expired,2026-11-22T10:00:01Z,2026-11-22T10:01:00Z,2026-11-22T10:03:00.000007Z
5,5,admitted,,2026-11-22T10:00:02Z,2026-11-22T10:01:00Z,
6,6,waiting,,2026-11-22T10:00:03Z,,
"""


async def line(services: Services, owner: Owner) -> tuple[UUID, int]:
    """Creates an empty line; returns its concert and room."""
    made = await make_concert(services)
    return made.concert_id, await owner.fetchval("SELECT room_id FROM waiting_room")


async def fill(owner: Owner, room_id: int, places: int) -> None:
    """Inserts waiting places into an empty line."""
    await owner.execute(
        """INSERT INTO place (place_id, user_id, room_id, number, joined_at)
        SELECT gen_random_uuid(), gen_random_uuid(), $1, n, clock_timestamp()
        FROM generate_series(1, $2::int) AS n""",
        room_id,
        places,
    )
    await owner.execute("UPDATE waiting_room SET issued = $2 WHERE room_id = $1", room_id, places)


def pages(
    services: Services, concert_id: UUID, form: ExportFormat = JSON
) -> "aclosing[AsyncGenerator[bytes, None]]":
    """Returns the pages of a line."""
    return aclosing(
        export_line(services.pool, concert_id, form, connect_seconds=5, reader_seconds=30)
    )


async def written(services: Services, concert_id: UUID, form: ExportFormat = JSON) -> bytes:
    """Returns the export of a line."""
    async with pages(services, concert_id, form) as each:
        return b"".join([page async for page in each])


async def read(services: Services, concert_id: UUID) -> list[ServedPlace]:
    """Returns the places of an export."""
    return msgspec.json.decode(await written(services, concert_id), type=LineExport).places


def times(*minutes: int) -> list[datetime]:
    """Times of one day."""
    return [datetime(2026, 11, 22, tzinfo=UTC) + timedelta(minutes=each) for each in minutes]


async def test_every_state_is_exported(services: Services, owner: Owner) -> None:
    """Every state and reason; an overdue place is finished at its expires_at."""
    concert_id, room_id = await line(services, owner)
    await owner.execute(_EVERY_STATE, room_id)
    exported = await written(services, concert_id, CSV)
    assert exported.decode() == _EVERY_STATE_CSV.replace("\n", "\r\n")
    first, *_, last = (await written(services, concert_id)).decode().split("},{")
    assert first == (
        '{"places":[{"number":1,"position":1,"state":"finished","reason":"paid",'
        '"joined_at":"2026-11-22T10:00:00Z","admitted_at":"2026-11-22T10:01:00.000001Z",'
        '"finished_at":"2026-11-22T10:02:03.500000Z"'
    )
    assert last == (
        '"number":6,"position":6,"state":"waiting","reason":null,'
        '"joined_at":"2026-11-22T10:00:03Z","admitted_at":null,"finished_at":null}]}'
    )


async def test_json_and_csv_are_equal(services: Services, owner: Owner) -> None:
    """The JSON equals that of the encoder of responses, the CSV that of the csv module."""
    concert_id, room_id = await line(services, owner)
    await owner.execute(_EVERY_STATE, room_id)
    exported = await written(services, concert_id)
    order = msgspec.json.decode(exported, type=LineExport)
    assert msgspec.json.encode(order) == exported
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, ServedPlace.__struct_fields__)
    table.writeheader()
    table.writerows(msgspec.json.decode(exported)["places"])
    assert (await written(services, concert_id, CSV)).decode() == text.getvalue()


async def test_an_empty_line(services: Services, owner: Owner) -> None:
    """An empty line has an export; an unknown one is not found."""
    concert_id, _ = await line(services, owner)
    assert await written(services, concert_id) == b'{"places":[]}'
    assert await written(services, concert_id, CSV) == (
        b"number,position,state,reason,joined_at,admitted_at,finished_at\r\n"
    )
    with pytest.raises(NotFound):
        await written(services, uuid4())


async def test_other_line_is_not_exported(services: Services) -> None:
    """Only this concert's places."""
    one, other = await make_concert(services), await make_concert(services)
    await join(services, one.concert_id)
    await join(services, other.concert_id)
    await join(services, other.concert_id)
    assert [place.number for place in await read(services, one.concert_id)] == [1]


async def test_drawn_line_has_drawn_positions(services: Services, owner: Owner) -> None:
    """No position before the draw; then entrants have a drawn one, later places their number."""
    concert_id, room_id = await line(services, owner)
    await fill(owner, room_id, 5)
    await owner.execute("UPDATE waiting_room SET line_order = 'draw'")
    assert [place.position for place in await read(services, concert_id)] == [None] * 5
    await owner.execute(
        "INSERT INTO drawn (room_id, position, number) VALUES ($1, 1, 3), ($1, 2, 1), ($1, 3, 2)",
        room_id,
    )
    await owner.execute("UPDATE waiting_room SET entrants = 3")
    assert [place.position for place in await read(services, concert_id)] == [2, 3, 1, 4, 5]


async def test_export_is_of_one_moment(services: Services, owner: Owner) -> None:
    """Changes while pages are read are not exported: a join, or a change of a later place."""
    concert_id, room_id = await line(services, owner)
    await fill(owner, room_id, PAGE + 1)
    async with pages(services, concert_id) as each:
        exported = await anext(each)
        await join(services, concert_id)
        await owner.execute(
            """UPDATE place SET state = 'finished', reason = 'left', left_seq = 1,
            finished_at = clock_timestamp() WHERE number = $1""",
            PAGE + 1,
        )
        exported += b"".join([page async for page in each])
    places = msgspec.json.decode(exported, type=LineExport).places
    assert [place.number for place in places] == list(range(1, PAGE + 2))
    assert {place.state for place in places} == {"waiting"}
    now = await read(services, concert_id)
    assert [place.state for place in now[PAGE:]] == ["finished", "waiting"]


async def test_long_line_takes_little_memory(services: Services, owner: Owner) -> None:
    """100,000 places, also drawn, take no more than a few pages of memory."""
    concert_id, room_id = await line(services, owner)
    await fill(owner, room_id, 100_000)
    await owner.execute("UPDATE waiting_room SET line_order = 'draw', entrants = 100000")
    await owner.execute(
        "INSERT INTO drawn SELECT $1, 100001 - n, n FROM generate_series(1, 100000) AS n", room_id
    )
    exported = lines = 0
    last = b""
    tracemalloc.start()
    try:
        async with pages(services, concert_id) as each:
            async for page in each:
                exported += len(page)
                lines += page.count(b'"number":')
                last = (last + page)[-200:]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert lines == 100_000
    assert b'"number":100000,"position":1,' in last
    assert exported > 12 * MIB
    assert peak < 5 * MIB


async def test_old_statistics_are_harmless(services: Services, owner: Owner) -> None:
    """A line without statistics is read in one pass."""
    for analysed in (True, False):
        concert_id = (await make_concert(services)).concert_id
        room_id = services.rooms.snapshot.by_concert[concert_id].room_id
        await fill(owner, room_id, 20_000)
        await owner.execute("UPDATE waiting_room SET line_order = 'draw', entrants = 20000")
        await owner.execute(
            "INSERT INTO drawn SELECT $1, 20001 - n, n FROM generate_series(1, 20000) AS n", room_id
        )
        if analysed:
            await owner.execute("ANALYZE place; ANALYZE drawn")
    async with asyncio.timeout(60):
        assert len(await read(services, concert_id)) == 20_000


async def test_closed_export_releases_its_connection(database: Database) -> None:
    """Closing the pages early ends the transaction and releases the connection."""
    owner = await asyncpg.connect(database.owner_url)
    async with services_on(database, pool_connections=1) as services:
        concert_id, room_id = await line(services, owner)
        await fill(owner, room_id, PAGE + 1)
        for _ in range(2):
            async with pages(services, concert_id) as each:
                await anext(each)
        assert len(await read(services, concert_id)) == PAGE + 1
    await owner.close()


async def test_slow_reader_keeps_its_export(
    database: Database, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be slower than the idle limit of a transaction, which ends another transaction."""
    monkeypatch.setitem(pools.SERVER_SETTINGS, "idle_in_transaction_session_timeout", "200ms")
    async with services_on(database) as services:
        concert_id, room_id = await line(services, owner)
        await fill(owner, room_id, PAGE + 1)
        async with pages(services, concert_id) as each:
            await anext(each)
            async with services.pool.acquire() as control:
                ended = asyncio.Event()
                control.add_termination_listener(lambda _: ended.set())
                await control.execute("BEGIN")
                async with asyncio.timeout(60):
                    await ended.wait()  # the control, which became idle later
            rest = [page async for page in each]
        assert rest[-1].endswith(b"]}")
