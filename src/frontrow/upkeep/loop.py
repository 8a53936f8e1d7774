"""Repeats a job, and applies an action to many items without one failure stopping the others."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic
from typing import TypeVar

import structlog

from frontrow import metrics
from frontrow.db.faults import cause_of

_log = structlog.get_logger(__name__)

Item = TypeVar("Item")

_RETRY_SECONDS = 0.2


async def repeat(
    job: str,
    run_once: Callable[[], Awaitable[object]],
    pause_seconds: float,
    *,
    rest: float = 0.0,
) -> None:
    """Runs a job until it is cancelled. Logs the first of several failures, and the recovery.

    Args:
        job: its name in the log and the metrics.
        run_once: does one round.
        pause_seconds: the pause between two rounds; 0 if the job waits and times its rounds itself.
        rest: the pause is at least this multiple of the round's duration.
    """
    failing = False
    while True:
        started = monotonic()
        try:
            await run_once()
        except Exception as error:  # noqa: BLE001 - upkeep outlives any failure of a round
            metrics.UPKEEP_FAILURES.labels(job).inc()
            if not failing:
                _log.warning("upkeep fails", job=job, error=repr(error))
            failing = True
            await asyncio.sleep(max(pause_seconds, _RETRY_SECONDS))
            continue
        if failing:
            _log.info("upkeep works again", job=job)
        failing = False
        took = monotonic() - started
        if pause_seconds:
            metrics.UPKEEP_SECONDS.labels(job).observe(took)
        await asyncio.sleep(max(pause_seconds, rest * took))


async def for_each(items: Iterable[Item], action: Callable[[Item], Awaitable[None]]) -> None:
    """Applies an action to each item. A failure does not stop the others.

    Raises:
        Exception: the first failure, after all items; immediately if the database is away.
    """
    failures = []
    for item in list(items):
        try:
            await action(item)
        except Exception as error:
            if cause_of(error) is not None:
                raise
            failures.append(error)
    if failures:
        raise failures[0]
