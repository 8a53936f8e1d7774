"""Which unknown concerts may be looked for in the database, so that a flood of ids can't.

An id that was looked for in vain is remembered for a second, and few look-ups in vain are made in a
second. Beyond that an unknown concert is missing until the next snapshot, a fraction of a second
later, has it.
"""

from collections import OrderedDict
from time import monotonic
from uuid import UUID

REMEMBERED_IDS = 10_000
REMEMBERED_SECONDS = 1.0
LOOK_UPS = 10
"""Look-ups in vain that may follow each other at once."""
LOOK_UPS_PER_SECOND = 2.0


class UnknownConcerts:
    """The concerts that a process has looked for in vain."""

    def __init__(self) -> None:
        self._missed_at: OrderedDict[UUID, float] = OrderedDict()
        self._left = float(LOOK_UPS)
        self._counted_at = monotonic()

    def may_look_up(self, concert_id: UUID) -> bool:
        """Returns whether an unknown concert may be looked for now."""
        now = monotonic()
        missed_at = self._missed_at.get(concert_id)
        if missed_at is not None and missed_at + REMEMBERED_SECONDS > now:
            return False
        self._left = min(LOOK_UPS, self._left + (now - self._counted_at) * LOOK_UPS_PER_SECOND)
        self._counted_at = now
        return self._left >= 1

    def note_missed(self, concert_id: UUID) -> None:
        """Records that a concert was looked for in vain."""
        self._left -= 1
        self._missed_at[concert_id] = monotonic()
        self._missed_at.move_to_end(concert_id)
        if len(self._missed_at) > REMEMBERED_IDS:
            self._missed_at.popitem(last=False)
