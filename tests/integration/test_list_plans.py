"""The list of ten thousand concerts: a page reads a page, whatever the planner knows.

Counted by the server, as in test_plans.py: no sequential scan, and few rows of each table.
"""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import asyncpg
import pytest

from frontrow.concerts.queries import queries
from frontrow.concerts.search import folded
from frontrow.db.pool import SERVER_SETTINGS
from testkit.database import Database

CONCERTS = 10_000
PAGE = 51
# The sale of every tenth concert has ended.
GROWN = f"""
    CREATE FUNCTION pg_temp.id(kind text, n int) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN md5(kind || n)::uuid;
    INSERT INTO concert (
        concert_id, request_hash, title, timezone, currency, hold_seconds, max_seats_per_user,
        created_at, search
    )
    SELECT pg_temp.id('concert', n), n, 'Concert ' || n, 'UTC', 'KRW', 300, 4,
        now(), 'concert ' || n || E'\\n\\n'
    FROM generate_series(1, {CONCERTS}) AS n;
    INSERT INTO show
    SELECT pg_temp.id('show', n * 10 + k), pg_temp.id('concert', n), 1, t.at, t.at::date, t.at,
        50, 50000
    FROM generate_series(1, {CONCERTS}) AS n CROSS JOIN generate_series(1, 2) AS k
    CROSS JOIN LATERAL (
        SELECT now() + (CASE WHEN n % 10 = 0 THEN -n ELSE n END + k) * interval '1 hour' AS at
    ) AS t;
    SELECT concert_list(array_agg(concert_id)) FROM concert;
"""  # noqa: S608 - a number of the test
READ = """
    SELECT relname, seq_scan::int, seq_tup_read + idx_tup_fetch AS rows
    FROM pg_stat_xact_user_tables WHERE relname IN ('concert', 'show')
"""


class Read(NamedTuple):
    """What a query returned and read: the scanned tables, and the rows by table."""

    answer: Any
    scanned: set[str]
    rows: dict[str, int]


@pytest.fixture(scope="module", params=["never analysed", "analysed"])
async def grown(
    module_database: Database, request: pytest.FixtureRequest
) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A connection of the application to a database with many concerts."""
    owner = await asyncpg.connect(module_database.owner_url)
    app = await asyncpg.connect(module_database.app_url, server_settings=SERVER_SETTINGS)
    try:
        if not await owner.fetchval("SELECT count(*) FROM concert"):
            for table in ("concert", "show"):
                await owner.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
            await owner.execute(GROWN)
        if request.param == "analysed":
            await owner.execute("ANALYZE concert, show")
        yield app
    finally:
        await app.close()
        await owner.close()


async def read(connection: "asyncpg.Connection[Any]", query: Any, **parameters: Any) -> Read:
    """Runs a query and counts what it reads."""
    async with connection.transaction():
        before = {row["relname"]: row for row in await connection.fetch(READ)}
        answer = await query(connection, **parameters)
        after = await connection.fetch(READ)
    return Read(
        answer,
        {row["relname"] for row in after if row["seq_scan"] > before[row["relname"]]["seq_scan"]},
        {row["relname"]: row["rows"] - before[row["relname"]]["rows"] for row in after},
    )


async def page(connection: "asyncpg.Connection[Any]", **changes: Any) -> Read:
    """Reads a page of the list."""
    beginning: Any = {
        "after_rank": 0,
        "after_id": "00000000-0000-0000-0000-000000000000",
        "text": None,
        "from_date": None,
        "to_date": None,
        "most": PAGE,
    }
    return await read(connection, queries.listed_concerts, **{**beginning, **changes})


async def test_first_page_reads_a_page(grown: "asyncpg.Connection[Any]") -> None:
    """The concerts of the page and their shows, in order; also with a plan that is kept."""
    for _ in range(8):
        found = await page(grown)
        assert len(found.answer) == PAGE
        assert [one.rank for one in found.answer] == sorted(one.rank for one in found.answer)
        assert found.scanned == set()
        assert found.rows["concert"] <= PAGE + 5
        assert found.rows["show"] <= 2 * PAGE + 10


async def test_later_page_reads_a_page(grown: "asyncpg.Connection[Any]") -> None:
    """However far it is behind the first one: also the ended concerts at the end."""
    for position in (5_000, 9_500):
        *_, last = (await page(grown, most=position)).answer
        found = await page(grown, after_rank=last.rank, after_id=last.concert_id)
        assert len(found.answer) == PAGE
        assert found.answer[0].rank >= last.rank
        assert found.scanned == set()
        assert found.rows["concert"] <= PAGE + 5
        assert found.rows["show"] <= 2 * PAGE + 10


async def test_search_reads_no_shows_of_others(grown: "asyncpg.Connection[Any]") -> None:
    """A rare text: each concert is compared once, and the shows of the found ones are read."""
    found = await page(grown, text=folded("CONCERT 777"))
    assert {one.title for one in found.answer} == {
        "Concert 777",
        *(f"Concert 777{n}" for n in range(10)),
    }
    assert found.rows["concert"] <= CONCERTS
    assert found.rows["show"] <= 2 * 11 + 10


async def test_due_concerts_are_found_by_index(grown: "asyncpg.Connection[Any]") -> None:
    """With nothing due, upkeep reads nothing."""
    found = await read(grown, queries.list_due_concerts, most=500)
    assert (found.answer, found.scanned) == (0, set())
    assert found.rows["concert"] <= 1


async def test_one_concert_reads_one(grown: "asyncpg.Connection[Any]") -> None:
    """And its shows."""
    (first,) = (await page(grown, most=1)).answer
    found = await read(grown, queries.concert_details, concert_id=first.concert_id)
    assert found.answer.title == first.title
    assert (found.scanned, found.rows) == (set(), {"concert": 1, "show": 2})


async def test_control_list_without_the_index_reads_everything(
    grown: "asyncpg.Connection[Any]",
) -> None:
    """The same counting finds all concerts where the order needs every show."""

    async def by_end_of_sale(connection: "asyncpg.Connection[Any]") -> Any:
        return await connection.fetch(
            "SELECT concert_id FROM show ORDER BY seats_total, starts_at LIMIT 51"
        )

    found = await read(grown, by_end_of_sale)
    assert found.rows["show"] == 2 * CONCERTS
