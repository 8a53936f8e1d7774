"""The holds that run, as the operator sees them: whose end is next."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from frontrow.db.queries import load

_queries = load("frontrow.reservations")


class LiveHold(msgspec.Struct, frozen=True):
    """A hold that runs."""

    reservation_id: UUID
    user_id: UUID
    show_id: UUID
    seats: Annotated[list[int], Meta(description="Its seats, by number.")]
    amount: Annotated[int, Meta(description="What they cost, in the currency's minor unit.")]
    created_at: datetime
    held_until: Annotated[datetime, Meta(description="When it ends unless it is paid.")]


class LiveHolds(msgspec.Struct, frozen=True):
    """The holds whose end is next."""

    holds: Annotated[list[LiveHold], Meta(description="The soonest first.")]


async def live_holds(pool: asyncpg.Pool, concert_id: UUID, *, limit: int) -> LiveHolds:
    """The holds of a concert that end next."""
    rows = await _queries.live_holds_of_concert(pool, concert_id=concert_id, limit=limit)
    return LiveHolds([LiveHold(**row) for row in rows])
