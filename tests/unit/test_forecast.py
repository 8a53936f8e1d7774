"""The forecast of a wait: laws for every policy."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.waiting_room.forecasts.forecast import LONGEST_SECONDS, Forecasts, Pace, forecast
from frontrow.waiting_room.model import Eta
from frontrow.waiting_room.policy import (
    AdaptivePolicy,
    MaxActiveAndRatePolicy,
    MaxActivePolicy,
    OpenPolicy,
    Policy,
    RatePolicy,
)

people = st.integers(1, 1_000_000)
windows = st.integers(1, 3600)
hazards = st.one_of(st.just(0.0), st.floats(1e-12, 10))
spreads = st.floats(0, 3)
policies: st.SearchStrategy[Policy] = st.one_of(
    st.just(OpenPolicy()),
    st.builds(MaxActivePolicy, max_active=people),
    st.builds(RatePolicy, admit=people, every_seconds=windows),
    st.builds(MaxActiveAndRatePolicy, max_active=people, admit=people, every_seconds=windows),
    st.builds(
        AdaptivePolicy, min_active=people, max_active=people, target_p95_ms=st.integers(1, 60_000)
    ),
)
paces = st.builds(
    Pace,
    finish_hazard=hazards,
    finish_spread=spreads,
    leave_hazard=hazards,
    leave_spread=spreads,
    called=st.integers(0, 1_000_000),
    active=st.integers(0, 1_000_000),
)


def pace(
    *,
    finishes_every: float = 100,
    gives_up_every: float = math.inf,
    spread: float = 0,
    called: int = 100,
    active: int = 100,
) -> Pace:
    """A pace of mean times in seconds, each known exactly or within ``spread``."""
    return Pace(1 / finishes_every, spread, 1 / gives_up_every, spread, called, active)


@given(
    policies,
    paces,
    st.tuples(people, people).map(sorted),
    st.integers(0, 1_000),
    st.floats(0, 1e7),
)
def test_forecast_is_bounded_and_grows_with_those_ahead(
    policy: Policy, of: Pace, ahead: list[int], calls: int, opens_in_seconds: float
) -> None:
    """Whole seconds, 1 to 30 days; p50 is at most p90; more ahead never shorten a wait."""
    few, many = (
        forecast(people, policy, of, called=of.called + calls, opens_in_seconds=opens_in_seconds)
        for people in ahead
    )
    for eta in (few, many):
        assert 1 <= eta.p50 <= eta.p90 <= LONGEST_SECONDS
    assert few.p50 <= many.p50
    assert few.p90 <= many.p90


@given(paces, people, st.integers(0, 2_000), st.integers(0, 2_000))
def test_admissions_do_not_raise_the_forecast(of: Pace, cap: int, ahead: int, calls: int) -> None:
    """An admission takes a free slot and a place ahead: the forecast stays equal or falls."""
    policy = MaxActivePolicy(max_active=cap)
    before = forecast(ahead + calls, policy, of, called=of.called)
    after = forecast(ahead, policy, of, called=of.called + calls)
    assert after.p50 <= before.p50
    assert after.p90 <= before.p90


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param(OpenPolicy(), Eta(1, 1), id="open"),
        # The 1000th event of a Poisson process with one event a second.
        pytest.param(MaxActivePolicy(max_active=100), Eta(1000, 1049), id="max_active"),
        pytest.param(RatePolicy(admit=10, every_seconds=5), Eta(500, 500), id="rate"),
        pytest.param(
            MaxActiveAndRatePolicy(max_active=100, admit=10, every_seconds=5),
            Eta(1000, 1049),
            id="both, the cap is slower",
        ),
        pytest.param(
            MaxActiveAndRatePolicy(max_active=100, admit=1, every_seconds=2),
            Eta(1999, 2000),
            id="both, the rate is slower",
        ),
        pytest.param(
            AdaptivePolicy(min_active=10, max_active=400, target_p95_ms=50),
            Eta(1000, 1144),
            id="adaptive",
        ),
    ],
)
def test_pace_of_each_policy(policy: Policy, expected: Eta) -> None:
    """100 admitted for 100 seconds each are one admission a second; no waiting user leaves."""
    assert forecast(999, policy, pace(), called=100, adaptive_cap=100) == expected


def test_first_wait_is_exponential() -> None:
    """The wait for one slot is exponential: the median is ln 2, the 90th percentile ln 10."""
    eta = forecast(
        0, MaxActivePolicy(max_active=1), pace(finishes_every=1000, active=1), called=100
    )
    assert eta.p50 == pytest.approx(1000 * math.log(2), rel=0.02)
    assert eta.p90 == pytest.approx(1000 * math.log(10), rel=0.02)


def test_leaving_users_shorten_the_wait() -> None:
    """One admission a second, one in a thousand leaving each second: ln 2 thousand seconds."""
    eta = forecast(999, MaxActivePolicy(max_active=100), pace(gives_up_every=1000), called=100)
    assert eta.p50 == 693
    assert 693 < eta.p90 < 1049


def test_uncertain_pace_widens_the_band() -> None:
    """With less certainty the band is wider; the median stays the same."""
    policy = MaxActivePolicy(max_active=100)
    known, guessed = (
        forecast(999, policy, pace(spread=spread), called=100) for spread in (0.05, 0.8)
    )
    assert known.p50 == guessed.p50
    assert known.p90 < guessed.p90


def test_free_slots_are_taken_at_once() -> None:
    """The first twenty are admitted now; the next one waits for a slot."""
    policy, of = MaxActivePolicy(max_active=100), pace(active=80)
    assert forecast(19, policy, of, called=100) == Eta(1, 1)
    assert forecast(20, policy, of, called=100).p90 > 1


def test_slots_taken_since_the_snapshot_are_not_free() -> None:
    """Five of twenty free slots have been taken since the snapshot."""
    policy, of = MaxActivePolicy(max_active=100), pace(active=80)
    assert forecast(14, policy, of, called=105) == Eta(1, 1)
    assert forecast(15, policy, of, called=105).p90 > 1


def test_lowered_cap_delays_admission() -> None:
    """Fifty places must finish before the next admission."""
    of = pace(finishes_every=50)
    lowered = forecast(0, MaxActivePolicy(max_active=50), of, called=100)
    assert lowered == forecast(
        50, MaxActivePolicy(max_active=50), pace(finishes_every=50, active=50), called=100
    )


def test_wait_before_opening_includes_the_opening() -> None:
    """The time until opening, plus the wait from there."""
    policy, of = MaxActivePolicy(max_active=100), pace(called=0, active=0)
    assert forecast(99, policy, of, called=0, opens_in_seconds=59.5) == Eta(60, 60)
    assert forecast(1099, policy, of, called=0, opens_in_seconds=60) == Eta(1060, 1109)


def of_a_line(
    policy: Policy, of: Pace | None, *, called: int, opens_in_seconds: float = 0
) -> Forecasts:
    """Returns the forecasts of a line in this state."""
    forecasts = Forecasts()
    forecasts.update(
        policy, of, called=called, adaptive_cap=None, opens_in_seconds=opens_in_seconds
    )
    return forecasts


@given(policies, paces, st.integers(0, 3_000_000), st.integers(0, 1_000))
def test_cached_forecasts_are_close_to_exact(
    policy: Policy, of: Pace, ahead: int, calls: int
) -> None:
    """Exact for the first thousand; later ones may assume up to 0.2 % more ahead."""
    called = of.called + calls
    remembered = of_a_line(policy, of, called=called)
    eta = remembered.of(ahead)
    assert eta is not None
    least = forecast(ahead, policy, of, called=called)
    more = ahead if ahead < 1024 else math.ceil(ahead * 1.002)
    most = forecast(more, policy, of, called=called)
    assert least.p50 <= eta.p50 <= most.p50
    assert least.p90 <= eta.p90 <= most.p90
    assert remembered.of(ahead) is eta


@given(policies, paces, st.tuples(people, people).map(sorted))
def test_cached_forecasts_grow_with_those_ahead(policy: Policy, of: Pace, ahead: list[int]) -> None:
    """Rounding never gives a user with fewer ahead a longer wait."""
    remembered = of_a_line(policy, of, called=of.called)
    few, many = (remembered.of(people) for people in ahead)
    assert few is not None
    assert many is not None
    assert few.p50 <= many.p50
    assert few.p90 <= many.p90


def test_line_without_a_pace_has_no_forecast() -> None:
    """Before the first measurement there is no forecast."""
    assert of_a_line(OpenPolicy(), None, called=0).of(5) is None


def test_forecasts_stay_while_no_slot_is_free() -> None:
    """Admissions in a full room keep the cached forecast; a new pace drops it."""
    policy = MaxActivePolicy(max_active=100)
    remembered = of_a_line(policy, pace(called=100, active=100), called=100)
    eta = remembered.of(50)
    for called, of in ((110, pace(called=100)), (110, pace(called=110))):
        remembered.update(policy, of, called=called, adaptive_cap=None, opens_in_seconds=0)
        assert remembered.of(50) is eta
    slower = pace(finishes_every=200, called=110)
    remembered.update(policy, slower, called=110, adaptive_cap=None, opens_in_seconds=0)
    assert remembered.of(50) == forecast(50, policy, slower, called=110)


def test_cached_forecasts_before_opening_include_the_opening() -> None:
    """The seconds until opening are added, rounded up."""
    policy = RatePolicy(admit=1, every_seconds=1)
    remembered = of_a_line(policy, pace(called=0, active=0), called=0, opens_in_seconds=9.2)
    assert remembered.of(3) == forecast(
        3, policy, pace(called=0, active=0), called=0, opens_in_seconds=10
    )


def test_forecasts_follow_the_countdown() -> None:
    """Each second to the opening shortens them by one; the waits behind it stay as they are."""
    forecasts, policy = Forecasts(), MaxActivePolicy(max_active=100)
    forecasts.update(policy, pace(), called=100, adaptive_cap=None, opens_in_seconds=60)
    version, before = forecasts.version, forecasts.of(100)
    assert before is not None
    assert forecasts.of(100) is before
    forecasts.count_down(58.5)
    assert forecasts.of(100) == Eta(before.p50 - 1, before.p90 - 1)
    assert forecasts.version == version
