"""The forecast of a wait, from a line's published pace. Pure.

What is observed, and when a new pace is published, is the database's (``waiting_room_observe``). As
long as the published pace stands, the forecast depends on the people ahead alone and grows with
them, so it can only fall.
"""

import math

import msgspec
from msgspec.structs import replace

from frontrow.waiting_room.model import Eta
from frontrow.waiting_room.policy import (
    AdaptivePolicy,
    MaxActiveAndRatePolicy,
    MaxActivePolicy,
    OpenPolicy,
    Policy,
    RatePolicy,
    bounds,
)

LONGEST_SECONDS = 30 * 24 * 3600
"""No forecast is longer."""

# The normal distribution's ninth decile.
_Z90 = 1.2816
# What the observed spread doesn't know, as relative standard deviations: people change while one
# waits, the impatient leave first, an adaptive cap moves. Chosen by ``benchmarks/forecast.py``.
_DRIFT = 0.02
_LEAVING_DRIFT = 0.33
_ADAPTIVE_DRIFT = 0.1

# Of many people ahead as many binary digits count: two in a thousand.
_DIGITS = 10


class Pace(msgspec.Struct, frozen=True):
    """The published pace of a line, and what was seen at the last look at it.

    Args:
        finish_hazard: finishes per person who is in, and second.
        finish_spread: its relative standard error.
        leave_hazard: people who give up per person waiting, and second.
        leave_spread: its relative standard error.
        called: how many had ever been called at the last look.
        active: how many were called and not finished then.
    """

    finish_hazard: float
    finish_spread: float
    leave_hazard: float
    leave_spread: float
    called: int
    active: int

    def free(self, cap: int, called: int) -> int:
        """Slots that are free, by now that ``called`` have been called; below zero: how many too
        many are in. Who finished since the last look isn't known: there are rather more.
        """  # noqa: D205 - one sentence
        free, taken = cap - self.active, called - self.called
        return max(0, free - taken) if free >= 0 or taken else free


def forecast(
    ahead: int,
    policy: Policy,
    pace: Pace,
    *,
    called: int,
    adaptive_cap: int | None = None,
    opens_in_seconds: float = 0.0,
) -> Eta:
    """When somebody with ``ahead`` people before them is called, if the line goes on as it does.

    Args:
        ahead: people who are called before; who left isn't counted.
        policy: the line's.
        pace: as published.
        called: how many the line has ever called.
        adaptive_cap: the present cap of an adaptive policy.
        opens_in_seconds: time until anybody is called.
    """
    waits = []
    match policy:
        case OpenPolicy():
            pass
        case MaxActivePolicy(max_active=cap):
            waits = [_for_slots(ahead, cap, pace, called, _DRIFT)]
        case RatePolicy(admit=admit, every_seconds=seconds):
            waits = [_for_turns(ahead, seconds / admit, pace)]
        case MaxActiveAndRatePolicy(max_active=cap, admit=admit, every_seconds=seconds):
            waits = [
                _for_slots(ahead, cap, pace, called, _DRIFT),
                _for_turns(ahead, seconds / admit, pace),
            ]
        case AdaptivePolicy(min_active=least):
            waits = [_for_slots(ahead, adaptive_cap or least, pace, called, _ADAPTIVE_DRIFT)]
    p50 = max((likely for likely, _ in waits), default=0.0)
    p90 = max((late for _, late in waits), default=0.0)
    return Eta(p50=_told(opens_in_seconds + p50), p90=_told(opens_in_seconds + p90))


class Forecasts:
    """The forecasts of one line, each made once as long as what it is made from stands.

    So a poll looks one up. People ahead are rounded up to ten binary digits, so that few thousand
    forecasts serve a line of any length.
    """

    __slots__ = ("_made", "_terms", "version")

    def __init__(self) -> None:
        self.version = 0
        """Goes up when what they are made from changes otherwise than by the time to opening."""
        self._terms: tuple[Policy, Pace, int, int | None, int] | None = None
        self._made: dict[int, Eta] = {}

    def update(
        self,
        policy: Policy,
        pace: Pace | None,
        *,
        called: int,
        adaptive_cap: int | None,
        opens_in_seconds: float,
    ) -> None:
        """Takes over how the line stands; the arguments are those of ``forecast``."""
        terms = None
        if pace is not None:
            cap = _cap(policy, adaptive_cap)
            # Where no slot is free or none is needed, further calls change nothing: that keeps what
            # was made.
            if cap is None or pace.free(cap, called) == 0:
                pace, called = replace(pace, called=0, active=cap or 0), 0
            terms = (policy, pace, called, adaptive_cap, math.ceil(opens_in_seconds))
        if terms != self._terms:
            if terms is None or self._terms is None or terms[:-1] != self._terms[:-1]:
                self.version += 1
            self._terms = terms
            self._made = {}

    def of(self, ahead: int) -> Eta | None:
        """The forecast with so many ahead; ``None`` while no pace is known."""
        if self._terms is None:
            return None
        shift = max(0, ahead.bit_length() - _DIGITS)
        rounded = -(-ahead >> shift) << shift
        eta = self._made.get(rounded)
        if eta is None:
            policy, pace, called, adaptive_cap, opens_in_seconds = self._terms
            eta = self._made[rounded] = forecast(
                rounded,
                policy,
                pace,
                called=called,
                adaptive_cap=adaptive_cap,
                opens_in_seconds=opens_in_seconds,
            )
        return eta


def _cap(policy: Policy, adaptive_cap: int | None) -> int | None:
    """How many may be in now; an adaptive policy begins with its fewest."""
    if isinstance(policy, AdaptivePolicy):
        return adaptive_cap or policy.min_active
    return bounds(policy).cap


def _for_slots(ahead: int, cap: int, pace: Pace, called: int, drift: float) -> tuple[float, float]:
    """The wait in seconds for as many slots as it takes, at its median and ninth decile.

    Slots come free one by one at ``cap`` times the hazard: the n-th after a time that has the gamma
    distribution, whose quantiles are Wilson and Hilferty's (1931), with the relative variance 1/n.
    The uncertainty of the hazard itself is added to that on the logarithmic scale.
    """
    slots = ahead + 1 - pace.free(cap, called)
    if slots <= 0:
        return 0.0, 0.0
    per_second = cap * pace.finish_hazard
    mean = slots / per_second if per_second > 0 else math.inf
    median = 1 - 1 / (9 * slots)
    count_noise = 3 * math.log1p(_Z90 / (3 * math.sqrt(slots)) / median)
    rate_noise = _Z90 * math.hypot(pace.finish_spread, drift)
    likely = mean * median**3
    late = likely * math.exp(math.hypot(count_noise, rate_noise))
    return _thinned(likely, pace.leave_hazard), _thinned(late, _low_hazard(pace))


def _for_turns(ahead: int, seconds_each: float, pace: Pace) -> tuple[float, float]:
    """The same for turns at fixed intervals: half of one goes by, or a whole, until the first."""
    return (
        _thinned((ahead + 0.5) * seconds_each, pace.leave_hazard),
        _thinned((ahead + 1) * seconds_each, _low_hazard(pace)),
    )


def _low_hazard(pace: Pace) -> float:
    """How few may give up, nine times out of ten."""
    return pace.leave_hazard * max(0.0, 1 - _Z90 * math.hypot(pace.leave_spread, _LEAVING_DRIFT))


def _thinned(seconds: float, leave_hazard: float) -> float:
    """The wait when people ahead give up, from the wait when nobody does.

    With n calls to go at r a second and a hazard h of giving up, n falls by r + h n a second and is
    gone after ln(1 + h n / r) / h.
    """
    shrinking = leave_hazard * seconds
    return math.log1p(shrinking) / leave_hazard if shrinking > 1e-9 else seconds  # noqa: PLR2004 - below it both agree


def _told(seconds: float) -> int:
    """Whole seconds, rounded up; at least the one that a call takes to be seen."""
    return max(1, math.ceil(min(seconds, LONGEST_SECONDS)))
