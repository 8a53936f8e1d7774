"""Buys seats."""

import asyncio
from collections.abc import Sequence

from frontrow.ids import PlaceRef
from frontrow.payments.model import Payment
from frontrow.services import Services
from tests.buyers import (
    ConcertOnSale,
    admit_all,
    buyer,
    join,
)
from tests.integration.features.holding import hold

PRICE = 50_000


async def purchase(
    services: Services, made: ConcertOnSale, seats: Sequence[int]
) -> tuple[PlaceRef, Payment]:
    """Lets a new guest buy seats."""
    place = await buyer(services, made.concert_id, PRICE * len(seats))
    reservation = await hold(services, place, made, seats)
    payment, _ = await services.payments.pay(
        place, reservation.reservation_id, reservation.amount, None
    )
    return place, payment


async def purchases(services: Services, made: ConcertOnSale, buyers: int) -> list[Payment]:
    """Lets ``count`` guests buy a seat each of the first show, concurrently."""
    places = await asyncio.gather(*[join(services, made.concert_id) for _ in range(buyers)])
    await admit_all(services, made.concert_id)
    await asyncio.gather(*[services.ledger.charge(place, PRICE, None) for place in places])
    holds = await asyncio.gather(
        *[hold(services, place, made, [seat]) for seat, place in enumerate(places, 1)]
    )
    paid = await asyncio.gather(
        *[
            services.payments.pay(place, held.reservation_id, PRICE, None)
            for place, held in zip(places, holds, strict=True)
        ]
    )
    return [payment for payment, _ in paid]
