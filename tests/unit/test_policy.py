"""Policies: the bounds they set, and invalid policies."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.waiting_room.policy import (
    DEFAULT_POLICY,
    AdaptivePolicy,
    Bounds,
    MaxActiveAndRatePolicy,
    MaxActivePolicy,
    OpenPolicy,
    Policy,
    RatePolicy,
    bounds,
)

PEOPLE = st.integers(1, 1_000_000)
SECONDS = st.integers(1, 3_600)
POLICIES: st.SearchStrategy[Policy] = st.one_of(
    st.builds(OpenPolicy),
    st.builds(MaxActivePolicy, max_active=PEOPLE),
    st.builds(RatePolicy, admit=PEOPLE, every_seconds=SECONDS),
    st.builds(MaxActiveAndRatePolicy, max_active=PEOPLE, admit=PEOPLE, every_seconds=SECONDS),
    st.builds(
        AdaptivePolicy,
        min_active=PEOPLE,
        max_active=PEOPLE,
        target_p95_ms=st.integers(1, 60_000),
    ),
)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (OpenPolicy(), Bounds(cap=None, rate=None, rate_seconds=None)),
        (MaxActivePolicy(max_active=7), Bounds(cap=7, rate=None, rate_seconds=None)),
        (RatePolicy(admit=30, every_seconds=60), Bounds(cap=None, rate=30, rate_seconds=60.0)),
        (
            MaxActiveAndRatePolicy(max_active=7, admit=30, every_seconds=60),
            Bounds(cap=7, rate=30, rate_seconds=60.0),
        ),
        (
            AdaptivePolicy(min_active=2, max_active=7, target_p95_ms=200),
            Bounds(cap=7, rate=None, rate_seconds=None),
        ),
    ],
)
def test_bounds_of_each_policy(policy: Policy, expected: Bounds) -> None:
    """A policy bounds what its name says, and nothing else."""
    assert bounds(policy) == expected


@given(POLICIES)
def test_bounds_are_the_fields_of_the_policy(policy: Policy) -> None:
    """The cap is ``max_active``, the rate ``admit``; a field that is missing sets no bound."""
    fields = json.loads(msgspec.json.encode(policy))
    assert bounds(policy) == Bounds(
        cap=fields.get("max_active"),
        rate=fields.get("admit"),
        rate_seconds=fields.get("every_seconds"),
    )


@given(POLICIES)
def test_stored_policy_is_read_back(policy: Policy) -> None:
    """A stored policy is read as an equal policy of the same kind."""
    written = msgspec.json.encode(policy)
    read = msgspec.json.decode(written, type=Policy)
    assert read == policy
    assert type(read) is type(policy)


def test_default_policy_has_a_cap() -> None:
    """The default cap is 100."""
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
        (
            '{"kind": "max_active_and_rate", "max_active": 9, "admit": 5, "every_seconds": 1}',
            MaxActiveAndRatePolicy(max_active=9, admit=5, every_seconds=1),
        ),
        (
            '{"kind": "adaptive", "min_active": 1, "max_active": 9, "target_p95_ms": 60000}',
            AdaptivePolicy(min_active=1, max_active=9, target_p95_ms=60_000),
        ),
    ],
)
def test_policy_of_the_contract_is_decoded(body: str, expected: Policy) -> None:
    """The contract's policies are decoded, and encoded as they were."""
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
        '{"kind": "max_active_and_rate", "max_active": 3, "admit": 5}',
        '{"kind": "max_active_and_rate", "max_active": 3, "every_seconds": 5}',
        '{"kind": "max_active_and_rate", "admit": 5, "every_seconds": 5}',
        '{"kind": "max_active_and_rate", "max_active": 0, "admit": 5, "every_seconds": 5}',
        '{"kind": "max_active_and_rate", "max_active": 3, "admit": -1, "every_seconds": 5}',
        '{"kind": "max_active_and_rate", "max_active": 3, "admit": 5, "every_seconds": 0}',
        '{"kind": "adaptive", "min_active": 1, "max_active": 9}',
        '{"kind": "adaptive", "min_active": 1, "target_p95_ms": 9}',
        '{"kind": "adaptive", "max_active": 9, "target_p95_ms": 9}',
        '{"kind": "adaptive", "min_active": 0, "max_active": 9, "target_p95_ms": 9}',
        '{"kind": "adaptive", "min_active": 1, "max_active": 0, "target_p95_ms": 9}',
        '{"kind": "adaptive", "min_active": 1, "max_active": 1000001, "target_p95_ms": 9}',
        '{"kind": "adaptive", "min_active": 1, "max_active": 9, "target_p95_ms": 0}',
        '{"kind": "adaptive", "min_active": 1, "max_active": 9, "target_p95_ms": 60001}',
        '{"kind": "adaptive", "min_active": 1, "max_active": 9, "target_p95_ms": 9.5}',
        '{"kind": "adaptive", "min_active": 1, "max_active": 9, "target_p95_ms": 9, "admit": 5}',
    ],
)
def test_invalid_policy_is_refused(body: str) -> None:
    """Anything else is invalid."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=Policy)
