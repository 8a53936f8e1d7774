"""How a line may be set up: the contract's bounds."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from frontrow.waiting_room.policy import DEFAULT_POLICY, RatePolicy
from frontrow.waiting_room.settings import RoomSettings


def read(body: dict[str, Any]) -> RoomSettings:
    """The body, decoded as the server does it."""
    return msgspec.json.decode(json.dumps(body), type=RoomSettings)


def test_defaults() -> None:
    """What is left out has the contract's defaults."""
    assert read({}) == RoomSettings(
        policy=DEFAULT_POLICY, session_seconds=600, claim_seconds=120, opens_at=None, closes_at=None
    )


def test_all_fields() -> None:
    """A line with everything set."""
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


def test_least() -> None:
    """The least that is allowed."""
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
        {"opens_at": "0001-01-01T00:00:00+09:00"},
        {"closes_at": "9999-12-31T23:59:59-09:00"},
        {"opens_at": "2027-05-01T10:00:00Z", "closes_at": "2027-05-01T10:00:00Z"},
        {"opens_at": "2027-05-01T10:00:00Z", "closes_at": "2027-05-01T18:59:59+09:00"},
        {"paused": True},
    ],
)
def test_refused(body: dict[str, Any]) -> None:
    """Beyond the bounds, of another type or unknown; and a line can't close before it opens."""
    with pytest.raises(msgspec.ValidationError):
        read(body)
