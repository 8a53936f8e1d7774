"""The settings of a waiting room: the bounds of the contract."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from frontrow.errors import InvalidRequest
from frontrow.waiting_room.policy import DEFAULT_POLICY, RatePolicy
from frontrow.waiting_room.settings import RoomSettings


def read(body: dict[str, Any]) -> RoomSettings:
    """Decodes a body as the server does."""
    return msgspec.json.decode(json.dumps(body), type=RoomSettings)


def pointers(refused: InvalidRequest) -> list[str]:
    """Returns the fields that a refusal names."""
    errors = refused.fields["errors"]
    assert isinstance(errors, list)
    return [error["pointer"] for error in errors]


def test_omitted_fields_have_defaults() -> None:
    """Omitted fields have the contract's defaults."""
    assert read({}) == RoomSettings(
        policy=DEFAULT_POLICY, session_seconds=600, claim_seconds=120, opens_at=None, closes_at=None
    )


def test_all_fields_are_read() -> None:
    """A waiting room with every field set."""
    assert read(
        {
            "policy": {"kind": "rate", "admit": 3, "every_seconds": 2},
            "session_seconds": 86_400,
            "claim_seconds": 3_600,
            "opens_at": "2027-05-01T19:00:00+09:00",
            "closes_at": "2027-05-01T10:00:01Z",
        }
    ) == RoomSettings(
        policy=RatePolicy(admit=3, every_seconds=2),
        session_seconds=86_400,
        claim_seconds=3_600,
        opens_at=datetime(2027, 5, 1, 10, tzinfo=UTC),
        closes_at=datetime(2027, 5, 1, 10, 0, 1, tzinfo=UTC),
    )


def test_minimum_values_are_allowed() -> None:
    """The minimum of every bound is allowed."""
    least = read({"session_seconds": 1, "claim_seconds": 1, "opens_at": None})
    assert (least.session_seconds, least.claim_seconds, least.opens_at) == (1, 1, None)


@pytest.mark.parametrize(
    "body",
    [
        {"session_seconds": 0},
        {"session_seconds": 86_401},
        {"session_seconds": None},
        {"claim_seconds": 0},
        {"claim_seconds": 3_601},
        {"claim_seconds": "120"},
        {"policy": None},
        {"policy": {"kind": "lottery"}},
        {"opens_at": "2027-05-01T19:00:00"},
        {"opens_at": "tomorrow"},
        {"paused": True},
        {"order": "lottery"},
        {"policy": {"kind": "adaptive", "min_active": 1, "max_active": 2}},
        {"policy": {"kind": "max_active_and_rate", "max_active": 1, "admit": 1}},
    ],
)
def test_invalid_settings_are_refused(body: dict[str, Any]) -> None:
    """A value out of bounds, of another type, unknown or incomplete is refused."""
    with pytest.raises(msgspec.ValidationError):
        read(body)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"opens_at": "0001-01-01T00:00:00+09:00"}, "/opens_at"),
        ({"closes_at": "9999-12-31T23:59:59-09:00"}, "/closes_at"),
        (
            {"opens_at": "2027-05-01T10:00:00Z", "closes_at": "2027-05-01T10:00:00Z"},
            "/closes_at",
        ),
        (
            {"opens_at": "2027-05-01T10:00:00Z", "closes_at": "2027-05-01T18:59:59+09:00"},
            "/closes_at",
        ),
        (
            {
                "policy": {
                    "kind": "adaptive", "min_active": 3, "max_active": 2, "target_p95_ms": 9,
                }
            },
            "/policy/min_active",
        ),
    ],
)  # fmt: skip
def test_contradictions_name_the_field(body: dict[str, Any], pointer: str) -> None:
    """Times beyond the calendar, closing before opening, a minimum above the maximum."""
    with pytest.raises(InvalidRequest) as refused:
        read(body).check("/waiting_room")
    assert pointers(refused.value) == ["/waiting_room" + pointer]


@pytest.mark.parametrize(
    ("flaw", "pointer"),
    [
        ("opens_in_the_past", "/opens_at"),
        ("closes_in_the_past", "/closes_at"),
        ("draw_after_opening", "/order"),
        ("draw_without_opening", "/opens_at"),
    ],
)
def test_refusal_of_the_database_names_the_field(flaw: str, pointer: str) -> None:
    """Each conflict that depends on the stored line."""
    refusal = RoomSettings().refusal(flaw, "/waiting_room")
    assert pointers(refusal) == ["/waiting_room" + pointer]
