"""Start points of the search for the best seats: an optimization only."""

import time
from collections.abc import Sequence
from typing import TypeAlias
from uuid import UUID

from frontrow.reservations.queries import BestHoldItem, BestHoldRow

SECONDS = 1.0
"""For how long a search may miss seats that are released in front of it."""

_MOST_SEARCHES = 1_000
_Search: TypeAlias = tuple[UUID, str | None, int]


class SearchStarts:
    """The best seat that was found last, by show, section and count.

    Seats are given from the front, so the rows in front of a batch's first hold have no better ones
    left. After ``SECONDS`` a search begins at the front again, for seats that were released there.
    """

    def __init__(self) -> None:
        self._found: dict[_Search, tuple[int, float]] = {}

    def get(self, item: BestHoldItem) -> int:
        """Returns the number of the seat with which a search begins."""
        number, until = self._found.get(_search(item), (1, 0.0))
        return number if time.monotonic() < until else 1

    def note(self, items: Sequence[BestHoldItem], rows: Sequence[BestHoldRow]) -> None:
        """Notes the seats that a batch holds."""
        now = time.monotonic()
        if len(self._found) > _MOST_SEARCHES:
            self._found.clear()
        for item, row in reversed(list(zip(items, rows, strict=True))):
            if row.outcome == "held":
                _, until = self._found.get(_search(item), (1, 0.0))
                self._found[_search(item)] = (row.seats[0], until if now < until else now + SECONDS)


def _search(item: BestHoldItem) -> _Search:
    return item.show_id, item.section, item.count
