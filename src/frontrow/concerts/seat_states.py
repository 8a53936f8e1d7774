"""The states of a show's seats as this process last read them, with versions and changes.

No I/O: ``seat_maps.py`` reads the database. A held seat becomes available when its hold ends by the
database's time, which comes with each read.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from frontrow.concerts.bounded_log import BoundedLog
from frontrow.concerts.model import Section, Show

AVAILABLE, HELD, SOLD = b"ahs"
"""The states of a seat, as ``states`` has them."""

VERSION_PATTERN = "^([0-9a-f]{8})-([0-9]{1,19})-([0-9]{1,16})$"
"""The form of a version: the name of a log, a transaction, a time in ms."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MILLISECOND = timedelta(milliseconds=1)
_VERSION = re.compile(VERSION_PATTERN)
_FEWEST_KEPT = 1_000


class SeatChange(NamedTuple):
    """A change of a seat: its transaction, the seat's present state, the end of its hold."""

    xid: int
    number: int
    state: int
    until: datetime | None


class SeatChanges(NamedTuple):
    """Changes that were read at one moment: see the function ``seat_changes``."""

    changes: list[SeatChange]
    running: list[int]
    log_id: str | None
    now: datetime


class SeatStates:
    """The seats of a show.

    Args:
        show: the show.
        sections: its sections, in the order of their seats' numbers.
        states: one letter for each seat, by number; ``available`` for the seats in ``held``.
        held: seats with a hold that is active or ended recently, and its end.
        read: the changes in the log, newest last.
        kept_seconds: how long changes stay in the log before they may be missing.
    """

    __slots__ = (
        "_changes",
        "_ended",
        "_ends",
        "_kept",
        "_newest",
        "_running",
        "_tag",
        "_until",
        "log_id",
        "now",
        "sections",
        "show",
        "states",
    )

    def __init__(
        self,
        show: Show,
        sections: list[Section],
        states: bytes,
        held: list[tuple[int, datetime]],
        read: SeatChanges,
        *,
        kept_seconds: float,
    ) -> None:
        self.show = show
        self.sections = sections
        self.states = bytearray(states)
        self.log_id = read.log_id
        self._kept = timedelta(seconds=kept_seconds)
        self._newest = 0
        self._running: list[int] = []
        self._until: dict[int, datetime] = {}
        # Ends of holds, the next one first; also of holds that have ended early.
        self._ends: list[tuple[datetime, int]] = []
        most = max(len(states), _FEWEST_KEPT)
        self._changes, self._ended = BoundedLog(most), BoundedLog(most)
        self._tag: bytes | None = None
        for number, until in held:
            self._set(number, HELD, until)
        self._record(read)
        if len(read.changes) >= most:  # then older ones may be missing
            self._changes.cut(min(change.xid for change in read.changes) + 1)

    @property
    def newest(self) -> int:
        """The newest transaction whose change was read."""
        return self._newest

    @property
    def running(self) -> list[int]:
        """The older transactions whose changes, if any, were not read."""
        return self._running

    def follows(self, read: SeatChanges) -> bool:
        """Returns whether changes continue this state: same log, none deleted in between."""
        return (
            read.log_id is not None
            and read.log_id == self.log_id
            and read.now - self.now < self._kept
        )

    def apply(self, read: SeatChanges) -> None:
        """Applies changes that continue this state."""
        for change in read.changes:
            self._set(change.number, change.state, change.until)
        self._record(read)

    @property
    def available(self) -> int:
        """The number of free seats."""
        return self.states.count(AVAILABLE)

    @property
    def tag(self) -> bytes:
        """A digest of all states, the same in every process."""
        if self._tag is None:
            digest = blake2b(self.states, digest_size=12, key=self.show.show_id.bytes)
            self._tag = digest.hexdigest().encode()
        return self._tag

    @property
    def version(self) -> str:
        """The log, the first transaction that may not have been read, and the time in ms.

        It means the same to every process: all changes by transactions below that one, and all ends
        of holds up to that time, have been read.
        """
        first = min(self._running, default=self._newest + 1)
        return f"{self.log_id or '00000000'}-{first}-{(self.now - _EPOCH) // _MILLISECOND}"

    def since(self, version: str) -> list[int] | None:
        """Returns the numbers of the seats that may have changed since a version.

        ``None`` if that isn't known: the version is too old, of another log, or invalid.
        """
        found = _VERSION.fullmatch(version)
        if found is None or found[1] != self.log_id:
            return None
        first, milliseconds = int(found[2]), int(found[3])
        age = (self.now - _EPOCH) - timedelta(milliseconds=milliseconds)
        if first > self._newest + 1 or not timedelta(0) <= age < self._kept:
            return None
        changed = self._changes.since(first)
        ended = self._ended.since(milliseconds * 1_000)
        if changed is None or ended is None:
            return None
        return sorted({*changed, *ended})

    def _record(self, read: SeatChanges) -> None:
        self.now = read.now
        for change in read.changes:
            self._changes.add(change.xid, change.number)
            self._newest = max(self._newest, change.xid)
        self._running = [xid for xid in read.running if xid < self._newest]
        for until, number in self._pop_ended():
            self._ended.add((until - _EPOCH) // _MICROSECOND, number)
            if self._until.get(number) == until:
                self._set(number, AVAILABLE, None)

    def _pop_ended(self) -> Iterator[tuple[datetime, int]]:
        """Removes and yields the holds whose time has passed."""
        if len(self._ends) > 2 * len(self._until) + _FEWEST_KEPT:
            self._ends = [(until, number) for number, until in self._until.items()]
            heapify(self._ends)
        while self._ends and self._ends[0][0] <= self.now:
            yield heappop(self._ends)

    def _set(self, number: int, state: int, until: datetime | None) -> None:
        if until is None:
            self._until.pop(number, None)
        else:
            self._until[number] = until
            heappush(self._ends, (until, number))
        if self.states[number - 1] != state:
            self.states[number - 1] = state
            self._tag = None
