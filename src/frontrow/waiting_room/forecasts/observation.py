"""Observes lines: their pace, and the quality of their forecasts."""

import random
from bisect import bisect_left
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from frontrow.waiting_room.forecasts.queries import ForecastItem, queries
from frontrow.waiting_room.line import Line
from frontrow.waiting_room.model import ForecastQuality

_KEPT = 10_000
_SAMPLES = 2
_TRIES = 5
_LINES_AT_ONCE = 100


async def lines_to_observe(pool: asyncpg.Pool, lines: Sequence[Line]) -> list[Line]:
    """Returns the lines to observe now: each once a second, of many lines each every seven."""
    known = {line.room_id: line for line in lines}
    rooms = await queries.lines_to_observe(pool, rooms=list(known), least=_LINES_AT_ONCE)
    return [known[room_id] for room_id in rooms]


async def observe(pool: asyncpg.Pool, lines: Sequence[Line]) -> list[int]:
    """Observes lines and stores some forecasts; not lines that were observed within a second.

    Safe in every process. Returns the rooms that were observed.
    """
    items = [item for line in lines for item in sample_forecasts(line)]
    rooms = [line.room_id for line in lines]
    return await queries.observe(pool, items, rooms=rooms, keep=_KEPT)


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
            sample.append(ForecastItem(line.room_id, position, eta.p50, eta.p90))
    return sample


def _any_waiting(line: Line) -> int | None:
    """Returns a random waiting position; ``None`` if a few tries find only leavers."""
    for _ in range(_TRIES):
        position = random.randint(line.serving + 1, line.issued)  # noqa: S311 - a sample
        at = bisect_left(line.left, position)
        if at == len(line.left) or line.left[at] != position:
            return position
    return None
