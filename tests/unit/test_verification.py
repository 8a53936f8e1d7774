"""The checks of a draw: each change of the published data fails the check for it."""

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
    """Divides eight entrants into three pages: 3, 3 and 2."""
    monkeypatch.setattr(checks, "PAGE_ENTRANTS", PAGE)


@dataclass
class Published:
    """The published data of a draw, correct until a test changes it."""

    people: int = PEOPLE
    places: list[UUID] = field(init=False)
    draw: Draw = field(init=False)
    entries: list[Entry] = field(init=False)
    fetched: list[int] = field(init=False)
    change_page: Callable[[int, Entries], Entries] = field(init=False)

    def __post_init__(self) -> None:
        self.places = [UUID(int=number, version=4) for number in range(1, self.people + 1)]
        self.fetched = []
        self.change_page = lambda _after, page: page
        self.draw_from(draws.sum_of("the seed"), draws.entries_of(self.places))

    def draw_from(self, seed: str, entries: list[str], commitment: str | None = None) -> None:
        """Draws by the rule."""
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

    def change_document(self, **others: Any) -> None:
        """Changes the draw document."""
        self.draw = msgspec.structs.replace(self.draw, **others)

    def change_entry(self, at: int, /, **others: Any) -> None:
        """Changes the entry of a number."""
        self.entries[at - 1] = msgspec.structs.replace(self.entries[at - 1], **others)

    def page(self, after: int) -> Entries:
        """Returns a page as the server divides it."""
        self.fetched.append(after)
        cut = self.entries[after : after + PAGE]
        last = after + len(cut)
        return self.change_page(after, Entries(cut, last if last < len(self.entries) else None))

    def check(self, commitment: str | None = None, own: Own | None = None) -> Report:
        """Returns the report, after checking that its text agrees with its result."""
        report = check(self.draw, self.page, commitment=commitment, own=own)
        failed = report.failed
        result = report.lines()[-1]
        assert (result == "verified") == (report.drawn and not failed)
        if failed:
            assert result == f"not verified: {failed} of {len(report.checks)} checks failed"
        return report

    def own(self, number: int, joined_at: datetime = OPENED - timedelta(minutes=5)) -> Own:
        """Returns the place of a number, as its token names it."""
        entry = self.entries[number - 1].entry if number <= self.people else WRONG
        return Own(number, entry, joined_at)


def verdicts(report: Report) -> dict[str, bool | None]:
    """Returns the result of each check."""
    return {one.name: one.passed for one in report.checks}


def failing(report: Report) -> list[str]:
    """Returns the checks that failed."""
    return [one.name for one in report.checks if one.passed is False]


def text_of(report: Report, name: str) -> str:
    """Returns the text of a check."""
    return next(one.says for one in report.checks if one.name == name)


def test_correct_draw_is_verified() -> None:
    """All checks pass, each page is fetched once, and the place has the drawn position."""
    published = Published()
    report = published.check(published.draw.commitment, published.own(4))
    assert verdicts(report) == dict.fromkeys(
        ["noted", "commitment", "entries", "digest", "positions", "own place"], True
    )
    assert published.fetched == [0, 3, 6]
    position = draws.positions_of(draws.sum_of("the seed"), draws.entries_of(published.places))[3]
    assert text_of(report, "own place") == f"number 4 is served at {position}"
    first = f"draw of concert {CONCERT}: 8 entrants, drawn at 2026-06-01 11:00:00 UTC"
    assert report.lines()[0] == first


def test_draw_is_verified_without_a_noted_commitment() -> None:
    """The draw is verified, and the report names the omitted check."""
    report = Published().check()
    assert verdicts(report) == {
        "noted": None, "commitment": True, "entries": True, "digest": True, "positions": True,
    }  # fmt: skip
    assert report.lines()[1].startswith("-       noted       not checked")


def test_other_commitment_than_noted_fails() -> None:
    """A repeated draw is consistent; only the noted commitment reveals it."""
    published = Published()
    noted = published.draw.commitment
    published.draw_from(draws.sum_of("a better seed"), draws.entries_of(published.places))
    assert failing(published.check()) == []
    report = published.check(noted)
    assert failing(report) == ["noted"]
    assert text_of(report, "noted") == f"the commitment is {published.draw.commitment} now"


def test_other_seed_than_committed_fails() -> None:
    """Also if the order follows from that seed."""
    published = Published()
    noted = published.draw.commitment
    published.draw_from(draws.sum_of("a better seed"), draws.entries_of(published.places), noted)
    assert failing(published.check(noted)) == ["commitment"]


def test_other_seed_fails_the_positions_too() -> None:
    """The order does not follow from that seed either."""
    published = Published()
    published.change_document(seed=WRONG)
    assert failing(published.check()) == ["commitment", "positions"]


def test_other_digest_fails() -> None:
    """The digest is not that of the entries, and the order does not follow from it."""
    published = Published()
    right = published.draw.digest
    published.change_document(digest=WRONG)
    report = published.check()
    assert failing(report) == ["digest", "positions"]
    assert text_of(report, "digest") == f"the digest of the entries is {right}"


def test_other_entry_fails() -> None:
    """The digest is that of other entries."""
    published = Published()
    published.change_entry(5, entry=WRONG)
    assert failing(published.check()) == ["digest"]


def test_other_entry_with_its_digest_fails() -> None:
    """An entrant inserted after the draw changes every key."""
    published = Published()
    published.change_entry(5, entry=WRONG)
    published.change_document(digest=draws.digest_of(one.entry for one in published.entries))
    assert failing(published.check()) == ["positions"]


def test_exchanged_entries_fail() -> None:
    """The digest fixes the number of each entry."""
    published = Published()
    one, other = published.entries[1].entry, published.entries[6].entry
    published.change_entry(2, entry=other)
    published.change_entry(7, entry=one)
    assert failing(published.check()) == ["digest"]


def test_exchanged_positions_fail() -> None:
    """A move to the front is detected, and the first wrong number is named."""
    published = Published()
    one, other = published.entries[1].position, published.entries[6].position
    published.change_entry(2, position=other)
    published.change_entry(7, position=one)
    report = published.check()
    assert failing(report) == ["positions"]
    assert text_of(report, "positions") == f"number 2 is at {other}, but belongs at {one}"


@pytest.mark.parametrize("position", [0, -1, PEOPLE + 1, 2**40])
def test_impossible_position_fails(position: int) -> None:
    """An impossible position is reported before the positions are compared."""
    published = Published()
    published.change_entry(2, position=position)
    report = published.check(own=published.own(2))
    assert verdicts(report) == {
        "noted": None, "commitment": True, "entries": False, "digest": None, "positions": None,
        "own place": None,
    }  # fmt: skip
    assert text_of(report, "entries") == f"number 2 is at position {position}"


def _without_fifth(published: Published) -> None:
    del published.entries[4]


def _fifth_twice(published: Published) -> None:
    published.entries.insert(4, published.entries[4])


def _one_more(published: Published) -> None:
    published.entries.append(Entry(9, WRONG, 1))


def _one_page_more(published: Published) -> None:
    published.change_page = lambda _after, page: Entries(page.entries, page.next or PEOPLE)


def _without_the_last(published: Published) -> None:
    del published.entries[7]


def _cycle(published: Published) -> None:
    published.change_page = lambda after, page: Entries(page.entries, 0 if after else page.next)


def _page_too_long(published: Published) -> None:
    published.change_page = lambda after, page: (
        page if after else Entries(published.entries[: PAGE + 1], PAGE + 1)
    )


def _fewer_entrants(published: Published) -> None:
    published.change_document(entrants=7)


def _more_entrants(published: Published) -> None:
    published.change_document(entrants=9)


def _no_entrants(published: Published) -> None:
    published.change_document(entrants=0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_without_fifth, "number 5 is missing: 6 is shown instead"),
        (_fifth_twice, "number 6 is missing: 5 is shown instead"),
        (_one_more, "number 9 is beyond the last, 8"),
        (_one_page_more, "`next` after number 8 is 8"),
        (_without_the_last, "number 8 is missing: the page ends before it"),
        (_cycle, "`next` after number 6 is 0"),
        (_page_too_long, "the page behind number 0 is too long"),
        (_fewer_entrants, "number 8 is beyond the last, 7"),
        (_more_entrants, "number 9 is missing: the page ends before it"),
        (_no_entrants, "number 1 is beyond the last, 0"),
    ],
)
def test_wrong_entries_are_named(change: Callable[[Published], None], says: str) -> None:
    """Missing, duplicate or additional entries and endless pages: the first error is named."""
    published = Published()
    change(published)
    report = published.check()
    # With a wrong length an impossible position may be found first.
    assert failing(report) == ["entries"]
    assert text_of(report, "entries") in {says, *_positions_beyond(published)}
    assert (verdicts(report)["digest"], verdicts(report)["positions"]) == (None, None)
    assert len(published.fetched) <= 3


def _positions_beyond(published: Published) -> list[str]:
    """Returns the texts about positions that a draw of fewer entrants does not have."""
    return [
        f"number {one.number} is at position {one.position}"
        for one in published.entries
        if one.position > (published.draw.entrants or 0) > 0
    ]


@given(st.data())
def test_every_single_change_fails(data: st.DataObject) -> None:
    """Any single change is detected by a fan who noted the commitment."""
    published = Published(data.draw(st.integers(2, 9), "people"))
    noted = published.draw.commitment
    number = data.draw(st.integers(1, published.people), "number")
    other = data.draw(st.text("0123456789abcdef", min_size=64, max_size=64), "sum")
    what = data.draw(
        st.sampled_from(["commitment", "seed", "digest", "entrants", "entry", "position", "number"])
    )
    before = (published.draw, list(published.entries))
    if what in ("commitment", "seed", "digest"):
        published.change_document(**{what: other})
    elif what == "entrants":
        published.change_document(entrants=data.draw(st.integers(0, 12), "entrants"))
    elif what == "entry":
        published.change_entry(number, entry=other)
    else:
        published.change_entry(number, **{what: data.draw(st.integers(-1, 12), what)})
    report = published.check(noted)
    assert bool(report.failed) == ((published.draw, published.entries) != before)


def test_own_place_with_another_entry_fails() -> None:
    """The draw is consistent, but the number belongs to another entry."""
    published = Published()
    own = published.own(4)._replace(entry=WRONG)
    report = published.check(own=own)
    assert failing(report) == ["own place"]
    assert text_of(report, "own place") == "the entry of number 4 belongs to another place"


def test_missing_own_place_fails() -> None:
    """A token from before opening whose number was not drawn."""
    published = Published()
    report = published.check(own=published.own(9, OPENED - timedelta(seconds=1)))
    assert failing(report) == ["own place"]
    assert text_of(report, "own place") == "number 9 joined before opening, but is left out"


@pytest.mark.parametrize("seconds", [0, 1, 3600])
def test_own_place_after_the_draw_passes(seconds: int) -> None:
    """A place joined at opening or later is not drawn; a token's time is cut to the second."""
    published = Published()
    joined_at = OPENED + timedelta(seconds=seconds)
    report = published.check(own=published.own(9, joined_at))
    assert failing(report) == []
    assert (
        text_of(report, "own place") == "number 9 joined after the draw: it is served at its number"
    )
    published.change_document(opens_at=OPENED + timedelta(milliseconds=900))
    assert failing(published.check(own=published.own(9, OPENED))) == []


@pytest.mark.parametrize("opens_at", [None, OPENED + timedelta(days=1)])
@pytest.mark.parametrize("came", [timedelta(hours=-1), timedelta(hours=1)])
def test_own_place_is_unknown_after_a_changed_opening(
    opens_at: datetime | None, came: timedelta
) -> None:
    """If the opening was changed after the draw, the report accuses nobody and clears nobody."""
    published = Published()
    published.change_document(opens_at=opens_at)
    report = published.check(own=published.own(9, OPENED + came))
    assert (failing(report), verdicts(report)["own place"]) == ([], None)
    assert text_of(report, "own place") == "can't be checked: the opening was changed"
    # A place that was drawn is found at any time.
    assert verdicts(published.check(own=published.own(8, OPENED + came)))["own place"] is True


def test_own_place_is_checked_in_a_draw_at_the_opening() -> None:
    """A draw at the moment of its opening was not changed."""
    published = Published()
    published.change_document(drawn_at=OPENED)
    assert verdicts(published.check(own=published.own(9, OPENED)))["own place"] is True
    early = published.check(own=published.own(9, OPENED - timedelta(seconds=1)))
    assert failing(early) == ["own place"]


def test_empty_draw_is_verified() -> None:
    """A draw without entrants can be verified too."""
    published = Published(people=0)
    assert verdicts(published.check(published.draw.commitment)) == dict.fromkeys(
        ["noted", "commitment", "entries", "digest", "positions"], True
    )
    assert published.fetched == [0]


def test_undrawn_line_is_reported() -> None:
    """No page is fetched; the report has the values to note."""
    published = Published()
    published.change_document(drawn_at=None, entrants=None, digest=None, seed=None)
    report = published.check()
    assert (report.drawn, report.checks, published.fetched) == (False, [], [])
    assert report.lines() == [
        f"draw of concert {CONCERT}",
        "not drawn before 2026-06-01 11:00:00 UTC; until then, note the commitment:",
        published.draw.commitment,
    ]
    assert verdicts(published.check(published.draw.commitment)) == {"noted": True}
    assert failing(published.check(WRONG)) == ["noted"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seed": None}, "it is drawn, but has no outcome"),
        ({"digest": None}, "it is drawn, but has no outcome"),
        ({"entrants": None}, "it is drawn, but has no outcome"),
        ({"entrants": checks.MOST_ENTRANTS + 1}, "10000001 entrants are more than"),
        ({"entrants": -1}, "-1 entrants are more than"),
        ({"opens_at": OPENED.replace(tzinfo=None)}, "a time is invalid"),
        ({"drawn_at": OPENED.replace(year=9999)}, "a time is invalid"),
    ],
)
def test_invalid_draw_document_is_refused(changes: dict[str, Any], says: str) -> None:
    """A contradictory or out-of-bounds document is refused."""
    published = Published()
    published.change_document(**changes)
    with pytest.raises(ValueError, match=says):
        published.check()
    assert published.fetched == []
