"""The stored data about a user, in the form of the export."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from frontrow.errors import FinishReason
from frontrow.waiting_room.model import PlaceState
from frontrow.wallet.model import Transfer


class ExportedKey(msgspec.Struct, frozen=True):
    """A user key, of which only a hash is kept."""

    created_at: datetime
    revoked_at: Annotated[datetime | None, Meta(description="When it was revoked.")]
    expires_at: Annotated[datetime | None, Meta(description="When it expires.")]


class ExportedPlace(msgspec.Struct, frozen=True):
    """A place in a line."""

    concert_id: UUID
    number: Annotated[int, Meta(description="The place's number.")]
    state: PlaceState
    reason: Annotated[FinishReason | None, Meta(description="Why a finished place is finished.")]
    joined_at: datetime
    admitted_at: datetime | None
    claimed_at: datetime | None
    expires_at: Annotated[datetime | None, Meta(description="When the session ends or ended.")]
    finished_at: datetime | None


class ExportedReservation(msgspec.Struct, frozen=True):
    """Seats that were held."""

    reservation_id: UUID
    concert_id: UUID
    show_id: UUID
    place_number: Annotated[int, Meta(description="The number of the place that held them.")]
    seats: list[int]
    amount: int
    state: Literal["held", "paid", "released", "expired", "refunded"]
    created_at: datetime
    held_until: datetime
    closed_at: Annotated[datetime | None, Meta(description="When it was no longer held.")]


class ExportedPayment(msgspec.Struct, frozen=True):
    """A purchase."""

    payment_id: UUID
    reservation_id: UUID
    concert_id: UUID
    show_id: UUID
    seats: list[int]
    amount: int
    balance: int
    state: Literal["paid", "refunded"]
    paid_at: datetime
    refunded_at: Annotated[datetime | None, Meta(description="When it was refunded.")]
    refund_reason: Annotated[
        Literal["operator", "buyer", "show_cancelled"] | None,
        Meta(description="Who requested the refund; `show_cancelled` if the show was cancelled."),
    ]


class ExportedTicket(msgspec.Struct, frozen=True):
    """An owned seat."""

    ticket_id: UUID
    payment_id: UUID
    show_id: UUID
    number: int
    checked_in_at: Annotated[datetime | None, Meta(description="When it was checked in.")]
    gate: Annotated[str | None, Meta(description="The gate of the check-in.")]
    void_at: Annotated[datetime | None, Meta(description="When it became void.")]
    void_reason: Annotated[
        Literal["refunded", "show_cancelled"] | None, Meta(description="Why it is void.")
    ]


class UserExport(msgspec.Struct, frozen=True):
    """Everything that is stored about a user."""

    user_id: UUID
    created_at: datetime
    erased_at: Annotated[datetime | None, Meta(description="When the user was erased.")]
    balance: int
    currency: str
    user_keys: Annotated[
        list[ExportedKey], Meta(description="The user keys, without their secrets.")
    ]
    places: Annotated[list[ExportedPlace], Meta(description="In every line.")]
    reservations: Annotated[list[ExportedReservation], Meta(description="Unpaid ones too.")]
    transfers: list[Transfer]
    payments: list[ExportedPayment]
    tickets: list[ExportedTicket]
