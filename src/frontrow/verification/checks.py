"""Checks of a draw: its documents against the rule (``waiting_room.draw``). Pure functions."""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from frontrow.verification.place import Own
from frontrow.waiting_room.draw import commitment_of, digest_of, positions_of
from frontrow.waiting_room.model import Draw, Entries, Entry

MOST_ENTRANTS = 10_000_000
PAGE_ENTRANTS = 10_000
"""Size of every page but the last; a shorter page ends the entries."""

_YEARS = range(1970, 9001)
_MARKS = {True: "ok", False: "FAILED", None: "-"}


class Check(NamedTuple):
    """Result of one check; ``passed`` is ``None`` if it could not be done."""

    name: str
    passed: bool | None
    says: str


@dataclass(frozen=True)
class Report:
    """A draw with the results of its checks."""

    draw: Draw
    checks: list[Check]

    @property
    def drawn(self) -> bool:
        """Whether the line has been drawn."""
        return self.draw.drawn_at is not None

    @property
    def failed(self) -> int:
        """Number of failed checks."""
        return sum(check.passed is False for check in self.checks)

    def lines(self) -> list[str]:
        """Returns the report: the draw, a line for each check, the result."""
        draw = self.draw
        lines = [f"draw of concert {draw.concert_id}"]
        if self.drawn:
            lines[0] += f": {draw.entrants:,} entrants, drawn at {_formatted(draw.drawn_at)}"
        lines += [f"{_MARKS[check.passed]:<8}{check.name:<12}{check.says}" for check in self.checks]
        if self.failed:
            lines.append(f"not verified: {self.failed} of {len(self.checks)} checks failed")
        elif self.drawn:
            lines.append("verified")
        else:
            lines += [
                f"not drawn before {_formatted(draw.opens_at)}; until then, note the commitment:",
                draw.commitment,
            ]
        return lines


class InvalidEntries(Exception):
    """The entries are not the numbers 1 to the last; the message names the first wrong one."""


class _Outcome(NamedTuple):
    """The outcome of a completed draw."""

    drawn_at: datetime
    entrants: int
    digest: str
    seed: str


def check(
    draw: Draw, page: Callable[[int], Entries], *, commitment: str | None, own: Own | None
) -> Report:
    """Checks a draw against the rule; before it is drawn, only its commitment.

    Args:
        draw: the document.
        page: returns the page of entries after a number.
        commitment: the commitment noted before opening.
        own: a place that must be in it.

    Raises:
        ValueError: the document contradicts itself.
    """
    noted = _check_noted(draw, commitment)
    outcome = _outcome(draw)
    if outcome is None:
        return Report(draw, [] if commitment is None else [noted])
    checks = [noted, _check_seed(draw, outcome)]
    positions = array("i")
    own_entry: str | None = None

    def entries() -> Iterator[str]:
        nonlocal own_entry
        for entry in numbered(page, outcome.entrants):
            positions.append(entry.position)
            if own is not None and entry.number == own.number:
                own_entry = entry.entry
            yield entry.entry

    try:
        digest = digest_of(entries())
    except InvalidEntries as error:
        checks += [
            Check("entries", False, str(error)),
            Check("digest", None, "not checked: entries are missing"),
            Check("positions", None, "not checked: entries are missing"),
        ]
    else:
        checks += [
            Check("entries", True, f"the numbers 1 to {outcome.entrants}, each once"),
            _check_digest(digest, outcome),
            _check_positions(positions, outcome),
        ]
    if own is not None:
        position = positions[own.number - 1] if own_entry is not None else None
        checks.append(_check_own(draw, outcome, own, own_entry, position))
    return Report(draw, checks)


def numbered(page: Callable[[int], Entries], entrants: int) -> Iterator[Entry]:
    """Yields the entries of the numbers 1 to ``entrants``, in this order.

    Raises:
        InvalidEntries: the pages have other entries.
    """
    last = 0
    while True:
        shown = page(last)
        first, limit = last, min(PAGE_ENTRANTS, entrants - last)
        for entry in shown.entries[: limit + 1]:
            if last == entrants:
                raise InvalidEntries(f"number {entry.number} is beyond the last, {entrants}")
            if entry.number != last + 1:
                raise InvalidEntries(
                    f"number {last + 1} is missing: {entry.number} is shown instead"
                )
            if not 1 <= entry.position <= entrants:
                raise InvalidEntries(f"number {entry.number} is at position {entry.position}")
            last = entry.number
            yield entry
        if len(shown.entries) < limit:
            raise InvalidEntries(f"number {last + 1} is missing: the page ends before it")
        if len(shown.entries) > limit:
            raise InvalidEntries(f"the page behind number {first} is too long")
        if shown.next != (None if last == entrants else last):
            raise InvalidEntries(f"`next` after number {last} is {shown.next}")
        if last == entrants:
            return


def _outcome(draw: Draw) -> _Outcome | None:
    """Returns the outcome of a draw; ``None`` before it is drawn.

    Raises:
        ValueError: the document is incomplete, or has too many entrants.
    """
    for at in (draw.opens_at, draw.drawn_at):
        # Others can't be compared, or converted to UTC.
        if at is not None and (at.tzinfo is None or at.year not in _YEARS):
            raise ValueError("a time is invalid")
    if draw.drawn_at is None:
        return None
    if draw.entrants is None or draw.digest is None or draw.seed is None:
        raise ValueError("it is drawn, but has no outcome")
    if not 0 <= draw.entrants <= MOST_ENTRANTS:
        raise ValueError(
            f"{draw.entrants} entrants are more than the {MOST_ENTRANTS} that can be checked"
        )
    return _Outcome(draw.drawn_at, draw.entrants, draw.digest, draw.seed)


def _formatted(moment: datetime | None) -> str:
    return "its opening" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _check_noted(draw: Draw, commitment: str | None) -> Check:
    if commitment is None:
        return Check("noted", None, "not checked: give the commitment noted before opening")
    if commitment == draw.commitment:
        return Check("noted", True, "it matches the noted commitment")
    return Check("noted", False, f"the commitment is {draw.commitment} now")


def _check_seed(draw: Draw, outcome: _Outcome) -> Check:
    if commitment_of(outcome.seed) == draw.commitment:
        return Check("commitment", True, "it matches the seed")
    return Check("commitment", False, "it doesn't match the seed")


def _check_digest(digest: str, outcome: _Outcome) -> Check:
    if digest == outcome.digest:
        return Check("digest", True, "it matches the entries")
    return Check("digest", False, f"the digest of the entries is {digest}")


def _check_positions(positions: "array[int]", outcome: _Outcome) -> Check:
    ruled = positions_of(outcome.seed, outcome.digest, outcome.entrants)
    for number, (shown, right) in enumerate(zip(positions, ruled, strict=True), 1):
        if shown != right:
            says = f"number {number} is at {shown}, but belongs at {right}"
            return Check("positions", False, says)
    return Check("positions", True, "they follow from seed and digest")


def _check_own(
    draw: Draw, outcome: _Outcome, own: Own, entry: str | None, position: int | None
) -> Check:
    """Checks that a place is the entry of its number, or joined after the draw."""
    if own.number <= outcome.entrants:
        if entry is None:
            return Check("own place", None, "not checked: entries are missing")
        if entry == own.entry:
            return Check("own place", True, f"number {own.number} is served at {position}")
        return Check(
            "own place", False, f"the entry of number {own.number} belongs to another place"
        )
    # No line is drawn before it opens, so the opening was changed after the draw: it doesn't say
    # who joined in time.
    if draw.opens_at is None or draw.opens_at > outcome.drawn_at:
        return Check("own place", None, "can't be checked: the opening was changed")
    # The time in a token is truncated to the second.
    if own.joined_at + timedelta(seconds=1) <= draw.opens_at:
        return Check(
            "own place", False, f"number {own.number} joined before opening, but is left out"
        )
    return Check(
        "own place", True, f"number {own.number} joined after the draw: it is served at its number"
    )
