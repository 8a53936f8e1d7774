"""What is checked of a draw: each thing that is shown wrong fails the check that is for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.verification import Own, Report, check, checks
from frontrow.waiting_room.model import Draw, Entries, Entry
from tests import draws

OPENED = datetime(2026, 6, 1, 11, tzinfo=UTC)
CONCERT = UUID("6a1b2c3d-0000-4000-8000-000000000001")
PEOPLE = 8
PAGE = 3
WRONG = draws.sum_of("something else")


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight entrants are three pages: 3, 3 and 2."""
    monkeypatch.setattr(checks, "PAGE_ENTRANTS", PAGE)


@dataclass
class Shown:
    """What a server shows of a draw. All of it is right until a test changes it."""

    people: int = PEOPLE
    places: list[UUID] = field(init=False)
    draw: Draw = field(init=False)
    entries: list[Entry] = field(init=False)
    asked: list[int] = field(init=False)
    change_page: Callable[[int, Entries], Entries] = field(init=False)

    def __post_init__(self) -> None:
        self.places = [UUID(int=number, version=4) for number in range(1, self.people + 1)]
        self.asked = []
        self.change_page = lambda _after, page: page
        self.draw_from(draws.sum_of("the seed"), draws.entries_of(self.places))

    def draw_from(self, seed: str, entries: list[str], commitment: str | None = None) -> None:
        """Draw by the rule."""
        self.draw = Draw(
            concert_id=CONCERT,
            commitment=commitment or draws.sum_of(seed),
            committed_at=OPENED - timedelta(days=1),
            opens_at=OPENED,
            drawn_at=OPENED + timedelta(milliseconds=200),
            entrants=self.people,
            digest=draws.digest_of(entries),
            seed=seed,
        )
        positions = draws.positions_of(seed, entries)
        self.entries = [
            Entry(number, entry, position)
            for number, (entry, position) in enumerate(zip(entries, positions, strict=True), 1)
        ]

    def tell(self, **others: Any) -> None:
        """Show another draw document."""
        self.draw = msgspec.structs.replace(self.draw, **others)

    def put(self, at: int, /, **others: Any) -> None:
        """Show something else at a number."""
        self.entries[at - 1] = msgspec.structs.replace(self.entries[at - 1], **others)

    def page(self, after: int) -> Entries:
        """A page, as the server cuts it."""
        self.asked.append(after)
        cut = self.entries[after : after + PAGE]
        last = after + len(cut)
        return self.change_page(after, Entries(cut, last if last < len(self.entries) else None))

    def check(self, commitment: str | None = None, own: Own | None = None) -> Report:
        """What is found, and that what is told agrees with it."""
        report = check(self.draw, self.page, commitment=commitment, own=own)
        failed = report.failed
        said = report.lines()[-1]
        assert (said == "verified") == (report.drawn and not failed)
        if failed:
            assert said == f"not verified: {failed} of {len(report.checks)} checks failed"
        return report

    def own(self, number: int, joined_at: datetime = OPENED - timedelta(minutes=5)) -> Own:
        """The place of a number, as its token names it."""
        entry = self.entries[number - 1].entry if number <= self.people else WRONG
        return Own(number, entry, joined_at)


def verdicts(report: Report) -> dict[str, bool | None]:
    """What came of each check."""
    return {one.name: one.passed for one in report.checks}


def failing(report: Report) -> list[str]:
    """The checks that failed."""
    return [one.name for one in report.checks if one.passed is False]


def said(report: Report, name: str) -> str:
    """What a check says."""
    return next(one.says for one in report.checks if one.name == name)


def test_what_is_right_is_verified() -> None:
    """All checks pass, each page is asked for once, and the place has the drawn position."""
    shown = Shown()
    report = shown.check(shown.draw.commitment, shown.own(4))
    assert verdicts(report) == dict.fromkeys(
        ["noted", "commitment", "entries", "digest", "positions", "own place"], True
    )
    assert shown.asked == [0, 3, 6]
    position = draws.positions_of(draws.sum_of("the seed"), draws.entries_of(shown.places))[3]
    assert said(report, "own place") == f"number 4 is served at {position}"
    first = f"draw of concert {CONCERT}: 8 entrants, drawn at 2026-06-01 11:00:00 UTC"
    assert report.lines()[0] == first


def test_without_a_noted_commitment_that_check_is_not_done() -> None:
    """It is verified, but says what was left out."""
    report = Shown().check()
    assert verdicts(report) == {
        "noted": None, "commitment": True, "entries": True, "digest": True, "positions": True,
    }  # fmt: skip
    assert report.lines()[1].startswith("-       noted       not checked")


def test_another_commitment_than_the_noted_one() -> None:
    """A draw that was started anew agrees with itself: only what was noted tells."""
    shown = Shown()
    noted = shown.draw.commitment
    shown.draw_from(draws.sum_of("a better seed"), draws.entries_of(shown.places))
    assert failing(shown.check()) == []
    report = shown.check(noted)
    assert failing(report) == ["noted"]
    assert said(report, "noted") == f"the commitment is {shown.draw.commitment} now"


def test_another_seed_than_the_committed_one() -> None:
    """Even if the order follows from it."""
    shown = Shown()
    noted = shown.draw.commitment
    shown.draw_from(draws.sum_of("a better seed"), draws.entries_of(shown.places), noted)
    assert failing(shown.check(noted)) == ["commitment"]


def test_another_seed_alone() -> None:
    """Then the order doesn't follow from it either."""
    shown = Shown()
    shown.tell(seed=WRONG)
    assert failing(shown.check()) == ["commitment", "positions"]


def test_another_digest() -> None:
    """It isn't that of the entries, and the order doesn't follow from it."""
    shown = Shown()
    right = shown.draw.digest
    shown.tell(digest=WRONG)
    report = shown.check()
    assert failing(report) == ["digest", "positions"]
    assert said(report, "digest") == f"that of the entries is {right}"


def test_another_entry() -> None:
    """The digest is that of others."""
    shown = Shown()
    shown.put(5, entry=WRONG)
    assert failing(shown.check()) == ["digest"]


def test_another_entry_with_its_digest() -> None:
    """An entrant who is put in after the draw changes everybody's key."""
    shown = Shown()
    shown.put(5, entry=WRONG)
    shown.tell(digest=draws.digest_of(one.entry for one in shown.entries))
    assert failing(shown.check()) == ["positions"]


def test_two_entries_changed_places() -> None:
    """Who has which number is fixed by the digest."""
    shown = Shown()
    one, other = shown.entries[1].entry, shown.entries[6].entry
    shown.put(2, entry=other)
    shown.put(7, entry=one)
    assert failing(shown.check()) == ["digest"]


def test_two_positions_changed_places() -> None:
    """Who is moved to the front is seen, and the first one of them is named."""
    shown = Shown()
    one, other = shown.entries[1].position, shown.entries[6].position
    shown.put(2, position=other)
    shown.put(7, position=one)
    report = shown.check()
    assert failing(report) == ["positions"]
    assert said(report, "positions") == f"number 2 is at {other}, the rule puts it at {one}"


@pytest.mark.parametrize("position", [0, -1, PEOPLE + 1, 2**40])
def test_impossible_position(position: int) -> None:
    """A position beyond the entrants isn't even counted."""
    shown = Shown()
    shown.put(2, position=position)
    report = shown.check(own=shown.own(2))
    assert verdicts(report) == {
        "noted": None, "commitment": True, "entries": False, "digest": None, "positions": None,
        "own place": None,
    }  # fmt: skip
    assert said(report, "entries") == f"number 2 is at position {position}"


def _without_fifth(shown: Shown) -> None:
    del shown.entries[4]


def _fifth_twice(shown: Shown) -> None:
    shown.entries.insert(4, shown.entries[4])


def _one_more(shown: Shown) -> None:
    shown.entries.append(Entry(9, WRONG, 1))


def _one_page_more(shown: Shown) -> None:
    shown.change_page = lambda _after, page: Entries(page.entries, page.next or PEOPLE)


def _without_the_last(shown: Shown) -> None:
    del shown.entries[7]


def _goes_back(shown: Shown) -> None:
    shown.change_page = lambda after, page: Entries(page.entries, 0 if after else page.next)


def _page_too_long(shown: Shown) -> None:
    shown.change_page = lambda after, page: (
        page if after else Entries(shown.entries[: PAGE + 1], PAGE + 1)
    )


def _fewer_told(shown: Shown) -> None:
    shown.tell(entrants=7)


def _more_told(shown: Shown) -> None:
    shown.tell(entrants=9)


def _none_told(shown: Shown) -> None:
    shown.tell(entrants=0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_without_fifth, "number 5 is missing: 6 is shown instead"),
        (_fifth_twice, "number 6 is missing: 5 is shown instead"),
        (_one_more, "number 9 is shown: the last was to be 8"),
        (_one_page_more, "behind number 8 the page says to go on at 8"),
        (_without_the_last, "number 8 is missing: the page ends before it"),
        (_goes_back, "behind number 6 the page says to go on at 0"),
        (_page_too_long, "the page behind number 0 is too long"),
        (_fewer_told, "number 8 is shown: the last was to be 7"),
        (_more_told, "number 9 is missing: the page ends before it"),
        (_none_told, "number 1 is shown: the last was to be 0"),
    ],
)
def test_entries_that_are_not_the_numbers(change: Callable[[Shown], None], says: str) -> None:
    """Missing, twice, too many, pages that never end: the first wrong thing is named."""
    shown = Shown()
    change(shown)
    report = shown.check()
    # Of a wrong length some impossible position may be seen first.
    assert failing(report) == ["entries"]
    assert said(report, "entries") in {says, *_positions_beyond(shown)}
    assert (verdicts(report)["digest"], verdicts(report)["positions"]) == (None, None)
    assert len(shown.asked) <= 3


def _positions_beyond(shown: Shown) -> list[str]:
    """What is said of positions that fewer entrants don't have."""
    return [
        f"number {one.number} is at position {one.position}"
        for one in shown.entries
        if one.position > (shown.draw.entrants or 0) > 0
    ]


@given(st.data())
def test_no_single_change_is_overlooked(data: st.DataObject) -> None:
    """Whatever one thing is shown differently, somebody who noted the commitment sees it."""
    shown = Shown(data.draw(st.integers(2, 9), "people"))
    noted = shown.draw.commitment
    number = data.draw(st.integers(1, shown.people), "number")
    other = data.draw(st.text("0123456789abcdef", min_size=64, max_size=64), "sum")
    what = data.draw(
        st.sampled_from(["commitment", "seed", "digest", "entrants", "entry", "position", "number"])
    )
    before = (shown.draw, list(shown.entries))
    if what in ("commitment", "seed", "digest"):
        shown.tell(**{what: other})
    elif what == "entrants":
        shown.tell(entrants=data.draw(st.integers(0, 12), "entrants"))
    elif what == "entry":
        shown.put(number, entry=other)
    else:
        shown.put(number, **{what: data.draw(st.integers(-1, 12), what)})
    report = shown.check(noted)
    assert bool(report.failed) == ((shown.draw, shown.entries) != before)


def test_own_place_is_another_entry() -> None:
    """The draw agrees with itself, but the number was given to somebody else in it."""
    shown = Shown()
    own = shown.own(4)._replace(entry=WRONG)
    report = shown.check(own=own)
    assert failing(report) == ["own place"]
    assert said(report, "own place") == "the entry of number 4 is another's"


def test_own_place_was_left_out() -> None:
    """A token from before opening with a number that wasn't drawn."""
    shown = Shown()
    report = shown.check(own=shown.own(9, OPENED - timedelta(seconds=1)))
    assert failing(report) == ["own place"]
    assert said(report, "own place") == "number 9 came before opening: it is left out"


@pytest.mark.parametrize("seconds", [0, 1, 3600])
def test_own_place_came_later(seconds: int) -> None:
    """Whoever came at opening or later isn't drawn; a token's time is cut to the second."""
    shown = Shown()
    joined_at = OPENED + timedelta(seconds=seconds)
    report = shown.check(own=shown.own(9, joined_at))
    assert failing(report) == []
    assert said(report, "own place") == "number 9 came after the draw: served at its number"
    shown.tell(opens_at=OPENED + timedelta(milliseconds=900))
    assert failing(shown.check(own=shown.own(9, OPENED))) == []


@pytest.mark.parametrize("opens_at", [None, OPENED + timedelta(days=1)])
@pytest.mark.parametrize("came", [timedelta(hours=-1), timedelta(hours=1)])
def test_own_place_and_a_time_that_was_changed_since(
    opens_at: datetime | None, came: timedelta
) -> None:
    """An opening that was moved or removed after the draw accuses nobody, and clears nobody."""
    shown = Shown()
    shown.tell(opens_at=opens_at)
    report = shown.check(own=shown.own(9, OPENED + came))
    assert (failing(report), verdicts(report)["own place"]) == ([], None)
    assert said(report, "own place") == "can't be told: the opening was changed"
    # Who was drawn is found whatever the time.
    assert verdicts(shown.check(own=shown.own(8, OPENED + came)))["own place"] is True


def test_own_place_drawn_at_the_opening() -> None:
    """A draw at the very moment of its opening was not changed."""
    shown = Shown()
    shown.tell(drawn_at=OPENED)
    assert verdicts(shown.check(own=shown.own(9, OPENED)))["own place"] is True
    early = shown.check(own=shown.own(9, OPENED - timedelta(seconds=1)))
    assert failing(early) == ["own place"]


def test_an_empty_draw() -> None:
    """Nobody came: that can be checked too."""
    shown = Shown(people=0)
    assert verdicts(shown.check(shown.draw.commitment)) == dict.fromkeys(
        ["noted", "commitment", "entries", "digest", "positions"], True
    )
    assert shown.asked == [0]


def test_not_drawn_yet() -> None:
    """No page is asked for; the report gives what is to be noted."""
    shown = Shown()
    shown.tell(drawn_at=None, entrants=None, digest=None, seed=None)
    report = shown.check()
    assert (report.drawn, report.checks, shown.asked) == (False, [], [])
    assert report.lines() == [
        f"draw of concert {CONCERT}",
        "not drawn before 2026-06-01 11:00:00 UTC; until then, note the commitment:",
        shown.draw.commitment,
    ]
    assert verdicts(shown.check(shown.draw.commitment)) == {"noted": True}
    assert failing(shown.check(WRONG)) == ["noted"]


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"seed": None}, "it has ended, but shows no outcome"),
        ({"digest": None}, "it has ended, but shows no outcome"),
        ({"entrants": None}, "it has ended, but shows no outcome"),
        ({"entrants": checks.MOST_ENTRANTS + 1}, "10000001 entrants are more than"),
        ({"entrants": -1}, "-1 entrants are more than"),
        ({"opens_at": OPENED.replace(tzinfo=None)}, "its times are no times of a draw"),
        ({"drawn_at": OPENED.replace(year=9999)}, "its times are no times of a draw"),
    ],
)
def test_no_document_of_a_draw(told: dict[str, Any], says: str) -> None:
    """What contradicts itself, or is beyond all bounds, is no draw."""
    shown = Shown()
    shown.tell(**told)
    with pytest.raises(ValueError, match=says):
        shown.check()
    assert shown.asked == []
