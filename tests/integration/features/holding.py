"""Holds seats for tests, and reads who has them."""

from collections.abc import Sequence

from frontrow.ids import PlaceRef
from frontrow.reservations.model import Reservation
from frontrow.services import Services
from tests.buyers import (
    ConcertOnSale,
    Owner,
    admit_all,
    join,
)


async def hold(
    services: Services,
    place: PlaceRef,
    made: ConcertOnSale,
    seats: Sequence[int],
    key: str | None = None,
) -> Reservation:
    """Makes a new hold of the first show's seats."""
    reservation, replayed = await services.reservations.hold(place, made.shows[0], seats, key)
    assert not replayed
    return reservation


async def taken(owner: Owner) -> dict[int, str]:
    """Returns the seats that are taken now, each with its reservation."""
    rows = await owner.fetch(
        "SELECT number, reservation_id FROM seat WHERE held_until > clock_timestamp() ORDER BY 1"
    )
    return {row["number"]: str(row["reservation_id"]) for row in rows}


async def join_again(services: Services, place: PlaceRef) -> PlaceRef:
    """Returns the same user's next place in the same line, admitted."""
    again = await join(services, place.concert_id, place.user_id)
    await admit_all(services, place.concert_id)
    return again
