"""Admission policies: how many users are admitted. Pure: policies give bounds, the database counts.

The free slots within the bounds are counted in the same locked call that admits
(``waiting_room_admit``), so a bound is exact however many processes admit.
"""

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

Users = Annotated[int, Meta(ge=1, le=1_000_000, description="A number of users.")]
Seconds = Annotated[int, Meta(ge=1, le=3600, description="Length of the window, in seconds.")]


class _Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """The base of all policies; the field ``kind`` distinguishes them."""


class OpenPolicy(_Policy, tag="open", frozen=True):
    """Every user is admitted at once."""


class MaxActivePolicy(_Policy, tag="max_active", frozen=True):
    """At most ``max_active`` places are admitted and not finished."""

    max_active: Users


class RatePolicy(_Policy, tag="rate", frozen=True):
    """At most ``admit`` users are admitted in any window of ``every_seconds``."""

    admit: Users
    every_seconds: Seconds


class MaxActiveAndRatePolicy(_Policy, tag="max_active_and_rate", frozen=True):
    """Both: at most ``max_active`` at once, and at most ``admit`` in any window."""

    max_active: Users
    admit: Users
    every_seconds: Seconds


class AdaptivePolicy(_Policy, tag="adaptive", frozen=True):
    """A cap between ``min_active`` and ``max_active`` that follows the server's response times.

    The cap grows step by step while 95 of 100 holds and payments are answered within
    ``target_p95_ms``, and falls by a third when they aren't. It is stored in the database, so that
    all processes use the same one (``waiting_room_adapt``).
    """

    min_active: Users
    max_active: Users
    target_p95_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=60_000,
            description="Target for the latency of holds and payments (p95), in ms.",
        ),
    ]


Policy: TypeAlias = (
    OpenPolicy | MaxActivePolicy | RatePolicy | MaxActiveAndRatePolicy | AdaptivePolicy
)

DEFAULT_POLICY = MaxActivePolicy(max_active=100)


class Bounds(msgspec.Struct, frozen=True):
    """The bounds of a policy. ``None``: no such bound.

    Args:
        cap: most places that are admitted and not finished.
        rate: most places admitted in any window of ``rate_seconds``.
        rate_seconds: length of that window.
    """

    cap: int | None = None
    rate: int | None = None
    rate_seconds: float | None = None


def bounds(policy: Policy) -> Bounds:
    """Returns the bounds of a policy; of an adaptive one, those that it never exceeds."""
    match policy:
        case OpenPolicy():
            return Bounds()
        case MaxActivePolicy(max_active=cap) | AdaptivePolicy(max_active=cap):
            return Bounds(cap=cap)
        case RatePolicy(admit=rate, every_seconds=seconds):
            return Bounds(rate=rate, rate_seconds=float(seconds))
        case MaxActiveAndRatePolicy(max_active=cap, admit=rate, every_seconds=seconds):
            return Bounds(cap=cap, rate=rate, rate_seconds=float(seconds))
