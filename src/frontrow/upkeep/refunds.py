"""Refunds the payments of cancelled shows."""

from uuid import UUID

from frontrow.services import Services
from frontrow.upkeep.loop import for_each


async def refund_cancelled(services: Services) -> None:
    """Refunds what remains of each cancelled show, unless another process is doing it."""

    async def refund_all(show_id: UUID) -> None:
        while await services.cancellations.step(show_id) == "running":
            pass

    await for_each(await services.cancellations.running(), refund_all)
