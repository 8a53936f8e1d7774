"""Buys seats."""

from collections.abc import Sequence

from frontrow.ids import PlaceRef
from frontrow.payments.model import Payment
from frontrow.services import Services
from tests.buyers import (
    Made,
    buyer,
)
from tests.integration.features.holding import hold

PRICE = 50_000


async def purchase(
    services: Services, made: Made, seats: Sequence[int]
) -> tuple[PlaceRef, Payment]:
    """A new guest buys seats."""
    place = await buyer(services, made.concert_id, PRICE * len(seats))
    reservation = await hold(services, place, made, seats)
    payment, _ = await services.paying.pay(
        place, reservation.reservation_id, reservation.amount, None
    )
    return place, payment
