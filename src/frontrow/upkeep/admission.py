"""Admits the next users of the lines that have work."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from time import monotonic

from frontrow import metrics
from frontrow.services import Services
from frontrow.waiting_room.line import Line
from frontrow.waiting_room.line_failures import LineFailures, is_for_all

_COUNT_SECONDS = 1.0
_PAUSE_SECONDS = 0.01
_TICK_REST = 20.0
"""The next tick comes after at least this multiple of the time that its check of all lines took."""
_LONGEST_TICK_SECONDS = 0.2
_LINES_TOGETHER = 16
"""Most lines in one transaction: each stays locked until its end."""
_PLACES_TOGETHER = 500
"""Most places in one transaction of several lines; a line with more is admitted alone."""
_CALLS_ALONE = 4
"""Most lines that are admitted alone at the same time, each with a connection of its own."""


class Admission:
    """The admission of one process.

    A round asks the database which of the woken lines can admit, and each tick which of all lines
    can; once a second it also finds the overdue places. Lines with little work are admitted
    together. A line with much work, and one that is locked, is admitted alone beside the next
    rounds: no line waits for another.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._failures = LineFailures("admission")
        self._check_due = 0.0
        self._tick_seconds = services.settings.admission_tick_seconds
        self._count_due = 0.0
        self._again: set[int] = set()
        """The rooms in which more places may be admitted at once."""
        self._alone: dict[int, asyncio.Task[int]] = {}
        self._woken_alone: set[int] = set()
        """The rooms that were woken while they are admitted alone."""
        self._error: BaseException | None = None
        """A failure for all lines of one that was admitted alone; the next round raises it."""
        self._free_calls = asyncio.Semaphore(_CALLS_ALONE)

    async def run(self) -> None:
        """Waits for a wake-up or the next tick, then runs a round."""
        until_check = self._check_due - asyncio.get_running_loop().time()
        woken = await self._services.admission_signal.wait(0 if self._again else until_check)
        with metrics.UPKEEP_SECONDS.labels("admission").time():
            await self._round(woken)
        # At the peak of a sale every payment wakes a line.
        await asyncio.sleep(_PAUSE_SECONDS)

    async def run_once(self, woken: set[int]) -> int:
        """Runs rounds until nothing is left to do. Returns the number of users admitted.

        Args:
            woken: the rooms in which a slot may be free.
        """
        admitted = await self._round(woken)
        while self._again or self._alone:
            alone = list(self._alone.values())
            await asyncio.gather(*alone, return_exceptions=True)
            admitted += await self._round(set())  # raises their failure
            admitted += sum(task.result() for task in alone)
        return admitted

    async def stop(self) -> None:
        """Stops the lines that are being admitted alone."""
        alone = list(self._alone.values())
        for task in alone:
            task.cancel()
        await asyncio.gather(*alone, return_exceptions=True)

    async def _round(self, woken: set[int]) -> int:
        now = asyncio.get_running_loop().time()
        # After a failed round all lines are checked, so that no wake-up is lost.
        due, self._check_due = self._check_due, 0.0
        error, self._error = self._error, None
        if error is not None:
            raise error
        self._woken_alone |= woken & self._alone.keys()
        is_tick = now >= due
        rooms, self._again = woken | self._again, set()
        admitted = 0
        slots = await self._find_work(rooms, now, is_tick=is_tick)
        lines = await self._lines(slots)
        together = [line for line in lines if slots[line.room_id] <= _PLACES_TOGETHER]
        for line in lines:
            if slots[line.room_id] > _PLACES_TOGETHER:
                self._start_alone(line)
        try:
            for batch in _batches(together, slots):
                admitted += await self._admit_together(batch)
        finally:
            if admitted:
                await self._services.rooms.snapshot.refresh_rooms(slots)
        self._check_due = now + self._tick_seconds if is_tick else due
        return admitted

    async def _find_work(self, rooms: set[int], now: float, *, is_tick: bool) -> dict[int, int]:
        """Returns the rooms with work, the woken ones first, and how many slots each may give."""
        overdue: Sequence[int] = ()
        if now >= self._count_due:
            overdue = await self._services.rooms.snapshot.refresh_active()
            self._count_due = now + _COUNT_SECONDS
        slots = {}
        if rooms or is_tick:
            started = monotonic()
            found = await self._services.rooms.admission_work(rooms, every=is_tick)
            if is_tick:
                rest = min(_TICK_REST * (monotonic() - started), _LONGEST_TICK_SECONDS)
                self._tick_seconds = max(self._services.settings.admission_tick_seconds, rest)
            slots = dict(sorted(found.items(), key=lambda work: work[0] not in rooms))
        # Those without work are not to be measured from this wake-up on.
        for room_id in rooms - slots.keys():
            self._services.admission_signal.woken_at.pop(room_id, None)
        return slots | {room_id: slots.get(room_id, 0) for room_id in overdue}

    async def _lines(self, rooms: Iterable[int]) -> list[Line]:
        """Returns the lines to admit now: not those that are admitted alone, or just failed."""
        snapshot = self._services.rooms.snapshot
        if any(room_id not in snapshot.lines for room_id in rooms):
            await snapshot.refresh()
        return [
            line
            for room_id in rooms
            if room_id not in self._alone
            and (line := snapshot.lines.get(room_id)) is not None
            and not self._failures.is_resting(line)
        ]

    async def _admit_together(self, lines: Sequence[Line]) -> int:
        """Admits the next places of some lines. If that fails, each of them is admitted alone."""
        try:
            rows = await self._services.rooms.admit_unlocked(lines)
        except Exception as error:
            if is_for_all(error):
                raise
            for line in lines:
                self._start_alone(line)
            return 0
        for line, row in zip(lines, rows, strict=True):
            if row.outcome == "locked":
                self._start_alone(line)
            elif row.outcome == "done":
                self._note(line, row.admitted, row.expired)
                if row.admitted and row.more:
                    self._again.add(line.room_id)
            else:  # the next tick knows the new policy
                await self._services.rooms.snapshot.refresh_rooms([line.room_id])
        return sum(row.admitted for row in rows)

    def _start_alone(self, line: Line) -> None:
        def end(task: asyncio.Task[int]) -> None:
            del self._alone[line.room_id]
            self._again.add(line.room_id)
            if task.cancelled():
                return
            self._error = task.exception() or self._error
            # Only after a wake-up: a line that admits no place is checked again at the next tick.
            if line.room_id in self._woken_alone:
                self._woken_alone.remove(line.room_id)
                self._services.admission_signal.wake(line.room_id)

        task = asyncio.create_task(self._admit_alone(line))
        self._alone[line.room_id] = task
        task.add_done_callback(end)

    async def _admit_alone(self, line: Line) -> int:
        admitted, rooms = 0, self._services.rooms
        with self._failures.of(line):
            more = True
            while more:
                # One call at a time: the semaphore is fair, so that busy lines don't starve others.
                async with self._free_calls:
                    done = await rooms.admit(line)
                self._note(line, done.admitted, done.expired)
                admitted += done.admitted
                if done.admitted:
                    await rooms.snapshot.refresh_rooms([line.room_id])
                more = done.more and done.admitted > 0
        return admitted

    def _note(self, line: Line, admitted: int, expired: int) -> None:
        woken_at = self._services.admission_signal.woken_at.pop(line.room_id, None)
        concert = str(line.concert_id)
        if admitted:
            metrics.ADMITTED.labels(concert).inc(admitted)
            if woken_at is not None:
                metrics.ADMISSION_DELAY_SECONDS.observe(monotonic() - woken_at)
        if expired:
            metrics.FINISHED.labels(concert, "expired").inc(expired)


def _batches(lines: Sequence[Line], slots: dict[int, int]) -> Iterator[list[Line]]:
    """Yields lines with few enough places to be admitted together."""
    batch: list[Line] = []
    places = 0
    for line in lines:
        places += slots[line.room_id]
        if batch and (len(batch) == _LINES_TOGETHER or places > _PLACES_TOGETHER):
            yield batch
            batch, places = [], slots[line.room_id]
        batch.append(line)
    if batch:
        yield batch
