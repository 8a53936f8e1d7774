"""A line as a process sees it: the waiting users, and how many are ahead."""

from array import array
from bisect import insort
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from frontrow.ids import PlaceRef
from frontrow.waiting_room.line import Line
from frontrow.waiting_room.policy import MaxActivePolicy, OpenPolicy, Policy
from frontrow.waiting_room.snapshot_queries import LineRow
from frontrow.waiting_room.status import poll_after_ms

CONCERT = UUID("22222222-2222-4222-8222-222222222222")


def row(*, issued: int, serving: int = 0, policy: Policy | None = None, **changes: Any) -> LineRow:
    """Returns an open line as it is read, with some columns changed."""
    read = LineRow(
        room_id=1,
        concert_id=CONCERT,
        policy=msgspec.json.encode(policy or OpenPolicy()).decode(),
        policy_version=1,
        claim_seconds=120,
        opens_at=None,
        closes_at=None,
        paused=False,
        issued=issued,
        serving=serving,
        called=serving,
        left_count=0,
        entrants=None,
        pruned_to=0,
        adaptive_cap=None,
        line_order="arrival",
        scheduled=False,
        draw_due=False,
        closed=False,
        seen_at=datetime(2027, 1, 1, tzinfo=UTC),
        finish_hazard=None,
        finish_spread=0.0,
        leave_hazard=0.0,
        leave_spread=0.0,
        called_then=0,
        active_then=0,
        mark=1,
        origin="",
    )
    return replace(read, **changes)


def line_of(issued: int, serving: int = 0, left: tuple[int, ...] = ()) -> Line:
    """Returns a line in which these numbers left while waiting."""
    line = Line(1, CONCERT)
    line.update(row(issued=issued, serving=serving))
    line.count_out(list(left), len(left))
    return line


def test_empty_line_has_no_waiting_users() -> None:
    """In an empty line nothing is ahead."""
    line = line_of(0)
    assert line.waiting == 0
    assert line.state == "open"


def test_ahead_counts_waiting_numbers_only() -> None:
    """The numbers between the last admitted one and this one, without those that left."""
    line = line_of(10, serving=3, left=(5, 7))
    assert [line.ahead_of(number) for number in (4, 6, 8, 9, 10)] == [0, 1, 2, 3, 4]
    assert line.waiting == 5


def test_unread_number_has_all_known_ones_ahead() -> None:
    """A number that this process has not read yet has all known ones ahead."""
    assert line_of(10, serving=3, left=(5,)).ahead_of(12) == 7


def test_waiting_numbers() -> None:
    """Neither admitted numbers, nor those that left, nor those not issued yet are waiting."""
    line = line_of(10, serving=3, left=(5, 7))
    assert [number for number in range(1, 12) if line.is_waiting(number)] == [4, 6, 8, 9, 10]


def test_closed_line_has_no_certainly_waiting_number() -> None:
    """In a closed line the database must decide."""
    line = line_of(10, serving=3)
    line.closed = True
    assert not line.is_waiting(4)
    assert line.waiting == 0


def test_admitted_numbers_are_not_stored() -> None:
    """Numbers that left with nothing waiting behind them are not stored."""
    line = line_of(10, serving=3, left=(5, 7))
    line.update(row(issued=10, serving=6))
    line.count_out([], 2)
    assert list(line.left) == [7]
    assert line.ahead_of(8) == 0
    line.update(row(issued=10, serving=10))
    line.count_out([9], 3)
    assert list(line.left) == []
    assert line.left_count == 3


def test_leavers_are_subtracted_in_any_order() -> None:
    """Users leave in any order; the count of those behind them is right."""
    line = line_of(10, left=(8, 2, 5))
    assert list(line.left) == [2, 5, 8]
    assert [line.ahead_of(number) for number in (1, 3, 6, 9)] == [0, 1, 3, 5]


def test_undrawn_place_has_no_position() -> None:
    """All other waiting users may be admitted first; users who left are not counted."""
    line = line_of(5)
    line.update(row(issued=5, line_order="draw", scheduled=True))
    line.count_out([2], 1)
    assert [line.position_of(number) for number in (1, 5)] == [None, None]
    assert [line.ahead_of(number) for number in (1, 5)] == [3, 3]
    assert [number for number in range(1, 6) if line.is_waiting(number)] == [1, 3, 4, 5]
    assert line.waiting == 4


def test_drawn_line_is_ordered_by_position() -> None:
    """Entrants have their drawn positions; later places follow by number."""
    line = line_of(6)
    line.update(row(issued=6, serving=2, line_order="draw", entrants=4))
    line.take_draw(array("i", [3, 1, 4, 2]))
    line.count_out([1], 1)
    assert [line.position_of(number) for number in range(1, 7)] == [3, 1, 4, 2, 5, 6]
    assert [line.has_served(number) for number in range(1, 7)] == [
        False, True, False, True, False, False,
    ]  # fmt: skip
    assert [number for number in range(1, 7) if line.is_waiting(number)] == [3, 5, 6]
    assert [line.ahead_of(number) for number in (3, 5, 6)] == [0, 1, 2]
    assert line.waiting == 3


def test_draw_subtracts_leavers_by_position() -> None:
    """Leavers were subtracted by number; after a draw they are subtracted by position."""
    line = line_of(3, left=(1,))
    line.take_draw(array("i", [3, 2, 1]))
    assert (line.left_count, len(line.left)) == (0, 0)


def place(number: int) -> PlaceRef:
    """Returns a place of the line, with an id of its own."""
    return PlaceRef(uuid4(), CONCERT, 1, number, uuid4(), datetime(2027, 1, 1, tzinfo=UTC))


def test_line_knows_the_places_that_were_found() -> None:
    """Not another place of the same number, nor one that has not been read."""
    line = line_of(9)
    found = [place(number) for number in (7, 2)]
    for one in found:
        line.note_found(one)
    assert [line.has_found(one) for one in found] == [True, True]
    assert [line.has_found(place(number)) for number in (2, 7, 3, 8)] == [False] * 4


def test_join_counts_until_a_later_row_contradicts_it() -> None:
    """A row that was read before a join has a lower number, once; then the join is lost."""
    line = line_of(3)
    joined = place(5)
    line.note_joined(joined)
    before = row(issued=4)
    assert not line.is_ahead_of(before)
    line.update(before)
    assert (line.issued, line.is_waiting(5), line.has_found(joined)) == (5, True, True)
    assert line.is_ahead_of(before)
    assert not line.is_ahead_of(row(issued=5))
    line.count_out([2], 1)
    assert line.is_ahead_of(row(issued=5))
    assert not line.is_ahead_of(row(issued=5, left_count=1))


def test_update_applies_every_column() -> None:
    """Every column is applied; the policy is decoded if its version differs."""
    line = line_of(1)
    kept = line.policy
    line.update(row(issued=2))
    assert line.policy is kept
    moment = datetime(2027, 1, 1, tzinfo=UTC)
    line.update(
        row(
            issued=9,
            serving=4,
            policy=MaxActivePolicy(max_active=3),
            policy_version=2,
            claim_seconds=30,
            opens_at=moment,
            closes_at=moment,
            paused=True,
            scheduled=True,
            closed=True,
        )
    )
    assert (line.issued, line.serving, line.policy_version) == (9, 4, 2)
    assert line.policy == MaxActivePolicy(max_active=3)
    assert line.claim_seconds == 30
    assert (line.opens_at, line.closes_at) == (moment, moment)
    assert (line.paused, line.scheduled, line.closed) == (True, True, True)


@pytest.mark.parametrize(
    ("marks", "seats", "state"),
    [
        ({}, (50, 50), "open"),
        ({}, (0, 0), "open"),
        ({}, (0, 50), "sold_out"),
        ({"scheduled"}, (50, 50), "scheduled"),
        ({"paused"}, (50, 50), "paused"),
        ({"paused", "scheduled"}, (0, 50), "paused"),
        ({"closed", "paused", "scheduled"}, (0, 50), "closed"),
    ],
)
def test_state_of_a_line_has_priorities(
    marks: set[str], seats: tuple[int, int], state: str
) -> None:
    """Closed has priority over paused, then scheduled, then sold out."""
    line = line_of(0)
    for mark in marks:
        setattr(line, mark, True)
    line.seats_available, line.seats_total = seats
    assert line.state == state


class LineMachine(RuleBasedStateMachine):
    """A line against a simple model: the set of waiting numbers.

    The database changes at any time; the process reads it at times (``read``), and its answers are
    right for the moment of its last read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.line = line_of(0)
        self.issued = 0
        self.serving = 0
        self.waiting: list[int] = []
        self.left: list[int] = []
        self.seen_waiting: list[int] = []
        self.seen_serving = 0

    @rule(people=st.integers(1, 8))
    def join(self, people: int) -> None:
        """Some users join."""
        self.waiting += range(self.issued + 1, self.issued + people + 1)
        self.issued += people

    @precondition(lambda self: self.waiting)
    @rule(choice=st.randoms(use_true_random=False), people=st.integers(1, 5))
    def leave(self, choice: object, people: int) -> None:
        """Some waiting users leave, in any order."""
        leavers = choice.sample(self.waiting, min(people, len(self.waiting)))  # type: ignore[attr-defined]
        for number in leavers:
            self.waiting.remove(number)
            self.left.append(number)

    @precondition(lambda self: self.waiting)
    @rule(people=st.integers(1, 5))
    def admit(self, people: int) -> None:
        """The next users are admitted."""
        called, self.waiting = self.waiting[:people], self.waiting[people:]
        self.serving = called[-1]

    @rule()
    def read(self) -> None:
        """The process reads the line and who has left since the last read."""
        self.line.update(row(issued=self.issued, serving=self.serving))
        self.line.count_out(self.left[self.line.left_count :], len(self.left))
        self.seen_waiting = list(self.waiting)
        self.seen_serving = self.serving

    @invariant()
    def answers_as_at_the_last_read(self) -> None:
        """The waiting users, their number, and those ahead of each, as at the last read."""
        seen = self.seen_waiting
        assert self.line.waiting == len(seen)
        assert [self.line.ahead_of(number) for number in seen] == list(range(len(seen)))
        assert [n for n in range(1, self.line.issued + 1) if self.line.is_waiting(n)] == seen
        assert all(number > self.seen_serving for number in self.line.left)


TestLineAgainstANaiveModel = LineMachine.TestCase


@given(st.sets(st.integers(1, 200)), st.integers(0, 200))
def test_ahead_equals_a_simple_count(left: set[int], serving: int) -> None:
    """For any leavers and admissions the number ahead equals a simple count."""
    line = Line(1, uuid4())
    line.update(row(issued=200, serving=serving))
    line.count_out(sorted(left), len(left))
    expected: list[int] = []
    waiting: list[int] = []
    for number in range(serving + 1, 201):
        expected.append(len(waiting))
        if number not in left:
            insort(waiting, number)
    assert [line.ahead_of(number) for number in range(serving + 1, 201)] == expected
    assert line.waiting == len(waiting)


@given(st.integers(0, 2_000_000), st.integers(1, 3_600))
def test_poll_interval_is_bounded(ahead: int, claim_seconds: int) -> None:
    """At most 30 seconds and a third of the claim window."""
    longest = min(30_000, claim_seconds * 1000 // 3)
    after = poll_after_ms(ahead, claim_seconds)
    assert min(1_000, longest // 2) <= after <= longest


def test_poll_interval_near_the_front_is_short() -> None:
    """One to two seconds, with jitter."""
    asked = [poll_after_ms(0, 120) for _ in range(200)]
    assert min(asked) >= 1_000
    assert max(asked) <= 2_000
    assert len(set(asked)) > 50


@pytest.mark.parametrize(("ahead", "claim_seconds"), [(1_000_000, 120), (1_000_000, 30), (0, 3)])
def test_poll_interval_has_jitter_at_any_position(ahead: int, claim_seconds: int) -> None:
    """Users far back and users with a short claim window do not all poll at once either."""
    assert len({poll_after_ms(ahead, claim_seconds) for _ in range(200)}) > 50


def test_poll_interval_grows_with_those_ahead() -> None:
    """A user farther back polls less often."""
    means = [
        sum(poll_after_ms(ahead, 120) for _ in range(200)) / 200 for ahead in (0, 300, 1_000, 5_000)
    ]
    assert means == sorted(means)
    assert means[-1] > 10 * means[0]


PACE: dict[str, Any] = {
    "called_then": 0,
    "active_then": 1,
    "finish_hazard": 0.1,
    "finish_spread": 0.0,
    "leave_hazard": 1e-9,
    "leave_spread": 0.0,
}


def paced(**changes: Any) -> Line:
    """Returns a line of ten that admits one at a time, for ten seconds each."""
    line = Line(1, CONCERT)
    line.update(row(issued=10, policy=MaxActivePolicy(max_active=1), **PACE, **changes))
    return line


def test_forecast_of_a_place() -> None:
    """About ten seconds for each user ahead and for the own slot."""
    eta = paced().eta(9)
    assert eta is not None
    assert 95 <= eta.p50 <= 100 < eta.p90


def test_forecast_before_opening() -> None:
    """The time until opening is added."""
    opens_at = datetime(2027, 1, 1, 1, tzinfo=UTC)
    early, open_now = paced(opens_at=opens_at, scheduled=True).eta(9), paced().eta(9)
    assert early is not None
    assert open_now is not None
    assert early.p50 == pytest.approx(open_now.p50 + 3600, abs=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"paused": True},
        {"closed": True},
        {"line_order": "draw", "scheduled": True},
        {"finish_hazard": None},
    ],
    ids=["paused", "closed", "before the draw", "not measured yet"],
)
def test_line_without_a_pace_has_no_forecast(changes: dict[str, Any]) -> None:
    """Without a time of admission there is no forecast."""
    line = Line(1, CONCERT)
    line.update(row(issued=10, policy=MaxActivePolicy(max_active=1), **PACE | changes))
    assert line.eta(9) is None
