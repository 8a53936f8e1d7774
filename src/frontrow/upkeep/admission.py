"""Admits the next users of the lines."""

import asyncio
from time import monotonic

from frontrow import metrics
from frontrow.services import Services
from frontrow.upkeep.loop import for_each
from frontrow.waiting_room.line import Line

_FULL_ROUND_SECONDS = 1.0
_PAUSE_SECONDS = 0.01


class Admission:
    """The admission of one process.

    A round checks the lines with waiting users and the lines that were woken; once a second it
    checks all of them.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._next_full_round = 0.0

    async def run(self) -> None:
        """Waits for a wake-up or the next tick, then runs a round."""
        settings = self._services.settings
        woken = await self._services.admission_signal.wait(settings.admission_tick_seconds)
        with metrics.UPKEEP_SECONDS.labels("admission").time():
            await self.run_once(woken)
        # At the peak of a sale every payment wakes, and every check counts all admitted places.
        await asyncio.sleep(_PAUSE_SECONDS)

    async def run_once(self, woken: set[int]) -> int:
        """Runs one round. Returns the number of users admitted.

        Args:
            woken: the rooms in which a slot may be free; they are checked first.
        """
        now = asyncio.get_running_loop().time()
        # A failed round is followed by a full one, so that no wake-up is lost.
        due, self._next_full_round = self._next_full_round, 0.0
        is_full = now >= due
        lines = [
            line
            for line in self._services.rooms.snapshot.lines.values()
            if is_full or line.waiting > 0 or line.room_id in woken
        ]
        admitted = 0

        async def admit(line: Line) -> None:
            nonlocal admitted
            admitted += await self._admit(line, tidy=is_full)

        try:
            await for_each(sorted(lines, key=lambda line: line.room_id not in woken), admit)
        finally:
            if admitted:
                await self._services.rooms.snapshot.refresh()
        self._next_full_round = now + _FULL_ROUND_SECONDS if is_full else due
        return admitted

    async def _admit(self, line: Line, *, tidy: bool) -> int:
        woken_at = self._services.admission_signal.woken_at.pop(line.room_id, None)
        admitted = 0
        while True:
            done = await self._services.rooms.admit(line, tidy=tidy)
            admitted += done.admitted
            concert = str(line.concert_id)
            if done.admitted:
                metrics.ADMITTED.labels(concert).inc(done.admitted)
                if woken_at is not None:
                    metrics.ADMISSION_DELAY_SECONDS.observe(monotonic() - woken_at)
                    woken_at = None
            if done.expired:
                metrics.FINISHED.labels(concert, "expired").inc(done.expired)
            if not (done.admitted and done.more):
                return admitted
