"""A simulated sale in steps of a tenth of a second: the users, the server, and the admissions.

Pure and seeded. The bounds of a policy, the buckets that an adaptive policy measures by and the
rule of the draw are the program's own (``waiting_room``). The two rules that live in the database,
``waiting_room_adapted_cap`` and the pace of a rate, are implemented here again; a test compares the
first with the database.

The server has one queue and answers ``calls_per_second`` (C). An admitted user thinks for
``THINK_SECONDS`` (Z) between two calls, so that an answer takes longer with more admitted users:
mean value analysis of a closed network (Reiser and Lavenberg, 1980), with the answer
``R(n) = (1 + Q(n-1)) / C`` and the queue ``Q(n) = n R(n) / (Z + R(n))``. A session is work that
proceeds at the rate ``Z / (Z + R)``. A user who finds no seat leaves; a user whose session, or
hold, ends before the payment is finished, and the seats are free again.
"""

import heapq
import math
import random
from array import array
from bisect import bisect_left
from collections import deque
from typing import NamedTuple

from frontrow.waiting_room.draw import commitment_of, digest_of, positions_of
from frontrow.waiting_room.latency_histogram import BOUNDS_MS
from frontrow.waiting_room.policy import AdaptivePolicy, Policy, bounds

TICKS = 10
"""Runs of the admission a second."""
THINK_SECONDS = 4.0
HOLD_AT = 0.4
"""The part of a session after which the seats are held; the rest is the payment."""
CATCH_UP_SECONDS = 0.2
P95_OF_MEAN = math.log(20)
"""Of the exponential times of one queue: the 95th percentile, in means."""
ADAPT_SECONDS = 2


class Sale(NamedTuple):
    """The seats on sale, the users, and the faults of the server. Times are from the opening."""

    people: int = 20_000
    seats: int = 5_000
    scripts: int = 400
    """As many of the users: they join first, are quick, always claim and take four seats."""
    line_from: float = -600
    """From then on the line admits users."""
    no_shows: float = 0.12
    work_seconds: float = 90
    """Median of a session on a server that answers at once; lognormal."""
    work_sigma: float = 0.5
    script_work_seconds: float = 10
    claim_seconds: float = 120
    session_seconds: float = 600
    hold_seconds: float = 300
    calls_per_second: float = 200
    trouble: tuple[float, float] = (180, 480)
    """Meanwhile the server answers a third as many calls."""
    longest_seconds: float = 7_200


class Strategy(NamedTuple):
    """A policy and an order of admission."""

    name: str
    policy: Policy
    drawn: bool = False


class Person(NamedTuple):
    """A user in the line. The number is the place in order of joining, from 0."""

    joined: float
    wanted: int
    script: bool
    comes: bool
    work: float


class Second(NamedTuple):
    """The state of the sale at the end of a second."""

    active: int
    waiting: int
    answer_ms: float
    """The mean time of an answer."""
    calls: float
    """Answered in this second."""
    absent: int
    """Slots of users who never claim, or that are free below the cap while others wait."""
    sold: int
    cap: int | None


class Outcome(NamedTuple):
    """A finished sale. Times are from the opening; None: never."""

    seats: int
    people: list[Person]
    called: dict[int, float]
    """The time of admission, by number, in the order of the admissions."""
    held: dict[int, float]
    bought: dict[int, int]
    """Seats, by number."""
    seconds: list[Second]
    sold_out_at: float | None


def crowd(sale: Sale, seed: int) -> list[Person]:
    """Returns the users in order of joining.

    Scripts in the first second, half of the others within the next half minute, three of ten until
    the opening, the last fifth after it.
    """
    chance = random.Random(seed)  # noqa: S311 - a simulation
    people_by_time = []
    for number in range(sale.people):
        script = number < sale.scripts
        if script:
            joined = sale.line_from + chance.random()
        elif (when := chance.random()) < 0.5:
            joined = sale.line_from + 1 + min(chance.expovariate(1 / 10), 30)
        elif when < 0.8:
            joined = chance.uniform(sale.line_from + 31, 0)
        else:
            joined = chance.expovariate(1 / 300)
        spread = 0.2 if script else sale.work_sigma
        median = sale.script_work_seconds if script else sale.work_seconds
        people_by_time.append(
            Person(
                joined=joined,
                wanted=4 if script else chance.choices((1, 2, 3, 4), (25, 50, 10, 15))[0],
                script=script,
                comes=script or chance.random() >= sale.no_shows,
                work=median * chance.lognormvariate(0, spread),
            )
        )
    return sorted(people_by_time)


def serving_order(people: list[Person], *, drawn: bool, seed: int) -> list[int]:
    """Returns the numbers in serving order; of a draw, by its rule."""
    entrants = sum(person.joined < 0 for person in people) if drawn else 0
    secret = commitment_of(f"seed {seed}")
    digest = digest_of(entry_of_number(number) for number in range(entrants))
    positions = positions_of(secret, digest, entrants)
    order = sorted(range(entrants), key=positions.__getitem__)
    return [*order, *range(entrants, len(people))]


def entry_of_number(number: int) -> str:
    """Returns the entry of a simulated place in the draw."""
    return commitment_of(str(number))


def answer_seconds(people: int, calls_per_second: float) -> "array[float]":
    """Returns the mean answer in seconds, by admitted users from 0 to ``people``; 0 is as 1."""
    times, queue = array("d", [1 / calls_per_second]), 0.0
    for active in range(1, people + 1):
        time = (1 + queue) / calls_per_second
        queue = active * time / (THINK_SECONDS + time)
        times.append(time)
    return times


def adapted_cap(cap: int, p95_ms: float | None, *, used_up: bool, policy: AdaptivePolicy) -> int:
    """Returns the cap after one step: ``waiting_room_adapted_cap``."""
    if p95_ms is not None and p95_ms > policy.target_p95_ms:
        cap = cap * 67 // 100
    elif used_up:
        cap += max(1, (policy.max_active - policy.min_active) // 50)
    return min(policy.max_active, max(policy.min_active, cap))


def bucketed(ms: float) -> float:
    """Returns a time as the statistics of a process report it: the upper bound of its bucket."""
    at = bisect_left(BOUNDS_MS, ms)
    return BOUNDS_MS[at] if at < len(BOUNDS_MS) else math.inf


class Gate:
    """The number of admissions that a policy allows now."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.bounds = bounds(policy)
        self.cap = policy.min_active if isinstance(policy, AdaptivePolicy) else self.bounds.cap
        self._paced_until = -math.inf
        self._window: deque[float] = deque()

    def adapt(self, p95_ms: float | None, active: int) -> None:
        """Applies a step of an adaptive policy; does nothing under another one."""
        if isinstance(self.policy, AdaptivePolicy) and self.cap is not None:
            self.cap = adapted_cap(self.cap, p95_ms, used_up=active >= self.cap, policy=self.policy)

    def free(self, now: float, active: int, waiting: int) -> int:
        """Admits ``people`` users."""
        free = waiting if self.cap is None else min(waiting, max(0, self.cap - active))
        rate, seconds = self.bounds.rate, self.bounds.rate_seconds
        if rate is None or seconds is None or free == 0:
            return free
        each = seconds / rate
        self._paced_until = max(self._paced_until, now - max(CATCH_UP_SECONDS, each))
        while self._window and self._window[0] <= now - seconds:
            self._window.popleft()
        free = min(free, int((now - self._paced_until) / each + 1e-6), rate - len(self._window))
        self._paced_until += free * each
        self._window.extend([now] * free)
        return free


class Run:
    """One sale under one strategy."""

    def __init__(self, sale: Sale, strategy: Strategy, people: list[Person], seed: int) -> None:
        self.sale = sale
        self.people = people
        self.gate = Gate(strategy.policy)
        self.order = serving_order(people, drawn=strategy.drawn, seed=seed)
        self.well = answer_seconds(len(people), sale.calls_per_second)
        self.badly = answer_seconds(len(people), sale.calls_per_second / 3)
        self.joined = self.serving = self.absent = 0
        self.free_seats = sale.seats
        self.work_done = self.calls = 0.0
        self.inside: set[int] = set()
        self.taken: dict[int, int] = {}
        self.outcome = Outcome(sale.seats, people, {}, {}, {}, [], None)
        self._work: list[tuple[float, int, bool]] = []
        self._ends: list[tuple[float, int]] = []

    def answer(self, now: float) -> float:
        """Returns the mean answer, in seconds."""
        begins, ends = self.sale.trouble
        return (self.badly if begins <= now < ends else self.well)[len(self.inside) - self.absent]

    def through(self) -> Outcome:
        """Runs until everything is sold, or every user has left."""
        sold, second = 0, 0
        while second < self.sale.longest_seconds:
            self.calls = 0.0
            for tick in range(1, TICKS + 1):
                self._tick(second + tick / TICKS)
            second += 1
            sold = sum(self.outcome.bought.values())
            answer = self.answer(second)
            if second % ADAPT_SECONDS == 0:
                p95 = bucketed(1000 * P95_OF_MEAN * answer) if self.calls else None
                self.gate.adapt(p95, len(self.inside))
            self.outcome.seconds.append(self._seen(answer, sold))
            if sold == self.sale.seats:
                return self.outcome._replace(sold_out_at=float(second))
            if self.joined == len(self.people) and not self._waiting and not self.inside:
                break
        return self.outcome

    @property
    def _waiting(self) -> int:
        return self.joined - self.serving

    def _seen(self, answer: float, sold: int) -> Second:
        active, cap = len(self.inside), self.gate.cap
        free = max(0, cap - active) if cap is not None and self._waiting else 0
        return Second(
            active, self._waiting, 1000 * answer, self.calls, self.absent + free, sold, cap
        )

    def _tick(self, now: float) -> None:
        answer = self.answer(now)
        self.work_done += THINK_SECONDS / (THINK_SECONDS + answer) / TICKS
        self.calls += (len(self.inside) - self.absent) / (THINK_SECONDS + answer) / TICKS
        while self._work and self._work[0][0] <= self.work_done:
            _, number, pays = heapq.heappop(self._work)
            if number in self.inside:
                self._pay(number) if pays else self._hold(number, now)
        while self._ends and self._ends[0][0] <= now:
            self._end(heapq.heappop(self._ends)[1], now)
        while self.joined < len(self.people) and self.people[self.joined].joined <= now:
            self.joined += 1
        for _ in range(self.gate.free(now, len(self.inside), self._waiting)):
            self._call(self.order[self.serving], now)
            self.serving += 1

    def _call(self, number: int, now: float) -> None:
        person = self.people[number]
        self.outcome.called[number] = now
        self.inside.add(number)
        if not person.comes:
            self.absent += 1
            heapq.heappush(self._ends, (now + self.sale.claim_seconds, number))
            return
        heapq.heappush(self._work, (self.work_done + HOLD_AT * person.work, number, False))
        heapq.heappush(self._work, (self.work_done + person.work, number, True))
        heapq.heappush(self._ends, (now + self.sale.session_seconds, number))

    def _hold(self, number: int, now: float) -> None:
        seats = min(self.free_seats, self.people[number].wanted)
        if seats == 0:
            self.inside.remove(number)
            return
        self.free_seats -= seats
        self.taken[number] = seats
        self.outcome.held[number] = now
        heapq.heappush(self._ends, (now + self.sale.hold_seconds, number))

    def _pay(self, number: int) -> None:
        self.outcome.bought[number] = self.taken.pop(number)
        self.inside.remove(number)

    def _end(self, number: int, now: float) -> None:
        """Ends a claim window, a session or a hold; a hold extends a session to its own end."""
        if number not in self.inside:
            return
        held = self.outcome.held.get(number)
        if held is not None and now < held + self.sale.hold_seconds:
            return
        self.inside.remove(number)
        self.absent -= not self.people[number].comes
        self.free_seats += self.taken.pop(number, 0)


def simulate(sale: Sale, strategy: Strategy, seed: int) -> Outcome:
    """Simulates one sale from its opening on."""
    return Run(sale, strategy, crowd(sale, seed), seed).through()
