"""What runs beside the calls: admission, expiry, and this process's view of the lines.

Every process runs all of it. Row locks guard the work, so two at once do no harm, and nothing
depends on it being done in time except how soon the next person is called. Each job does one round;
the loops around them live at the end.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from frontrow import metrics
from frontrow.services import Services
from frontrow.waiting_room.snapshot import Line

_log = structlog.get_logger(__name__)

_IDLE_LOOK_SECONDS = 1.0


class Admission:
    """Calls the next people of the lines."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._next_idle_look = 0.0

    async def run_once(self, rung: set[int]) -> int:
        """Looks at the lines where somebody waits or that were rung for, and now and then at all.

        Returns how many people were called.
        """
        now = asyncio.get_running_loop().time()
        # A round that fails is followed by a look at all: who had rung isn't forgotten.
        due, self._next_idle_look = self._next_idle_look, 0.0
        look_at_all = now >= due
        lines = self._services.rooms.snapshot.lines
        called = 0
        for line in list(lines.values()):
            if look_at_all or line.waiting > 0 or line.room_id in rung:
                called += await self._admit(line)
        if called:
            await self._services.rooms.snapshot.refresh()
        self._next_idle_look = now + _IDLE_LOOK_SECONDS if look_at_all else due
        return called

    async def _admit(self, line: Line) -> int:
        called = 0
        while True:
            done = await self._services.rooms.admit(line)
            called += done.admitted
            concert = str(line.concert_id)
            if done.admitted:
                metrics.ADMITTED.labels(concert).inc(done.admitted)
            if done.expired:
                metrics.PLACES_EXPIRED.labels(concert).inc(done.expired)
            metrics.ACTIVE.labels(concert).set(done.active)
            if not (done.admitted and done.more):
                return called


async def expire_holds(services: Services) -> int:
    """Writes down which holds have ended. Returns how many."""
    ended = await services.reservations.expire()
    if ended:
        metrics.HOLDS_EXPIRED.inc(ended)
    return ended


async def refresh_stock(services: Services) -> None:
    """Counts the seats that are left, for those who wait."""
    snapshot = services.rooms.snapshot
    await snapshot.refresh_stock()
    for line in snapshot.lines.values():
        metrics.WAITING.labels(str(line.concert_id)).set(line.waiting)
        metrics.SEATS_AVAILABLE.labels(str(line.concert_id)).set(line.seats_available)


@asynccontextmanager
async def running(services: Services) -> AsyncIterator[None]:
    """Runs all jobs, each at its pace, until the block ends."""
    settings = services.settings
    admission = Admission(services)

    async def admit() -> None:
        await admission.run_once(await services.bell.wait(settings.admission_tick_seconds))

    loops = [
        _loop("admission", admit, 0),
        _loop("snapshot", services.rooms.snapshot.refresh, settings.snapshot_seconds),
        _loop("stock", lambda: refresh_stock(services), settings.stock_seconds),
        _loop("fold", services.paying.fold_stock, settings.stock_seconds),
        _loop("expiry", lambda: expire_holds(services), settings.expiry_tick_seconds),
    ]
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _loop(job: str, run_once: Callable[[], Awaitable[object]], pause_seconds: float) -> None:
    """Runs a job for ever. A failure is logged once and tried again until it is over."""
    failing = False
    while True:
        try:
            await run_once()
        except Exception as error:  # noqa: BLE001 - upkeep outlives whatever goes wrong in it
            metrics.UPKEEP_FAILURES.labels(job).inc()
            if not failing:
                _log.warning("upkeep fails", job=job, error=repr(error))
            failing = True
            await asyncio.sleep(max(pause_seconds, 0.2))
            continue
        if failing:
            _log.info("upkeep works again", job=job)
        failing = False
        await asyncio.sleep(pause_seconds)
