"""Draws lines, closes lines, and refreshes this process's snapshot of them."""

import structlog

from frontrow import metrics
from frontrow.services import Services
from frontrow.upkeep.loop import for_each
from frontrow.waiting_room.line import Line

_log = structlog.get_logger(__name__)

_AT_ONCE = 3
"""Lines that are drawn, or closed, at the same time: a long line delays no other."""


async def refresh(services: Services) -> None:
    """Refreshes the snapshot of the lines."""
    await services.rooms.snapshot.refresh()
    metrics.SNAPSHOT_TIMESTAMP.set_to_current_time()


async def draw(services: Services) -> None:
    """Draws the lines whose draw is due."""
    snapshot = services.rooms.snapshot

    async def draw_one(line: Line) -> None:
        if await services.rooms.draw(line):
            metrics.DRAWS.inc()
            _log.info("a line was drawn", concert=str(line.concert_id))

    await for_each(snapshot.of_rooms(snapshot.draws_due), draw_one, at_once=_AT_ONCE)


async def close(services: Services) -> None:
    """Finishes the waiting places of closed lines."""
    snapshot = services.rooms.snapshot
    await for_each(snapshot.of_rooms(snapshot.closings), services.rooms.close, at_once=_AT_ONCE)
