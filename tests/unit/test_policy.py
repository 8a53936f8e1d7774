"""Policies: the bounds they set, and what is no policy."""

import msgspec
import pytest

from frontrow.waiting_room.policy import (
    DEFAULT_POLICY,
    Bounds,
    MaxActivePolicy,
    OpenPolicy,
    Policy,
    RatePolicy,
    bounds,
)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (OpenPolicy(), Bounds(cap=None, rate=None, rate_seconds=None)),
        (MaxActivePolicy(max_active=7), Bounds(cap=7, rate=None, rate_seconds=None)),
        (RatePolicy(admit=30, every_seconds=60), Bounds(cap=None, rate=30, rate_seconds=60.0)),
    ],
)
def test_bounds(policy: Policy, expected: Bounds) -> None:
    """A policy bounds what its name says, and nothing else."""
    assert bounds(policy) == expected


def test_default() -> None:
    """Unless told otherwise a hundred people are in at once."""
    assert MaxActivePolicy(max_active=100) == DEFAULT_POLICY


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"kind": "open"}', OpenPolicy()),
        ('{"kind": "max_active", "max_active": 1}', MaxActivePolicy(max_active=1)),
        (
            '{"kind": "max_active", "max_active": 1000000}',
            MaxActivePolicy(max_active=1_000_000),
        ),
        (
            '{"kind": "rate", "admit": 5, "every_seconds": 3600}',
            RatePolicy(admit=5, every_seconds=3600),
        ),
    ],
)
def test_decoded(body: str, expected: Policy) -> None:
    """The contract's policies are read, and written again as they were."""
    policy = msgspec.json.decode(body, type=Policy)
    assert policy == expected
    assert msgspec.json.decode(msgspec.json.encode(policy)) == msgspec.json.decode(body)


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "[]",
        "null",
        '"open"',
        '{"kind": "closed"}',
        '{"kind": null}',
        '{"max_active": 5}',
        '{"kind": "open", "max_active": 5}',
        '{"kind": "max_active"}',
        '{"kind": "max_active", "max_active": 0}',
        '{"kind": "max_active", "max_active": -1}',
        '{"kind": "max_active", "max_active": 1000001}',
        '{"kind": "max_active", "max_active": "5"}',
        '{"kind": "max_active", "max_active": 1.5}',
        '{"kind": "max_active", "max_active": true}',
        '{"kind": "max_active", "max_active": null}',
        '{"kind": "rate", "admit": 5}',
        '{"kind": "rate", "every_seconds": 5}',
        '{"kind": "rate", "admit": 0, "every_seconds": 5}',
        '{"kind": "rate", "admit": 5, "every_seconds": 0}',
        '{"kind": "rate", "admit": 5, "every_seconds": 3601}',
        '{"kind": "rate", "admit": 5, "every_seconds": 5, "max_active": 3}',
    ],
)
def test_refused(body: str) -> None:
    """Anything else is no policy."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=Policy)
