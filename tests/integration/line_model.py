"""A naive model of a line: a list of places, asked one by one. It uses nothing of the product.

Where the database stores counters, the model counts. Real time passes during a run too, so every
time limit is five minutes or more, and the model's time passes in tens of minutes: no limit depends
on the seconds that a run takes.
"""

from dataclasses import dataclass
from math import inf

from hypothesis import strategies as st

from frontrow.ids import PlaceRef
from frontrow.waiting_room.policy import (
    AdaptivePolicy,
    MaxActiveAndRatePolicy,
    MaxActivePolicy,
    OpenPolicy,
    Policy,
    RatePolicy,
)

TURN_SECONDS = 600
# Ends within the first turn of the clock, the second, and the third.
OPENS_AFTER_SECONDS = 300
CLAIM_SECONDS = 900
SESSION_SECONDS = 1_500
CLOSES_AFTER_SECONDS = 1_500
# Longer than two turns of the clock, and than any window of a rate.
KEPT_SECONDS = 1_300
TARGET_MS = 100

_CAPS = st.integers(1, 5)
# Users and seconds. At most 200 ms are made up for: one, one, ten users.
_RATES = st.sampled_from([(1, 1_200), (6, 1_200), (50, 1)])
POLICIES: st.SearchStrategy[Policy] = st.one_of(
    st.builds(OpenPolicy),
    st.builds(MaxActivePolicy, max_active=_CAPS),
    _RATES.map(lambda rate: RatePolicy(*rate)),
    st.builds(lambda cap, rate: MaxActiveAndRatePolicy(cap, *rate), _CAPS, _RATES),
    st.builds(
        lambda least, more: AdaptivePolicy(least, least + more, TARGET_MS),
        _CAPS,
        st.sampled_from([0, 1, 3, 200]),
    ),
)


@dataclass(eq=False)
class Person:
    """A user's place. ``ends`` is in the model's time."""

    place: PlaceRef
    state: str = "waiting"
    reason: str | None = None
    called: bool = False
    claimed: bool = False
    ends: float = inf
    finished_at: float = inf

    def finish(self, reason: str, at: float) -> None:
        """Finishes the place."""
        self.state, self.reason, self.finished_at = "finished", reason, at


class LineModel:
    """A line and its places, by number."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.opens = 0.0
        self.closes = inf
        self.paused = False
        self.people: list[Person] = []
        self.left: list[int] = []
        """The numbers that left while waiting, in order of leaving."""
        self.drawn: list[int] | None = []
        """The numbers in the drawn order; ``None`` before the draw."""
        self.policy: Policy = OpenPolicy()
        self.adaptive_cap: int | None = None
        self.called_at = -inf
        self.pruned_to = 0

    # State --------------------------------------------------------------------------------------

    def order(self) -> list[int]:
        """Returns all numbers in serving order: the drawn ones, then the others by number."""
        drawn = self.drawn or []
        return [*drawn, *range(len(drawn) + 1, len(self.people) + 1)]

    def waiting(self) -> list[int]:
        """Returns the waiting numbers, in serving order."""
        return [number for number in self.order() if self.person(number).state == "waiting"]

    def person(self, number: int) -> Person:
        """Returns the place with a number."""
        return self.people[number - 1]

    def kept(self) -> range:
        """Returns the numbers of the places that are not pruned."""
        return range(self.pruned_to + 1, len(self.people) + 1)

    def last_passed(self) -> int:
        """Returns the last place in serving order that was passed over without an admission."""
        return max(self.pruned_to, len(self.drawn or [])) if self.pruned_to else 0

    def active(self) -> int:
        """Returns how many are admitted and not finished."""
        return sum(person.state == "admitted" for person in self.people)

    def ahead(self, number: int) -> int:
        """Returns how many wait before a waiting place; before a draw, all others may."""
        waiting = self.waiting()
        return waiting.index(number) if self.drawn is not None else len(waiting) - 1

    def serving(self) -> int:
        """Returns the last admitted place in serving order; 0 without one."""
        called = [at for at, number in enumerate(self.order(), 1) if self.person(number).called]
        return max(called, default=0)

    def cap(self) -> float:
        """Returns the highest number of active places."""
        if self.adaptive_cap is not None:
            return self.adaptive_cap
        return getattr(self.policy, "max_active", inf)

    def is_closed(self) -> bool:
        """Returns whether the line refuses joins."""
        return self.clock >= self.closes

    def state(self) -> str:
        """Returns the state of the room; it is never sold out here."""
        if self.is_closed():
            return "closed"
        if self.paused:
            return "paused"
        return "open" if self.drawn is not None and self.opens <= self.clock else "scheduled"

    def in_time(self, *states: str) -> list[Person]:
        """Returns the places in one of these states whose time has not ended."""
        return [
            person
            for person in self.people
            if person.state in states and not self.is_overdue(person)
        ]

    def is_overdue(self, person: Person) -> bool:
        """Returns whether the time of an admitted place has ended, though it is not recorded."""
        return person.state == "admitted" and person.ends <= self.clock

    # Events -------------------------------------------------------------------------------------

    def set_policy(self, policy: Policy) -> None:
        """Sets another policy; an adaptive one keeps the current cap, if there is one."""
        self.policy = policy
        if isinstance(policy, AdaptivePolicy):
            before = self.adaptive_cap or 0
            self.adaptive_cap = min(max(before, policy.min_active), policy.max_active)
        else:
            self.adaptive_cap = None

    def latest_of(self, person: Person) -> Person:
        """Returns the latest place of the same user."""
        user_id = person.place.user_id
        return next(p for p in reversed(self.people) if p.place.user_id == user_id)

    def leave(self, people: list[Person]) -> None:
        """These places leave at once; the waiting ones are recorded by number."""
        self.left += sorted(p.place.number for p in people if p.state == "waiting")
        for person in people:
            person.finish("left", self.clock)

    def claim(self, person: Person) -> None:
        """Claims an admitted place: the first call starts the session."""
        if not person.claimed:
            person.claimed, person.ends = True, self.clock + SESSION_SECONDS

    def step(self, milliseconds: int | None) -> None:
        """Moves the cap of an adaptive policy by what was measured; ``None``: nothing."""
        policy = self.policy
        if not isinstance(policy, AdaptivePolicy) or self.adaptive_cap is None or self.paused:
            return
        least, most = policy.min_active, policy.max_active
        if milliseconds is not None and milliseconds > TARGET_MS:
            self.adaptive_cap = max(least, self.adaptive_cap * 67 // 100)
        elif self.active() >= self.adaptive_cap:
            self.adaptive_cap = min(most, self.adaptive_cap + max(1, (most - least) // 50))

    def finish_ended(self) -> None:
        """Finishes waiting places of a closed line, and admitted ones whose time has ended."""
        if self.is_closed():
            ended = sorted(self.waiting())
            self.left += ended
            for number in ended:
                self.person(number).finish("expired", self.clock)
        for person in self.people:
            if self.is_overdue(person):
                person.finish("expired", self.clock)

    def prunable_to(self) -> int:
        """Returns up to which number all places may be pruned; a drawn line goes as a whole."""
        if self.drawn is None or self.opens > self.clock:
            return self.pruned_to
        long_over = self.clock - KEPT_SECONDS
        kept = [n for n, p in enumerate(self.people, 1) if p.finished_at >= long_over]
        last = min(kept, default=len(self.people) + 1) - 1
        return self.pruned_to if last < len(self.drawn) else last

    def admissible(self) -> tuple[list[int], list[int]]:
        """Returns the places to admit now: certainly, and at most. A rate leaves a margin."""
        waiting = self.waiting()
        free = max(0, self.cap() - self.active()) if self.state() == "open" else 0
        most = waiting[: int(min(free, len(waiting)))]
        if not isinstance(self.policy, RatePolicy | MaxActiveAndRatePolicy):
            return most, most
        most = most[: self.policy.admit]
        rested = self.clock - self.called_at >= self.policy.every_seconds
        return most[:1] if rested else [], most

    def call(self, numbers: list[int]) -> None:
        """Admits these places."""
        if numbers:
            self.called_at = self.clock
        for person in map(self.person, numbers):
            person.state, person.called = "admitted", True
            person.ends = self.clock + CLAIM_SECONDS


class CountsLeavers(LineModel):
    """A wrong model: places that have left still count as ahead."""

    def ahead(self, number: int) -> int:
        """Returns all between the last admitted place and this one."""
        return self.order().index(number) - self.serving()


class IgnoresUnclaimed(LineModel):
    """A wrong model: admitted places that haven't claimed take no slot."""

    def active(self) -> int:
        """Returns only the claimed places."""
        return sum(person.state == "admitted" and person.claimed for person in self.people)


class ServesByNumber(LineModel):
    """A wrong model: a draw changes nothing."""

    def order(self) -> list[int]:
        """Returns the order of the numbers."""
        return list(range(1, len(self.people) + 1))


class PrunesNothing(LineModel):
    """A wrong model: no place is ever pruned."""

    def prunable_to(self) -> int:
        """Returns the previous limit."""
        return self.pruned_to
