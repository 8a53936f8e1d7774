"""The active holds of a concert, for the operator."""

from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from frontrow.reservations.model import ActiveHold
from frontrow.reservations.queries import queries


class ActiveHolds(msgspec.Struct, frozen=True):
    """The holds that end next."""

    holds: Annotated[list[ActiveHold], Meta(description="The next to end first.")]


async def active_holds(pool: asyncpg.Pool, concert_id: UUID, *, limit: int) -> ActiveHolds:
    """Returns the holds of a concert that end next."""
    return ActiveHolds(await queries.active_holds(pool, concert_id=concert_id, limit=limit))
