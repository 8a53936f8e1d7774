"""A reservation, as its owner sees it."""

from datetime import date, datetime
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Meta

ReservationState: TypeAlias = Literal["held", "paid", "released", "expired", "refunded"]


class ReservedSeat(msgspec.Struct, frozen=True, gc=False):
    """A seat of a reservation."""

    number: int
    section: str | None
    price: Annotated[int, Meta(description="In the currency's minor unit.")]


class Reservation(msgspec.Struct, frozen=True):
    """Seats assigned to one user: for a while, or for good once paid."""

    reservation_id: UUID
    concert_id: UUID
    show_id: UUID
    date: date
    starts_at: datetime
    seats: list[ReservedSeat]
    amount: Annotated[int, Meta(description="What it costs, in the currency's minor unit.")]
    currency: str
    state: Annotated[
        ReservationState, Meta(description="held → paid, released or expired; paid → refunded.")
    ]
    held_until: Annotated[datetime, Meta(description="When an unpaid hold ends by itself.")]
    created_at: datetime
    payment_id: UUID | None
