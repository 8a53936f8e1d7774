"""Users, shows and tokens of the textbook system, written straight to its stores."""

import hashlib
import secrets
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
from redis.asyncio import Redis

from benchmarks.load import Request
from benchmarks.peers.calls import PRICE, SEATS_OF_A_DATE, Call, posts, seat_each
from benchmarks.peers.textbook.tables import HOLD_TIME

DAY_SECONDS = 86_400


class Textbook:
    """The server of the textbook system, and its stores."""

    name = "textbook"

    def __init__(self, port: int, pid: int, pool: asyncpg.Pool, redis: "Redis") -> None:
        self.port = port
        self.pid = pid
        self._pool = pool
        self._redis = redis

    async def requests(self, call: Call, users: int) -> tuple[list[Request], list[Request]]:
        """Fills a concert; returns the requests of a call, and those to send before it: none."""
        concert_id = uuid4()
        if call == "join":
            body = b'{"concert_id":"%b"}' % str(concert_id).encode()
            return [Request("POST", "/queue/tokens", k, body) for k in await self._keys(users)], []
        owners = [uuid4() for _ in range(users)]
        tokens = await self._tokens(concert_id, owners, admitted=call != "poll")
        if call == "poll":
            return [Request("GET", "/queue/tokens/me", token) for token in tokens], []
        seats = users if call in {"hold", "pay"} else SEATS_OF_A_DATE
        show_id = await self._show(concert_id, seats)
        if call == "seats of a date":
            return [Request("GET", f"/shows/{show_id}/seats", token) for token in tokens], []
        if call == "hold":
            return posts("/reservations", tokens, seat_each(show_id, users, seats)), []
        held = await self._hold_one_each(show_id, owners[:seats])
        if call == "refused hold":
            return posts("/reservations", tokens, seat_each(show_id, users, seats)), []
        bodies = [
            b'{"reservation_id":"%b","amount":%d}' % (str(one).encode(), PRICE) for one in held
        ]
        return posts("/payments", tokens, bodies), []

    async def rush(self, users: int, seats: int) -> tuple[list[Request], UUID]:
        """Fills a show; returns one hold per user of any of its seats, and the show."""
        concert_id = uuid4()
        owners = [uuid4() for _ in range(users)]
        tokens = await self._tokens(concert_id, owners, admitted=True)
        show_id = await self._show(concert_id, seats)
        return posts("/reservations", tokens, seat_each(show_id, users, seats)), show_id

    async def held(self, show_id: UUID) -> list[int]:
        """Returns the seats of all reservations of a show, each as often as it was given away."""
        seats: list[int] = await self._pool.fetchval(
            "SELECT array_agg(n) FROM reservations, unnest(seats) AS n WHERE show_id = $1", show_id
        )
        return seats

    async def _keys(self, users: int) -> list[str]:
        keys = [secrets.token_urlsafe(32) for _ in range(users)]
        rows = [(uuid4(), hashlib.sha256(key.encode()).digest()) for key in keys]
        await self._pool.copy_records_to_table("users", records=rows)
        await self._pool.execute("ANALYZE users")
        return keys

    async def _tokens(self, concert_id: UUID, owners: list[UUID], *, admitted: bool) -> list[str]:
        tokens = [f"{concert_id.hex}{secrets.token_hex(16)}" for _ in owners]
        until = time.time() + DAY_SECONDS
        name = f"admitted:{concert_id}" if admitted else f"line:{concert_id}"
        async with self._redis.pipeline(transaction=False) as pipeline:
            for number, (token, user_id) in enumerate(zip(tokens, owners, strict=True), 1):
                pipeline.hset(f"owners:{concert_id}", token, str(user_id))
                pipeline.hset(f"tokens:{concert_id}", str(user_id), token)
                pipeline.zadd(name, {token: until if admitted else number})
            await pipeline.execute()
        return tokens

    async def _show(self, concert_id: UUID, seats: int) -> UUID:
        show_id, starts_at = uuid4(), datetime.now(UTC) + timedelta(days=1)
        await self._pool.execute(
            "INSERT INTO shows VALUES ($1, $2, $3)", show_id, concert_id, starts_at
        )
        await self._pool.execute(
            "INSERT INTO seats (show_id, number, price)"
            " SELECT $1, n, $3 FROM generate_series(1, $2) AS n",
            show_id, seats, PRICE,
        )  # fmt: skip
        await self._pool.execute("ANALYZE seats")
        return show_id

    async def _hold_one_each(self, show_id: UUID, owners: list[UUID]) -> list[UUID]:
        """Gives the i-th user a hold of seat i, and the money for it."""
        now = datetime.now(UTC)
        held = [uuid4() for _ in owners]
        until = now + 10 * HOLD_TIME
        await self._pool.copy_records_to_table(
            "reservations",
            records=[
                (reservation_id, user_id, show_id, [number], PRICE, "held", until, now)
                for number, (reservation_id, user_id) in enumerate(
                    zip(held, owners, strict=True), 1
                )
            ],
        )
        await self._pool.copy_records_to_table(
            "wallets", records=[(user_id, PRICE) for user_id in owners]
        )
        await self._pool.execute(
            "UPDATE seats SET reservation_id = k.r, held_until = $3"
            " FROM unnest($1::uuid[]) WITH ORDINALITY AS k (r, n)"
            " WHERE show_id = $2 AND number = k.n",
            held, show_id, until,
        )  # fmt: skip
        await self._pool.execute("ANALYZE reservations, wallets, seats")
        return held
