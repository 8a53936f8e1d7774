"""Marks expired holds as expired. Their seats are free even before that."""

from frontrow import metrics
from frontrow.services import Services


async def expire_holds(services: Services) -> int:
    """Records which holds have expired. Returns their number."""
    expired = await services.reservations.expire()
    if expired:
        metrics.HOLDS_EXPIRED.inc(expired)
    return expired
