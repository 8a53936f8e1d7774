"""Maps the outcomes of the database functions to errors.

A function that refuses an item returns the code of the error in its column ``outcome``. A
test compares this table with the functions.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple, Protocol, TypeAlias

from frontrow import errors
from frontrow.errors import DomainError

PlaceRefusal: TypeAlias = Literal["credential_invalid", "not_admitted", "token_finished"]
"""Why a place may not act; ``token_finished`` with its ``reason``."""


class Refusal(NamedTuple):
    """An error, and which columns its fields are."""

    error: type[DomainError]
    fields: Mapping[str, str] = {}
    detail: str | None = None
    optional: Mapping[str, str] = {}
    """Fields from columns that not every function with this outcome returns."""


REFUSALS: Mapping[str, Refusal] = {
    refusal.error.code: refusal
    for refusal in (
        Refusal(
            errors.AlreadyCheckedIn,
            {"checked_in_at": "checked_in_at", "gate": "gate"},
            optional={
                "concert_title": "title",  # a problem's own title has this name
                **{name: name for name in ("ticket_id", "concert_id", "show_id", "date")},
                **{name: name for name in ("starts_at", "number", "section", "row", "seat")},
            },
        ),
        Refusal(errors.AmountMismatch, {"expected": "expected"}),
        Refusal(errors.BalanceRemains, {"balance": "balance"}),
        Refusal(errors.CredentialInvalid),
        Refusal(errors.HoldExpired),
        Refusal(errors.IdempotencyKeyReused),
        Refusal(
            errors.InsufficientBalance,
            {"balance": "balance", "amount": "expected", "shortfall": "shortfall"},
        ),
        Refusal(errors.KeyLimit, {"limit": "limit"}),
        Refusal(errors.NotAdmitted),
        Refusal(errors.NotAllowed),
        Refusal(errors.NotFound),
        Refusal(
            errors.RateLimited,
            {"retry_after_seconds": "retry_after_seconds"},
            "You left too many holds unpaid. Try again later.",
        ),
        Refusal(
            errors.RecentlyReleased,
            {"seats": "taken", "retry_after_seconds": "retry_after_seconds"},
        ),
        Refusal(errors.RefundClosed),
        Refusal(errors.ReservationClosed, {"state": "state"}),
        Refusal(errors.RoomClosed),
        Refusal(errors.SeatLimit, {"limit": "seat_limit"}),
        Refusal(errors.SeatsUnavailable, {"available": "available", "together": "together"}),
        Refusal(errors.SeatTaken, {"seats": "taken"}),
        Refusal(errors.ShowClosed),
        Refusal(errors.SignInRequired),
        Refusal(errors.TicketVoid, {"reason": "void_reason"}),
        Refusal(errors.TokenFinished, {"reason": "reason"}),
        Refusal(errors.WrongShow, {"show_id": "show_id", "concert_id": "concert_id"}),
    )
}


class Outcome(Protocol):
    """A row with the outcome of a call."""

    accepted: ClassVar[frozenset[str]]
    """The outcomes that are not refusals."""

    @property
    def outcome(self) -> str:
        """The outcome."""


def check(row: Outcome) -> None:
    """Raises the error that a row's outcome stands for, unless its caller accepts it."""
    if row.outcome not in row.accepted:
        raise refusal_of(row)


def refusal_of(row: Outcome) -> DomainError:
    """Returns the error that a row's outcome stands for.

    Raises:
        KeyError: no error has this outcome: a bug in the code.
    """
    error, fields, detail, optional = REFUSALS[row.outcome]
    found = {field: getattr(row, column) for field, column in fields.items()}
    found |= {
        field: getattr(row, column) for field, column in optional.items() if hasattr(row, column)
    }
    return error(detail, **found)
