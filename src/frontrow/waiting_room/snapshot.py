"""Every line as this process last saw it: what makes a poll cost no I/O.

A snapshot is at most ``snapshot_seconds`` old. It holds one small object for each line and, for
those who left a line while waiting, their numbers: 4 bytes each, only while somebody waits behind
them.
"""

import asyncio
from array import array
from bisect import bisect_left, bisect_right, insort
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from frontrow.db.queries import load
from frontrow.waiting_room.model import RoomState
from frontrow.waiting_room.policy import Policy

_queries = load("frontrow.waiting_room")
_policy_decoder: msgspec.json.Decoder[Policy] = msgspec.json.Decoder(Policy)

# Up to so many are put into their place one by one; more are sorted in together.
_FEW_LEAVERS = 64


class Line:
    """One line. Numbers up to ``serving`` are called; those in ``left`` left while waiting."""

    __slots__ = (
        "claim_seconds",
        "closed",
        "closes_at",
        "concert_id",
        "issued",
        "left",
        "left_count",
        "opens_at",
        "paused",
        "policy",
        "policy_version",
        "room_id",
        "scheduled",
        "seats_available",
        "seats_total",
        "serving",
        "session_seconds",
    )

    def __init__(self, room_id: int, concert_id: UUID) -> None:
        self.room_id = room_id
        self.concert_id = concert_id
        self.left = array("i")
        self.left_count = 0
        self.issued = 0
        self.serving = 0
        self.seats_available = 0
        self.seats_total = 0
        self.policy: Policy
        self.policy_version = 0
        self.session_seconds = 0
        self.claim_seconds = 0
        self.opens_at: datetime | None = None
        self.closes_at: datetime | None = None
        self.paused = False
        self.scheduled = False
        self.closed = False

    @property
    def waiting(self) -> int:
        """How many wait."""
        return 0 if self.closed else self.issued - self.serving - len(self.left)

    @property
    def state(self) -> RoomState:
        """The state of the room; sold out as long as no seat is free, though one may come back."""
        if self.closed:
            return "closed"
        if self.paused:
            return "paused"
        if self.scheduled:
            return "scheduled"
        return "sold_out" if self.seats_total and self.seats_available <= 0 else "open"

    def ahead_of(self, number: int) -> int:
        """How many are called before this number; who left isn't counted."""
        return number - self.serving - 1 - bisect_left(self.left, number)

    def is_waiting(self, number: int) -> bool:
        """Whether the place surely waited when this was seen; if not, ask the database."""
        if number <= self.serving or self.closed:
            return False
        at = bisect_left(self.left, number)
        return at == len(self.left) or self.left[at] != number

    def update(self, row: asyncpg.Record) -> None:
        """Takes over what the database says of this line."""
        self.issued = row["issued"]
        self.serving = row["serving"]
        if row["policy_version"] != self.policy_version:
            self.policy = _policy_decoder.decode(row["policy"])
            self.policy_version = row["policy_version"]
        self.session_seconds = row["session_seconds"]
        self.claim_seconds = row["claim_seconds"]
        self.opens_at = row["opens_at"]
        self.closes_at = row["closes_at"]
        self.paused = row["paused"]
        self.scheduled = row["scheduled"]
        self.closed = row["closed"]

    def count_out(self, leavers: list[int], left_count: int) -> None:
        """Notes who left since the last time, and forgets those whom nobody waits behind."""
        if len(leavers) > _FEW_LEAVERS:
            self.left = array("i", sorted([*self.left, *leavers]))
        else:
            for number in leavers:
                insort(self.left, number)
        self.left_count = left_count
        del self.left[: bisect_right(self.left, self.serving)]


class Snapshot:
    """All lines, by room and by concert."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.lines: dict[int, Line] = {}
        self.by_concert: dict[UUID, Line] = {}
        # Two at once would count the same leavers out twice, or put an older view over a newer one.
        self._refreshing = asyncio.Lock()

    async def refresh(self) -> None:
        """Reads the lines anew.

        Who left is read after the lines, up to the count that the line itself gave: ``left_seq`` is
        gapless and committed together with that count, so each leaver is read exactly once.
        """
        async with self._refreshing:
            await self._refresh()

    async def _refresh(self) -> None:
        grown = False
        for row in await _queries.lines(self._pool):
            line = self.lines.get(row["room_id"])
            if line is None:
                line = Line(row["room_id"], row["concert_id"])
                grown = True
            leavers: list[int] = []
            if row["left_count"] > line.left_count:
                leavers = [
                    left["number"]
                    for left in await _queries.left_between(
                        self._pool,
                        room_id=line.room_id,
                        after=line.left_count,
                        until=row["left_count"],
                        serving=row["serving"],
                    )
                ]
            # No await between these: a poll sees the line before or after, never in between.
            line.update(row)
            line.count_out(leavers, row["left_count"])
            self.lines[line.room_id] = line
            self.by_concert[line.concert_id] = line
        if grown:
            await self.refresh_stock()

    async def refresh_stock(self) -> None:
        """Counts the seats anew."""
        for row in await _queries.stock_of_concerts(self._pool):
            line = self.by_concert.get(row["concert_id"])
            if line is not None:
                line.seats_available = row["available"]
                line.seats_total = row["total"]
