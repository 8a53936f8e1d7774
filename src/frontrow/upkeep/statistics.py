"""Measures the lines: their pace, seats left, claims, and how good the forecasts were."""

from frontrow.exposition.lines import Counted
from frontrow.services import Services
from frontrow.upkeep.loop import for_each
from frontrow.waiting_room.forecasts.observation import observe
from frontrow.waiting_room.line import Line


async def observe_pace(services: Services) -> None:
    """Records the pace of the lines and the outcomes of the forecasts."""

    async def observe_line(line: Line) -> None:
        if (line.waiting or line.active) and not line.closed:
            await observe(services.pool, line)

    await for_each(services.rooms.snapshot.lines.values(), observe_line)


async def refresh_counts(services: Services) -> None:
    """Counts the seats left of each concert, and records which lines are in use."""
    snapshot = services.rooms.snapshot
    await snapshot.refresh_counts()
    services.exposition.activity.look(snapshot.lines.values())


async def count_places(services: Services) -> None:
    """Counts claims and judged forecasts of the lines that have users: a scan of each line."""

    async def count(line: Line) -> None:
        if line.waiting or line.active:
            found = await services.rooms.statistics(line.concert_id)
            quality = found.forecast
            counted = Counted(found.claimed, quality.judged, quality.below_p50, quality.below_p90)
            services.exposition.activity.count(line.concert_id, counted)

    await for_each(services.rooms.snapshot.lines.values(), count)
