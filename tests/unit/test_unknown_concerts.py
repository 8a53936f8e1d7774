"""Look-ups of unknown concerts: each id once a second, and few in vain altogether."""

from uuid import uuid4

import pytest

from frontrow.waiting_room import unknown_concerts
from frontrow.waiting_room.unknown_concerts import (
    LOOK_UPS,
    LOOK_UPS_PER_SECOND,
    REMEMBERED_IDS,
    REMEMBERED_SECONDS,
    UnknownConcerts,
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock, which a test moves."""
    now = [1000.0]
    monkeypatch.setattr(unknown_concerts, "monotonic", lambda: now[0])
    return now


def test_missed_id_is_remembered_for_a_second(clock: list[float]) -> None:
    """It isn't looked for again until then; another id is."""
    unknown, one, other = UnknownConcerts(), uuid4(), uuid4()
    assert unknown.may_look_up(one)
    unknown.note_missed(one)
    assert not unknown.may_look_up(one)
    assert unknown.may_look_up(other)
    clock[0] += REMEMBERED_SECONDS
    assert unknown.may_look_up(one)


def test_look_ups_in_vain_are_few(clock: list[float]) -> None:
    """A burst, then some a second, whatever the number of ids."""
    unknown = UnknownConcerts()

    def looked_up(ids: int) -> int:
        made = 0
        for one in (uuid4() for _ in range(ids)):
            if unknown.may_look_up(one):
                unknown.note_missed(one)
                made += 1
        return made

    assert looked_up(1_000) == LOOK_UPS
    clock[0] += 3
    assert looked_up(1_000) == 3 * LOOK_UPS_PER_SECOND
    clock[0] += 3_600
    assert looked_up(1_000) == LOOK_UPS


def test_found_concerts_cost_nothing() -> None:
    """A look-up that finds the concert isn't counted."""
    unknown = UnknownConcerts()
    assert all(unknown.may_look_up(uuid4()) for _ in range(1_000))


def test_few_ids_are_remembered(clock: list[float]) -> None:
    """The longest known ones are forgotten first."""
    unknown, first = UnknownConcerts(), uuid4()
    unknown.note_missed(first)
    for _ in range(REMEMBERED_IDS):
        unknown.note_missed(uuid4())
    clock[0] += REMEMBERED_SECONDS / 2
    unknown._left = 1.0
    assert len(unknown._missed_at) == REMEMBERED_IDS
    assert unknown.may_look_up(first)
