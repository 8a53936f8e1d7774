"""The last hour of a line, by the minute: who came, was called, paid, went; how many were there.

Nothing is kept for it: the places tell when each of these was. How many waited or were in at the
end of a minute is what there is now less what has happened since.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from frontrow.db.queries import load
from frontrow.errors import NotFound

_queries = load("frontrow.waiting_room")

LONGEST_MINUTES = 240


class Minute(msgspec.Struct, frozen=True):
    """A minute of a line."""

    at: Annotated[datetime, Meta(description="Its beginning.")]
    joined: Annotated[int, Meta(description="Places that were taken.")]
    called: Annotated[int, Meta(description="Places that were called.")]
    paid: Annotated[int, Meta(description="Places that ended with a payment.")]
    gone: Annotated[int, Meta(description="Places that were called and ended without a payment.")]
    gave_up: Annotated[int, Meta(description="Places that ended without being called.")]
    waiting: Annotated[int, Meta(description="Places that waited at its end.")]
    admitted: Annotated[int, Meta(description="Places called and not finished at its end.")]


class LineHistory(msgspec.Struct, frozen=True):
    """A line's last minutes, the present one last."""

    as_of: datetime
    minutes: list[Minute]


async def line_history(pool: asyncpg.Pool, concert_id: UUID, *, minutes: int) -> LineHistory:
    """A line's last minutes. A scan of the line: for an operator, now and then.

    Raises:
        NotFound: no such concert.
    """
    rows = await _queries.line_history(pool, concert_id=concert_id, minutes=minutes)
    if not rows:
        raise NotFound
    as_of: datetime = rows[0]["as_of"]
    this_minute = as_of.replace(second=0, microsecond=0)
    counts: Counter[tuple[str, datetime | None]] = Counter()
    for row in rows:
        # What was committed a moment after that clock was read is of this minute too.
        minute = row["minute"] and min(row["minute"], this_minute)
        counts[row["kind"], minute] += row["places"] or 0
    waiting, admitted = counts["waiting", None], counts["admitted", None]
    told = []
    for ago in range(minutes):
        at = this_minute - timedelta(minutes=ago)
        joined, called, paid, gone, gave_up = (
            counts[kind, at] for kind in ("joined", "called", "paid", "gone", "gave_up")
        )
        told.append(Minute(at, joined, called, paid, gone, gave_up, waiting, admitted))
        waiting -= joined - called - gave_up
        admitted -= called - paid - gone
    return LineHistory(as_of, told[::-1])
