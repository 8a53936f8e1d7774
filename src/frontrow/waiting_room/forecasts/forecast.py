"""The forecast of a wait, from a line's published pace. Pure.

The database observes the line and decides when a new pace is published (``waiting_room_observe``).
Under one published pace the forecast depends only on the number of users ahead and grows with it,
so a user's forecast can only fall.
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
"""The longest forecast."""

# The ninth decile of the normal distribution.
_Z90 = 1.2816
# Uncertainty beyond the observed spread, as relative standard deviations: users behave differently
# over time, the impatient leave first, an adaptive cap moves. Chosen by ``benchmarks/forecast.py``.
_DRIFT = 0.02
_LEAVING_DRIFT = 0.33
_ADAPTIVE_DRIFT = 0.1

# The binary digits that count of a large number of users ahead: a precision of 0.2 %.
_DIGITS = 10


class Pace(msgspec.Struct, frozen=True):
    """The published pace of a line, and its counts at the last observation.

    Args:
        finish_hazard: finishes per admitted user and second.
        finish_spread: its relative standard error.
        leave_hazard: leavers per waiting user and second.
        leave_spread: its relative standard error.
        called: the places admitted up to then.
        active: the places admitted and not finished then.
    """

    finish_hazard: float
    finish_spread: float
    leave_hazard: float
    leave_spread: float
    called: int
    active: int

    def free(self, cap: int, called: int) -> int:
        """Returns the free slots after ``called`` admissions; below zero if the cap is exceeded.

        Places that finished since the last observation are not counted as free.
        """
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
    """Returns when a user is admitted, if the line continues at its published pace.

    Args:
        ahead: users ahead, without leavers.
        policy: the line's policy.
        pace: the published pace.
        called: the places that the line has admitted so far.
        adaptive_cap: the present cap of an adaptive policy.
        opens_in_seconds: time until the line opens.
    """
    p50, p90 = _waits(ahead, policy, pace, called, adaptive_cap)
    return Eta(p50=_whole(opens_in_seconds + p50), p90=_whole(opens_in_seconds + p90))


def _waits(
    ahead: int, policy: Policy, pace: Pace, called: int, adaptive_cap: int | None
) -> tuple[float, float]:
    """Returns the median and the ninth decile of the wait from the opening on, in seconds."""
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
    p50 = max((median for median, _ in waits), default=0.0)
    p90 = max((late_wait for _, late_wait in waits), default=0.0)
    return p50, p90


class Forecasts:
    """The forecasts of one line, cached until their inputs change.

    The number of users ahead is rounded up to ten binary digits, so that a few thousand forecasts
    serve a line of any length.
    """

    __slots__ = ("_etas", "_terms", "_waits", "opens_in_seconds", "version")

    def __init__(self) -> None:
        self.version = 0
        """Grows when the inputs change, except for the time to opening."""
        self._terms: tuple[Policy, Pace, int, int | None] | None = None
        self._waits: dict[int, tuple[float, float]] = {}
        self.opens_in_seconds = 0
        """Whole seconds until the line opens."""
        self._etas: dict[int, Eta] = {}

    def update(
        self,
        policy: Policy,
        pace: Pace | None,
        *,
        called: int,
        adaptive_cap: int | None,
        opens_in_seconds: float,
    ) -> None:
        """Sets the inputs: the arguments of ``forecast``."""
        terms = None
        if pace is not None:
            cap = present_cap(policy, adaptive_cap)
            # If no slot is free or none is needed, further admissions change no forecast: the cache
            # stays valid.
            if cap is None or pace.free(cap, called) == 0:
                pace, called = replace(pace, called=0, active=cap or 0), 0
            terms = (policy, pace, called, adaptive_cap)
        if terms != self._terms:
            self.version += 1
            self._terms = terms
            self._waits, self._etas = {}, {}
        self.count_down(opens_in_seconds)

    def count_down(self, opens_in_seconds: float) -> None:
        """Sets the time to opening."""
        whole = math.ceil(opens_in_seconds)
        if whole != self.opens_in_seconds:
            self.opens_in_seconds, self._etas = whole, {}

    def of(self, ahead: int) -> Eta | None:
        """Returns the forecast for ``ahead`` users ahead; ``None`` while no pace is known."""
        if self._terms is None:
            return None
        shift = max(0, ahead.bit_length() - _DIGITS)
        rounded = -(-ahead >> shift) << shift
        eta = self._etas.get(rounded)
        if eta is None:
            # While the line is about to open, the forecasts change each second, the waits do not.
            waits = self._waits.get(rounded)
            if waits is None:
                waits = self._waits[rounded] = _waits(rounded, *self._terms)
            opens_in, (p50, p90) = self.opens_in_seconds, waits
            eta = self._etas[rounded] = Eta(p50=_whole(opens_in + p50), p90=_whole(opens_in + p90))
        return eta


def present_cap(policy: Policy, adaptive_cap: int | None) -> int | None:
    """Returns the present cap; an adaptive policy begins with its smallest."""
    if isinstance(policy, AdaptivePolicy):
        return adaptive_cap or policy.min_active
    return bounds(policy).cap


def _for_slots(ahead: int, cap: int, pace: Pace, called: int, drift: float) -> tuple[float, float]:
    """Returns the median and the ninth decile of the wait for slots, in seconds.

    Slots become free one by one at ``cap`` times the hazard. The time until the n-th has a gamma
    distribution with the relative variance 1/n; its quantiles are those of Wilson and Hilferty
    (1931). The uncertainty of the hazard itself is added on the logarithmic scale.
    """
    slots = ahead + 1 - pace.free(cap, called)
    if slots <= 0:
        return 0.0, 0.0
    per_second = cap * pace.finish_hazard
    mean = slots / per_second if per_second > 0 else math.inf
    median = 1 - 1 / (9 * slots)
    count_noise = 3 * math.log1p(_Z90 / (3 * math.sqrt(slots)) / median)
    rate_noise = _Z90 * math.hypot(pace.finish_spread, drift)
    median_wait = mean * median**3
    late_wait = median_wait * math.exp(math.hypot(count_noise, rate_noise))
    return _thinned(median_wait, pace.leave_hazard), _thinned(late_wait, _low_hazard(pace))


def _for_turns(ahead: int, seconds_each: float, pace: Pace) -> tuple[float, float]:
    """Returns the same for turns at fixed intervals: half an interval, or one, before the first."""
    return (
        _thinned((ahead + 0.5) * seconds_each, pace.leave_hazard),
        _thinned((ahead + 1) * seconds_each, _low_hazard(pace)),
    )


def _low_hazard(pace: Pace) -> float:
    """Returns the first decile of the leave hazard."""
    return pace.leave_hazard * max(0.0, 1 - _Z90 * math.hypot(pace.leave_spread, _LEAVING_DRIFT))


def _thinned(seconds: float, leave_hazard: float) -> float:
    """Returns the wait with leavers ahead, from the wait without.

    With n admissions to go at r a second and a leave hazard h, n falls by r + h n a second and is 0
    after ln(1 + h n / r) / h.
    """
    shrinking = leave_hazard * seconds
    return math.log1p(shrinking) / leave_hazard if shrinking > 1e-9 else seconds  # noqa: PLR2004 - below it both are equal


def _whole(seconds: float) -> int:
    """Returns whole seconds, rounded up; at least the one until an admission is visible."""
    return max(1, math.ceil(min(seconds, LONGEST_SECONDS)))
