"""The bodies of requests and answers."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

POLL_AFTER_MS = 2000


class Status(BaseModel):
    """A place in the line."""

    user_id: UUID
    concert_id: UUID
    state: str
    position: int | None
    ahead: int
    poll_after_ms: int = POLL_AFTER_MS


class Joined(Status):
    """The place of a user who joined."""

    token: str


class JoinRequest(BaseModel):
    """The line to join."""

    concert_id: UUID


class SeatOut(BaseModel):
    """A seat of a map."""

    number: int
    section: str | None
    price: int
    state: str


class SeatMap(BaseModel):
    """The seats of a show."""

    show_id: UUID
    seats_available: int
    seats: list[SeatOut]


class HoldRequest(BaseModel):
    """The seats to hold."""

    show_id: UUID
    seats: list[int]


class ReservationOut(BaseModel):
    """A held reservation."""

    reservation_id: UUID
    show_id: UUID
    seats: list[int]
    amount: int
    state: str
    held_until: datetime


class PayRequest(BaseModel):
    """The reservation to pay."""

    reservation_id: UUID
    amount: int


class PaymentOut(BaseModel):
    """A payment."""

    payment_id: UUID
    reservation_id: UUID
    amount: int
    balance: int
    paid_at: datetime
