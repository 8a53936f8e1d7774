"""Many requests for one draw: how often the database is read, and how many pages at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import pytest

from frontrow.waiting_room.draw import PAGES_AT_ONCE, Draws
from frontrow.waiting_room.model import Draw
from testkit.desk import Concert, Desk, check_problem, eventually
from tests.web.test_draw import CAP, drawn_concert, open_line, path_of, soon

CROWD = 20


@asynccontextmanager
async def locked(desk: Desk, table: str) -> AsyncIterator[None]:
    """Locks a table against reads during the block."""
    locker = await asyncpg.connect(desk.database.owner_url)
    try:
        async with locker.transaction():
            await locker.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await locker.close()


async def stuck(desk: Desk, text: str) -> int:
    """Returns how many statements with this text wait for a lock."""
    found: int = await desk.owner.fetchval(
        """SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1""",
        f"%{text}%",
    )
    return found


@pytest.fixture(scope="module")
async def ended(desk: Desk) -> Concert:
    """A line of three that was drawn."""
    concert = await drawn_concert(desk, 3_600)
    for _ in range(3):
        await desk.waiting(concert)
    await open_line(desk, concert)
    return concert


async def test_ended_draw_is_read_once(desk: Desk, ended: Concert) -> None:
    """It is returned while the table is locked; the control: a future draw waits."""
    coming = await drawn_concert(desk, 3_600)
    known = await desk.ask("GET", path_of(ended))
    async with locked(desk, "draw"):
        waits = asyncio.create_task(desk.ask("GET", path_of(coming)))
        await eventually(lambda: stuck(desk, "d.committed_at"))
        for _ in range(3):
            assert (await desk.ask("GET", path_of(ended))).content == known.content
        assert not waits.done()
    assert (await waits).json()["drawn_at"] is None


async def test_opening_of_an_ended_draw_can_be_changed(desk: Desk, ended: Concert) -> None:
    """A changed opening is returned; everything else stays."""
    before = (await desk.ask("GET", path_of(ended))).json()
    path = f"/admin/concerts/{ended.concert_id}/waiting-room"
    put = await desk.operate("PUT", path, json={"policy": CAP, "opens_at": soon(3_600)})
    after = (await desk.ask("GET", path_of(ended))).json()
    assert after == {**before, "opens_at": put.json()["opens_at"]}
    assert after["opens_at"] != before["opens_at"]


async def test_concurrent_requests_share_one_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many requests for a future draw share one read; a cancelled one doesn't affect others."""
    coming = await drawn_concert(desk, 3_600)
    arrived: list[UUID] = []
    draw = Draws.draw

    async def counted(draws: Draws, concert_id: UUID) -> Draw:
        arrived.append(concert_id)
        return await draw(draws, concert_id)

    async def all_are_there() -> bool:
        return len(arrived) == CROWD

    monkeypatch.setattr(Draws, "draw", counted)
    async with locked(desk, "draw"):
        first = asyncio.create_task(desk.ask("GET", path_of(coming)))
        await eventually(lambda: stuck(desk, "d.committed_at"))
        asking = [asyncio.create_task(desk.ask("GET", path_of(coming))) for _ in range(CROWD - 1)]
        await eventually(all_are_there)
        first.cancel()
        assert await stuck(desk, "d.committed_at") == 1
    answers = await asyncio.gather(*asking)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


async def test_pages_at_once_are_limited(desk: Desk, ended: Concert) -> None:
    """One page above the limit is 503 overloaded immediately; afterwards there is room again."""
    path = f"{path_of(ended)}/entries"
    async with locked(desk, "place"):
        reading = [asyncio.create_task(desk.ask("GET", path)) for _ in range(PAGES_AT_ONCE)]

        async def all_read() -> bool:
            return await stuck(desk, "waiting_room_entry(p.place_id)") == PAGES_AT_ONCE

        await eventually(all_read)
        refused = await desk.ask("GET", path)
        check_problem(refused, 503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        assert "cache-control" not in refused.headers
    answers = await asyncio.gather(*reading)
    assert [len(answer.json()["entries"]) for answer in answers] == [3] * PAGES_AT_ONCE
    for _ in range(2 * PAGES_AT_ONCE):
        assert (await desk.ask("GET", path)).status_code == 200
