"""The concerts and shows that an operator may create: the bounds of the contract."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from frontrow.concerts.model import Block, ConcertChange, NewConcert, NewSection, NewShow, NewShows

SHOW: dict[str, Any] = {"starts_at": "2027-05-01T19:00:00+09:00", "price": 50_000}
SECTION: dict[str, Any] = {"name": "R", "price": 50_000, "seats": 10}
CONCERT: dict[str, Any] = {"title": "The Test", "shows": [SHOW]}


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    """Returns a body without some fields."""
    return {name: value for name, value in body.items() if name not in names}


def read(body: dict[str, Any], kind: type[Any]) -> Any:
    """Decodes a body as the server does."""
    return msgspec.json.decode(json.dumps(body), type=kind)


def test_omitted_fields_have_defaults() -> None:
    """Omitted fields have the contract's defaults."""
    concert: NewConcert = read(CONCERT, NewConcert)
    assert (concert.timezone, concert.currency) == ("Asia/Seoul", "KRW")
    assert (concert.hold_seconds, concert.max_seats_per_user) == (300, 4)
    assert (concert.artist, concert.venue) == (None, None)
    (show,) = concert.shows
    assert (show.seats_total, show.sections) == (50, None)
    assert show.starts_at == datetime(2027, 5, 1, 10, tzinfo=UTC)


def test_seats_are_counted_by_section() -> None:
    """The number of seats follows from the sections."""
    sections = [SECTION, {**SECTION, "name": "S", "seats": 5}]
    for stated in ({}, {"seats": 15}):
        show = read({**without(SHOW, "price"), "sections": sections, **stated}, NewShow)
        assert show.seats_total == 15


@pytest.mark.parametrize(
    "change",
    [
        {"hold_seconds": 1},
        {"hold_seconds": 3600},
        {"max_seats_per_user": 1},
        {"max_seats_per_user": 100},
        {"title": "x" * 200},
        {"artist": ""},
        {"artist": None, "venue": None},
        {"currency": "EUR"},
        {"shows": [SHOW] * 400},
        {"shows": [{**SHOW, "seats": 100_000}] * 2},
        {"shows": [{**SHOW, "seats": 1, "price": 1}]},
        {"shows": [{**SHOW, "price": 1_000_000_000}]},
        {"shows": [{**SHOW, "sales_end_at": "2027-05-01T00:00:00Z"}]},
        {
            "shows": [
                {
                    **without(SHOW, "price"),
                    "sections": [{**SECTION, "name": str(number)} for number in range(200)],
                }
            ]
        },
    ],
)
def test_bounds_are_allowed(change: dict[str, Any]) -> None:
    """The bounds are inclusive."""
    assert read(CONCERT | change, NewConcert)


@pytest.mark.parametrize(
    "change",
    [
        {"title": ""},
        {"title": "x" * 201},
        {"title": "a\x00b"},
        {"title": None},
        {"artist": "x" * 201},
        {"venue": "\x00"},
        {"timezone": "x" * 65},
        {"currency": "krw"},
        {"currency": "WON!"},
        {"hold_seconds": 0},
        {"hold_seconds": 3601},
        {"hold_seconds": "300"},
        {"hold_seconds": 1.5},
        {"max_seats_per_user": 0},
        {"max_seats_per_user": 101},
        {"shows": []},
        {"shows": [SHOW] * 401},
        {"shows": [{**SHOW, "seats": 100_000}] * 2 + [{**SHOW, "seats": 1}]},
        {"surprise": 1},
    ],
)
def test_invalid_concert_is_refused(change: dict[str, Any]) -> None:
    """A value out of bounds, of another type or in an unknown field is refused."""
    with pytest.raises(msgspec.ValidationError):
        read(CONCERT | change, NewConcert)


@pytest.mark.parametrize(
    "show",
    [
        without(SHOW, "starts_at"),
        without(SHOW, "price"),
        {**SHOW, "sections": [SECTION]},
        {**without(SHOW, "price"), "sections": []},
        {**without(SHOW, "price"), "sections": [SECTION] * 201},
        {**without(SHOW, "price"), "sections": [{**SECTION, "name": ""}]},
        {**without(SHOW, "price"), "sections": [{**SECTION, "name": "x" * 101}]},
        {**without(SHOW, "price"), "sections": [{**SECTION, "name": "a\x00"}]},
        {**without(SHOW, "price"), "sections": [{**SECTION, "seats": 0}]},
        {**without(SHOW, "price"), "sections": [{**SECTION, "price": 0}]},
        {
            **without(SHOW, "price"),
            "sections": [{**SECTION, "name": name, "seats": 50_001} for name in "RS"],
        },
        {**without(SHOW, "price"), "sections": [SECTION], "seats": 11},
        {**SHOW, "seats": 0},
        {**SHOW, "seats": 100_001},
        {**SHOW, "price": 0},
        {**SHOW, "price": -1},
        {**SHOW, "price": 1_000_000_001},
        {**SHOW, "price": 10**30},
        {**SHOW, "price": 0.5},
        {**SHOW, "starts_at": "2027-05-01T19:00:00"},
        {**SHOW, "starts_at": "2027-05-01"},
        {**SHOW, "starts_at": "9999-12-31T23:59:59Z"},
        {**SHOW, "starts_at": "0001-01-01T00:00:00+09:00"},
        {**SHOW, "sales_end_at": "2027-05-01T19:00:00"},
        {**SHOW, "sales_end_at": "9999-12-31T23:59:59-01:00"},
        {**SHOW, "surprise": 1},
    ],
)
def test_invalid_show_is_refused(show: dict[str, Any]) -> None:
    """A show needs a price or sections, a time with an offset, and a size within the bounds."""
    with pytest.raises(msgspec.ValidationError):
        read({"shows": [show]}, NewShows)


def test_size_of_an_added_show_is_checked() -> None:
    """Shows that are added later have the same bounds."""
    with pytest.raises(msgspec.ValidationError, match="at most 200000 seats"):
        read({"shows": [{**SHOW, "seats": 70_000}] * 3}, NewShows)
    with pytest.raises(ValueError, match="either sections or price"):
        NewShow(starts_at=datetime.now(UTC))
    assert NewSection("R", 1, 1).seats == 1


@pytest.mark.parametrize(
    ("size", "block"),
    [
        ({"seats": 10}, (10, 10)),
        ({"rows": 5, "seats_per_row": 8}, (40, 8)),
        ({"rows": 5, "seats_per_row": 8, "seats": 40}, (40, 8)),
        ({"rows": 100_000, "seats_per_row": 1}, (100_000, 1)),
    ],
)
def test_size_of_a_section_is_seats_or_rows(size: dict[str, int], block: tuple[int, int]) -> None:
    """Seats in one row or in rows; consistent counts are accepted. The same request as before."""
    body = {"name": "R", "price": 5, **size}
    section: NewSection = read(body, NewSection)
    assert section.block == Block("R", 5, *block)
    assert msgspec.to_builtins(section) == body


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({}, "give seats, or rows"),
        ({"rows": 5}, "rows and seats_per_row together"),
        ({"seats_per_row": 5, "seats": 5}, "rows and seats_per_row together"),
        ({"rows": 5, "seats_per_row": 8, "seats": 41}, "seats is not rows times"),
        ({"rows": 0, "seats_per_row": 8}, ">= 1"),
        ({"rows": 8, "seats_per_row": 100_001}, "<= 100000"),
    ],
)
def test_incomplete_size_of_a_section_is_refused(size: dict[str, int], message: str) -> None:
    """An incomplete or contradictory size is refused."""
    with pytest.raises(msgspec.ValidationError, match=message):
        read({"name": "R", "price": 5, **size}, NewSection)


def test_rows_count_as_seats() -> None:
    """The bound on seats applies to shows with rows too."""
    section = {"name": "R", "price": 5, "rows": 1_000, "seats_per_row": 100}
    show = without(SHOW, "price") | {"sections": [section]}
    assert read(show, NewShow).seats_total == 100_000
    with pytest.raises(msgspec.ValidationError, match="at most 100000 seats"):
        read({**show, "sections": [section, {**SECTION, "name": "S"}]}, NewShow)


@pytest.mark.parametrize(
    "change", [{}, {"title": "New"}, {"hold_seconds": 1}, {"max_seats_per_user": 100}]
)
def test_change_has_the_given_fields_only(change: dict[str, Any]) -> None:
    """Only the given fields are changed."""
    assert msgspec.to_builtins(read(change, ConcertChange)) == change


@pytest.mark.parametrize(
    "change",
    [
        {"title": None},
        {"title": ""},
        {"hold_seconds": 0},
        {"max_seats_per_user": 101},
        {"currency": "EUR"},
        {"timezone": "UTC"},
    ],
)
def test_invalid_change_is_refused(change: dict[str, Any]) -> None:
    """Only title, hold time and limit can be changed, within their bounds."""
    with pytest.raises(msgspec.ValidationError):
        read(change, ConcertChange)
