"""What upkeep does with lines: admission, draws, closings, adaptive caps. Safe in every process."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

import asyncpg

from frontrow.db.outcomes import check
from frontrow.waiting_room.latency_histogram import BOUNDS_MS
from frontrow.waiting_room.line import Line
from frontrow.waiting_room.line_failures import LineFailures, is_for_all
from frontrow.waiting_room.policy import AdaptivePolicy, bounds
from frontrow.waiting_room.queries import AdaptItem, AdmitItem, AdmitUnlockedRow, queries
from frontrow.waiting_room.snapshot import Snapshot

_CLOSE_BATCH = 10_000
_CALLS_ALONE = 4
_LINES_TOGETHER = 16
"""Most lines in one transaction: each stays locked until its end."""


class Admitted(NamedTuple):
    """The result of one call of admission. ``more``: places still wait."""

    admitted: int
    expired: int
    active: int
    more: bool


class LineUpkeep:
    """The lines of this installation, as upkeep changes them.

    Args:
        pool: the database.
        snapshot: the lines as this process knows them.
        wake: called with a room whose next place may be admitted now.
    """

    def __init__(self, pool: asyncpg.Pool, snapshot: Snapshot, wake: Callable[[int], None]) -> None:
        self._pool = pool
        self.snapshot = snapshot
        self.wake = wake
        self._adaptation_failures = LineFailures("adaptation")

    async def admit(self, line: Line, *, tidy: bool = True) -> Admitted:
        """Admits the next places of one line within its policy's bounds. Safe in every process.

        Args:
            line: the line.
            tidy: counts admitted places and finishes overdue ones even if no place waits.
        """
        allowed = bounds(line.policy)
        row = await queries.admit(
            self._pool,
            room_id=line.room_id,
            policy_version=line.policy_version,
            cap=allowed.cap,
            rate=allowed.rate,
            rate_seconds=allowed.rate_seconds,
            tidy=tidy,
        )
        if row is None:
            return Admitted(0, 0, line.active, more=False)
        check(row)
        if row.outcome == "stale_policy":
            await self.snapshot.refresh_rooms([line.room_id])
        else:
            self.snapshot.note_active(line, row.active)
        return Admitted(row.admitted, row.expired, row.active, row.more)

    async def admission_work(self, rooms: Iterable[int], *, every: bool) -> dict[int, int]:
        """Returns which of these rooms, or of all, may admit, and at most how many places."""
        found = await queries.admission_work(self._pool, rooms=list(rooms), every=every)
        return {row.room_id: row.slots for row in found}

    async def admit_unlocked(self, lines: Sequence[Line]) -> list[AdmitUnlockedRow]:
        """Admits the next places of many lines, as ``admit``, but of no line that is locked now."""
        items = []
        for line in lines:
            allowed = bounds(line.policy)
            items.append(
                AdmitItem(
                    line.room_id, line.policy_version, allowed.cap, allowed.rate,
                    allowed.rate_seconds,
                )
            )  # fmt: skip
        rows = await queries.admit_unlocked(self._pool, items)
        for line, row in zip(lines, rows, strict=True):
            if row.outcome == "done":
                self.snapshot.note_active(line, row.active)
        return rows

    async def close(self, line: Line) -> None:
        """Finishes the waiting places of a line that has closed. Safe in every process."""
        last: int | None = 0
        while last is not None:
            last = await queries.close(
                self._pool, room_id=line.room_id, after=last, limit=_CLOSE_BATCH
            )

    async def draw(self, line: Line) -> bool:
        """Draws a line that is due, unless another process does so.

        Returns whether this process drew it.
        """
        if not await queries.close_entries(self._pool, room_id=line.room_id):
            return False
        async with self._pool.acquire() as connection, connection.transaction():
            await queries.lift_statement_timeout(connection)
            drawn = await queries.draw(connection, room_id=line.room_id)
        if drawn is None:
            return False
        await self.snapshot.refresh()
        self.wake(line.room_id)
        return True

    async def adapt(self, calls: Sequence[int], step_seconds: float) -> None:
        """Reports this process's latencies to the adaptive policies in use, and sets their caps.

        Args:
            calls: holds and payments by bucket since the last time (``LatencyHistogram.take``).
            step_seconds: the time between two steps of a cap, over all processes.
        """

        async def adapt_unlocked(lines: Sequence[Line]) -> Sequence[Line]:
            locked = await queries.adapt_unlocked(
                self._pool,
                [AdaptItem(line.room_id, line.policy_version) for line in lines],
                calls=calls,
                bounds_ms=BOUNDS_MS,
                step_seconds=step_seconds,
            )
            return [self.snapshot.lines[room_id] for room_id in locked]

        async def adapt_alone(line: Line) -> None:
            await queries.adapt(
                self._pool,
                room_id=line.room_id,
                policy_version=line.policy_version,
                calls=calls,
                bounds_ms=BOUNDS_MS,
                step_seconds=step_seconds,
            )

        lines = [line for line in self.snapshot.in_use() if isinstance(line.policy, AdaptivePolicy)]
        if lines:
            await work_together(lines, adapt_unlocked, adapt_alone, self._adaptation_failures)


async def work_together(
    lines: Sequence[Line],
    together: Callable[[Sequence[Line]], Awaitable[Sequence[Line]]],
    alone: Callable[[Line], Awaitable[object]],
    failures: LineFailures,
) -> None:
    """Works for some lines in transactions of up to 16 lines, and for others alone.

    Args:
        lines: the lines.
        together: works for a batch of them; returns those that must be worked for alone. If it
            fails, the whole batch must.
        alone: works for one of them.
        failures: records the lines for which ``alone`` fails.

    Raises:
        Exception: the database is away.
    """
    rest: list[Line] = []
    for first in range(0, len(lines), _LINES_TOGETHER):
        batch = lines[first : first + _LINES_TOGETHER]
        try:
            rest += await together(batch)
        except Exception as error:
            if is_for_all(error):
                raise
            rest += batch
    free_calls = asyncio.Semaphore(_CALLS_ALONE)

    async def work(line: Line) -> None:
        async with free_calls:
            with failures.of(line):
                await alone(line)

    await asyncio.gather(*[work(line) for line in rest if not failures.is_resting(line)])
