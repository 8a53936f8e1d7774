"""Draws lines, closes lines, and refreshes this process's snapshot of them."""

import structlog

from frontrow import metrics
from frontrow.services import Services
from frontrow.upkeep.loop import for_each
from frontrow.waiting_room.line import Line

_log = structlog.get_logger(__name__)


async def refresh(services: Services) -> None:
    """Refreshes the snapshot of the lines."""
    await services.rooms.snapshot.refresh()
    metrics.SNAPSHOT_TIMESTAMP.set_to_current_time()


async def draw(services: Services) -> None:
    """Draws the lines whose draw is due."""

    async def draw_one(line: Line) -> None:
        if line.draw_due and await services.rooms.draw(line):
            metrics.DRAWS.inc()
            _log.info("a line was drawn", concert=str(line.concert_id))

    await for_each(services.rooms.snapshot.lines.values(), draw_one)


async def close(services: Services) -> None:
    """Finishes the waiting places of closed lines."""

    async def close_one(line: Line) -> None:
        if line.closed:
            await services.rooms.close(line)

    await for_each(services.rooms.snapshot.lines.values(), close_one)
