"""A model of the choice of the best seats: tries every place.

The rule is in docs/design/adr/0012-best-seats.md.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

LONGEST_ROW = 100
"""A longer row is filled from its lowest number."""


class Section(NamedTuple):
    """Rows of seats."""

    rows: int
    seats_per_row: int


class Row(NamedTuple):
    """The seat numbers of one row, in order."""

    first: int
    width: int

    @property
    def seats(self) -> range:
        """Returns the seat numbers."""
        return range(self.first, self.first + self.width)


class House:
    """Sections in order, numbered row by row, and which seats are free."""

    def __init__(self, sections: Sequence[Section], taken: Iterable[int]) -> None:
        self.rows: list[list[Row]] = []
        number = 1
        for section in sections:
            self.rows.append([])
            for _ in range(section.rows):
                self.rows[-1].append(Row(number, section.seats_per_row))
                number += section.seats_per_row
        self.seats = number - 1
        self.free = set(range(1, number)) - set(taken)

    def area(self, section: int | None) -> list[Row]:
        """Returns the rows of a section, or of all, from the front."""
        wanted = self.rows if section is None else [self.rows[section]]
        return [row for rows in wanted for row in rows]

    def available(self, section: int | None) -> int:
        """Returns the number of free seats."""
        return sum(number in self.free for row in self.area(section) for number in row.seats)

    def longest_run(self, section: int | None) -> int:
        """Returns the length of the longest run of free seats."""
        longest = 0
        for row in self.area(section):
            run = 0
            for number in row.seats:
                run = run + 1 if number in self.free else 0
                longest = max(longest, run)
        return longest

    def choose(self, section: int | None, count: int, *, together: bool) -> list[int] | None:
        """Takes and returns the best seats; ``None``, and no seat taken, if there are none."""
        best = self._take(section, count)
        if best or together or self.available(section) < count:
            return best or None
        return [number for _ in range(count) for number in self._take(section, 1)]

    def _take(self, section: int | None, count: int) -> list[int]:
        places = [
            (self._leaves_lone(row, start, count), order, abs(2 * start + count - middle), start)
            for order, row in enumerate(self.area(section))
            for middle in [2 * row.first + (row.width if row.width <= LONGEST_ROW else 1)]
            for start in range(row.first, row.first + row.width - count + 1)
            if all(number in self.free for number in range(start, start + count))
        ]
        if not places:
            return []
        start = min(places)[-1]
        best = list(range(start, start + count))
        self.free -= set(best)
        return best

    def _leaves_lone(self, row: Row, start: int, count: int) -> bool:
        left = self.free - set(range(start, start + count))
        return any(self._is_lone(row, number, left) for number in (start - 1, start + count))

    def _is_lone(self, row: Row, number: int, free: set[int]) -> bool:
        return (
            number in row.seats
            and number in free
            and not any(
                beside in row.seats and beside in free for beside in (number - 1, number + 1)
            )
        )
