"""Every line as this process last read it, so that a poll needs no I/O.

A snapshot is at most ``snapshot_seconds`` old. Each refresh is one statement, which returns the
lines that changed since the last one (``snapshot_functions.sql``), and a few further lines in turn:
so every line is read again at times, whatever has happened to the database. The sets of rooms say
which lines have work, so that no job has to visit all of them.
"""

import asyncio
import sys
from array import array
from collections.abc import Iterable, Sequence
from datetime import datetime
from math import inf
from time import monotonic
from uuid import UUID

import asyncpg

from frontrow.errors import NotFound
from frontrow.ids import PlaceRef
from frontrow.waiting_room.line import LastRefresh, Line
from frontrow.waiting_room.line_failures import LineFailures
from frontrow.waiting_room.snapshot_queries import LeaversItem, LineRow, StockRow, queries
from frontrow.waiting_room.unknown_concerts import UnknownConcerts

_IN_TURN = 20
"""Lines that each refresh reads again in turn."""
_PAGE = 500
"""Lines of a page when all are read."""
_LATELY_SECONDS = 60.0


class Snapshot:
    """All lines, by room and by concert."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.lines: dict[int, Line] = {}
        self.by_concert: dict[UUID, Line] = {}
        self.waiting: set[int] = set()
        """The rooms with waiting users."""
        self.active: set[int] = set()
        """The rooms with admitted places, as last counted."""
        self.draws_due: set[int] = set()
        """The rooms whose draw is due."""
        self.closings: set[int] = set()
        """The closed rooms with places that still wait."""
        self._changed: set[int] = set()
        self._admitted_at: dict[int, float] = {}
        """By room: when an admission was last seen, on the monotonic clock."""
        self._unknown = UnknownConcerts()
        # Two at once would subtract the same leavers twice, or restore an older state.
        self._refreshing = asyncio.Lock()
        self._started = 0
        self._completed = 0
        self._last_refresh = LastRefresh()
        self._is_started = False
        self._mark: int | None = None
        self._origin = ""
        self._turn = 0
        self._last_room = 0
        self._failures = LineFailures("snapshot")
        self._failed: set[int] = set()
        self._counting = asyncio.Lock()
        self._stock_mark: int | None = None
        self._stock_seen_at: datetime | None = None
        self._held: set[UUID] = set()

    async def line_of(self, concert_id: UUID) -> Line:
        """Returns the line of a concert, which may have been created a moment ago.

        Raises:
            NotFound: no such concert; a flood of unknown ones costs next to no read.
        """
        line = self.by_concert.get(concert_id)
        if line is None and self._unknown.may_look_up(concert_id):
            await self.refresh()
            line = self.by_concert.get(concert_id)
            if line is None:
                self._unknown.note_missed(concert_id)
        if line is None:
            raise NotFound
        return line

    def in_use(self) -> list[Line]:
        """Returns the lines with waiting or admitted users."""
        return self.of_rooms(self.waiting | self.active)

    def of_rooms(self, room_ids: Iterable[int]) -> list[Line]:
        """Returns the lines of these rooms, as far as they are known."""
        return [self.lines[room_id] for room_id in room_ids if room_id in self.lines]

    def note_joined(self, line: Line, place: PlaceRef) -> None:
        """Records a join that was answered: it counts before the next refresh."""
        line.note_joined(place)
        if line.waiting > 0:
            self.waiting.add(line.room_id)

    def take_changed(self) -> list[Line]:
        """Returns the lines that changed since the last call; not those read at the start."""
        changed, self._changed = self._changed, set()
        return self.of_rooms(changed)

    async def refresh(self) -> None:
        """Reads what has changed; calls during a refresh share the next one.

        Leavers are read after the lines, up to the count in the line's row: ``left_seq`` is gapless
        and committed together with that count, so each leaver is read exactly once.
        """
        started_before = self._started
        async with self._refreshing:
            if self._completed > started_before:
                return
            self._started += 1
            await self._refresh()
            self._completed = self._started

    async def refresh_rooms(self, room_ids: Iterable[int]) -> None:
        """Reads these lines again, and no others."""
        async with self._refreshing:
            await self._apply(await self._read(rooms=list(room_ids)))

    async def _refresh(self) -> None:
        if self._mark is None:
            await self._read_all()
            return
        rows = await queries.lines(
            self._pool,
            mark=self._mark,
            seen_at=self._last_refresh.at,
            rooms=list(self._failed),
            after=self._turn,
            further=_IN_TURN,
        )
        # After a failover or a restore, changes since an old mark would miss the differences.
        if not rows or rows[0].origin != self._origin or rows[0].mark < self._mark:
            await self._read_all()
            return
        await self._apply(rows)
        self._mark, self._last_refresh.at = rows[0].mark, rows[0].seen_at
        behind = sorted(row.room_id for row in rows if row.room_id > self._turn)[:_IN_TURN]
        self._turn = behind[-1] if behind and behind[-1] < self._last_room else 0

    async def _read_all(self) -> None:
        """Reads all lines, page by page, and drops those that the database doesn't have."""
        first: LineRow | None = None
        found: set[int] = set()
        rows = await self._read(further=_PAGE)
        while rows:
            first = first or rows[0]
            await self._apply(rows)
            found.update(row.room_id for row in rows)
            rows = await self._read(after=max(found), further=_PAGE) if len(rows) == _PAGE else []
        for room_id in self.lines.keys() - found:
            self._drop(self.lines[room_id])
        await self._count(None)
        await self.refresh_active()
        self._is_started = True
        if first is not None:
            self._mark, self._origin = first.mark, first.origin
            self._last_refresh.at = first.seen_at

    async def _read(
        self, *, rooms: Sequence[int] = (), after: int = 0, further: int = 0
    ) -> list[LineRow]:
        return await queries.lines(
            self._pool, mark=None, seen_at=None, rooms=rooms, after=after, further=further
        )

    async def _apply(self, rows: Sequence[LineRow]) -> None:
        """Applies rows that were read. A line that fails is read again by the next refresh."""
        lines: list[tuple[LineRow, Line]] = []
        for row in rows:
            line = self.lines.get(row.room_id)
            if line is None or line.is_ahead_of(row):
                line = Line(row.room_id, row.concert_id, self._last_refresh)
            lines.append((row, line))
        leavers = await self._leavers(lines)
        new = []
        for row, line in lines:
            self._failed.add(row.room_id)
            with self._failures.of(line):
                await self._update(row, line, leavers.get(row.room_id, array("i")))
                self._failed.remove(row.room_id)
                if self.lines.get(row.room_id) is not line:
                    new.append(line.concert_id)
                self._file(line, row)
        if new and self._is_started:
            await self._count(new)

    async def _leavers(self, lines: Sequence[tuple[LineRow, Line]]) -> dict[int, "array[int]"]:
        """Returns the numbers that left since the last time, by room."""
        items = []
        for row, line in lines:
            is_drawn = row.entrants is not None
            known = 0 if is_drawn and line.positions is None else line.left_count
            if row.left_count > known:
                # In a drawn line any number may have a late position.
                behind = 0 if is_drawn else row.serving
                items.append(LeaversItem(row.room_id, known, row.left_count, behind))
        if not items:
            return {}
        rows = await queries.left_between(self._pool, items)
        return {row.room_id: _numbers(row.numbers) for row in rows}

    async def _update(self, row: LineRow, line: Line, leavers: "array[int]") -> None:
        positions = None
        if row.entrants is not None and line.positions is None:
            positions = await self._positions(row)
        # No await between these: a poll sees the line before or after the update.
        line.update(row)
        if positions is not None:
            line.take_draw(positions)
        line.count_out(leavers, row.left_count)

    async def _positions(self, row: LineRow) -> "array[int]":
        """Returns the outcome of a line's draw; empty once the entrants have been pruned."""
        if row.pruned_to >= (row.entrants or 0):
            return array("i")
        return _numbers(await queries.positions(self._pool, room_id=row.room_id))

    def _file(self, line: Line, row: LineRow) -> None:
        """Files a line that was read, by the work that it has."""
        room_id = line.room_id
        self.lines[room_id] = self.by_concert[line.concert_id] = line
        self._last_room = max(self._last_room, room_id)
        is_closing = line.closed and row.issued - row.called > row.left_count
        for rooms, belongs in (
            (self.waiting, line.waiting > 0),
            (self.draws_due, line.draw_due),
            (self.closings, is_closing),
        ):
            if belongs:
                rooms.add(room_id)
            else:
                rooms.discard(room_id)
        if not self._is_started:
            self._admitted_at[room_id] = -inf
        elif line.take_called(row.called):
            self._admitted_at[room_id] = monotonic()
        if line.revise() and self._is_started:
            self._changed.add(room_id)

    def _drop(self, line: Line) -> None:
        del self.lines[line.room_id], self.by_concert[line.concert_id]
        for rooms in (self.waiting, self.active, self.draws_due, self.closings, self._failed):
            rooms.discard(line.room_id)
        self._admitted_at.pop(line.room_id, None)

    # Counts -------------------------------------------------------------------------------------

    async def refresh_counts(self) -> None:
        """Reads the seats and the recent admissions of the lines where they may have changed."""
        await self._count(self._held)

    async def refresh_active(self) -> list[int]:
        """Counts the admitted places again. Returns the rooms in which some are overdue."""
        rows = await queries.admitted_places(self._pool)
        for room_id in self.active - {row.room_id for row in rows}:
            self.note_active(self.lines[room_id], 0)
        for row in rows:
            if row.room_id in self.lines:
                self.note_active(self.lines[row.room_id], row.active)
        return [row.room_id for row in rows if row.overdue]

    def note_active(self, line: Line, active: int) -> None:
        """Records the number of a line's admitted, unfinished places."""
        if line.active != active:
            line.active = active
            self._changed.add(line.room_id)
        if active:
            self.active.add(line.room_id)
        else:
            self.active.discard(line.room_id)

    async def _count(self, concert_ids: Iterable[UUID] | None) -> None:
        """Reads the counts of these concerts, and what has changed; ``None``: of all."""
        async with self._counting:
            if concert_ids is None:
                self._stock_mark = self._stock_seen_at = None
                concert_ids = self.by_concert
            rows = await queries.concert_stock(
                self._pool,
                mark=self._stock_mark,
                seen_at=self._stock_seen_at,
                concert_ids=list(concert_ids),
            )
            for row in rows:
                self._take_stock(row)
            if rows:
                self._stock_mark, self._stock_seen_at = rows[0].mark, rows[0].seen_at
            await self._count_recent()

    def _take_stock(self, row: StockRow) -> None:
        if row.held:
            self._held.add(row.concert_id)
        else:
            self._held.discard(row.concert_id)
        # A line that this process has not read yet is counted when it is.
        line = self.by_concert.get(row.concert_id)
        if line is None:
            return
        line.seats_available = row.available
        line.seats_held = row.held
        line.seats_total = row.total
        line.sale = row.sale
        if line.revise():
            self._changed.add(line.room_id)

    async def _count_recent(self) -> None:
        """Counts the latest admissions of the lines that had some within the last minute."""
        if not self._admitted_at:
            return
        since = monotonic() - _LATELY_SECONDS
        for row in await queries.recently_admitted(self._pool, rooms=list(self._admitted_at)):
            if row.room_id in self.lines:
                self.lines[row.room_id].admitted_lately = row.admitted
            if not row.admitted and self._admitted_at[row.room_id] < since:
                del self._admitted_at[row.room_id]


def _numbers(packed: bytes | None) -> "array[int]":
    """Returns numbers that the database has packed: 4 bytes each, in network order."""
    numbers = array("i", packed or b"")
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
