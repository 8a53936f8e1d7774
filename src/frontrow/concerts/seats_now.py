"""The seats of one show as this process last saw them: their states, versions, what has changed.

No I/O: ``seat_maps.py`` reads the database and tells what it found. A hold that runs out is turned
available by the time that came with the last reading, the database's.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from frontrow.concerts.bounded_log import Journal
from frontrow.concerts.model import Section, Show

AVAILABLE, HELD, SOLD = b"ahs"
"""The states of a seat, as ``states`` has them."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MILLISECOND = timedelta(milliseconds=1)
VERSION_PATTERN = "^([0-9a-f]{8})-([0-9]{1,19})-([0-9]{1,16})$"
"""What a version looks like: the name of a log, a transaction, a time in ms."""

_VERSION = re.compile(VERSION_PATTERN)
_FEWEST_KEPT = 1_000


class Changed(NamedTuple):
    """A seat that somebody took or let go: by which transaction, its state now, a hold's end."""

    xid: int
    number: int
    state: int
    until: datetime | None


class Reading(NamedTuple):
    """What the database told, all of one moment: see ``seat_changes``."""

    changes: list[Changed]
    running: list[int]
    log_id: str | None
    now: datetime


class SeatsNow:
    """The seats of a show.

    Args:
        show: the show.
        sections: its sections, in the order of their seats' numbers.
        states: one letter for each seat, by number; of holds that run as well as of those that
            ended lately, ``available``.
        held: those, with their ends.
        reading: the changes that are logged, newest last.
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
        reading: Reading,
        *,
        kept_seconds: float,
    ) -> None:
        self.show = show
        self.sections = sections
        self.states = bytearray(states)
        self.log_id = reading.log_id
        self._kept = timedelta(seconds=kept_seconds)
        self._newest = 0
        self._running: list[int] = []
        self._until: dict[int, datetime] = {}
        # Ends of holds, the next one first; of holds that are over already too.
        self._ends: list[tuple[datetime, int]] = []
        most = max(len(states), _FEWEST_KEPT)
        self._changes, self._ended = Journal(most), Journal(most)
        self._tag: bytes | None = None
        for number, until in held:
            self._set(number, HELD, until)
        self._see(reading)
        if len(reading.changes) >= most:  # then there may be more
            self._changes.cut(min(change.xid for change in reading.changes) + 1)

    @property
    def newest(self) -> int:
        """The newest transaction whose change was seen."""
        return self._newest

    @property
    def running(self) -> list[int]:
        """The older ones whose changes, if any, were not."""
        return self._running

    def follows(self, reading: Reading) -> bool:
        """Whether a reading goes on from here: of the same log, and nothing dropped meanwhile."""
        return (
            reading.log_id is not None
            and reading.log_id == self.log_id
            and reading.now - self.now < self._kept
        )

    def take(self, reading: Reading) -> None:
        """Goes on to a later moment."""
        for change in reading.changes:
            self._set(change.number, change.state, change.until)
        self._see(reading)

    @property
    def available(self) -> int:
        """How many seats are free."""
        return self.states.count(AVAILABLE)

    @property
    def tag(self) -> bytes:
        """Names the states of all seats: equal in every process that sees the same."""
        if self._tag is None:
            digest = blake2b(self.states, digest_size=12, key=self.show.show_id.bytes)
            self._tag = digest.hexdigest().encode()
        return self._tag

    @property
    def version(self) -> str:
        """The log, the first transaction that may not have been seen, and the time in ms.

        It means the same to every process: whoever has it has seen all changes by transactions
        below that one, and all holds that ended up to that time.
        """
        first = min(self._running, default=self._newest + 1)
        return f"{self.log_id or '00000000'}-{first}-{(self.now - _EPOCH) // _MILLISECOND}"

    def since(self, version: str) -> list[int] | None:
        """The seats that may have changed since a version, by number.

        None where that can't be told: it is too old, or of another log, or never was.
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

    def _see(self, reading: Reading) -> None:
        self.now = reading.now
        for change in reading.changes:
            self._changes.add(change.xid, change.number)
            self._newest = max(self._newest, change.xid)
        self._running = [xid for xid in reading.running if xid < self._newest]
        for until, number in self._over():
            self._ended.add((until - _EPOCH) // _MICROSECOND, number)
            if self._until.get(number) == until:
                self._set(number, AVAILABLE, None)

    def _over(self) -> Iterator[tuple[datetime, int]]:
        """Takes the holds out whose time is over."""
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
