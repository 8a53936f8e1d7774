"""The simulated sales of docs/reference/strategies.md: laws of the simulation, and its figures."""

import math
from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fairness import Measures, answer_quantile, gini, measure, success, tau_distance
from benchmarks.sale_model import (
    THINK_SECONDS,
    Outcome,
    Sale,
    Strategy,
    answer_seconds,
    crowd,
    serving_order,
    simulate,
)
from benchmarks.strategies import RESULTS, SERVERS, STRATEGIES, table
from frontrow.waiting_room.policy import (
    AdaptivePolicy,
    MaxActiveAndRatePolicy,
    MaxActivePolicy,
    OpenPolicy,
    Policy,
    RatePolicy,
)

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "strategies.md"
SMALL = Sale(
    people=1_500, seats=300, scripts=40, line_from=-60, calls_per_second=30, trouble=(30, 90)
)
CAPPED = MaxActivePolicy(max_active=40)
POLICIES: tuple[Policy, ...] = (
    OpenPolicy(),
    CAPPED,
    RatePolicy(admit=30, every_seconds=20),
    MaxActiveAndRatePolicy(max_active=40, admit=30, every_seconds=20),
    AdaptivePolicy(min_active=10, max_active=80, target_p95_ms=500),
)


def sold(policy: Policy, *, drawn: bool = False, seed: int = 1) -> Outcome:
    """Returns the outcome of a small sale."""
    return simulate(SMALL, Strategy("", policy, drawn), seed)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy).__name__)
def test_simulated_sale_keeps_its_laws(policy: Policy) -> None:
    """Admitted in order and never before joining; no bound exceeded; no seat sold twice."""
    outcome = sold(policy)
    assert list(outcome.called) == list(range(len(outcome.called)))
    assert all(at >= outcome.people[number].joined for number, at in outcome.called.items())
    assert outcome.bought.keys() <= outcome.held.keys() <= outcome.called.keys()
    assert all(outcome.people[number].comes for number in outcome.held)
    assert sum(outcome.bought.values()) <= SMALL.seats
    most = getattr(policy, "max_active", SMALL.people)
    assert max(second.active for second in outcome.seconds) <= most
    admit, seconds = getattr(policy, "admit", SMALL.people), getattr(policy, "every_seconds", 1)
    calls = list(outcome.called.values())
    assert all(calls[at] - calls[at - admit] >= seconds for at in range(admit, len(calls)))


@pytest.mark.parametrize("policy", POLICIES[1:], ids=lambda policy: type(policy).__name__)
def test_sale_is_determined_by_its_seed(policy: Policy) -> None:
    """The same seed gives the same sale, another seed another one."""
    assert sold(policy) == sold(policy)
    assert sold(policy).bought != sold(policy, seed=2).bought


def test_full_cap_is_used() -> None:
    """While users wait, every slot is taken in each step."""
    seconds = sold(CAPPED).seconds
    waiting = [second for second in seconds if second.waiting]
    assert len(waiting) > 50
    assert {second.active for second in waiting} == {40}


def test_adaptive_cap_follows_the_server() -> None:
    """The cap grows while the server is fast, falls in its slow minute, and stays in its range."""
    caps = [second.cap or 0 for second in sold(POLICIES[-1]).seconds]
    begins, ends = (int(at) for at in SMALL.trouble)
    assert min(caps) >= 10
    assert max(caps[:begins]) > min(caps[begins:ends])
    assert all(after - before <= 1 for before, after in pairwise(caps))


def test_early_join_gives_no_advantage_in_a_draw() -> None:
    """Half of the pairs of entrants are exchanged; users after the opening are behind them."""
    people = crowd(SMALL, 1)
    entrants = sum(person.joined < 0 for person in people)
    order = serving_order(people, drawn=True, seed=1)
    assert tau_distance(order[:entrants]) == pytest.approx(0.5, abs=0.02)
    assert sorted(order[:entrants]) == list(range(entrants))
    assert order[entrants:] == list(range(entrants, len(people)))
    assert order != serving_order(people, drawn=True, seed=2)
    assert serving_order(people, drawn=False, seed=1) == list(range(len(people)))
    assert measure(sold(CAPPED, drawn=True)).scripts < measure(sold(CAPPED)).scripts / 2


def test_single_user_is_answered_at_once() -> None:
    """A single user never waits; very many are answered at the server's full rate."""
    times = answer_seconds(2_000, 100)
    assert times[1] == pytest.approx(1 / 100)
    assert all(later > before for before, later in pairwise(times[1:]))
    assert 2_000 / (THINK_SECONDS + times[2_000]) == pytest.approx(100, rel=1e-6)


@given(st.lists(st.integers(0, 1_000), unique=True, min_size=2, max_size=60))
def test_tau_is_the_share_of_exchanged_pairs(order: list[int]) -> None:
    """Compared with counting all pairs."""
    turned = [one > other for one, other in combinations(order, 2)]
    assert tau_distance(order) == pytest.approx(sum(turned) / len(turned))


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=30))
def test_gini_is_half_the_mean_difference(values: Sequence[float]) -> None:
    """Relative to the mean, over all pairs including each value with itself."""
    mean = sum(values) / len(values)
    differences = [abs(one - other) for one in values for other in values]
    assert gini(values) == pytest.approx(sum(differences) / len(differences) / 2 / mean, abs=1e-9)


def test_quantile_of_answers_is_exact() -> None:
    """Known for one exponential; between those of its parts for a mixture."""
    assert answer_quantile([(3, 100)], 0.95) == pytest.approx(100 * math.log(20))
    assert 10 < answer_quantile([(1, 10), (1, 100)], 0.95) / math.log(20) < 100


def test_success_is_counted_by_hundredths_of_users() -> None:
    """The hundredths of the line differ in size by at most one; scripts are not counted."""
    outcome = sold(CAPPED)
    real = sum(not outcome.people[number].script for number in outcome.bought)
    people = SMALL.people - SMALL.scripts
    assert sum(success(outcome)) * people / 100 == pytest.approx(real, rel=0.05)


def test_page_has_the_stored_results() -> None:
    """Both tables of docs/reference/strategies.md have the stored results of these strategies."""
    results = msgspec.json.decode(RESULTS.read_bytes(), type=dict[str, dict[str, Measures]])
    assert list(results) == list(SERVERS)
    page = PAGE.read_text()
    for measured in results.values():
        assert list(measured) == [strategy.name for strategy in STRATEGIES]
        assert "\n".join(table(measured)) in page
