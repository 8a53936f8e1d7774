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


async def for_each(
    items: Iterable[Item], action: Callable[[Item], Awaitable[None]], *, at_once: int = 1
) -> None:
    """Applies an action to each item. A failure does not stop the others.

    Args:
        items: the items.
        action: the action.
        at_once: the number of items at the same time.

    Raises:
        Exception: the first failure, after all items; if the database is away, without the items
            that have not begun.
    """
    free = asyncio.Semaphore(at_once)
    is_away = False

    async def apply(item: Item) -> Exception | None:
        nonlocal is_away
        async with free:
            try:
                if not is_away:
                    await action(item)
            except Exception as error:  # noqa: BLE001 - it is raised below
                is_away = is_away or cause_of(error) is not None
                return error
        return None

    failures = [error for error in await asyncio.gather(*map(apply, items)) if error]
    if failures:
        raise failures[0]
