"""The last minutes of a line: places joined, admitted and finished, waiting and admitted.

Nothing is stored for it: a place has the time of each of its events. The number of waiting and of
admitted places at the end of a minute is the present one minus the later events.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from frontrow.errors import NotFound
from frontrow.waiting_room.reports.queries import queries

LONGEST_MINUTES = 240


class Minute(msgspec.Struct, frozen=True):
    """A minute of a line."""

    at: Annotated[datetime, Meta(description="Its beginning.")]
    joined: Annotated[int, Meta(description="Places that joined.")]
    called: Annotated[int, Meta(description="Places that were admitted.")]
    paid: Annotated[int, Meta(description="Places that finished with a payment.")]
    gone: Annotated[int, Meta(description="Admitted places that finished without a payment.")]
    gave_up: Annotated[int, Meta(description="Places that finished without being admitted.")]
    waiting: Annotated[int, Meta(description="Waiting places at its end.")]
    admitted: Annotated[int, Meta(description="Admitted, unfinished places at its end.")]


class LineHistory(msgspec.Struct, frozen=True):
    """A line's last minutes, the present one last."""

    as_of: datetime
    minutes: list[Minute]


async def line_history(pool: asyncpg.Pool, concert_id: UUID, *, minutes: int) -> LineHistory:
    """Returns a line's last minutes: a scan of the line, for occasional use by an operator.

    Raises:
        NotFound: no such concert.
    """
    rows = await queries.line_history(pool, concert_id=concert_id, minutes=minutes)
    if not rows:
        raise NotFound
    as_of = rows[0].as_of
    this_minute = as_of.replace(second=0, microsecond=0)
    counts: Counter[tuple[str | None, datetime | None]] = Counter()
    for row in rows:
        # An event that was committed just after the clock was read belongs to this minute too.
        minute = row.minute and min(row.minute, this_minute)
        counts[row.kind, minute] += row.places or 0
    waiting, admitted = counts["waiting", None], counts["admitted", None]
    history = []
    for ago in range(minutes):
        at = this_minute - timedelta(minutes=ago)
        joined, called, paid, gone, gave_up = (
            counts[kind, at] for kind in ("joined", "called", "paid", "gone", "gave_up")
        )
        history.append(Minute(at, joined, called, paid, gone, gave_up, waiting, admitted))
        waiting -= joined - called - gave_up
        admitted -= called - paid - gone
    return LineHistory(as_of, history[::-1])
