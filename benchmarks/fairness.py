"""Measures of a simulated sale: waiting, load, and three measures of fairness. Pure."""

import math
from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence

import msgspec

from benchmarks.sale_model import P95_OF_MEAN, Outcome

GROUPS = 100
LATE_MS = 500


class Measures(msgspec.Struct, frozen=True):
    """The figures of a sale. Shares are from 0 to 1."""

    wait_p50_s: float
    """From the opening, or the later join, to the admission; of users who got seats."""
    wait_p90_s: float
    wait_p99_s: float
    held_p50_s: float
    """The same until they held their seats: including the slowness of the server."""
    held_p90_s: float
    in_vain: float
    """The share of the admitted who claimed, and got no seat."""
    peak_in: float
    mean_in: float
    answer_p95_ms: float
    """Of all calls, taking the times at each moment as exponential."""
    slow: float
    """The share of the calls that took longer than a second."""
    late_s: float
    """The time during which 5 of 100 answers took longer than half a second."""
    sold_out_s: float | None
    """None: never."""
    sold: float
    """The share of the seats that were sold in the end."""
    empty: float
    """The share of the slots of people who never claim, or that are free below the cap while
    others wait."""
    called_tau: float
    """The share of the pairs of people who were admitted in another order than they joined."""
    held_tau: float
    """The same of users who got seats, by the moment they held them."""
    scripts: float
    """The share of the seats that scripts got."""
    gini: float
    """How unequal the hundredths of the line, by arrival, are in getting seats; without scripts."""


def measure(outcome: Outcome) -> Measures:
    """Returns the measures of a sale."""
    waits, holds = waited(outcome, outcome.called), waited(outcome, outcome.held)
    active = [second.active for second in outcome.seconds]
    calls = [(second.calls, second.answer_ms) for second in outcome.seconds if second.calls]
    taken = sum(active)
    slots = sum(max(second.active, second.cap or 0) for second in outcome.seconds)
    came = sum(outcome.people[number].comes for number in outcome.called)
    to_scripts = sum(
        seats for number, seats in outcome.bought.items() if outcome.people[number].script
    )
    return Measures(
        wait_p50_s=quantile(waits, 0.5),
        wait_p90_s=quantile(waits, 0.9),
        wait_p99_s=quantile(waits, 0.99),
        held_p50_s=quantile(holds, 0.5),
        held_p90_s=quantile(holds, 0.9),
        in_vain=1 - len(outcome.bought) / came,
        peak_in=max(active),
        mean_in=taken / len(active),
        answer_p95_ms=answer_quantile(calls, 0.95),
        slow=slower(calls, 1000),
        late_s=sum(mean * P95_OF_MEAN > LATE_MS for _, mean in calls),
        sold_out_s=outcome.sold_out_at,
        sold=sum(outcome.bought.values()) / outcome.seats,
        empty=sum(second.absent for second in outcome.seconds) / slots,
        called_tau=tau_distance(list(outcome.called)),
        held_tau=tau_distance(sorted(outcome.bought, key=lambda number: outcome.held[number])),
        scripts=to_scripts / max(1, sum(outcome.bought.values())),
        gini=gini(success(outcome)),
    )


def waited(outcome: Outcome, until: dict[int, float]) -> list[float]:
    """Returns the waiting times of buyers until then, in seconds, ascending."""
    return sorted(
        until[number] - max(0.0, outcome.people[number].joined) for number in outcome.bought
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """Returns the smallest value that a ``share`` of the values does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def answer_quantile(calls: Sequence[tuple[float, float]], share: float) -> float:
    """Returns a quantile of a mixture of exponential times, given as (weight, mean)."""
    low, high = 0.0, max(mean for _, mean in calls) * P95_OF_MEAN * 2
    for _ in range(50):
        middle = (low + high) / 2
        above = slower(calls, middle) > 1 - share
        low, high = (middle, high) if above else (low, middle)
    return high


def slower(calls: Sequence[tuple[float, float]], ms: float) -> float:
    """Returns the share of such times that are longer."""
    longer = sum(weight * math.exp(-ms / mean) for weight, mean in calls)
    return longer / sum(weight for weight, _ in calls)


def inversions(values: Iterable[float]) -> int:
    """Returns how many pairs are in descending order: Kendall's tau distance, as a count."""
    seen: list[float] = []
    descending = 0
    for value in values:
        descending += len(seen) - bisect_right(seen, value)
        insort(seen, value)
    return descending


def tau_distance(order: Sequence[int]) -> float:
    """Returns Kendall's tau distance to ascending order, as a share of all pairs."""
    pairs = len(order) * (len(order) - 1) / 2
    return inversions(order) / pairs if pairs else 0.0


def success(outcome: Outcome) -> list[float]:
    """Returns the share of buyers in each hundredth of the line, in order of joining."""
    real = [number for number, person in enumerate(outcome.people) if not person.script]
    shares = []
    for group in range(GROUPS):
        members = real[group * len(real) // GROUPS : (group + 1) * len(real) // GROUPS]
        shares.append(sum(number in outcome.bought for number in members) / len(members))
    return shares


def gini(values: Sequence[float]) -> float:
    """Returns the Gini coefficient: 0 if all values are equal, towards 1 if one has everything."""
    ordered, total = sorted(values), sum(values)
    if total == 0:
        return 0.0
    weighted = sum((2 * rank - len(ordered) - 1) * each for rank, each in enumerate(ordered, 1))
    return weighted / (len(ordered) * total)
