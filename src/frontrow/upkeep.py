"""What runs beside the calls: admission, expiry, and this process's view of the lines.

Every process runs all of it. Row locks guard the work, so two at once do no harm, and nothing
depends on it being done in time except how soon the next person is called. Each job does one round;
the loops around them live at the end.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from time import monotonic
from typing import TypeVar
from uuid import UUID

import structlog

from frontrow import metrics
from frontrow.db.pool import classify
from frontrow.errors import Fault
from frontrow.keys.ring import REFRESH_SECONDS, retire_old
from frontrow.services import Services
from frontrow.waiting_room import token
from frontrow.waiting_room.observation import observe
from frontrow.waiting_room.policy import AdaptivePolicy, bounds
from frontrow.waiting_room.snapshot import Line

_log = structlog.get_logger(__name__)

Thing = TypeVar("Thing")

_IDLE_LOOK_SECONDS = 1.0
_ADMISSION_REST_SECONDS = 0.01
_CLOSE_SECONDS = 0.5
_RETIRE_KEYS_SECONDS = 60.0
_FORGET_SECONDS = 15.0
_REFUND_SECONDS = 0.5
_PRUNE_CHALLENGES_SECONDS = 60.0
# Over all processes once a second: each tries a little more often than that.
_LOOK_AT_PACE_SECONDS = 0.5
# A pass over all places, where somebody was erased.
_UNLINK_SECONDS = 5.0
# That counts all of a line: it may take a hundredth of the time, or less.
_COUNT_PLACES_SECONDS = 15.0
_COUNT_PLACES_REST = 100.0


class Admission:
    """Calls the next people of the lines."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._next_idle_look = 0.0

    async def run_once(self, woken: set[int]) -> int:
        """Looks at the lines where somebody waits or that were woken for, and now and then at all.

        Returns how many people were called.
        """
        now = asyncio.get_running_loop().time()
        # A round that fails is followed by a look at all: a wake-up isn't forgotten.
        due, self._next_idle_look = self._next_idle_look, 0.0
        look_at_all = now >= due
        lines = [
            line
            for line in self._services.rooms.snapshot.lines.values()
            if look_at_all or line.waiting > 0 or line.room_id in woken
        ]
        called = 0

        async def admit(line: Line) -> None:
            nonlocal called
            called += await self._admit(line, tidy=look_at_all)

        try:
            await _each(sorted(lines, key=lambda line: line.room_id not in woken), admit)
        finally:
            if called:
                await self._services.rooms.snapshot.refresh()
        self._next_idle_look = now + _IDLE_LOOK_SECONDS if look_at_all else due
        return called

    async def _admit(self, line: Line, *, tidy: bool) -> int:
        woken_at = self._services.admission_signal.woken_at.pop(line.room_id, None)
        called = 0
        while True:
            done = await self._services.rooms.admit(line, tidy=tidy)
            called += done.admitted
            concert = str(line.concert_id)
            if done.admitted:
                metrics.ADMITTED.labels(concert).inc(done.admitted)
                if woken_at is not None:
                    metrics.ADMISSION_DELAY_SECONDS.observe(monotonic() - woken_at)
                    woken_at = None
            if done.expired:
                metrics.FINISHED.labels(concert, "expired").inc(done.expired)
            metrics.ACTIVE.labels(concert).set(line.active)
            if not (done.admitted and done.more):
                return called


async def expire_holds(services: Services) -> int:
    """Writes down which holds have ended. Returns how many."""
    ended = await services.reservations.expire()
    if ended:
        metrics.HOLDS_EXPIRED.inc(ended)
    return ended


async def retire_old_keys(services: Services) -> int:
    """Ends the token keys that another one took over from long ago. Returns how many."""
    overlap_seconds = services.settings.token_key_overlap_seconds
    if not overlap_seconds:
        return 0
    ended = await retire_old(services.pool, token.PURPOSE, overlap_seconds=overlap_seconds)
    if ended:
        _log.info("old token keys were retired", keys=ended)
    return ended


async def refund_cancelled(services: Services) -> None:
    """Refunds what is left of cancelled shows, unless another process is at it."""

    async def refund_all(show_id: UUID) -> None:
        while await services.cancellations.step(show_id) == "running":
            pass

    await _each(await services.cancellations.running(), refund_all)


async def draw(services: Services) -> None:
    """Draws the lines whose time has come."""

    async def draw_one(line: Line) -> None:
        if line.draw_due and await services.rooms.draw(line):
            metrics.DRAWS.inc()
            _log.info("a line was drawn", concert=str(line.concert_id))

    await _each(services.rooms.snapshot.lines.values(), draw_one)


async def close(services: Services) -> None:
    """Ends those who still wait in lines that have closed."""

    async def close_one(line: Line) -> None:
        if line.closed:
            await services.rooms.close(line)

    await _each(services.rooms.snapshot.lines.values(), close_one)


async def look_at_pace(services: Services) -> None:
    """Sees how fast the lines move, and what came of the forecasts."""

    async def look(line: Line) -> None:
        if (line.waiting or line.active) and not line.closed:
            await observe(services.pool, line)

    await _each(services.rooms.snapshot.lines.values(), look)


async def forget_seats(services: Services) -> None:
    """Drops seat maps that nobody looks at, and logged changes that nobody needs any more."""
    services.seat_maps.forget_idle()
    await services.seat_maps.forget_changes()


async def refresh_counts(services: Services) -> None:
    """Counts the seats that are left, for those who wait."""
    snapshot = services.rooms.snapshot
    await snapshot.refresh_counts()
    for line in snapshot.lines.values():
        if not _is_over(line):
            metrics.tell_line(line)
            _tell_bounds(line)


async def refresh_lines(services: Services) -> None:
    """Takes over how the lines stand."""
    await services.rooms.snapshot.refresh()
    metrics.SNAPSHOT_TIMESTAMP.set_to_current_time()


async def count_places(services: Services) -> None:
    """Counts what only the database knows of the lines where somebody is."""

    async def count(line: Line) -> None:
        concert = str(line.concert_id)
        if not (line.waiting or line.active):
            if not _is_over(line):
                metrics.CLAIMED.labels(concert).set(0)
        else:
            counted = await services.rooms.statistics(line.concert_id)
            forecast = counted.forecast
            metrics.CLAIMED.labels(concert).set(counted.claimed)
            metrics.FORECASTS_JUDGED.labels(concert).set(forecast.judged)
            metrics.tell_forecast(
                metrics.FORECAST_SHARE, concert, forecast.below_p50, forecast.below_p90
            )

    await _each(services.rooms.snapshot.lines.values(), count)


async def _each(things: Iterable[Thing], do: Callable[[Thing], Awaitable[None]]) -> None:
    """Does something for each line, or show: one that fails stops none of the others.

    Raises:
        Exception: the first failure, once all are done; at once where the database is away.
    """
    failures = []
    for thing in list(things):
        try:
            await do(thing)
        except Exception as error:
            if classify(error) is Fault.LOST:
                raise
            failures.append(error)
    if failures:
        raise failures[0]


def live_concerts(services: Services) -> set[str]:
    """The concerts that the metrics tell of: whose line isn't over."""
    lines = services.rooms.snapshot.lines.values()
    return {str(line.concert_id) for line in lines if not _is_over(line)}


def _is_over(line: Line) -> bool:
    """Nobody is there any more, and nobody can come or find a seat."""
    return line.waiting <= 0 and line.active <= 0 and line.state in ("closed", "sold_out")


def _tell_bounds(line: Line) -> None:
    # The present cap of an adaptive policy is told when it is set.
    if not isinstance(line.policy, AdaptivePolicy):
        allowed = bounds(line.policy)
        rate, seconds = allowed.rate, allowed.rate_seconds
        metrics.tell_bounds(line.concert_id, allowed.cap, rate and seconds and rate / seconds)


@asynccontextmanager
async def running(services: Services) -> AsyncIterator[None]:
    """Runs all jobs, each at its pace, until the block ends."""
    settings = services.settings
    admission = Admission(services)

    async def admit() -> None:
        woken = await services.admission_signal.wait(settings.admission_tick_seconds)
        with metrics.UPKEEP_SECONDS.labels("admission").time():
            await admission.run_once(woken)
        # In a rush each payment rings, and each look counts all who are in.
        await asyncio.sleep(_ADMISSION_REST_SECONDS)

    async def adapt() -> None:
        await services.rooms.adapt(services.load.take(), settings.adaptive_step_seconds)

    loops = [
        _loop("admission", admit, 0),
        _loop("snapshot", lambda: refresh_lines(services), settings.snapshot_seconds),
        _loop("credentials", services.users.read_revocations, settings.credential_seconds),
        _loop("draw", lambda: draw(services), settings.snapshot_seconds),
        _loop("closing", lambda: close(services), _CLOSE_SECONDS),
        _loop("adaptation", adapt, settings.adaptive_step_seconds / 2),
        _loop("pace", lambda: look_at_pace(services), _LOOK_AT_PACE_SECONDS),
        _loop("refunds", lambda: refund_cancelled(services), _REFUND_SECONDS),
        _loop("counts", lambda: refresh_counts(services), settings.stock_seconds),
        _loop("fold", services.paying.fold_stock, settings.stock_seconds),
        _loop("token_keys", services.signer.refresh, REFRESH_SECONDS),
        _loop("old_keys", lambda: retire_old_keys(services), _RETIRE_KEYS_SECONDS),
        _loop("ticket_keys", services.tickets.signer.ring.refresh, REFRESH_SECONDS),
        _loop("seats", lambda: forget_seats(services), _FORGET_SECONDS),
        _loop("unlinking", services.erasures.unlink, _UNLINK_SECONDS, rest=_COUNT_PLACES_REST),
        _loop("expiry", lambda: expire_holds(services), settings.expiry_tick_seconds),
        _loop(
            "places", lambda: count_places(services), _COUNT_PLACES_SECONDS, rest=_COUNT_PLACES_REST
        ),
    ]
    if services.challenges is not None:
        ring = services.challenges.ring
        loops += [
            _loop("challenge_keys", ring.refresh, REFRESH_SECONDS),
            _loop("challenges", services.users.prune_challenges, _PRUNE_CHALLENGES_SECONDS),
        ]
    if services.sign_in is not None:
        keys = services.sign_in.keys
        loops.append(_loop("issuer_keys", keys.refresh, settings.oidc_refresh_seconds))
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _loop(
    job: str,
    run_once: Callable[[], Awaitable[object]],
    pause_seconds: float,
    *,
    rest: float = 0.0,
) -> None:
    """Runs a job for ever. A failure is logged once and tried again until it is over.

    Args:
        job: its name.
        run_once: does one round.
        pause_seconds: between two rounds; 0: the job waits by itself, and times its rounds.
        rest: the pause is at least so many times as long as the round was.
    """
    failing = False
    while True:
        started = monotonic()
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
        took = monotonic() - started
        if pause_seconds:
            metrics.UPKEEP_SECONDS.labels(job).observe(took)
        await asyncio.sleep(max(pause_seconds, rest * took))
