"""What the functions that hold seats answer, as a reservation or an error."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg

from frontrow.concerts.model import Show
from frontrow.errors import (
    DomainError,
    RateLimited,
    ReservationClosed,
    SeatLimit,
    SeatsUnavailable,
    SeatTaken,
    outcome_error,
)
from frontrow.reservations.model import Reservation, ReservedSeat

OPERATION = "reservation"
"""What a hold's Idempotency-Keys are of, however its seats are told."""


class UnpaidHolds(NamedTuple):
    """How many holds of a concert a user may let go unpaid, in how many seconds."""

    holds: int
    seconds: int


def made(
    reservation_id: UUID, show: Show, seats: Sequence[int], row: asyncpg.Record, *, currency: str
) -> tuple[Reservation, bool]:
    """The reservation as it was made, and whether it had been made before with its key."""
    reservation = Reservation(
        reservation_id=reservation_id,
        concert_id=show.concert_id,
        show_id=show.show_id,
        date=show.date,
        starts_at=show.starts_at,
        seats=[ReservedSeat(*s) for s in zip(seats, row["sections"], row["prices"], strict=True)],
        amount=row["amount"],
        currency=currency,
        state="held",
        held_until=row["held_until"],
        created_at=row["created_at"],
        payment_id=None,
    )
    return reservation, row["outcome"] == "replayed"


def refusal(row: asyncpg.Record) -> DomainError:
    """The error that an outcome of the database stands for."""
    match row["outcome"]:
        case "seat_taken":
            return SeatTaken(seats=row["taken"])
        case "seats_unavailable":
            return SeatsUnavailable(available=row["available"], together=row["together"])
        case "seat_limit":
            return SeatLimit(limit=row["seat_limit"])
        case "rate_limited":
            return RateLimited(
                "You let too many holds go unpaid. Try again later.",
                retry_after_seconds=row["retry_after_seconds"],
            )
        case "reservation_closed":
            return ReservationClosed(state=row["state"])
        case outcome:
            return outcome_error(outcome, row["reason"])
