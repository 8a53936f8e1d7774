"""The forecast of a wait: a law of the people ahead, for every policy."""

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
    """A pace by its mean times in seconds, each exactly known or to within ``spread``."""
    return Pace(1 / finishes_every, spread, 1 / gives_up_every, spread, called, active)


@given(
    policies,
    paces,
    st.tuples(people, people).map(sorted),
    st.integers(0, 1_000),
    st.floats(0, 1e7),
)
def test_law(
    policy: Policy, of: Pace, ahead: list[int], calls: int, opens_in_seconds: float
) -> None:
    """Whole seconds, from one to thirty days; p50 is at most p90; more ahead never wait less."""
    few, many = (
        forecast(people, policy, of, called=of.called + calls, opens_in_seconds=opens_in_seconds)
        for people in ahead
    )
    for eta in (few, many):
        assert 1 <= eta.p50 <= eta.p90 <= LONGEST_SECONDS
    assert few.p50 <= many.p50
    assert few.p90 <= many.p90


@given(paces, people, st.integers(0, 2_000), st.integers(0, 2_000))
def test_calls_change_nothing(of: Pace, cap: int, ahead: int, calls: int) -> None:
    """A call takes a free slot and one from those ahead: the forecast doesn't move, or falls."""
    policy = MaxActivePolicy(max_active=cap)
    before = forecast(ahead + calls, policy, of, called=of.called)
    after = forecast(ahead, policy, of, called=of.called + calls)
    assert after.p50 <= before.p50
    assert after.p90 <= before.p90


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param(OpenPolicy(), Eta(1, 1), id="open"),
        # The thousandth of a Poisson process of one a second.
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
    """A hundred in for a hundred seconds each are one call a second; nobody gives up."""
    assert forecast(999, policy, pace(), called=100, adaptive_cap=100) == expected


def test_the_first_of_all() -> None:
    """The wait for one slot is exponential: its median is ln 2, its ninth decile ln 10."""
    eta = forecast(
        0, MaxActivePolicy(max_active=1), pace(finishes_every=1000, active=1), called=100
    )
    assert eta.p50 == pytest.approx(1000 * math.log(2), rel=0.02)
    assert eta.p90 == pytest.approx(1000 * math.log(10), rel=0.02)


def test_people_who_give_up() -> None:
    """With one call a second and one in a thousand giving up each second, ln 2 thousand seconds."""
    eta = forecast(999, MaxActivePolicy(max_active=100), pace(gives_up_every=1000), called=100)
    assert eta.p50 == 693
    assert 693 < eta.p90 < 1049


def test_an_uncertain_pace() -> None:
    """The less is known, the wider the band; what is likely stays the same."""
    policy = MaxActivePolicy(max_active=100)
    known, guessed = (
        forecast(999, policy, pace(spread=spread), called=100) for spread in (0.05, 0.8)
    )
    assert known.p50 == guessed.p50
    assert known.p90 < guessed.p90


def test_free_slots_are_taken_at_once() -> None:
    """Who is among the first twenty comes in now, the next one waits for a slot."""
    policy, of = MaxActivePolicy(max_active=100), pace(active=80)
    assert forecast(19, policy, of, called=100) == Eta(1, 1)
    assert forecast(20, policy, of, called=100).p90 > 1


def test_slots_that_were_taken_since_the_last_look() -> None:
    """Of twenty free slots five have gone to others."""
    policy, of = MaxActivePolicy(max_active=100), pace(active=80)
    assert forecast(14, policy, of, called=105) == Eta(1, 1)
    assert forecast(15, policy, of, called=105).p90 > 1


def test_a_cap_that_was_lowered() -> None:
    """Fifty too many have to go before anybody is called."""
    of = pace(finishes_every=50)
    lowered = forecast(0, MaxActivePolicy(max_active=50), of, called=100)
    assert lowered == forecast(
        50, MaxActivePolicy(max_active=50), pace(finishes_every=50, active=50), called=100
    )


def test_before_opening() -> None:
    """Until then, and the wait from there."""
    policy, of = MaxActivePolicy(max_active=100), pace(called=0, active=0)
    assert forecast(99, policy, of, called=0, opens_in_seconds=59.5) == Eta(60, 60)
    assert forecast(1099, policy, of, called=0, opens_in_seconds=60) == Eta(1060, 1109)


def of_a_line(
    policy: Policy, of: Pace | None, *, called: int, opens_in_seconds: float = 0
) -> Forecasts:
    """The forecasts of a line that stands so."""
    forecasts = Forecasts()
    forecasts.update(
        policy, of, called=called, adaptive_cap=None, opens_in_seconds=opens_in_seconds
    )
    return forecasts


@given(policies, paces, st.integers(0, 3_000_000), st.integers(0, 1_000))
def test_forecasts_of_a_line(policy: Policy, of: Pace, ahead: int, calls: int) -> None:
    """Exact for the first thousand; for others that of up to two in a thousand more ahead."""
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
def test_forecasts_of_a_line_grow_with_those_ahead(
    policy: Policy, of: Pace, ahead: list[int]
) -> None:
    """Rounding puts nobody with fewer people ahead behind somebody with more."""
    remembered = of_a_line(policy, of, called=of.called)
    few, many = (remembered.of(people) for people in ahead)
    assert few is not None
    assert many is not None
    assert few.p50 <= many.p50
    assert few.p90 <= many.p90


def test_no_forecast_without_a_pace() -> None:
    """Before the first look at a line nothing is told."""
    assert of_a_line(OpenPolicy(), None, called=0).of(5) is None


def test_forecasts_stay_while_no_slot_is_free() -> None:
    """Calls in a full room change nothing: what was made is kept. A new pace drops it."""
    policy = MaxActivePolicy(max_active=100)
    remembered = of_a_line(policy, pace(called=100, active=100), called=100)
    eta = remembered.of(50)
    for called, of in ((110, pace(called=100)), (110, pace(called=110))):
        remembered.update(policy, of, called=called, adaptive_cap=None, opens_in_seconds=0)
        assert remembered.of(50) is eta
    slower = pace(finishes_every=200, called=110)
    remembered.update(policy, slower, called=110, adaptive_cap=None, opens_in_seconds=0)
    assert remembered.of(50) == forecast(50, policy, slower, called=110)


def test_forecasts_before_opening() -> None:
    """The whole seconds until then are added, rounded up."""
    policy = RatePolicy(admit=1, every_seconds=1)
    remembered = of_a_line(policy, pace(called=0, active=0), called=0, opens_in_seconds=9.2)
    assert remembered.of(3) == forecast(
        3, policy, pace(called=0, active=0), called=0, opens_in_seconds=10
    )
