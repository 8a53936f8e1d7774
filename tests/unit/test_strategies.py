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
    """A small sale."""
    return simulate(SMALL, Strategy("", policy, drawn), seed)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy).__name__)
def test_law_of_a_sale(policy: Policy) -> None:
    """Called in order and never before joining; no bound is exceeded; no seat is sold twice."""
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
def test_a_seed_gives_one_sale(policy: Policy) -> None:
    """The same from the same, another one from another."""
    assert sold(policy) == sold(policy)
    assert sold(policy).bought != sold(policy, seed=2).bought


def test_a_cap_is_used_up() -> None:
    """While people wait every slot is taken, each tick."""
    seconds = sold(CAPPED).seconds
    waiting = [second for second in seconds if second.waiting]
    assert len(waiting) > 50
    assert {second.active for second in waiting} == {40}


def test_the_adaptive_cap_follows_the_server() -> None:
    """It grows while the server answers well, falls in its bad minute, and keeps to its range."""
    caps = [second.cap or 0 for second in sold(POLICIES[-1]).seconds]
    begins, ends = (int(at) for at in SMALL.trouble)
    assert min(caps) >= 10
    assert max(caps[:begins]) > min(caps[begins:ends])
    assert all(after - before <= 1 for before, after in pairwise(caps))


def test_a_draw_gains_nothing_by_coming_early() -> None:
    """Half of the pairs of entrants turn round; who comes after the opening is behind them all."""
    people = crowd(SMALL, 1)
    entrants = sum(person.joined < 0 for person in people)
    order = serving_order(people, drawn=True, seed=1)
    assert tau_distance(order[:entrants]) == pytest.approx(0.5, abs=0.02)
    assert sorted(order[:entrants]) == list(range(entrants))
    assert order[entrants:] == list(range(entrants, len(people)))
    assert order != serving_order(people, drawn=True, seed=2)
    assert serving_order(people, drawn=False, seed=1) == list(range(len(people)))
    assert measure(sold(CAPPED, drawn=True)).scripts < measure(sold(CAPPED)).scripts / 2


def test_one_who_is_alone_is_answered_at_once() -> None:
    """One in waits for nobody; very many are answered as fast as the server can."""
    times = answer_seconds(2_000, 100)
    assert times[1] == pytest.approx(1 / 100)
    assert all(later > before for before, later in pairwise(times[1:]))
    assert 2_000 / (THINK_SECONDS + times[2_000]) == pytest.approx(100, rel=1e-6)


@given(st.lists(st.integers(0, 1_000), unique=True, min_size=2, max_size=60))
def test_tau_is_the_share_of_turned_pairs(order: list[int]) -> None:
    """Counted pair by pair."""
    turned = [one > other for one, other in combinations(order, 2)]
    assert tau_distance(order) == pytest.approx(sum(turned) / len(turned))


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=30))
def test_gini_is_half_the_mean_difference(values: Sequence[float]) -> None:
    """Over the mean: of all pairs, each with itself, too."""
    mean = sum(values) / len(values)
    differences = [abs(one - other) for one in values for other in values]
    assert gini(values) == pytest.approx(sum(differences) / len(differences) / 2 / mean, abs=1e-9)


def test_quantile_of_answers() -> None:
    """Of one exponential it is known; of a mixture it lies between those of its parts."""
    assert answer_quantile([(3, 100)], 0.95) == pytest.approx(100 * math.log(20))
    assert 10 < answer_quantile([(1, 10), (1, 100)], 0.95) / math.log(20) < 100


def test_success_counts_people() -> None:
    """Every hundredth of the line is as large as the others, to one; scripts aren't counted."""
    outcome = sold(CAPPED)
    real = sum(not outcome.people[number].script for number in outcome.bought)
    people = SMALL.people - SMALL.scripts
    assert sum(success(outcome)) * people / 100 == pytest.approx(real, rel=0.05)


def test_the_page_prints_the_results() -> None:
    """Both tables of docs/reference/strategies.md have the stored results of these strategies."""
    results = msgspec.json.decode(RESULTS.read_bytes(), type=dict[str, dict[str, Measures]])
    assert list(results) == list(SERVERS)
    page = PAGE.read_text()
    for measured in results.values():
        assert list(measured) == [strategy.name for strategy in STRATEGIES]
        assert "\n".join(table(measured)) in page
