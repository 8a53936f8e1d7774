"""A flood of invented concert ids on public calls: 404 for each, and next to no read."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from frontrow.concerts.queries import queries as concerts
from frontrow.waiting_room.queries import queries as rooms
from frontrow.waiting_room.snapshot_queries import queries as lines
from frontrow.waiting_room.unknown_concerts import LOOK_UPS, LOOK_UPS_PER_SECOND
from testkit.database import Database
from testkit.desk import BASE, Desk, check_problem, eventually, open_desk

IDS = 400
PATHS = [
    f"{BASE}/concerts/{{}}",
    f"{BASE}/concerts/{{}}/queue",
    f"{BASE}/concerts/{{}}/queue/draw",
    f"{BASE}/concerts/{{}}/queue/draw/entries",
    "/concerts/{}",
]


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    """A server that reads its lines only when a call needs it."""
    async with open_desk(database, snapshot_seconds=3600, stock_seconds=3600) as made:
        yield made


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The reads that a call for a concert may cause, by statement."""
    counted: Counter[str] = Counter()
    for queries, names in (
        (lines, ("lines",)),
        (rooms, ("draw_of_concert", "entries")),
        (concerts, ("concert_details", "shows_of_concert", "listed_concerts")),
    ):
        for name in names:
            monkeypatch.setattr(queries, name, counting(counted, name, getattr(queries, name)))
    return counted


def counting(counted: Counter[str], name: str, query: Any) -> Any:
    """Returns a query that is counted."""

    async def run(*arguments: Any, **named: Any) -> Any:
        counted[name] += 1
        return await query(*arguments, **named)

    return run


async def test_unknown_concerts_cost_next_to_no_read(desk: Desk, reads: Counter[str]) -> None:
    """Two thousand calls with different ids: a handful of reads; known concerts are answered."""
    known = await desk.concert()
    reads.clear()
    loop = asyncio.get_running_loop()
    started = loop.time()
    paths = [path.format(uuid4()) for _ in range(IDS) for path in PATHS]
    answers = await asyncio.gather(*(desk.http.get(path) for path in paths))
    assert Counter(answer.status_code for answer in answers) == {404: IDS * len(PATHS)}
    seconds = loop.time() - started
    assert reads.total() <= LOOK_UPS + LOOK_UPS_PER_SECOND * seconds
    assert set(reads) <= {"lines"}
    check_problem(await desk.ask("GET", f"/concerts/{uuid4()}"), 404, "not_found")
    shown = await desk.ask("GET", f"/concerts/{known.concert_id}")
    assert shown.json()["concert_id"] == known.concert_id


async def test_repeated_unknown_concert_is_read_once(desk: Desk, reads: Counter[str]) -> None:
    """Within a second; control: the first time it is looked for."""
    path = f"/concerts/{uuid4()}/queue"
    for _ in range(20):
        check_problem(await desk.ask("GET", path), 404, "not_found")
    assert 1 <= reads["lines"] <= 2  # a slow machine may need more than a second


async def test_new_concert_is_seen_during_the_flood(database: Database) -> None:
    """A concert that another process has created is seen soon, whatever was asked before."""
    async with open_desk(database) as here, open_desk(database) as there:
        flood = [f"{BASE}/concerts/{uuid4()}/queue" for _ in range(IDS)]
        await asyncio.gather(*(there.http.get(path) for path in flood))
        made = await here.concert()

        async def is_seen() -> bool:
            path = f"{BASE}/concerts/{made.concert_id}/queue"
            return (await there.http.get(path)).status_code == 200

        await eventually(is_seen)
