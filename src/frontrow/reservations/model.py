"""A reservation as its owner sees it, and the request for the best seats."""

from datetime import date, datetime
from typing import Annotated, Literal, NamedTuple, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Meta

ReservationState: TypeAlias = Literal["held", "paid", "released", "expired", "refunded"]


class Wish(msgspec.Struct, frozen=True):
    """A number of the best seats in a section (``None``: anywhere), only side by side or not."""

    count: int
    section: str | None = None
    together: bool = True


class UnpaidHolds(NamedTuple):
    """How many holds of a concert a user may leave unpaid within a number of seconds."""

    holds: int
    seconds: int


class AddressSeats(NamedTuple):
    """How many seats of a concert may be held unpaid from one network; ``None``: any number."""

    ipv4: int | None = None
    """From an IPv4 address."""
    ipv6_64: int | None = None
    """From the /64 of an IPv6 address: one network of a customer."""
    ipv6_56: int | None = None
    ipv6_48: int | None = None


class ReservedSeat(msgspec.Struct, frozen=True, gc=False):
    """A seat of a reservation."""

    number: int
    section: str | None
    price: Annotated[int, Meta(description="In the currency's minor unit.")]


class Reservation(msgspec.Struct, frozen=True):
    """Seats assigned to one user: until the hold ends, or permanently once paid."""

    reservation_id: UUID
    concert_id: UUID
    show_id: UUID
    date: date
    starts_at: datetime
    seats: list[ReservedSeat]
    amount: Annotated[int, Meta(description="The price, in the currency's minor unit.")]
    currency: str
    state: Annotated[
        ReservationState, Meta(description="held → paid, released or expired; paid → refunded.")
    ]
    held_until: Annotated[datetime, Meta(description="When an unpaid hold ends.")]
    created_at: datetime
    payment_id: UUID | None


class ActiveHold(msgspec.Struct, frozen=True):
    """A hold that has not ended."""

    reservation_id: UUID
    user_id: UUID
    show_id: UUID
    seats: Annotated[list[int], Meta(description="Its seats, by number.")]
    amount: Annotated[int, Meta(description="Their price, in the currency's minor unit.")]
    created_at: datetime
    held_until: Annotated[datetime, Meta(description="When it ends unless it is paid.")]
