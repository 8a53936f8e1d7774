"""Measures the lines: their pace, seats left, claims, and how good the forecasts were."""

from frontrow import metrics
from frontrow.services import Services
from frontrow.upkeep.lines import has_ended
from frontrow.upkeep.loop import for_each
from frontrow.waiting_room.forecasts.observation import observe
from frontrow.waiting_room.policy import AdaptivePolicy, bounds
from frontrow.waiting_room.snapshot import Line


async def observe_pace(services: Services) -> None:
    """Records the pace of the lines and the outcomes of the forecasts."""

    async def observe_line(line: Line) -> None:
        if (line.waiting or line.active) and not line.closed:
            await observe(services.pool, line)

    await for_each(services.rooms.snapshot.lines.values(), observe_line)


async def refresh_counts(services: Services) -> None:
    """Counts the seats left of each concert, and publishes the gauges of its line."""
    snapshot = services.rooms.snapshot
    await snapshot.refresh_counts()
    for line in snapshot.lines.values():
        if not has_ended(line):
            metrics.set_line(line)
            _publish_bounds(line)


async def count_places(services: Services) -> None:
    """Counts claims and judged forecasts of the lines that have users: a scan of each line."""

    async def count(line: Line) -> None:
        concert = str(line.concert_id)
        if not (line.waiting or line.active):
            if not has_ended(line):
                metrics.CLAIMED.labels(concert).set(0)
        else:
            counted = await services.rooms.statistics(line.concert_id)
            forecast = counted.forecast
            metrics.CLAIMED.labels(concert).set(counted.claimed)
            metrics.FORECASTS_JUDGED.labels(concert).set(forecast.judged)
            metrics.set_forecast(
                metrics.FORECAST_SHARE, concert, forecast.below_p50, forecast.below_p90
            )

    await for_each(services.rooms.snapshot.lines.values(), count)


def _publish_bounds(line: Line) -> None:
    # The present cap of an adaptive policy is published when it is set.
    if not isinstance(line.policy, AdaptivePolicy):
        allowed = bounds(line.policy)
        rate, seconds = allowed.rate, allowed.rate_seconds
        metrics.set_bounds(line.concert_id, allowed.cap, rate and seconds and rate / seconds)
