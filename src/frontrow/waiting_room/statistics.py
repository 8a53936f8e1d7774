"""How a line is doing, in numbers."""

from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from frontrow.db.queries import load

_queries = load("frontrow.waiting_room")


class FinishedPlaces(msgspec.Struct, frozen=True):
    """Finished places by reason."""

    paid: int = 0
    left: int = 0
    expired: int = 0


class LineStatistics(msgspec.Struct, frozen=True):
    """The places of one line, counted."""

    waiting: int
    called: Annotated[int, Meta(description="Called and not finished: what the cap counts.")]
    claimed: Annotated[int, Meta(description="Of the called, those who have come.")]
    finished: FinishedPlaces
    admitted_per_minute: Annotated[int, Meta(description="Called within the last minute.")]


async def line_statistics(pool: asyncpg.Pool, concert_id: UUID) -> LineStatistics:
    """Counts the places of a concert's line. A scan of the line: for an operator, now and then."""
    counts: dict[tuple[str, str | None, bool], int] = {
        (row["state"], row["reason"], row["claimed"]): row["places"]
        for row in await _queries.place_counts(pool, concert_id=concert_id)
    }

    def total(state: str, reason: str | None = None, *, claimed_only: bool = False) -> int:
        return sum(
            places
            for (s, r, claimed), places in counts.items()
            if s == state and r == reason and (claimed or not claimed_only)
        )

    return LineStatistics(
        waiting=total("waiting"),
        called=total("admitted"),
        claimed=total("admitted", claimed_only=True),
        finished=FinishedPlaces(*(total("finished", r) for r in FinishedPlaces.__struct_fields__)),
        admitted_per_minute=await _queries.admitted_lately(pool, concert_id=concert_id),
    )
