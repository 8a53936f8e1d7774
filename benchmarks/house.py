"""Concerts, users and tickets for the benchmarks, inserted with SQL.

Each fills one concert of its own. Tokens are signed with the installation's key, so that the server
accepts them.
"""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import msgspec

from frontrow.concerts.model import NewConcert, NewShow, Show
from frontrow.concerts.service import Concerts
from frontrow.ids import PlaceRef
from frontrow.payments.ticket_signing import load_ticket_signer
from frontrow.waiting_room.policy import MaxActivePolicy
from frontrow.waiting_room.settings import RoomSettings
from frontrow.waiting_room.token import load_signer

_WAIT_FOR_EVER = MaxActivePolicy(max_active=1)
_SEATS_A_SHOW = 100_000


class House(msgspec.Struct, frozen=True):
    """One concert and the people in its line."""

    concert_id: UUID
    room_id: int
    shows: list[Show]
    places: list[PlaceRef]
    tokens: list[str]


async def fill(
    pool: asyncpg.Pool,
    people: int,
    *,
    admitted: bool,
    shows: int = 1,
    seats: int = _SEATS_A_SHOW,
    balance: int = 0,
) -> House:
    """Creates a concert with ``people`` in its line, all waiting or all admitted."""
    signer = await load_signer(pool, remembered_tokens=1)
    concert, _ = await Concerts(pool, currency="KRW").create(
        NewConcert(
            title="Benchmark",
            max_seats_per_user=100,
            hold_seconds=3600,
            shows=[
                NewShow(starts_at=datetime.now(UTC) + timedelta(days=i), price=1000, seats=seats)
                for i in range(1, shows + 1)
            ],
        ),
        RoomSettings(policy=_WAIT_FOR_EVER, session_seconds=86_400, claim_seconds=3600),
        None,
    )
    room_id = await pool.fetchval(
        "SELECT room_id FROM waiting_room WHERE concert_id = $1", concert.concert_id
    )
    users, place_ids = [uuid4() for _ in range(people)], [uuid4() for _ in range(people)]
    now = datetime.now(UTC).replace(microsecond=0)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            """
            INSERT INTO place (place_id, user_id, joined_at, room_id, number, state, admitted_at,
                claimed_at, session_until, expires_at)
            SELECT p, u, $3::timestamptz, $4::int, n, CASE WHEN $5 THEN 'admitted' ELSE 'waiting'
            END::place_state,
                CASE WHEN $5 THEN $3::timestamptz END, CASE WHEN $5 THEN $3::timestamptz END,
                CASE WHEN $5 THEN $3::timestamptz + interval '1 day' END,
                CASE WHEN $5 THEN $3::timestamptz + interval '1 day' END
            FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS k (u, p, n)
            """,
            users, place_ids, now, room_id, admitted,
        )  # fmt: skip
        await connection.execute(
            "UPDATE waiting_room SET issued = $2, serving = CASE WHEN $3 THEN $2 ELSE 0 END,"
            " called = CASE WHEN $3 THEN $2 ELSE 0 END,"
            " opens_at = CASE WHEN $3 THEN NULL ELSE clock_timestamp() + interval '1 day' END"
            " WHERE room_id = $1",
            room_id, people, admitted,
        )  # fmt: skip
        if balance:
            await _give(connection, users, balance)
    places = [
        PlaceRef(user, concert.concert_id, room_id, number, place_id, now)
        for number, (user, place_id) in enumerate(zip(users, place_ids, strict=True), 1)
    ]
    rows = await pool.fetch(
        "SELECT show_id, concert_id, date, starts_at, sales_end_at, seats_total FROM show"
        " WHERE concert_id = $1 ORDER BY starts_at",
        concert.concert_id,
    )
    return House(
        concert.concert_id, room_id, [Show(**row) for row in rows], places,
        [signer.sign(place) for place in places],
    )  # fmt: skip


async def add_users(pool: asyncpg.Pool, people: int) -> list[str]:
    """Creates guest accounts; returns their keys."""
    keys = ["frk_" + secrets.token_urlsafe(32) for _ in range(people)]
    await pool.execute(
        """
        WITH new AS MATERIALIZED (
            SELECT gen_random_uuid() AS user_id, k AS key_hash FROM unnest($1::bytea[]) AS k
        ),
        added AS (INSERT INTO app_user SELECT user_id, clock_timestamp() FROM new)
        INSERT INTO user_key SELECT key_hash, user_id, clock_timestamp() FROM new
        """,
        [hashlib.sha256(key.encode()).digest() for key in keys],
    )
    return keys


async def give_tickets(pool: asyncpg.Pool, house: House, tickets: int) -> list[str]:
    """Sells seats 1..``tickets`` of the first show to one user; returns the tickets' codes."""
    show_id, payment_id = house.shows[0].show_id, uuid4()
    ticket_ids = [uuid4() for _ in range(tickets)]
    await pool.execute(
        """
        INSERT INTO ticket (ticket_id, payment_id, user_id, show_id, number)
        SELECT t, $2, $3, $4, n FROM unnest($1::uuid[]) WITH ORDINALITY AS k (t, n)
        """,
        ticket_ids, payment_id, house.places[0].user_id, show_id,
    )  # fmt: skip
    await pool.execute("ANALYZE ticket")
    signer = await load_ticket_signer(pool)
    return await signer.codes([(t, show_id, n) for n, t in enumerate(ticket_ids, 1)])


async def hold_one_each(pool: asyncpg.Pool, house: House) -> list[UUID]:
    """Gives the i-th user a hold of seat i of the first show; returns the reservations."""
    reservations = [uuid4() for _ in house.places]
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            """
            INSERT INTO reservation (reservation_id, user_id, concert_id, show_id, room_id,
                place_number, request_hash, seats, amount, created_at, held_until)
            SELECT r, u, $3, $4, $5, n, 0, ARRAY[n::int], 1000, now(), now() + interval '1 hour'
            FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS k (r, u, n)
            """,
            reservations, [place.user_id for place in house.places], house.concert_id,
            house.shows[0].show_id, house.room_id,
        )  # fmt: skip
        await connection.execute(
            """
            UPDATE seat AS s SET reservation_id = k.r, held_until = now() + interval '1 hour'
            FROM unnest($1::uuid[]) WITH ORDINALITY AS k (r, n)
            WHERE s.show_id = $2 AND s.number = k.n
            """,
            reservations,
            house.shows[0].show_id,
        )
    await pool.execute("ANALYZE reservation")
    return reservations


async def _give(connection: asyncpg.Connection, users: list[UUID], balance: int) -> None:
    await connection.execute(
        "INSERT INTO wallet SELECT u, $2, 1 FROM unnest($1::uuid[]) AS u", users, balance
    )
    await connection.execute(
        """
        INSERT INTO transfer (transfer_id, user_id, entry, kind, debit_account, credit_account,
            amount, balance, created_at)
        SELECT gen_random_uuid(), u, 1, 'charge', a.account_id, u, $2, $2, now()
        FROM unnest($1::uuid[]) AS u, house_account AS a WHERE a.name = 'cash'
        """,
        users, balance,
    )  # fmt: skip
