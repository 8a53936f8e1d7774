"""Hot statements use an index, whatever the planner knows of the tables.

Each runs in the states that a table goes through: empty; grown, with plans cached while it was
empty (and perhaps analysed as such: the planner then takes it for one row, for good); grown and
never analysed; grown and analysed. Plans are cached as in a quiet first hour, by calls with one
item; then the same connection gets one item and a full batch. The server counts what they read: no
sequential scan, and few rows for each item. A plan with the wrong join order reads a whole line,
all seats of a show, or all active holds.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest

from frontrow.concerts.queries import queries as concerts
from frontrow.concerts.seat_queries import ReadingPlace
from frontrow.concerts.seat_queries import queries as seat_maps
from frontrow.db.pool import SERVER_SETTINGS
from frontrow.db.server import EmbeddedServer
from frontrow.payments.queries import PayItem, RefundItem
from frontrow.payments.queries import queries as payments
from frontrow.payments.sales_queries import queries as sales
from frontrow.payments.ticket_queries import CheckInItem
from frontrow.payments.ticket_queries import queries as tickets
from frontrow.reservations.queries import (
    BestHoldItem,
    HoldItem,
    LeaveItem,
    ReleaseItem,
    ReservationItem,
)
from frontrow.reservations.queries import queries as reservations
from frontrow.retention.erase_queries import queries as erasing
from frontrow.retention.prune_queries import queries as pruning
from frontrow.users.queries import SessionItem, SolvedGuestItem
from frontrow.users.queries import queries as users
from frontrow.waiting_room import snapshot_queries
from frontrow.waiting_room.queries import EnterItem, JoinItem, PlaceItem
from frontrow.waiting_room.queries import queries as rooms
from frontrow.waiting_room.snapshot_queries import LeaversItem
from frontrow.wallet.queries import ChargeItem
from frontrow.wallet.queries import queries as wallet
from testkit.database import Database, fresh_database

Connection: TypeAlias = "asyncpg.Connection[Any]"
Call: TypeAlias = Callable[[Connection, int], Awaitable[Any]]


ROOM = 1
LATER = datetime.now(UTC) + timedelta(days=1)
"""After all rows of the test are inserted, however long that takes."""
BATCH = 500
# Of any one table: a function locks, checks and writes; payment reads some rows three times.
ROWS_AN_ITEM = 8
# Enough calls that a prepared statement and those inside functions use one generic plan.
CALLS_UNTIL_CACHED = 8
UNPAID: Any = {"address_seats": (80, 20, 80, 200), "unpaid_holds": 20, "unpaid_seconds": 600}
GROWN = Path(__file__).with_name("grown.sql").read_text()
TABLES = [
    "admission",
    "place",
    "payment",
    "reservation",
    "seat",
    "seat_change",
    "ticket",
    "transfer",
    "used_challenge",
    "user_key",
    "wallet",
]
# The settings alone don't prevent a wrong join order: an empty table seems cheap to read.
PLAIN_JOIN = """
    CREATE FUNCTION plain_join(p_rooms int[], p_numbers int[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET enable_material = off SET enable_bitmapscan = off
    SET plan_cache_mode = force_generic_plan
    AS $$ BEGIN
        UPDATE place AS p SET joined_at = p.joined_at
        FROM unnest(p_rooms, p_numbers) AS k (room_id, number)
        WHERE p.room_id = k.room_id AND p.number = k.number;
    END $$
"""
READ = """
    SELECT relname, seq_scan::int, seq_tup_read + idx_tup_fetch AS rows
    FROM pg_stat_xact_user_tables WHERE relname = ANY ($1)
"""


def an_id(kind: str, number: int) -> UUID:
    """Returns the id of a row of ``grown.sql``."""
    return UUID(hashlib.md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest())


def ids(kind: str, first: int, items: int) -> list[UUID]:
    """Returns the ids of the rows from ``first`` on, one for each item."""
    return [an_id(kind, number) for number in range(first, first + items)]


def new_ids(items: int) -> list[UUID]:
    """Returns a new id for each item."""
    return [uuid4() for _ in range(items)]


def a_hash(number: int) -> bytes:
    """Returns the hash of the key of the user with this number."""
    return hashlib.sha256(f"{number}".encode()).digest()


def places(first: int, items: int) -> dict[str, Any]:
    """Returns the places from number ``first`` on."""
    return {
        "room_ids": [ROOM] * items,
        "numbers": list(range(first, first + items)),
        "place_ids": ids("place", first, items),
    }


def entering(first: int, items: int) -> list[EnterItem]:
    """Returns the same as items."""
    return [EnterItem(ROOM, first + i, place) for i, place in enumerate(ids("place", first, items))]


def a_network(number: int) -> int:
    """Returns the network from which the place with this number holds, as in ``grown.sql``."""
    return number if number % 2 == 0 else (0x2001_0DB8 << 32) + (number << 16)


def a_hold(number: int) -> tuple[int, int, UUID, UUID, UUID, UUID, int, UUID, int]:
    """The fields of a hold of one seat by the place with this number."""
    place, user = an_id("place", number), an_id("user", number)
    concert, show = an_id("concert", 1), an_id("show", 30)
    return ROOM, number, place, user, concert, uuid4(), 1, show, 1


async def hold(
    connection: Connection, first: int, items: int, network_of: Callable[[int], int | None]
) -> Any:
    """Places hold a free seat each."""
    holds = [
        HoldItem(*a_hold(number), network_of(number)) for number in range(first, first + items)
    ]
    return await reservations.hold(connection, holds, seats=range(1, items + 1), **UNPAID)


async def hold_best(
    connection: Connection, items: int, network_of: Callable[[int], int | None]
) -> Any:
    """Places hold the best seat of a show each, behind rows that are sold."""
    holds = [
        BestHoldItem(*a_hold(number), None, together=True, network=network_of(number))
        for number in range(19_501, 19_501 + items)
    ]
    return await reservations.hold_best(connection, holds, search_from=[1] * items, **UNPAID)


def unknown(_: int) -> None:
    """Without limits by address."""


def of_a_holder(number: int) -> int:
    """The network from which another place holds already."""
    return a_network(number - 2_500)


def leaves(first: int, items: int) -> list[LeaveItem]:
    """Leaves of the places from number ``first`` on."""
    return [LeaveItem(ROOM, n, an_id("place", n)) for n in range(first, first + items)]


def releases(items: int) -> list[ReleaseItem]:
    """Releases of as many holds."""
    return [
        ReleaseItem(an_id("reservation", n), an_id("user", n), ROOM, n, an_id("place", n))
        for n in range(17_001, 17_001 + items)
    ]


async def charge(connection: Connection, first: int, items: int) -> Any:
    """Each place charges its wallet."""
    return await wallet.charge(
        connection,
        [
            ChargeItem(ROOM, number, an_id("place", number), an_id("user", number), uuid4(), 1_000)
            for number in range(first, first + items)
        ],
    )


async def pay(connection: Connection, items: int) -> Any:
    """Each place pays for the seats that it holds."""
    concert_id = an_id("concert", 1)
    return await payments.pay(
        connection,
        [
            PayItem(
                ROOM, number, an_id("place", number), an_id("user", number), concert_id, uuid4(),
                an_id("reservation", number), 50_000,
            )
            for number in range(17_001, 17_001 + items)
        ],
    )  # fmt: skip


async def follow(connection: Connection, items: int) -> Any:
    """Each place reads a show with as many changes, and one more that was uncommitted."""
    return await seat_maps.follow_seats(
        connection,
        [ReadingPlace(ROOM, one.number, one.place_id) for one in entering(19_501, items)],
        show_ids=[an_id("show", 30)],
        newest=[1_000 - items],
        firsts=[1],
        lasts=[1],
        running=[7],
    )


async def cancel(connection: Connection, items: int) -> Any:
    """Cancels a sold show and refunds the first of its buyers."""
    await payments.cancel_show(connection, show_id=an_id("show", 1))
    return (await payments.cancel_step(connection, show_id=an_id("show", 1), limit=items)).state


async def admit(connection: Connection, **bounds: Any) -> Any:
    """Admits the users whom the policy allows."""
    return await rooms.admit(connection, room_id=ROOM, policy_version=1, tidy=True, **bounds)


async def prune_holds(connection: Connection, items: int) -> bool:
    """Returns whether some of the next reservations are pruned, of which a third can be."""
    await connection.execute("UPDATE waiting_room SET pruned_to = serving * 0.85")
    row = await pruning.prune_holds(connection, after=UUID(int=0), before=LATER, limit=items + 50)
    return row.dropped > 0


async def plain_join(connection: Connection, items: int) -> Any:
    """An update with the wrong join order: see ``PLAIN_JOIN``."""
    numbers = list(range(1, items + 1))
    return await connection.fetchval("SELECT plain_join($1, $2)", [ROOM] * items, numbers)


class Hot(NamedTuple):
    """A hot statement: its result on the grown tables, and how much it may read of a table."""

    call: Call
    outcome: object
    """The first row's, if rows have one; else the value, or the count of rows (``ITEMS``: all)."""
    rows: int | None = None
    """At most, of any one table; by default a few for each item."""
    most: int = BATCH
    """Items, as far as the grown tables have them."""


ITEMS = object()
"""As many as requested."""
SOMETHING = object()
"""Anything."""

FUNCTIONS = {
    "exchange a key": Hot(
        lambda c, _: users.issue_key(
            c,
            user_id=an_id("user", 1),
            key_hash=b"n" * 32,
            asked_with=a_hash(1),
            keep=False,
            most=9,
        ),
        "issued",
    ),
    "add a guest who solved a challenge": Hot(
        lambda c, n: users.add_solved(
            c, [SolvedGuestItem(uuid4(), uuid4().bytes * 2, uuid4().bytes, LATER) for _ in range(n)]
        ),
        "added",
    ),
    "revoke keys": Hot(
        lambda c, _: users.revoke_keys(c, user_id=an_id("user", 2), kept=None), "revoked"
    ),
    "open sessions": Hot(
        lambda c, n: users.open_sessions(
            c,
            [
                SessionItem(user_id, uuid4().bytes * 2, uuid4().bytes * 2, 600)
                for user_id in ids("user", 1, n)
            ],
            most=9,
        ),
        "opened",
    ),
    "end a session": Hot(
        lambda c, _: users.end_session(
            c, key_hash=hashlib.sha256(b"session3").digest(), lasting=False
        ),
        1,
    ),
    "join, new": Hot(
        lambda c, n: rooms.join(
            c, [JoinItem(uuid4(), None, uuid4()) for _ in range(n)], room_id=ROOM
        ),
        "new",
    ),
    "join, new, by key": Hot(
        lambda c, n: rooms.join(
            c, [JoinItem(None, a_hash(k), uuid4()) for k in range(1, n + 1)], room_id=ROOM
        ),
        "new",
    ),
    "join, live": Hot(
        lambda c, n: rooms.join(
            c, [JoinItem(user, None, uuid4()) for user in ids("user", 30_001, n)], room_id=ROOM
        ),
        "live",
    ),
    "enter": Hot(lambda c, n: rooms.enter(c, entering(19_501, n)), "admitted"),
    "enter, first": Hot(lambda c, n: rooms.enter(c, entering(19_901, n)), "admitted", most=100),
    "leave, waiting": Hot(lambda c, n: reservations.leave(c, leaves(30_001, n)), "left"),
    "leave, holding": Hot(lambda c, n: reservations.leave(c, leaves(17_001, n)), "left"),
    # The admitted places are read twice: for those that have ended, and to count them.
    "admit, cap": Hot(
        lambda c, _: admit(c, cap=3_100, rate=None, rate_seconds=None), "done", 2 * 3_000 + 3 * 100
    ),
    "admit, rate": Hot(
        lambda c, _: admit(c, cap=None, rate=1_000, rate_seconds=10.0), "done", 2 * 3_000 + 3 * 100
    ),
    "hold": Hot(lambda c, n: hold(c, 19_501, n, unknown), "held"),
    "hold, first": Hot(lambda c, n: hold(c, 19_901, n, unknown), "held", most=100),
    "hold, of networks": Hot(lambda c, n: hold(c, 19_501, n, of_a_holder), "held"),
    # Beside what a hold reads: a part of a row, and as much again for seats taken by others.
    "hold, best": Hot(
        lambda c, n: hold_best(c, n, unknown), "held", ROWS_AN_ITEM * BATCH, most=400
    ),
    "hold, best, of networks": Hot(
        lambda c, n: hold_best(c, n, of_a_holder), "held", ROWS_AN_ITEM * BATCH, most=400
    ),
    "release": Hot(lambda c, n: reservations.release(c, releases(n)), "released"),
    "expire": Hot(lambda c, n: reservations.expire(c, limit=n), ITEMS, most=100),
    "charge": Hot(lambda c, n: charge(c, 19_501, n), "charged"),
    "charge, first": Hot(lambda c, n: charge(c, 19_901, n), "charged", most=100),
    "pay": Hot(pay, "paid"),
    "follow seats": Hot(follow, 1),
    "refund": Hot(
        lambda c, n: payments.refund(
            c, [RefundItem(uuid4(), payment_id, None) for payment_id in ids("payment", 1, n)]
        ),
        "refunded",
    ),
    # Once through the show's tickets and once through all holds, to release those of the show.
    "cancel": Hot(cancel, "running", 2_600 + ROWS_AN_ITEM * BATCH),
    "check in": Hot(
        lambda c, n: tickets.check_in(
            c,
            [
                CheckInItem(ticket_id, "21fe31df", uuid4(), "North 2", None, an_id("concert", 1))
                for ticket_id in ids("ticket", 1, n)
            ],
        ),
        "checked_in",
    ),
    "erase": Hot(
        lambda c, _: erasing.erase(c, user_id=an_id("user", 17_001), force=True), "erased", 8
    ),
    "sweep": Hot(
        lambda c, _: erasing.sweep(c, room_id=ROOM, user_id=an_id("user", 17_001)), False, 2
    ),
    # Found, locked and deleted. It continues from its last position, in lines of any length.
    "prune places": Hot(
        lambda c, n: pruning.prune_places(c, room_id=ROOM, before=LATER, limit=n), ITEMS
    ),
    "prune holds": Hot(prune_holds, True, ROWS_AN_ITEM * (BATCH + 50)),
    "prune keys": Hot(lambda c, n: pruning.prune_keys(c, before=LATER, limit=n), ITEMS),
    # Once through the holds that are not swept yet.
    "stock of concerts": Hot(
        lambda c, _: snapshot_queries.queries.concert_stock(
            c, mark=None, seen_at=None, concert_ids=[an_id("concert", 1)]
        ),
        1,
        2_600,
    ),
}
QUERIES = {
    "places": Hot(
        lambda c, n: rooms.places(c, [PlaceItem(ROOM, 20_001 + i) for i in range(n)]),
        ITEMS,
    ),
    "left between": Hot(
        lambda c, n: snapshot_queries.queries.left_between(c, [LeaversItem(ROOM, 0, 9, 0)] * n),
        ITEMS,
    ),
    # Once through the holds that are not swept yet, for any number of shows.
    "stock of shows": Hot(
        lambda c, n: concerts.stock_of_shows(c, show_ids=ids("show", 1, n)), ITEMS, 2_600, most=50
    ),
    "seats of a show": Hot(
        # Once for the states, once for the active holds, once for the log.
        lambda c, _: seat_maps.seats_of_show(
            c, show_id=an_id("show", 20), kept_seconds=600.0, most=1_000
        ),
        SOMETHING,
        3 * 1_000,
    ),
    "reservations": Hot(
        lambda c, n: reservations.reservations(
            c, [ReservationItem(one.reservation_id, one.user_id) for one in releases(n)]
        ),
        ITEMS,
    ),
    "reservations of a user": Hot(
        lambda c, _: reservations.reservations_of_user(c, user_id=an_id("user", 17_001), limit=10),
        1,
    ),
    "balances": Hot(lambda c, n: wallet.balances(c, user_ids=ids("user", 1, n)), ITEMS),
    "transfers": Hot(
        lambda c, _: wallet.transfers(c, user_id=an_id("user", 1), before=2**31 - 1, limit=10), 2
    ),
    "payments of a user": Hot(
        lambda c, _: payments.payments_of_user(c, user_id=an_id("user", 1), after=None, limit=10), 1
    ),
    "payments of a concert": Hot(
        lambda c, _: sales.payments_of_concert(
            c, concert_id=an_id("concert", 1), after=an_id("payment", 5_000), limit=100
        ),
        100,
        ROWS_AN_ITEM * 100,
        most=1,
    ),
    "payments of an id": Hot(
        lambda c, _: sales.payments_of_id(c, any_id=an_id("user", 1), limit=100), 1
    ),
    "live holds of a concert": Hot(
        lambda c, _: reservations.active_holds(c, concert_id=an_id("concert", 1), limit=50),
        SOMETHING,
        2_600,
    ),
    "let in": Hot(lambda c, _: sales.let_in(c, show_id=an_id("show", 1)), SOMETHING, 2_600),
    "tickets of a user": Hot(
        lambda c, _: tickets.tickets_of_user(c, user_id=an_id("user", 1), limit=9),
        1,
    ),
    "users of keys": Hot(
        lambda c, n: users.users_of_keys(c, key_hashes=[a_hash(number) for number in range(n)]),
        ITEMS,
    ),
    "revoked since": Hot(lambda c, _: users.revoked_since(c, after=998), 2),
}


class Seen(NamedTuple):
    """The result of a statement, and what it read: tables with a full scan, rows by table."""

    outcome: object
    read_through: set[str]
    rows: dict[str, int]


ANALYSED_EMPTY = "cached while empty and analysed"
STATES = ["cached while empty", "never analysed", "analysed"]
in_each_state = pytest.mark.parametrize(
    "grown", [*STATES, ANALYSED_EMPTY], indirect=True, scope="module"
)
# Plain queries have no settings: such a plan lasts until autovacuum analyses the grown table.
in_states_of_queries = pytest.mark.parametrize("grown", STATES, indirect=True, scope="module")


@pytest.fixture(scope="module")
async def grown(
    request: pytest.FixtureRequest, engine: EmbeddedServer, template: Database
) -> AsyncIterator[Connection]:
    """A connection to a large database, with the plans and the statistics of one state."""
    state: str = request.param
    async with fresh_database(engine, template) as database:
        owner = await asyncpg.connect(database.owner_url)
        app = await asyncpg.connect(database.app_url, server_settings=SERVER_SETTINGS)
        try:
            # Otherwise the server analyses the tables at a time of its own choice.
            for table in TABLES:
                await owner.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
            # The first use of pg_temp creates a schema, which would invalidate all cached plans.
            await owner.execute("CREATE TEMP TABLE first_use ()")
            await owner.execute(PLAIN_JOIN)
            if state == ANALYSED_EMPTY:
                await owner.execute("ANALYZE")
            if state.startswith("cached"):
                for _ in range(CALLS_UNTIL_CACHED):
                    for hot in (FUNCTIONS | QUERIES).values():
                        await _measure(app, hot.call, 1)
                await _measure(app, plain_join, 1)
            await owner.execute(GROWN)
            if state == "analysed":
                await owner.execute("ANALYZE")
            yield app
        finally:
            await app.close()
            await owner.close()


@in_each_state
@pytest.mark.parametrize("batch", [1, BATCH])
@pytest.mark.parametrize("name", FUNCTIONS)
async def test_hot_function_reads_few_rows(grown: Connection, name: str, batch: int) -> None:
    """No full scan, and no more rows of any table than the items need."""
    await _check(grown, FUNCTIONS[name], batch)


@in_states_of_queries
@pytest.mark.parametrize("batch", [1, BATCH])
@pytest.mark.parametrize("name", QUERIES)
async def test_hot_query_reads_few_rows(grown: Connection, name: str, batch: int) -> None:
    """The same for plain queries."""
    await _check(grown, QUERIES[name], batch)


async def _check(grown: Connection, hot: Hot, batch: int) -> None:
    items = min(batch, hot.most)
    rows = ROWS_AN_ITEM * items if hot.rows is None else hot.rows
    seen = await _measure(grown, hot.call, items)
    if hot.outcome is not SOMETHING:
        assert seen.outcome == (items if hot.outcome is ITEMS else hot.outcome)
    assert seen.read_through == set()
    assert {table: read for table, read in seen.rows.items() if read > rows} == {}


@pytest.mark.parametrize("items", [1, BATCH])
async def test_functions_on_empty_tables_use_an_index(database: Database, items: int) -> None:
    """The functions use an index from the first call on."""
    app = await asyncpg.connect(database.app_url, server_settings=SERVER_SETTINGS)
    try:
        seen = {name: await _measure(app, hot.call, items) for name, hot in FUNCTIONS.items()}
    finally:
        await app.close()
    assert {name: one.read_through for name, one in seen.items() if one.read_through} == {}


@in_each_state
async def test_control_full_scan_is_counted(grown: Connection) -> None:
    """Control: without a usable index, the same counting finds the scan and its rows."""
    seen = await _measure(
        grown, lambda c, _: c.fetch("SELECT count(*) FROM place WHERE reason = 'paid'"), 1
    )
    assert (seen.read_through, seen.rows["place"]) == ({"place"}, 50_000)


@in_each_state
async def test_control_plan_of_an_empty_table_is_counted(
    grown: Connection, request: pytest.FixtureRequest
) -> None:
    """Control: a plain join, planned for an empty table, reads the whole line for one row."""
    state = request.node.callspec.params["grown"]
    seen = await _measure(grown, plain_join, 1)
    assert seen.read_through == set()
    assert seen.rows["place"] == (50_000 if state == ANALYSED_EMPTY else 1)


async def _measure(connection: Connection, call: Call, items: int) -> Seen:
    """Returns what a call with ``items`` items reads; the call is rolled back."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        before = {row["relname"]: row for row in await connection.fetch(READ, TABLES)}
        answer = await call(connection, items)
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
    if rows and hasattr(rows[0], "outcome"):
        return rows[0].outcome
    if rows and isinstance(rows[0], asyncpg.Record) and "outcome" in rows[0].keys():  # noqa: SIM118 - a record holds values
        return rows[0]["outcome"]
    return len(answer) if isinstance(answer, list) else answer
