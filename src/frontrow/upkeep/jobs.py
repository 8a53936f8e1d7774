"""The table of background jobs, and the task that repeats each of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from frontrow.keys.ring import REFRESH_SECONDS
from frontrow.services import Services
from frontrow.upkeep import expiry, keys, lines, refunds, seats, statistics
from frontrow.upkeep.admission import Admission
from frontrow.upkeep.loop import repeat

_CLOSE_SECONDS = 0.5
_LISTING_SECONDS = 1.0
_RETIRE_KEYS_SECONDS = 60.0
_DROP_SEATS_SECONDS = 15.0
_REFUND_SECONDS = 0.5
_PRUNE_CHALLENGES_SECONDS = 60.0
# Once a second over all processes: each tries a little more often than that.
_PACE_SECONDS = 0.5
# A scan of all places, where a user was erased.
_UNLINK_SECONDS = 5.0
# A scan of each line; limited to 1 % of the time.
_COUNT_PLACES_SECONDS = 15.0
_SCAN_REST = 100.0


@asynccontextmanager
async def running(services: Services) -> AsyncIterator[None]:
    """Runs all jobs, each at its own interval, until the block ends."""
    settings = services.settings
    step_seconds = settings.adaptive_step_seconds
    admission = Admission(services)
    jobs = [
        repeat("admission", admission.run, 0),
        repeat("snapshot", lambda: lines.refresh(services), settings.snapshot_seconds),
        repeat("credentials", lambda: keys.read_revocations(services), settings.credential_seconds),
        repeat("draw", lambda: lines.draw(services), settings.snapshot_seconds),
        repeat("closing", lambda: lines.close(services), _CLOSE_SECONDS),
        repeat(
            "adaptation",
            lambda: services.rooms.adapt(services.latencies.take(), step_seconds),
            step_seconds / 2,
        ),
        repeat("pace", statistics.PaceObservation(services).run_once, _PACE_SECONDS),
        repeat("refunds", lambda: refunds.refund_cancelled(services), _REFUND_SECONDS),
        repeat("counts", lambda: statistics.refresh_counts(services), settings.stock_seconds),
        repeat("listing", services.catalogue.list_due, _LISTING_SECONDS),
        repeat("fold", services.payments.fold_stock, settings.stock_seconds),
        repeat("token_keys", services.signer.refresh, REFRESH_SECONDS),
        repeat("old_keys", lambda: keys.retire_old_keys(services), _RETIRE_KEYS_SECONDS),
        repeat("ticket_keys", services.tickets.signer.ring.refresh, REFRESH_SECONDS),
        repeat("seats", lambda: seats.drop_unused(services), _DROP_SEATS_SECONDS),
        repeat("unlinking", services.erasures.unlink, _UNLINK_SECONDS, rest=_SCAN_REST),
        repeat("expiry", lambda: expiry.expire_holds(services), settings.expiry_tick_seconds),
        repeat(
            "places",
            lambda: statistics.count_places(services),
            _COUNT_PLACES_SECONDS,
            rest=_SCAN_REST,
        ),
    ]
    if services.challenges is not None:
        ring = services.challenges.ring
        jobs += [
            repeat("challenge_keys", ring.refresh, REFRESH_SECONDS),
            repeat("challenges", services.users.prune_challenges, _PRUNE_CHALLENGES_SECONDS),
        ]
    if services.sign_in is not None:
        issuer_keys = services.sign_in.keys
        jobs.append(repeat("issuer_keys", issuer_keys.refresh, settings.oidc_refresh_seconds))
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await admission.stop()
