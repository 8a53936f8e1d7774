"""Observes a line once a second: its pace, and the quality of its forecasts."""

import random
from bisect import bisect_left
from uuid import UUID

import asyncpg

from frontrow.waiting_room.forecasts.queries import ForecastItem, queries
from frontrow.waiting_room.line import Line
from frontrow.waiting_room.model import ForecastQuality

_KEPT = 10_000
_SAMPLES = 2
_TRIES = 5


async def observe(pool: asyncpg.Pool, line: Line) -> bool:
    """Observes a line and stores some forecasts, unless a process did within the last second.

    Safe in every process. Returns whether it observed.
    """
    return await queries.observe(pool, sample_forecasts(line), room_id=line.room_id, keep=_KEPT)


async def forecast_quality(pool: asyncpg.Pool, concert_id: UUID) -> ForecastQuality:
    """Returns the quality of a line's forecasts; without shares where none is judged."""
    return await queries.forecast_quality(pool, concert_id=concert_id)


def sample_forecasts(line: Line) -> list[ForecastItem]:
    """Returns the forecasts of a few waiting places of an open line.

    So few that half of the kept ones cover the longest wait: else only short waits would be judged
    before they are deleted.
    """
    longest = line.eta(max(0, line.waiting - 1))
    if longest is None or line.scheduled or line.waiting <= 0:
        return []
    share = min(1.0, _KEPT / 2 / (_SAMPLES * longest.p90))
    sample = []
    for _ in range(_SAMPLES):
        position = _any_waiting(line)
        if position is None or random.random() > share:  # noqa: S311 - a sample, not a secret
            continue
        eta = line.eta(position - line.serving - 1 - bisect_left(line.left, position))
        if eta is not None:
            sample.append(ForecastItem(position, eta.p50, eta.p90))
    return sample


def _any_waiting(line: Line) -> int | None:
    """Returns a random waiting position; ``None`` if a few tries find only leavers."""
    for _ in range(_TRIES):
        position = random.randint(line.serving + 1, line.issued)  # noqa: S311 - a sample
        at = bisect_left(line.left, position)
        if at == len(line.left) or line.left[at] != position:
            return position
    return None
