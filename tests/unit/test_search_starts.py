"""Where the search for the best seats begins."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from frontrow.reservations import search_starts
from frontrow.reservations.queries import BestHoldItem, BestHoldRow
from frontrow.reservations.search_starts import SECONDS, SearchStarts

SHOW = uuid4()
NOW = datetime.now(UTC)


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        """The time that the test set."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that search starts read."""
    made = Clock()
    monkeypatch.setattr(search_starts, "time", made)
    return made


def wish(count: int = 2, section: str | None = None, show_id: UUID = SHOW) -> BestHoldItem:
    """A wish for the best seats."""
    return BestHoldItem(1, 1, SHOW, SHOW, SHOW, SHOW, 1, show_id, count, section, together=True)


def held(first: int) -> BestHoldRow:
    """A hold of two seats."""
    seats = [first, first + 1]
    return BestHoldRow("held", None, None, None, None, None, seats, 2, [1, 1], [None] * 2, NOW, NOW)


REFUSED = BestHoldRow("seats_unavailable", None, 0, 0, None, None, [], 0, [], [], NOW, NOW)


def test_an_unknown_search_begins_at_the_front() -> None:
    """Seat 1."""
    assert SearchStarts().get(wish()) == 1


def test_a_search_begins_at_the_first_hold_of_the_last_batch() -> None:
    """Refused items don't count."""
    starts = SearchStarts()
    starts.note([wish(), wish(), wish()], [REFUSED, held(51), held(101)])
    assert starts.get(wish()) == 51


@pytest.mark.parametrize("other", [wish(3), wish(section="A"), wish(show_id=uuid4())])
def test_another_search_is_not_concerned(other: BestHoldItem) -> None:
    """Another count, section or show begins at the front."""
    starts = SearchStarts()
    starts.note([wish()], [held(51)])
    assert starts.get(other) == 1


def test_a_search_begins_at_the_front_once_a_second(clock: Clock) -> None:
    """Later batches don't extend the second."""
    starts = SearchStarts()
    starts.note([wish()], [held(51)])
    clock.now += SECONDS / 2
    starts.note([wish()], [held(61)])
    assert starts.get(wish()) == 61
    clock.now += SECONDS / 2
    assert starts.get(wish()) == 1


def test_only_so_many_searches_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit all are dropped, which costs time only."""
    monkeypatch.setattr(search_starts, "_MOST_SEARCHES", 2)
    starts = SearchStarts()
    for count in (1, 2, 3, 4):
        starts.note([wish(count)], [held(51)])
    assert [starts.get(wish(count)) for count in (1, 2, 3, 4)] == [1, 1, 1, 51]
