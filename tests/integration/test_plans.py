"""Hot statements look up by index, whatever the planner knows of the tables.

Each is run in the states that a table goes through: empty; grown, with plans cached while it was
empty (and perhaps analysed as such: the planner then takes it for one row, for good); grown and
never analysed; grown and analysed. What it read is counted by the server: no sequential scan, and
few rows for each item. A plan that joins the wrong way round reads a whole line, or all live holds.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest

from frontrow.db.pool import SERVER_SETTINGS
from frontrow.db.queries import load
from frontrow.db.server import EmbeddedServer
from tests.conftest import Database
from tests.integration.databases import fresh_database

Connection: TypeAlias = "asyncpg.Connection[Any]"
Call: TypeAlias = Callable[[Connection], Awaitable[Any]]

rooms = load("frontrow.waiting_room")
reservations = load("frontrow.reservations")
wallet = load("frontrow.wallet")
payments = load("frontrow.payments")
concerts = load("frontrow.concerts")
users = load("frontrow.users")

ROOM = 1
ITEMS = 100
# Of any one table: a function locks, judges and writes, and payment looks thrice at some.
ROWS_AN_ITEM = 8
# Enough that a prepared statement and those inside functions settle on one generic plan.
CALLS_UNTIL_CACHED = 8
GROWN = Path(__file__).with_name("grown.sql").read_text()
TABLES = ["app_user", "place", "payment", "reservation", "seat", "ticket", "transfer", "wallet"]
READ = """
    SELECT relname, seq_scan::int, seq_tup_read + idx_tup_fetch AS rows
    FROM pg_stat_xact_user_tables WHERE relname = ANY ($1)
"""


def an_id(kind: str, number: int) -> UUID:
    """The id of a row that ``grown.sql`` made."""
    return UUID(hashlib.md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest())


def ids(kind: str, first: int) -> list[UUID]:
    """The ids of the rows from ``first`` on, one for each item."""
    return [an_id(kind, number) for number in range(first, first + ITEMS)]


def new_ids() -> list[UUID]:
    """An id for each item."""
    return [uuid4() for _ in range(ITEMS)]


def places(first: int) -> dict[str, Any]:
    """The places from number ``first`` on."""
    return {
        "room_ids": [ROOM] * ITEMS,
        "numbers": list(range(first, first + ITEMS)),
        "place_ids": ids("place", first),
    }


async def hold(connection: Connection, first: int) -> Any:
    """Places hold a free seat each."""
    return await reservations.hold(
        connection,
        **places(first),
        user_ids=ids("user", first),
        concert_ids=[an_id("concert", 1)] * ITEMS,
        reservation_ids=new_ids(),
        request_hashes=[1] * ITEMS,
        show_ids=[an_id("show", 30)] * ITEMS,
        firsts=list(range(1, ITEMS + 1)),
        lasts=list(range(1, ITEMS + 1)),
        seats=list(range(1, ITEMS + 1)),
    )


async def charge(connection: Connection, first: int) -> Any:
    """Places charge their wallets."""
    return await wallet.charge(
        connection,
        **places(first),
        user_ids=ids("user", first),
        transfer_ids=new_ids(),
        amounts=[1_000] * ITEMS,
    )


async def pay(connection: Connection) -> Any:
    """Places pay for the seats that they hold."""
    return await payments.pay(
        connection,
        **places(17_001),
        user_ids=ids("user", 17_001),
        concert_ids=[an_id("concert", 1)] * ITEMS,
        payment_ids=new_ids(),
        reservation_ids=ids("reservation", 17_001),
        amounts=[50_000] * ITEMS,
    )


async def admit(connection: Connection, **bounds: Any) -> Any:
    """Whoever may come in is called."""
    return await rooms.admit(connection, room_id=ROOM, policy_version=1, **bounds)


class Hot(NamedTuple):
    """A hot statement: what it answers on the grown tables, and how much of one it may read."""

    call: Call
    outcome: object
    rows: int = ROWS_AN_ITEM * ITEMS


# The outcome of a list of rows is the first one's, or how many there are; of one value, itself.
FUNCTIONS = {
    "join, new": Hot(
        lambda c: rooms.join_room(c, room_id=ROOM, user_ids=new_ids(), place_ids=new_ids()), "new"
    ),
    "join, live": Hot(
        lambda c: rooms.join_room(
            c, room_id=ROOM, user_ids=ids("user", 30_001), place_ids=new_ids()
        ),
        "live",
    ),
    "enter": Hot(lambda c: rooms.enter(c, **places(19_501)), "admitted"),
    "enter, first": Hot(lambda c: rooms.enter(c, **places(19_901)), "admitted"),
    "leave, waiting": Hot(lambda c: reservations.leave(c, **places(30_001)), "left"),
    "leave, holding": Hot(lambda c: reservations.leave(c, **places(17_001)), "left"),
    # Those who are in are looked through twice: whose time is over, and how many they are.
    "admit, cap": Hot(
        lambda c: admit(c, cap=3_100, rate=None, rate_seconds=None), "done", 2 * 3_000 + 3 * 100
    ),
    "admit, rate": Hot(
        lambda c: admit(c, cap=None, rate=1_000, rate_seconds=10.0), "done", 2 * 3_000 + 3 * 100
    ),
    "hold": Hot(lambda c: hold(c, 19_501), "held"),
    "hold, first": Hot(lambda c: hold(c, 19_901), "held"),
    "release": Hot(
        lambda c: reservations.release(
            c,
            reservation_ids=ids("reservation", 17_001),
            user_ids=ids("user", 17_001),
            **places(17_001),
        ),
        "released",
    ),
    "expire": Hot(lambda c: reservations.expire(c, limit=ITEMS), ITEMS),
    "charge": Hot(lambda c: charge(c, 19_501), "charged"),
    "charge, first": Hot(lambda c: charge(c, 19_901), "charged"),
    "pay": Hot(pay, "paid"),
}
QUERIES = {
    "places": Hot(
        lambda c: rooms.places(
            c, room_ids=[ROOM] * ITEMS, numbers=list(range(20_001, 20_001 + ITEMS))
        ),
        ITEMS,
    ),
    "left between": Hot(
        lambda c: rooms.left_between(c, room_id=ROOM, after=0, until=9, serving=0), 0
    ),
    "stock of concerts": Hot(rooms.stock_of_concerts, 1, 2_600),
    # Once over the holds that are not swept yet, however many shows.
    "stock of shows": Hot(
        lambda c: concerts.stock_of_shows(c, show_ids=[an_id("show", n) for n in range(1, 51)]),
        50,
        2_600,
    ),
    "seats of a show": Hot(
        lambda c: concerts.seats_of_shows(c, show_ids=[an_id("show", 20)]), 1, 1_000
    ),
    "reservations": Hot(
        lambda c: reservations.reservations(
            c, reservation_ids=ids("reservation", 17_001), user_ids=ids("user", 17_001)
        ),
        ITEMS,
    ),
    "reservations of a user": Hot(
        lambda c: reservations.reservations_of_user(c, user_id=an_id("user", 17_001), limit=10), 1
    ),
    "balances": Hot(lambda c: wallet.balances(c, user_ids=ids("user", 1)), ITEMS),
    "transfers": Hot(
        lambda c: wallet.transfers(c, user_id=an_id("user", 1), before=2**31 - 1, limit=10), 2
    ),
    "payments of a user": Hot(
        lambda c: payments.payments_of_user(c, user_id=an_id("user", 1), after=None, limit=10), 1
    ),
    "tickets of a user": Hot(
        lambda c: payments.tickets_of_user(c, user_id=an_id("user", 1), ticket_id=None, limit=9), 1
    ),
    "users of keys": Hot(
        lambda c: users.users_of_keys(c, key_hashes=[bytes([n] * 32) for n in range(ITEMS)]), ITEMS
    ),
}
HOT = FUNCTIONS | QUERIES


class Seen(NamedTuple):
    """What a statement answered, and what it read: tables read through, rows by table."""

    outcome: object
    read_through: set[str]
    rows: dict[str, int]


@pytest.fixture(
    scope="module",
    params=[
        "cached while empty",
        "cached while empty and analysed",
        "never analysed",
        "analysed",
    ],
)
async def grown(
    request: pytest.FixtureRequest, engine: EmbeddedServer, template: Database
) -> AsyncIterator[Connection]:
    """A connection to a large database, with the plans and the statistics of one state."""
    state: str = request.param
    async with fresh_database(engine, template) as database:
        owner = await asyncpg.connect(database.owner_url)
        app = await asyncpg.connect(database.app_url, server_settings=SERVER_SETTINGS)
        try:
            # Else the server analyses the tables at a moment of its own choice.
            for table in TABLES:
                await owner.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
            if state == "cached while empty and analysed":
                await owner.execute("ANALYZE")
            if state.startswith("cached"):
                for _ in range(CALLS_UNTIL_CACHED):
                    for hot in HOT.values():
                        await _look(app, hot.call)
            await owner.execute(GROWN)
            if state == "analysed":
                await owner.execute("ANALYZE")
            yield app
        finally:
            await app.close()
            await owner.close()


@pytest.mark.parametrize("name", HOT)
async def test_a_hot_statement_reads_little(grown: Connection, name: str) -> None:
    """No table is read through, and of none are more rows read than the items ask for."""
    hot = HOT[name]
    seen = await _look(grown, hot.call)
    assert seen.outcome == hot.outcome
    assert seen.read_through == set()
    assert {table: rows for table, rows in seen.rows.items() if rows > hot.rows} == {}


async def test_on_empty_tables_nothing_is_read_through(database: Database) -> None:
    """The functions look up by index from the first call on."""
    app = await asyncpg.connect(database.app_url, server_settings=SERVER_SETTINGS)
    try:
        seen = {name: await _look(app, hot.call) for name, hot in FUNCTIONS.items()}
    finally:
        await app.close()
    assert {name: look.read_through for name, look in seen.items() if look.read_through} == {}


async def test_the_measure_sees_a_table_that_is_read_through(grown: Connection) -> None:
    """The control: without an index to use, the same counting finds the scan and its rows."""
    seen = await _look(grown, lambda c: c.fetch("SELECT count(*) FROM place WHERE reason = 'paid'"))
    assert (seen.read_through, seen.rows["place"]) == ({"place"}, 50_000)


async def _look(connection: Connection, call: Call) -> Seen:
    """What a call reads; then it is undone."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        before = {row["relname"]: row for row in await connection.fetch(READ, TABLES)}
        answer = await call(connection)
        after = await connection.fetch(READ, TABLES)
    finally:
        await transaction.rollback()
    return Seen(
        _outcome(answer),
        {row["relname"] for row in after if row["seq_scan"] > before[row["relname"]]["seq_scan"]},
        {row["relname"]: row["rows"] - before[row["relname"]]["rows"] for row in after},
    )


def _outcome(answer: Any) -> object:
    rows = answer if isinstance(answer, list) else [answer]
    if rows and isinstance(rows[0], asyncpg.Record) and "outcome" in rows[0].keys():  # noqa: SIM118 - a record holds values
        return rows[0]["outcome"]
    return len(answer) if isinstance(answer, list) else answer
