"""Looking at a line once a second, and at what came of the forecasts that were made."""

import random
from bisect import bisect_left
from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from frontrow.db.queries import load
from frontrow.waiting_room.model import Eta
from frontrow.waiting_room.snapshot import Line

_queries = load("frontrow.waiting_room", "forecast_queries.sql")

_KEPT = 10_000
_PICKS = 2
_TRIES = 5

Share = Annotated[float, Meta(ge=0, le=1)]


class ForecastQuality(msgspec.Struct, frozen=True):
    """What came of the forecasts: a sample of those that were made, evenly over the line."""

    judged: Annotated[int, Meta(description="Forecasts whose place has been called since.")]
    below_p50: Annotated[
        Share | None, Meta(description="The share of the waits that p50 wasn't too short for.")
    ]
    below_p90: Annotated[
        Share | None, Meta(description="The share of the waits that p90 wasn't too short for.")
    ]
    median_error_seconds: Annotated[
        float | None, Meta(description="How far from p50 the waits were, at the median.")
    ]


async def observe(pool: asyncpg.Pool, line: Line) -> bool:
    """Looks at a line and records some forecasts, unless somebody has within the last second.

    Safe in every process. Returns whether it looked.
    """
    picked = pick(line)
    looked: bool = await _queries.observe(
        pool,
        room_id=line.room_id,
        positions=[position for position, _ in picked],
        p50s=[eta.p50 for _, eta in picked],
        p90s=[eta.p90 for _, eta in picked],
        keep=_KEPT,
    )
    return looked


async def forecast_quality(pool: asyncpg.Pool, concert_id: UUID) -> ForecastQuality:
    """What came of the forecasts of a concert's line; no shares where none is judged."""
    row = await _queries.forecast_quality(pool, concert_id=concert_id)
    return ForecastQuality(**row)


def pick(line: Line) -> list[tuple[int, Eta]]:
    """A few of those who wait in an open line, by position, with what they are told now.

    So few that half of what is kept lasts for the longest wait: else only short waits would be
    judged before they are dropped.
    """
    last = line.eta(max(0, line.waiting - 1))
    if last is None or line.scheduled or line.waiting <= 0:
        return []
    share = min(1.0, _KEPT / 2 / (_PICKS * last.p90))
    picked = []
    for _ in range(_PICKS):
        position = _any_waiting(line)
        if position is None or random.random() > share:  # noqa: S311 - a sample, not a secret
            continue
        eta = line.eta(position - line.serving - 1 - bisect_left(line.left, position))
        if eta is not None:
            picked.append((position, eta))
    return picked


def _any_waiting(line: Line) -> int | None:
    """The position of anybody who waits; ``None`` where none is found soon, as most have left."""
    for _ in range(_TRIES):
        position = random.randint(line.serving + 1, line.issued)  # noqa: S311 - a sample
        at = bisect_left(line.left, position)
        if at == len(line.left) or line.left[at] != position:
            return position
    return None
