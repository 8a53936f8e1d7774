"""Measures the lines in use: their pace, seats left, claims, and how good the forecasts were."""

from collections.abc import Sequence

from frontrow.exposition.lines import Counted
from frontrow.services import Services
from frontrow.upkeep.loop import for_each
from frontrow.waiting_room.forecasts.observation import lines_to_observe, observe
from frontrow.waiting_room.line import Line
from frontrow.waiting_room.line_failures import LineFailures
from frontrow.waiting_room.line_upkeep import work_together


class PaceObservation:
    """Records the pace of the lines in use and the outcomes of the forecasts."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._failures = LineFailures("pace")

    async def run_once(self) -> None:
        """Observes the lines that are due."""
        pool = self._services.pool
        lines = [line for line in self._services.rooms.snapshot.in_use() if not line.closed]

        async def together(some: Sequence[Line]) -> Sequence[Line]:
            await observe(pool, some)
            return ()

        if lines and (due := await lines_to_observe(pool, lines)):
            await work_together(due, together, lambda line: observe(pool, [line]), self._failures)


async def refresh_counts(services: Services) -> None:
    """Counts the seats left of the concerts that changed, and records which lines are in use."""
    snapshot = services.rooms.snapshot
    await snapshot.refresh_counts()
    services.exposition.activity.look({*snapshot.take_changed(), *snapshot.in_use()})


async def count_places(services: Services) -> None:
    """Counts claims and judged forecasts of the lines in use: a scan of each line."""

    async def count(line: Line) -> None:
        found = await services.rooms.statistics(line.concert_id)
        quality = found.forecast
        counted = Counted(found.claimed, quality.judged, quality.below_p50, quality.below_p90)
        services.exposition.activity.count(line.concert_id, counted)

    await for_each(services.rooms.snapshot.in_use(), count)
