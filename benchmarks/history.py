"""Calls beside a long history: ``python -m benchmarks.history``.

Two databases of one embedded PostgreSQL with the settings of production: a new one, and one where
a million users have bought a ticket each. Users join by their key, hold a seat each and pay, in
batches on one connection: new users in both databases, and in the second one also a random sample
of the million. All three in turns; the ratios are those to the new database, medians of the turns.
"""

import argparse
import hashlib
import random
import shutil
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import uvloop

from benchmarks import house
from benchmarks.bounds import Found, report
from frontrow.db.cluster import APP
from frontrow.db.migrate import migrate
from frontrow.db.pool import SERVER_SETTINGS
from frontrow.db.server import EmbeddedServer
from frontrow.ids import new_id
from frontrow.payments.queries import PayItem
from frontrow.payments.queries import queries as payments
from frontrow.reservations.model import AddressSeats
from frontrow.reservations.queries import HoldItem
from frontrow.reservations.queries import queries as reservations
from frontrow.waiting_room.queries import JoinItem
from frontrow.waiting_room.queries import queries as line_queries

RESULTS = Path(__file__).with_name("results") / "history.json"
USERS = 1_000_000
SEATS = 50_000
PRICE = 1000
BATCH = 100
CALLS = ("join", "hold", "pay")
AT_MOST = 1.05

# $1: the users, $2: the hashes of their keys, $3: the transfers of the money for one seat each.
_NEW_USERS = """
WITH new AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::uuid[]) AS k (user_id, key_hash, transfer_id)
),
added AS (INSERT INTO app_user SELECT user_id, now() FROM new),
keyed AS (INSERT INTO user_key SELECT key_hash, user_id, now() FROM new),
rich AS (INSERT INTO wallet SELECT user_id, 1000, 1 FROM new)
INSERT INTO transfer (transfer_id, user_id, entry, kind, debit_account, credit_account, amount,
    balance, created_at)
SELECT transfer_id, user_id, 1, 'charge', a.account_id, user_id, 1000, 1000, now()
FROM new, house_account AS a WHERE a.name = 'cash'
"""
# $1 and $2: the first and the last user. Each has the money for one seat.
_USERS = """
INSERT INTO app_user SELECT md5('u' || n)::uuid, now() - interval '90 days'
FROM generate_series($1::int, $2::int) AS n;
INSERT INTO user_key
SELECT sha256(('k' || n)::bytea), md5('u' || n)::uuid, now() - interval '90 days'
FROM generate_series($1::int, $2::int) AS n;
INSERT INTO wallet SELECT md5('u' || n)::uuid, 1000, 1 FROM generate_series($1::int, $2::int) AS n;
INSERT INTO transfer (transfer_id, user_id, entry, kind, debit_account, credit_account, amount,
    balance, created_at)
SELECT pg_temp.id(n, 't'), md5('u' || n)::uuid, 1, 'charge', a.account_id, md5('u' || n)::uuid,
    1000, 1000, now() - interval '90 days'
FROM generate_series($1::int, $2::int) AS n, house_account AS a WHERE a.name = 'cash';
"""
# $3: the room, $4: its concert, $5: its show. Each user has charged and paid for one seat before.
_PURCHASES = """
UPDATE wallet SET entries = 3 WHERE user_id IN (
    SELECT md5('u' || n)::uuid FROM generate_series($1::int, $2::int) AS n
);
INSERT INTO transfer (transfer_id, user_id, entry, kind, debit_account, credit_account, amount,
    balance, reference, created_at)
SELECT pg_temp.id(n, 'p'), md5('u' || n)::uuid, 2, 'payment', md5('u' || n)::uuid, a.account_id,
    1000, 0, pg_temp.id(n, 'p'), now() - interval '90 days'
FROM generate_series($1::int, $2::int) AS n, house_account AS a WHERE a.name = 'sales';
INSERT INTO transfer (transfer_id, user_id, entry, kind, debit_account, credit_account, amount,
    balance, created_at)
SELECT pg_temp.id(n, 'c'), md5('u' || n)::uuid, 3, 'charge', a.account_id, md5('u' || n)::uuid,
    1000, 1000, now() - interval '90 days'
FROM generate_series($1::int, $2::int) AS n, house_account AS a WHERE a.name = 'cash';
INSERT INTO place (place_id, user_id, joined_at, room_id, number, state, reason, admitted_at,
    claimed_at, session_until, expires_at, finished_at)
SELECT gen_random_uuid(), md5('u' || n)::uuid, t.at, $3, n - $1::int + 1, 'finished', 'paid', t.at,
    t.at, t.at + interval '600 s', t.at + interval '600 s', t.at + interval '60 s'
FROM generate_series($1::int, $2::int) AS n, (SELECT now() - interval '90 days' AS at) AS t;
INSERT INTO reservation (reservation_id, user_id, concert_id, show_id, room_id, place_number,
    request_hash, seats, amount, state, created_at, held_until, closed_at)
SELECT pg_temp.id(n, 'r'), md5('u' || n)::uuid, $4, $5, $3, n - $1::int + 1, 1,
    ARRAY[n - $1::int + 1], 1000, 'paid', t.at, t.at + interval '300 s', t.at + interval '60 s'
FROM generate_series($1::int, $2::int) AS n, (SELECT now() - interval '90 days' AS at) AS t;
UPDATE seat SET reservation_id = pg_temp.id($1::int + number - 1, 'r'), held_until = 'infinity'
WHERE show_id = $5;
INSERT INTO payment (payment_id, reservation_id, user_id, concert_id, show_id, seats, amount,
    balance, paid_at)
SELECT pg_temp.id(n, 'p'), pg_temp.id(n, 'r'), md5('u' || n)::uuid, $4, $5,
    ARRAY[n - $1::int + 1], 1000, 0, now() - interval '90 days'
FROM generate_series($1::int, $2::int) AS n;
INSERT INTO ticket (ticket_id, payment_id, user_id, show_id, number)
SELECT gen_random_uuid(), pg_temp.id(n, 'p'), md5('u' || n)::uuid, $5, n - $1::int + 1
FROM generate_series($1::int, $2::int) AS n;
UPDATE stock SET sold = $2::int - $1::int + 1, revenue = 1000 * ($2::int - $1::int + 1)
WHERE show_id = $5;
UPDATE waiting_room SET issued = $2::int - $1::int + 1, serving = $2::int - $1::int + 1,
    called = $2::int - $1::int + 1
WHERE room_id = $3;
"""
# Ids as Frontrow's: in order of time, otherwise random.
_ID = """
CREATE FUNCTION pg_temp.id(n int, kind text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (
        lpad(to_hex(1700000000000 + n), 12, '0') || '7' || substr(md5(kind || n), 1, 3) || '8'
        || substr(md5(kind || n), 5, 15)
    )::uuid
$$
"""
_ADMIT = """
UPDATE place SET state = 'admitted', admitted_at = now(), expires_at = now() + interval '1 hour'
WHERE room_id = $1
"""


class Side:
    """A database, and who buys: the users of its history with these numbers, or else new users."""

    def __init__(self, database: str, returning: Sequence[int] = ()) -> None:
        self.database = database
        self.buyers = "returning users" if returning else "new users"
        self.pool: asyncpg.Pool
        self.connection: asyncpg.Connection
        self._returning = iter(returning)

    async def open(self, url: str, app_url: str) -> None:
        """Connects: as the owner, to fill tables, and as the application, to measure."""
        self.pool = await asyncpg.create_pool(url, min_size=1, max_size=2)
        self.connection = await asyncpg.connect(app_url, server_settings=SERVER_SETTINGS)

    async def close(self) -> None:
        """Disconnects."""
        await self.connection.close()
        await self.pool.close()

    async def _keys(self, users: int) -> list[bytes]:
        """Returns the hashes of the keys of the next buyers."""
        if self.buyers == "returning users":
            return [_hash(f"k{number}") for number in islice(self._returning, users)]
        keys = [_hash(str(new_id())) for _ in range(users)]
        await self.pool.execute(
            _NEW_USERS, *([new_id() for _ in keys], keys, [new_id() for _ in keys])
        )
        return keys

    async def turn(self, calls: int) -> list[float]:
        """Joins, holds and pays; returns the CPU of each in the database, in µs per call."""
        full = await house.fill(self.pool, 0, admitted=False, seats=calls)
        keys = await self._keys(calls)
        joined: list[tuple[UUID, UUID, int]] = []
        held: list[UUID] = []
        seats = count(1)

        async def join(some: Sequence[bytes]) -> None:
            items = [JoinItem(None, key, uuid4()) for key in some]
            rows = await line_queries.join(self.connection, items, room_id=full.room_id)
            joined.extend((row.user_id, row.place_id, row.number) for row in rows)

        def place(user: UUID, place_id: UUID, number: int) -> tuple[int, int, UUID, UUID, UUID]:
            return full.room_id, number, place_id, user, full.concert_id

        async def hold(some: Sequence[tuple[UUID, UUID, int]]) -> None:
            show_id = full.shows[0].show_id
            items = [HoldItem(*place(*one), new_id(), 0, show_id, 1) for one in some]
            rows = await reservations.hold(
                self.connection, items, seats=[next(seats) for _ in some],
                address_seats=AddressSeats(), unpaid_holds=20, unpaid_seconds=600,
            )  # fmt: skip
            _expect("held", [row.outcome for row in rows])
            held.extend(item.reservation_id for item in items)

        async def pay(some: Sequence[tuple[tuple[UUID, UUID, int], UUID]]) -> None:
            items = [PayItem(*place(*one), new_id(), hold, PRICE) for one, hold in some]
            rows = await payments.pay(self.connection, items)
            _expect("paid", [row.outcome for row in rows])

        found = [await self._cpu_us(join, keys)]
        await self.pool.execute(_ADMIT, full.room_id)
        found.append(await self._cpu_us(hold, joined))
        found.append(await self._cpu_us(pay, list(zip(joined, held, strict=True))))
        return found

    async def _cpu_us(self, run: Callable[[Any], Awaitable[None]], items: Sequence[Any]) -> float:
        before = self._cpu_ns()
        for at in range(0, len(items), BATCH):
            await run(items[at : at + BATCH])
        await self.connection.execute("SELECT 1")  # the commit before it has ended
        return (self._cpu_ns() - before) / len(items) / 1e3

    def _cpu_ns(self) -> int:
        """Returns the CPU time of the connection's process, as Linux counts it."""
        path = Path(f"/proc/{self.connection.get_server_pid()}/schedstat")
        return int(path.read_text(encoding="ascii").split()[0])


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _expect(wanted: str, outcomes: list[str]) -> None:
    if set(outcomes) != {wanted}:
        raise RuntimeError(f"{set(outcomes)}, not {wanted}")


async def _fill(side: Side, users: int) -> None:
    """Creates users 1 to ``users``, who have bought a seat each."""
    async with side.pool.acquire() as connection:
        await connection.execute(_ID)
        for first in range(1, users + 1, SEATS):
            last = min(first + SEATS - 1, users)
            await _execute(connection, _USERS, first, last)
            full = await house.fill(side.pool, 0, admitted=True, seats=last - first + 1)
            await _execute(
                connection, _PURCHASES, first, last, full.room_id,
                f"'{full.concert_id}'::uuid", f"'{full.shows[0].show_id}'::uuid",
            )  # fmt: skip
        await connection.execute("VACUUM (ANALYZE)")


async def _execute(connection: asyncpg.Connection, script: str, *values: object) -> None:
    """Runs a script, with values in the place of its parameters: they are ours."""
    for number, value in enumerate(values, 1):
        script = script.replace(f"${number}", str(value))
    await connection.execute(script)


async def measure(server: EmbeddedServer, users: int, turns: int, calls: int) -> list[Found]:
    """Fills a database and measures both in turns."""
    returning = random.sample(range(1, users + 1), (turns + 1) * calls)
    new, history, known = Side("new"), Side("history"), Side("history", returning)
    owner = await asyncpg.connect(server.owner_url)
    for side in (new, history, known):
        url, app_url = (
            urlsplit(url)._replace(path=f"/{side.database}").geturl()
            for url in (server.owner_url, server.app_url)
        )
        if side is not known:
            await owner.execute(f"CREATE DATABASE {side.database}")
            await owner.execute(f"GRANT CONNECT ON DATABASE {side.database} TO {APP}")
            await migrate(url, app_role=APP)
        await side.open(url, app_url)
    await owner.close()
    await _fill(history, users)
    costs: dict[Side, list[list[float]]] = {new: [], history: [], known: []}
    for side in costs:
        await side.turn(calls)  # fills caches, and is not counted
    for number in range(turns):
        order = list(costs) if number % 2 == 0 else list(costs)[::-1]
        for side in order:
            costs[side].append(await side.turn(calls))
            print(f"{side.database}, {side.buyers}: {costs[side][-1]}", file=sys.stderr)
    for side in costs:
        await side.close()
    return [
        found
        for at, call in enumerate(CALLS)
        for found in (
            Found(f"{call}, new database", round(_median(costs[new], at), 1), "µs"),
            *_compared(at, costs[new], costs[history], f"{users:,} users before", at_most=AT_MOST),
            *_compared(at, costs[new], costs[known], "one of these users"),
        )
    ]


def _compared(
    at: int,
    short: list[list[float]],
    long: list[list[float]],
    what: str,
    *,
    at_most: float | None = None,
) -> list[Found]:
    ratio = statistics.median(b[at] / a[at] for a, b in zip(short, long, strict=True))
    return [
        Found(f"{CALLS[at]}, {what}", round(_median(long, at), 1), "µs"),
        Found(f"{CALLS[at]}, {what}: ratio", round(ratio, 3), "", at_most),
    ]


def _median(costs: list[list[float]], at: int) -> float:
    return statistics.median(cost[at] for cost in costs)


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--calls", type=int, default=5_000, help="calls of a kind in a turn")
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="frontrow-benchmark-"))
    try:
        with EmbeddedServer(folder) as server:
            found = uvloop.run(measure(server, asked.users, asked.turns, asked.calls))
    finally:
        shutil.rmtree(folder)
    return report("CPU of PostgreSQL per call, in batches of 100", found, asked.output)


if __name__ == "__main__":
    sys.exit(main())
