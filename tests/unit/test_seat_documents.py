"""The documents about a large show: sizes, which do not depend on the machine."""

import json
from datetime import UTC, date, datetime
from gzip import decompress
from random import Random
from uuid import UUID

import pytest

from frontrow.concerts.model import Section, Show
from frontrow.concerts.seat_documents import Documents, Form, Variant
from frontrow.concerts.seat_states import HELD, SeatChange, SeatChanges, SeatStates

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
SEATS = 50_000
SHOW = Show(UUID(int=1), UUID(int=2), date(2027, 1, 1), START, START, SEATS)
BLOCKS = [
    Section(f"Block {n}", 50_000 + 1_000 * n, 1 + 500 * n, 500 * (n + 1), 25) for n in range(100)
]
LOG = "0a1b2c3d"


@pytest.fixture
def arena() -> SeatStates:
    """50,000 seats in 100 blocks, available, held and sold at random."""
    random = Random(1)  # noqa: S311 - not a secret
    states = bytes(random.choice(b"ahs") for _ in range(SEATS))
    return SeatStates(SHOW, BLOCKS, states, [], SeatChanges([], [], LOG, START), kept_seconds=500)


@pytest.mark.parametrize(("form", "most"), [("compact", 15_000), ("plain", 150_000)])
async def test_whole_arena_is_small(arena: SeatStates, form: Form, most: int) -> None:
    """All seats, compressed, in any combination of states."""
    document = Documents().get(arena, Variant(form=form))
    zipped = await document.gzipped()
    assert zipped is not None
    assert len(zipped) < most
    assert decompress(zipped) == document.body


@pytest.mark.parametrize("form", ["compact", "plain"])
async def test_change_of_ten_seats_is_not_compressed(arena: SeatStates, form: Form) -> None:
    """Ten changed seats are at most 1 KB and are not compressed."""
    version = arena.version
    changes = [SeatChange(9, number, HELD, None) for number in range(SEATS - 9, SEATS + 1)]
    arena.apply(SeatChanges(changes, [], LOG, START))
    document = Documents().get(arena, Variant(form=form, since=version))
    assert json.loads(document.body)["complete"] is False
    assert len(document.body) < 1_000
    assert await document.gzipped() is None


async def test_unknown_version_gets_all_seats(arena: SeatStates) -> None:
    """A client whose changes are unknown gets the document with all seats, the same for all."""
    documents = Documents()
    whole = documents.get(arena, Variant(form="compact"))
    for first in (5, 6):
        stale = Variant(form="compact", since=f"{LOG}-{first}-0")
        assert documents.get(arena, stale) is whole


def test_kept_documents_are_bounded(arena: SeatStates) -> None:
    """For any number of requested versions few documents are kept, the whole one among them."""
    documents = Documents()
    whole = documents.get(arena, Variant(form="compact"))
    log, first, ms = arena.version.split("-")
    for earlier in range(300):
        documents.get(arena, Variant(form="compact", since=f"{log}-{first}-{int(ms) - earlier}"))
    assert documents.kept <= 66
    assert documents.get(arena, Variant(form="compact")) is whole
