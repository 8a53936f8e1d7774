"""Errors: each code of the contract has one class."""

import inspect

import pytest

from frontrow import errors
from frontrow.errors import (
    DomainError,
    FrontrowError,
    InvalidRequest,
    SeatTaken,
    SetupError,
)

# The table of errors in the HTTP contract.
CONTRACT = {
    "version_conflict",
    "malformed",
    "credential_missing",
    "credential_invalid",
    "token_finished",
    "insufficient_balance",
    "not_admitted",
    "not_allowed",
    "not_found",
    "seat_taken",
    "seats_unavailable",
    "seat_limit",
    "show_ambiguous",
    "reservation_closed",
    "room_closed",
    "show_closed",
    "challenge_required",
    "challenge_failed",
    "key_limit",
    "refund_closed",
    "already_checked_in",
    "key_in_use",
    "hold_expired",
    "too_large",
    "unsupported_media_type",
    "invalid_request",
    "amount_mismatch",
    "idempotency_key_reused",
    "rate_limited",
    "overloaded",
    "unavailable",
}
# Codes of calls that were added later.
LATER = {
    "already_checked_in",
    "balance_remains",
    "recently_released",
    "sign_in_required",
    "ticket_void",
    "wrong_show",
}
KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, DomainError) and kind is not DomainError
]


def test_every_refusal_has_its_own_code() -> None:
    """No two classes share a code, and the contract has each code."""
    codes = [kind.code for kind in KINDS]
    assert len(codes) == len(set(codes))
    assert set(codes) == CONTRACT | LATER


def test_every_refusal_is_in_the_tree() -> None:
    """The module's docstring names each refusal."""
    assert errors.__doc__ is not None
    assert [kind.__name__ for kind in KINDS if kind.__name__ not in errors.__doc__] == []


@pytest.mark.parametrize("kind", KINDS)
def test_refusal_has_a_detail_and_fields(kind: type[DomainError]) -> None:
    """A default sentence, or the given one; further members become fields."""
    plain = kind()
    assert str(plain) == plain.detail == kind.message
    assert kind.message.endswith((".", "…"))
    assert plain.fields == {}
    refusal = kind("another detail", seats=[1], limit=2)
    assert str(refusal) == refusal.detail == "another detail"
    assert refusal.fields == {"seats": [1], "limit": 2}
    assert isinstance(refusal, FrontrowError)


def test_invalid_field_is_named() -> None:
    """An invalid request has the field and the reason."""
    error = InvalidRequest.at("/seats/0", "seat numbers begin at 1")
    assert error.detail == "seat numbers begin at 1"
    assert error.fields == {
        "errors": [{"pointer": "/seats/0", "detail": "seat numbers begin at 1"}]
    }


def test_setup_error_has_an_exit_code() -> None:
    """A setup error has one line and an exit code, and is not a refusal."""
    error = SetupError("the port is taken", exit_code=4)
    assert (str(error), error.exit_code) == ("the port is taken", 4)
    assert SetupError("x").exit_code == 3
    assert not isinstance(error, DomainError)


def test_refusal_names_the_taken_seats() -> None:
    """The error has the numbers of the taken seats."""
    assert SeatTaken(seats=[3, 4]).fields["seats"] == [3, 4]
