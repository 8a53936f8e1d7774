"""A naive model of a line: a list of people, asked one by one. Nothing of the product is in it.

Where the database keeps counters, the model counts. Real time passes too while a run goes on, so
all that ends by time takes five minutes or more, and the model's time passes in tens of minutes:
nothing ends by the seconds that a run takes.
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
# People and seconds. At most 200 ms are made up for: one, one, ten people.
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
    """Somebody's place. ``ends`` is in the model's time."""

    place: PlaceRef
    state: str = "waiting"
    reason: str | None = None
    called: bool = False
    claimed: bool = False
    ends: float = inf
    finished_at: float = inf

    def finish(self, reason: str, at: float) -> None:
        """The place is over."""
        self.state, self.reason, self.finished_at = "finished", reason, at


class LineModel:
    """A line and its people, by number."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.opens = 0.0
        self.closes = inf
        self.paused = False
        self.people: list[Person] = []
        self.left: list[int] = []
        """Who left while waiting: the numbers, in order of leaving."""
        self.drawn: list[int] | None = []
        """The numbers in the order that was drawn; ``None`` until then."""
        self.policy: Policy = OpenPolicy()
        self.adaptive_cap: int | None = None
        self.called_at = -inf
        self.pruned_to = 0

    # What it says -------------------------------------------------------------------------------

    def order(self) -> list[int]:
        """All numbers in serving order: those who were drawn, then the others by number."""
        drawn = self.drawn or []
        return [*drawn, *range(len(drawn) + 1, len(self.people) + 1)]

    def waiting(self) -> list[int]:
        """The numbers that wait, in serving order."""
        return [number for number in self.order() if self.person(number).state == "waiting"]

    def person(self, number: int) -> Person:
        """Who has a number."""
        return self.people[number - 1]

    def kept(self) -> range:
        """The numbers of the places that are kept."""
        return range(self.pruned_to + 1, len(self.people) + 1)

    def gone_past(self) -> int:
        """The last place in serving order that the line has gone past without calling anybody."""
        return max(self.pruned_to, len(self.drawn or [])) if self.pruned_to else 0

    def active(self) -> int:
        """How many were called and are not finished."""
        return sum(person.state == "admitted" for person in self.people)

    def ahead(self, number: int) -> int:
        """How many wait before one who waits; before a draw, all others may."""
        waiting = self.waiting()
        return waiting.index(number) if self.drawn is not None else len(waiting) - 1

    def serving(self) -> int:
        """The last place in serving order that was called; 0 if none was."""
        called = [at for at, number in enumerate(self.order(), 1) if self.person(number).called]
        return max(called, default=0)

    def cap(self) -> float:
        """Most people who may be in."""
        if self.adaptive_cap is not None:
            return self.adaptive_cap
        return getattr(self.policy, "max_active", inf)

    def is_closed(self) -> bool:
        """Whether the line takes nobody any more."""
        return self.clock >= self.closes

    def state(self) -> str:
        """What the room is called; it is never sold out here."""
        if self.is_closed():
            return "closed"
        if self.paused:
            return "paused"
        return "open" if self.drawn is not None and self.opens <= self.clock else "scheduled"

    def in_time(self, *states: str) -> list[Person]:
        """Everybody in one of these states whose time isn't over."""
        return [
            person
            for person in self.people
            if person.state in states and not self.is_overdue(person)
        ]

    def is_overdue(self, person: Person) -> bool:
        """Whether a called one's time is over, though nobody has written that down."""
        return person.state == "admitted" and person.ends <= self.clock

    # What happens -------------------------------------------------------------------------------

    def set_policy(self, policy: Policy) -> None:
        """Another policy; an adaptive one goes on with the cap there was, if it had one."""
        self.policy = policy
        if isinstance(policy, AdaptivePolicy):
            before = self.adaptive_cap or 0
            self.adaptive_cap = min(max(before, policy.min_active), policy.max_active)
        else:
            self.adaptive_cap = None

    def latest_of(self, person: Person) -> Person:
        """The latest place of the same user."""
        user_id = person.place.user_id
        return next(p for p in reversed(self.people) if p.place.user_id == user_id)

    def leave(self, people: list[Person]) -> None:
        """These leave at once: those of them who wait, by number."""
        self.left += sorted(p.place.number for p in people if p.state == "waiting")
        for person in people:
            person.finish("left", self.clock)

    def claim(self, person: Person) -> None:
        """A called one comes: the session begins, with the first time."""
        if not person.claimed:
            person.claimed, person.ends = True, self.clock + SESSION_SECONDS

    def step(self, milliseconds: int | None) -> None:
        """The cap of an adaptive policy follows what was measured; ``None``: nothing was."""
        policy = self.policy
        if not isinstance(policy, AdaptivePolicy) or self.adaptive_cap is None or self.paused:
            return
        least, most = policy.min_active, policy.max_active
        if milliseconds is not None and milliseconds > TARGET_MS:
            self.adaptive_cap = max(least, self.adaptive_cap * 67 // 100)
        elif self.active() >= self.adaptive_cap:
            self.adaptive_cap = min(most, self.adaptive_cap + max(1, (most - least) // 50))

    def end_what_is_over(self) -> None:
        """Who waits in a closed line is finished, and so is who was called too long ago."""
        if self.is_closed():
            ended = sorted(self.waiting())
            self.left += ended
            for number in ended:
                self.person(number).finish("expired", self.clock)
        for person in self.people:
            if self.is_overdue(person):
                person.finish("expired", self.clock)

    def prunable_to(self) -> int:
        """Up to which number all places were over for long; a drawn line goes as a whole."""
        if self.drawn is None or self.opens > self.clock:
            return self.pruned_to
        long_over = self.clock - KEPT_SECONDS
        kept = [n for n, p in enumerate(self.people, 1) if p.finished_at >= long_over]
        last = min(kept, default=len(self.people) + 1) - 1
        return self.pruned_to if last < len(self.drawn) else last

    def may_come(self) -> tuple[list[int], list[int]]:
        """Who is to be called now: those surely, and those at most. A rate leaves some play."""
        waiting = self.waiting()
        free = max(0, self.cap() - self.active()) if self.state() == "open" else 0
        most = waiting[: int(min(free, len(waiting)))]
        if not isinstance(self.policy, RatePolicy | MaxActiveAndRatePolicy):
            return most, most
        most = most[: self.policy.admit]
        rested = self.clock - self.called_at >= self.policy.every_seconds
        return most[:1] if rested else [], most

    def call(self, numbers: list[int]) -> None:
        """These are called."""
        if numbers:
            self.called_at = self.clock
        for person in map(self.person, numbers):
            person.state, person.called = "admitted", True
            person.ends = self.clock + CLAIM_SECONDS


class CountsLeavers(LineModel):
    """A wrong model: who left is still counted ahead."""

    def ahead(self, number: int) -> int:
        """All who stand between the last one called and this one."""
        return self.order().index(number) - self.serving()


class ForgetsTheUnclaimed(LineModel):
    """A wrong model: who was called and has not come takes no slot."""

    def active(self) -> int:
        """Only those who have come."""
        return sum(person.state == "admitted" and person.claimed for person in self.people)


class ServesByNumber(LineModel):
    """A wrong model: a draw changes nothing."""

    def order(self) -> list[int]:
        """By number, always."""
        return list(range(1, len(self.people) + 1))


class KeepsEverything(LineModel):
    """A wrong model: nothing is ever dropped."""

    def prunable_to(self) -> int:
        """As far as it ever was."""
        return self.pruned_to
