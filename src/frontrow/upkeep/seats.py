"""Drops seat maps and logged seat changes that are no longer needed."""

from frontrow.services import Services


async def drop_unused(services: Services) -> None:
    """Drops seat maps that were not read lately, and changes that no reader can request."""
    services.seat_maps.forget_idle()
    await services.seat_maps.forget_changes()
