"""Cancels whole shows: the sale ends at once, then all purchases are refunded in steps.

Each step is a separate transaction, so a cancellation continues after a process has died: the
upkeep of every process and ``frontrow cancel-show`` run the remaining steps.
"""

import asyncio
from collections.abc import Callable
from uuid import UUID

import asyncpg

from frontrow import metrics
from frontrow.db.pool import open_pool
from frontrow.errors import NotFound
from frontrow.payments.model import Cancellation, ShowAtStake
from frontrow.payments.queries import queries

# Tickets of one step: enough for speed, few enough to hold its locks only briefly.
_STEP_TICKETS = 1_000
_POLL_SECONDS = 0.1


class Cancellations:
    """Cancels shows and refunds their purchases.

    Args:
        pool: connections to the database.
        changed: called after each change of what is on sale.
    """

    def __init__(self, pool: asyncpg.Pool, *, changed: Callable[[], None] = lambda: None) -> None:
        self._pool = pool
        self._changed = changed

    async def at_stake(self, show_id: UUID) -> ShowAtStake:
        """Returns what the cancellation of a show would affect.

        Raises:
            NotFound: no such show.
        """
        show = await queries.show_at_stake(self._pool, show_id=show_id)
        if show is None:
            raise NotFound
        return show

    async def cancel(self, show_id: UUID) -> Cancellation:
        """Cancels a show; its refunds follow. Does nothing if it is cancelled already.

        Afterwards no process can hold or sell its seats, and all its holds are released.

        Raises:
            NotFound: no such show.
        """
        if not await queries.cancel_show(self._pool, show_id=show_id):
            raise NotFound
        self._changed()
        return await self.progress(show_id)

    async def progress(self, show_id: UUID) -> Cancellation:
        """Returns the progress of a cancelled show's refunds.

        Raises:
            NotFound: no such show, or it isn't cancelled.
        """
        cancellation = await queries.cancellation(self._pool, show_id=show_id)
        if cancellation is None:
            raise NotFound
        return cancellation

    async def running(self) -> list[UUID]:
        """Returns the cancelled shows with refunds still to be made."""
        return await queries.running_cancellations(self._pool)

    async def step(self, show_id: UUID) -> str:
        """Refunds the next payments of a cancelled show. Safe in every process.

        Returns ``running``, ``finished``, or ``busy``: another process works on it.
        """
        done = await queries.cancel_step(self._pool, show_id=show_id, limit=_STEP_TICKETS)
        if done.payments:
            metrics.count_refunds("show_cancelled", done.payments, done.amount)
        return done.state


async def look(database_url: str, show_id: UUID) -> ShowAtStake:
    """Returns what the cancellation of a show in a database would affect.

    Raises:
        NotFound: no such show.
        OSError, asyncpg.PostgresError: the database can't be reached.
    """
    async with await _pool(database_url) as pool:
        return await Cancellations(pool).at_stake(show_id)


async def cancel_show(
    database_url: str, show_id: UUID, *, progress: Callable[[int, int | None], None]
) -> Cancellation:
    """Cancels a show in a database and refunds all its payments, beside running servers.

    Args:
        database_url: the database; a server may run on it.
        show_id: the show.
        progress: called with the number of refunded payments and of all payments.

    Raises:
        NotFound: no such show.
        OSError, asyncpg.PostgresError: the database can't be reached.
    """
    async with await _pool(database_url) as pool:
        cancellations = Cancellations(pool)
        done = await cancellations.cancel(show_id)
        while done.state == "cancelling":
            progress(done.payments_refunded, done.payments_total)
            if await cancellations.step(show_id) == "busy":
                await asyncio.sleep(_POLL_SECONDS)
            done = await cancellations.progress(show_id)
        progress(done.payments_refunded, done.payments_total)
        return done


async def _pool(database_url: str) -> asyncpg.Pool:
    return await open_pool(database_url, connections=1, connect_timeout_seconds=10)
