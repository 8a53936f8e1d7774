"""The rows of a small sale, written directly into the tables in the transaction of a test."""

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import asyncpg

PRICE = 50_000
SEATS = 10


@dataclass(frozen=True)
class Place:
    """A user's place in the line, and the arguments that functions take for it."""

    user_id: UUID
    place_id: UUID
    room_id: int
    number: int

    @property
    def key(self) -> dict[str, list[Any]]:
        """The place as the first arguments of a batch function."""
        return {"rooms": [self.room_id], "numbers": [self.number], "places": [self.place_id]}


@dataclass
class Sale:
    """A concert with its line and one show.

    Rows are written without the functions, so that a test depends on the function it calls alone.
    """

    connection: asyncpg.Connection
    concert_id: UUID = field(default_factory=uuid4)
    show_id: UUID = field(default_factory=uuid4)
    room_id: int = 0

    @classmethod
    async def create(cls, connection: asyncpg.Connection) -> "Sale":
        """Inserts the concert, its waiting room, and a show of ten seats tomorrow."""
        sale = cls(connection)
        await sale.add_concert(sale.concert_id)
        sale.room_id = await connection.fetchval(
            """INSERT INTO waiting_room (concert_id, policy, session_seconds, claim_seconds)
            VALUES ($1, $2, 600, 120) RETURNING room_id""",
            sale.concert_id,
            json.dumps({"kind": "max_active", "max_active": 100}),
        )
        await sale.add_show(sale.show_id, sale.concert_id)
        return sale

    async def add_concert(self, concert_id: UUID) -> None:
        """Inserts a concert: holds of 300 s, four seats per user, refunds until tomorrow."""
        await self.execute(
            """INSERT INTO concert (
                concert_id, request_hash, title, timezone, currency, hold_seconds,
                max_seats_per_user, created_at, refundable_until
            ) VALUES ($1, 0, 'An evening', 'Asia/Seoul', 'KRW', 300, 4, now(), now() + '1 day')""",
            concert_id,
        )

    async def add_show(self, show_id: UUID, concert_id: UUID) -> None:
        """Inserts a show of ten seats."""
        await self.execute(
            """INSERT INTO show (
                show_id, concert_id, request_hash, starts_at, date, sales_end_at, seats_total,
                price_from
            ) SELECT $1, $2, 0, t, t::date, t, $3, $4 FROM (SELECT now() + '1 day' AS t) AS day""",
            show_id,
            concert_id,
            SEATS,
            PRICE,
        )
        await self.execute("INSERT INTO stock (show_id) VALUES ($1)", show_id)
        await self.execute(
            """INSERT INTO show_section (
                show_id, ordinal, price, first_number, last_number, seats_per_row
            ) VALUES ($1, 1, $2, 1, $3, $3)""",
            show_id,
            PRICE,
            SEATS,
        )
        await self.execute(
            """INSERT INTO seat (show_id, number, price)
            SELECT $1, n, $2 FROM generate_series(1, $3) AS n""",
            show_id,
            PRICE,
            SEATS,
        )

    async def place(self, state: str = "admitted", *, user_id: UUID | None = None) -> Place:
        """Inserts a place with the next number.

        ``state``: waiting; admitted (its claim window runs); claimed (its session runs); overdue
        (admitted, its claim window has passed); paid, left, expired (finished for that reason).
        Places that were admitted come before the waiting ones.
        """
        finished = state in ("paid", "left", "expired")
        admitted = state != "waiting"
        number = await self.fetchval(
            """UPDATE waiting_room
            SET issued = issued + 1, serving = serving + $2, called = called + $2
            WHERE room_id = $1 RETURNING issued""",
            self.room_id,
            int(admitted),
        )
        place = Place(user_id or uuid4(), uuid4(), self.room_id, number)
        claimed = state in ("claimed", "paid")
        await self.execute(
            """INSERT INTO place (
                place_id, user_id, joined_at, room_id, number, state, reason, admitted_at,
                claimed_at, session_until, expires_at, finished_at
            ) SELECT $1, $2, t - '1 hour'::interval, $3, $4, $5::text::place_state,
                $6::text::finish_reason, CASE WHEN $7 THEN t - '1 hour'::interval END,
                CASE WHEN $8 THEN t END, CASE WHEN $8 THEN t + '10 minutes'::interval END,
                CASE WHEN $7 THEN t + $9 * '1 second'::interval END, CASE WHEN $10 THEN t END
            FROM (SELECT clock_timestamp() AS t) AS now""",
            place.place_id,
            place.user_id,
            self.room_id,
            number,
            "finished" if finished else "admitted" if admitted else "waiting",
            state if finished else None,
            admitted,
            claimed,
            -1.0 if state == "overdue" else 120.0,
            finished,
        )
        return place

    async def hold(
        self, place: Place, seats: list[int], *, state: str = "held", seconds: float = 300
    ) -> UUID:
        """Inserts a reservation; its seats are assigned while it is held or paid.

        A negative ``seconds`` is a hold that has expired.
        """
        reservation_id = uuid4()
        await self.execute(
            """INSERT INTO reservation (
                reservation_id, user_id, concert_id, show_id, room_id, place_number, request_hash,
                seats, amount, state, created_at, held_until, closed_at
            ) SELECT $1, $2, $3, $4, $5, $6, 0, $7, $8, $9::text::reservation_state,
                t - '1 hour'::interval, t + $10 * '1 second'::interval,
                CASE WHEN $9::text <> 'held' THEN t END
            FROM (SELECT clock_timestamp() AS t) AS now""",
            reservation_id,
            place.user_id,
            self.concert_id,
            self.show_id,
            self.room_id,
            place.number,
            seats,
            len(seats) * PRICE,
            state,
            float(seconds),
        )
        if state in ("held", "paid"):
            await self.execute(
                """UPDATE seat SET reservation_id = $1, held_until = CASE
                    WHEN $2 THEN 'infinity' ELSE clock_timestamp() + $3 * '1 second'::interval END
                WHERE show_id = $4 AND number = ANY ($5)""",
                reservation_id,
                state == "paid",
                float(seconds),
                self.show_id,
                seats,
            )
        return reservation_id

    async def wallet(self, user_id: UUID, balance: int) -> None:
        """Inserts a wallet with a balance from one charge."""
        await self.execute(
            "INSERT INTO wallet (user_id, balance, entries) VALUES ($1, $2, 1)", user_id, balance
        )
        await self.execute(
            """INSERT INTO transfer (
                transfer_id, user_id, entry, kind, debit_account, credit_account, amount, balance,
                created_at
            ) SELECT gen_random_uuid(), $1, 1, 'charge', account_id, $1, $2, $2, now()
            FROM house_account WHERE name = 'cash'""",
            user_id,
            balance,
        )

    async def purchase(self, user_id: UUID, seats: list[int]) -> UUID:
        """Inserts a paid reservation with its payment, transfer and tickets; the payment's id."""
        place = await self.place("paid", user_id=user_id)
        reservation_id = await self.hold(place, seats, state="paid")
        payment_id, amount = uuid4(), len(seats) * PRICE
        await self.wallet(user_id, amount)
        await self.execute("UPDATE wallet SET balance = 0, entries = 2 WHERE user_id = $1", user_id)
        await self.execute(
            """INSERT INTO transfer (
                transfer_id, user_id, entry, kind, debit_account, credit_account, amount, balance,
                reference, created_at
            ) SELECT $1, $2, 2, 'payment', $2, account_id, $3, 0, $1, now()
            FROM house_account WHERE name = 'sales'""",
            payment_id,
            user_id,
            amount,
        )
        await self.execute(
            """INSERT INTO payment (
                payment_id, reservation_id, user_id, concert_id, show_id, seats, amount, balance,
                paid_at
            ) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, now())""",
            payment_id,
            reservation_id,
            user_id,
            self.concert_id,
            self.show_id,
            seats,
            amount,
        )
        await self.execute(
            """INSERT INTO ticket (ticket_id, payment_id, user_id, show_id, number)
            SELECT gen_random_uuid(), $1, $2, $3, n FROM unnest($4::int[]) AS n""",
            payment_id,
            user_id,
            self.show_id,
            seats,
        )
        return payment_id

    async def call(self, function: str, **parameters: Any) -> list[asyncpg.Record]:
        """Calls a database function by the names of its parameters (without ``p_``)."""
        names = ", ".join(f"p_{name} => ${n}" for n, name in enumerate(parameters, 1))
        rows = await self.connection.fetch(
            f"SELECT * FROM {function}({names})",  # noqa: S608 - names from the tests
            *parameters.values(),
        )
        return sorted(rows, key=lambda row: row["item"]) if rows and "item" in rows[0] else rows

    async def call_one(self, function: str, **parameters: Any) -> asyncpg.Record:
        """Calls a function that returns exactly one row."""
        (row,) = await self.call(function, **parameters)
        return row

    async def execute(self, sql: str, *arguments: Any) -> str:
        """Runs a statement."""
        status: str = await self.connection.execute(sql, *arguments)
        return status

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        """Returns one value."""
        return await self.connection.fetchval(sql, *arguments)

    async def column(self, sql: str, *arguments: Any) -> list[Any]:
        """Returns the values of the first column."""
        return [row[0] for row in await self.connection.fetch(sql, *arguments)]

    async def taken(self) -> list[int]:
        """Returns the numbers of the seats that are held or sold now."""
        return await self.column(
            "SELECT number FROM seat WHERE held_until > clock_timestamp() AND show_id = $1"
            " ORDER BY number",
            self.show_id,
        )

    async def balance(self, user_id: UUID) -> int:
        """Returns the balance of a wallet."""
        balance: int = await self.fetchval("SELECT balance FROM wallet WHERE user_id = $1", user_id)
        return balance
