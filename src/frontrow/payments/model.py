"""A payment and its tickets, as their owner sees them."""

from datetime import date, datetime
from typing import Annotated, Literal, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

VoidReason: TypeAlias = Literal["refunded", "show_cancelled"]

Code = Annotated[
    str,
    Meta(
        description=(
            "Scanned at the gate: signed, without personal data. It changes with the signing key; "
            "null once the ticket is void."
        )
    ),
]


Row: TypeAlias = Annotated[int, Meta(description="The row within the section, from 1 on.")]
SeatInRow: TypeAlias = Annotated[int, Meta(description="The seat within the row, from 1 on.")]


class PaidTicket(msgspec.Struct, frozen=True, gc=False):
    """An owned seat in the list of a payment."""

    ticket_id: UUID
    number: int
    code: Code | None


RefundReason: TypeAlias = Literal["operator", "buyer", "show_cancelled"]


class Refund(msgspec.Struct, frozen=True, gc=False):
    """The refund of a whole payment to its user's balance."""

    refund_id: UUID
    amount: int
    balance: Annotated[int, Meta(description="The balance right after it.")]
    refunded_at: datetime
    reason: Annotated[
        RefundReason, Meta(description="Who requested it; `show_cancelled` for a cancelled show.")
    ]


class Payment(msgspec.Struct, frozen=True):
    """A purchase. Money is in the currency's minor unit."""

    payment_id: UUID
    reservation_id: UUID
    user_id: UUID
    amount: int
    currency: str
    balance: Annotated[int, Meta(description="The balance right after it.")]
    state: Literal["paid", "refunded"]
    seats: Annotated[list[int], Meta(description="The numbers of the owned seats.")]
    tickets: list[PaidTicket]
    paid_at: datetime
    refund: Annotated[Refund | None, Meta(description="Null until it is refunded.")]


class ShowAtStake(msgspec.Struct, frozen=True):
    """A show that may be cancelled. ``revenue`` is in the currency's minor unit."""

    title: str
    venue: str | None
    timezone: str
    starts_at: datetime
    cancelled_at: datetime | None
    seats_sold: int
    revenue: int

    def line(self) -> str:
        """Returns the show in one line, with its time at the venue."""
        at = self.starts_at.astimezone(ZoneInfo(self.timezone))
        return f"{self.title}{f', {self.venue}' if self.venue else ''}, {at:%Y-%m-%d %H:%M}"


class Cancellation(msgspec.Struct, frozen=True):
    """The progress of a cancelled show's refunds."""

    show_id: UUID
    state: Annotated[
        Literal["cancelling", "cancelled"],
        Meta(description="cancelled: all purchases are refunded."),
    ]
    payments_total: Annotated[int, Meta(description="Purchases at the time of the cancellation.")]
    payments_refunded: Annotated[int, Meta(description="How many of them are refunded.")]
    seats_freed: Annotated[int, Meta(description="Seats of the refunded purchases.")]
    amount_refunded: Annotated[
        int, Meta(description="The sum of the refunds, in the currency's minor unit.")
    ]
    started_at: Annotated[datetime, Meta(description="When the show was cancelled.")]
    finished_at: Annotated[
        datetime | None, Meta(description="When the last purchase was refunded.")
    ]


class PaymentPage(msgspec.Struct, frozen=True):
    """A page of payments, newest first; ``next`` is the ``after`` of the next page."""

    payments: list[Payment]
    next: str | None


class SeatCounts(msgspec.Struct, frozen=True):
    """The seats of a concert by state."""

    total: int
    available: int
    held: int
    sold: int


class Sales(msgspec.Struct, frozen=True):
    """The sales of a concert so far."""

    seats: SeatCounts
    revenue: Annotated[int, Meta(description="In the currency's minor unit.")]
    holds_expired: Annotated[int, Meta(description="Holds that ended unpaid.")]


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """An owned seat."""

    ticket_id: UUID
    payment_id: UUID
    concert_id: UUID
    title: str
    venue: str | None
    timezone: str
    show_id: UUID
    date: date
    starts_at: datetime
    number: int
    section: str | None
    row: Row
    seat: SeatInRow
    paid_at: datetime
    state: Annotated[
        Literal["valid", "used", "void"],
        Meta(description="valid → used at check-in; void: refunded or cancelled."),
    ]
    checked_in_at: Annotated[datetime | None, Meta(description="When it was checked in.")]
    void_at: Annotated[datetime | None, Meta(description="When it became void.")]
    void_reason: Annotated[VoidReason | None, Meta(description="Why it became void.")]
    code: Code | None


class Revision(msgspec.Struct, frozen=True):
    """A version of a ticket's facts. Its number and its time never fall."""

    number: int
    revised_at: datetime
    cancelled: bool
