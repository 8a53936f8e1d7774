"""The statements of upkeep among 10,000 concerts: what they read follows the work.

Each runs on a database that was never analysed, and on an analysed one. The server counts the
full scans and the rows.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import asyncpg
import pytest

from frontrow.db.pool import SERVER_SETTINGS
from frontrow.db.server import EmbeddedServer
from frontrow.waiting_room.forecasts.queries import queries as forecasts
from frontrow.waiting_room.queries import queries as rooms
from frontrow.waiting_room.snapshot_queries import queries as snapshot
from testkit.database import Database, fresh_database

Connection: TypeAlias = "asyncpg.Connection[Any]"

CONCERTS = 10_000
WITH_USERS = range(5_000, 5_020)
"""The rooms with users in ``grown_concerts.sql``."""
TURN = 20
TABLES = ["waiting_room", "place", "line_pace", "show", "stock", "reservation", "sold_delta"]
READ = """
    SELECT relname, seq_scan::int, (seq_tup_read + idx_tup_fetch)::int AS rows
    FROM pg_stat_xact_user_tables WHERE relname = ANY ($1)
"""
GROWN = Path(__file__).with_name("grown_concerts.sql").read_text()


class Check(NamedTuple):
    """A statement: its call with a mark, the rows found, and the most that it reads of a table."""

    call: Callable[[Connection, int], Awaitable[list[Any]]]
    found: int
    rows: int


def lines(connection: Connection, mark: int) -> Awaitable[list[Any]]:
    """Reads the lines that changed, and the next in turn."""
    return snapshot.lines(connection, mark=mark, seen_at=None, rooms=[], after=4_000, further=TURN)


USERS = len(WITH_USERS)
CHECKS = {
    # Those with users are checked, and the rows in turn are found and read.
    "lines": Check(lines, TURN, USERS + 2 * TURN),
    "seats": Check(
        lambda c, mark: snapshot.concert_stock(c, mark=mark, seen_at=None, concert_ids=[]), 0, 0
    ),
    "admitted places": Check(lambda c, _: snapshot.admitted_places(c), USERS, USERS),
    "work, every line": Check(
        lambda c, _: rooms.admission_work(c, rooms=[], every=True), USERS // 2, 2 * USERS
    ),
    "work, woken": Check(
        lambda c, _: rooms.admission_work(c, rooms=[1, 2, WITH_USERS[1]], every=False), 1, 3
    ),
    "pace": Check(
        lambda c, _: forecasts.lines_to_observe(c, rooms=list(WITH_USERS), least=5), 5, USERS
    ),
}


@pytest.fixture(scope="module", params=["never analysed", "analysed"])
async def grown(
    request: pytest.FixtureRequest, engine: EmbeddedServer, template: Database
) -> AsyncIterator[Connection]:
    """A connection to an installation with 10,000 concerts."""
    async with fresh_database(engine, template) as database:
        owner = await asyncpg.connect(database.owner_url)
        app = await asyncpg.connect(database.app_url, server_settings=SERVER_SETTINGS)
        for table in TABLES:
            await owner.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        await owner.execute(GROWN)
        if request.param == "analysed":
            await owner.execute("ANALYZE")
        yield app
        await app.close()
        await owner.close()


@pytest.mark.parametrize("name", CHECKS)
async def test_statement_reads_what_has_work(grown: Connection, name: str) -> None:
    """No full scan of a large table, and no more rows than there is work."""
    mark = await grown.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    transaction = grown.transaction()
    await transaction.start()
    try:
        before = {row["relname"]: row for row in await grown.fetch(READ, TABLES)}
        found = await CHECKS[name].call(grown, mark)
        after = await grown.fetch(READ, TABLES)
    finally:
        await transaction.rollback()
    assert len(found) == CHECKS[name].found
    read = {row["relname"]: row["rows"] - before[row["relname"]]["rows"] for row in after}
    assert {table: rows for table, rows in read.items() if rows > CHECKS[name].rows} == {}
    scanned = {r["relname"] for r in after if r["seq_scan"] > before[r["relname"]]["seq_scan"]}
    assert scanned <= {"sold_delta", "reservation"}


async def test_control_statement_over_all_lines_is_counted(grown: Connection) -> None:
    """Control: the same counting finds a statement that reads every line."""
    async with grown.transaction():
        before = {row["relname"]: row["rows"] for row in await grown.fetch(READ, TABLES)}
        await grown.fetch("SELECT room_id FROM waiting_room WHERE paused")
        after = {row["relname"]: row["rows"] for row in await grown.fetch(READ, TABLES)}
    assert after["waiting_room"] - before["waiting_room"] == CONCERTS
