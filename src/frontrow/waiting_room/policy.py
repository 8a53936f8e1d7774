"""Admission policies: how many may come in. Pure: a policy gives bounds, the database counts.

What is free within the bounds is counted in the same locked call that admits
(``waiting_room_admit``), so a bound is exact however many processes admit.
"""

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

People = Annotated[int, Meta(ge=1, le=1_000_000, description="A number of people.")]
Seconds = Annotated[int, Meta(ge=1, le=3600, description="Length of the window, in seconds.")]


class _Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """What all policies share: the field ``kind`` tells them apart."""


class OpenPolicy(_Policy, tag="open", frozen=True):
    """Everybody comes in at once."""


class MaxActivePolicy(_Policy, tag="max_active", frozen=True):
    """At most ``max_active`` people are in at once: called and not finished."""

    max_active: People


class RatePolicy(_Policy, tag="rate", frozen=True):
    """At most ``admit`` people are called in any window of ``every_seconds``."""

    admit: People
    every_seconds: Seconds


class MaxActiveAndRatePolicy(_Policy, tag="max_active_and_rate", frozen=True):
    """Both: at most ``max_active`` in at once, and at most ``admit`` called in any window."""

    max_active: People
    admit: People
    every_seconds: Seconds


class AdaptivePolicy(_Policy, tag="adaptive", frozen=True):
    """As many in at once as the server answers well: between ``min_active`` and ``max_active``.

    The cap grows step by step while 95 of 100 holds and payments are answered within
    ``target_p95_ms``, and falls by a third when they aren't. It stands in the database, so that all
    processes keep the same one (``waiting_room_adapt``).
    """

    min_active: People
    max_active: People
    target_p95_ms: Annotated[
        int,
        Meta(ge=1, le=60_000, description="Slowest good answer to a hold or payment (p95), in ms."),
    ]


Policy: TypeAlias = (
    OpenPolicy | MaxActivePolicy | RatePolicy | MaxActiveAndRatePolicy | AdaptivePolicy
)

DEFAULT_POLICY = MaxActivePolicy(max_active=100)


class Bounds(msgspec.Struct, frozen=True):
    """What a policy allows. ``None``: no such bound.

    Args:
        cap: most people called and not finished.
        rate: most people called in any window of ``rate_seconds``.
        rate_seconds: length of that window.
    """

    cap: int | None = None
    rate: int | None = None
    rate_seconds: float | None = None


def bounds(policy: Policy) -> Bounds:
    """The bounds that a policy sets; of an adaptive one, those that it never exceeds."""
    match policy:
        case OpenPolicy():
            return Bounds()
        case MaxActivePolicy(max_active=cap) | AdaptivePolicy(max_active=cap):
            return Bounds(cap=cap)
        case RatePolicy(admit=rate, every_seconds=seconds):
            return Bounds(rate=rate, rate_seconds=float(seconds))
        case MaxActiveAndRatePolicy(max_active=cap, admit=rate, every_seconds=seconds):
            return Bounds(cap=cap, rate=rate, rate_seconds=float(seconds))
