"""Cancels whole shows: the sale ends at once, then everybody is refunded, some at a time.

Every step is a transaction of its own, so a cancellation survives whatever dies in its middle: who
comes next goes on. The upkeep of every process does that, and so does ``frontrow cancel-show``.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from frontrow import metrics
from frontrow.db.pool import open_pool
from frontrow.db.queries import load
from frontrow.errors import NotFound
from frontrow.payments.model import Cancellation

_queries = load("frontrow.payments")

# Tickets of one step: enough for speed, few enough that nobody waits long for its locks.
_STEP_TICKETS = 1_000
_LOOK_SECONDS = 0.1


class ShowAtStake(msgspec.Struct, frozen=True):
    """What is to be known before a show is cancelled. ``revenue`` is in the minor unit."""

    title: str
    venue: str | None
    timezone: str
    starts_at: datetime
    cancelled_at: datetime | None
    seats_sold: int
    revenue: int

    def line(self) -> str:
        """It in one line, with its time at the venue."""
        at = self.starts_at.astimezone(ZoneInfo(self.timezone))
        return f"{self.title}{f', {self.venue}' if self.venue else ''}, {at:%Y-%m-%d %H:%M}"


class Cancellations:
    """Shows that are cancelled."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def at_stake(self, show_id: UUID) -> ShowAtStake:
        """What cancelling a show would be about.

        Raises:
            NotFound: no such show.
        """
        row = await _queries.show_at_stake(self._pool, show_id=show_id)
        if row is None:
            raise NotFound
        return ShowAtStake(**row)

    async def cancel(self, show_id: UUID) -> Cancellation:
        """Cancels a show; its refunds follow. A show that is cancelled already stays as it is.

        Once this has returned, no process holds or sells a seat of it, and nobody has one on hold.

        Raises:
            NotFound: no such show.
        """
        if not await _queries.cancel_show(self._pool, show_id=show_id):
            raise NotFound
        return await self.progress(show_id)

    async def progress(self, show_id: UUID) -> Cancellation:
        """How far the refunds of a cancelled show are.

        Raises:
            NotFound: no such show, or it isn't cancelled.
        """
        row = await _queries.cancellation(self._pool, show_id=show_id)
        if row is None:
            raise NotFound
        return Cancellation(**row)

    async def running(self) -> list[UUID]:
        """The cancelled shows with refunds that are still to be made."""
        rows = await _queries.running_cancellations(self._pool)
        return [row["show_id"] for row in rows]

    async def step(self, show_id: UUID) -> str:
        """Refunds some more payments of a cancelled show. Safe in every process.

        Returns ``running``, ``finished``, or ``busy``: another process is at it.
        """
        row = await _queries.cancel_step(self._pool, show_id=show_id, limit=_STEP_TICKETS)
        if row["payments"]:
            metrics.count_refunds("show_cancelled", row["payments"], row["amount"])
        state: str = row["state"]
        return state


async def look(database_url: str, show_id: UUID) -> ShowAtStake:
    """What cancelling a show of a database would be about.

    Raises:
        NotFound: no such show.
        OSError, asyncpg.PostgresError: the database can't be reached.
    """
    async with await _pool(database_url) as pool:
        return await Cancellations(pool).at_stake(show_id)


async def cancel_show(
    database_url: str, show_id: UUID, *, told: Callable[[int, int | None], None]
) -> Cancellation:
    """Cancels a show of a database and refunds everybody, whoever else is at it.

    Args:
        database_url: the database; a server may run on it.
        show_id: the show.
        told: is told how many purchases are refunded, of how many.

    Raises:
        NotFound: no such show.
        OSError, asyncpg.PostgresError: the database can't be reached.
    """
    async with await _pool(database_url) as pool:
        cancellations = Cancellations(pool)
        progress = await cancellations.cancel(show_id)
        while progress.state == "cancelling":
            told(progress.payments_refunded, progress.payments_total)
            if await cancellations.step(show_id) == "busy":
                await asyncio.sleep(_LOOK_SECONDS)
            progress = await cancellations.progress(show_id)
        told(progress.payments_refunded, progress.payments_total)
        return progress


async def _pool(database_url: str) -> asyncpg.Pool:
    return await open_pool(database_url, connections=1, connect_timeout_seconds=10)
