"""Frontrow: its houses are filled as for ``benchmarks.http``."""

from uuid import UUID

import asyncpg

from benchmarks import house
from benchmarks.load import Request
from benchmarks.peers.calls import PRICE, SEATS_OF_A_DATE, Call, posts, seat_each
from benchmarks.servers import API


class Frontrow:
    """A server of Frontrow, and its database as the owner."""

    name = "Frontrow"

    def __init__(self, port: int, pid: int, pool: asyncpg.Pool) -> None:
        self.port = port
        self.pid = pid
        self._pool = pool

    async def requests(self, call: Call, users: int) -> tuple[list[Request], list[Request]]:
        """Fills a concert; returns the requests of a call, and those to send before it.

        The server verifies a token that it has not seen before. It has seen that of a user who
        waited in the line.
        """
        if call == "join":
            full = await house.fill(self._pool, 1, admitted=False)
            body = b'{"concert_id":"%b"}' % str(full.concert_id).encode()
            keys = await house.add_users(self._pool, users)
            return [Request("POST", f"{API}/queue/tokens", key, body) for key in keys], []
        seats = users if call in {"hold", "pay"} else SEATS_OF_A_DATE
        full = await house.fill(
            self._pool, users, admitted=call != "poll", seats=seats, balance=PRICE
        )
        polls = [Request("GET", f"{API}/queue/tokens/me", token) for token in full.tokens]
        show = full.shows[0]
        match call:
            case "poll":
                return polls, polls
            case "seats of a date":
                path = f"{API}/concerts/{full.concert_id}/dates/{show.date}/seats"
                return [Request("GET", path, token) for token in full.tokens], polls
            case "pay":
                held = await house.hold_one_each(self._pool, full)
                bodies = [
                    b'{"reservation_id":"%b","amount":%d}' % (str(one).encode(), PRICE)
                    for one in held
                ]
                return posts(f"{API}/payments", full.tokens, bodies), polls
        if call == "refused hold":
            await house.hold_one_each(self._pool, full)
        return posts(
            f"{API}/reservations", full.tokens, seat_each(show.show_id, users, seats)
        ), polls

    async def rush(self, users: int, seats: int) -> tuple[list[Request], UUID]:
        """Fills a show; returns one hold per user of any of its seats, and the show."""
        full = await house.fill(self._pool, users, admitted=True, seats=seats)
        show_id = full.shows[0].show_id
        return posts(f"{API}/reservations", full.tokens, seat_each(show_id, users, seats)), show_id

    async def held(self, show_id: UUID) -> list[int]:
        """Returns the seats of all reservations of a show, each as often as it was given away."""
        seats: list[int] = await self._pool.fetchval(
            "SELECT array_agg(n) FROM reservation, unnest(seats) AS n WHERE show_id = $1", show_id
        )
        return seats
