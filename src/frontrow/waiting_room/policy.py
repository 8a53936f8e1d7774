"""Admission policies: how many may come in. Pure: a policy gives bounds, the database counts.

What is free within the bounds is counted in the same locked call that admits
(``waiting_room_admit``), so a bound is exact however many processes admit.
"""

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

People = Annotated[int, Meta(ge=1, le=1_000_000, description="A number of people.")]


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
    every_seconds: Annotated[
        int, Meta(ge=1, le=3600, description="Length of the window, in seconds.")
    ]


Policy: TypeAlias = OpenPolicy | MaxActivePolicy | RatePolicy

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
    """The bounds that a policy sets."""
    match policy:
        case OpenPolicy():
            return Bounds()
        case MaxActivePolicy(max_active=cap):
            return Bounds(cap=cap)
        case RatePolicy(admit=rate, every_seconds=seconds):
            return Bounds(rate=rate, rate_seconds=float(seconds))
