"""Seat maps for any number of readers: the states of the shows that are read, kept by each process.

The seats of a show are read once; later reads fetch only the changes. All concurrent calls, for any
shows, share one statement, which also checks their tokens. The statement starts after the calls: a
client that knows of a hold finds it in the next map.
"""

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID

import asyncpg
import msgspec

from frontrow.concerts.model import Show
from frontrow.concerts.seat_documents import Document, Documents, Variant
from frontrow.concerts.seat_queries import ChangesRow, ReadingPlace, queries
from frontrow.concerts.seat_states import AVAILABLE, SeatChange, SeatChanges, SeatStates
from frontrow.db.outcomes import refusal_of
from frontrow.errors import FinishReason
from frontrow.group_commit import Lanes
from frontrow.ids import PlaceRef

IDLE_SECONDS = 60.0
"""A map that is not read for this time is dropped."""
# A change is logged with the time of its statement, and visible after its commit: later by at most
# the longest time of a statement (db/pool.py).
_LONGEST_STATEMENT_SECONDS = 60.0


class CachedSeatMap:
    """The seats of one show, and the documents about them."""

    __slots__ = ("_documents", "read_at", "seats")

    def __init__(self, seats: SeatStates) -> None:
        self.seats = seats
        self.read_at = time.monotonic()
        self._documents = Documents()

    @property
    def etag(self) -> bytes:
        """The entity tag of all documents about these seats, in every variant.

        A weak one (RFC 9110, 8.8.1): the same seats may have another version, or be compressed.
        """
        return b'W/"%b"' % self.seats.tag

    def document(self, variant: Variant) -> Document:
        """Returns a document."""
        return self._documents.get(self.seats, variant)


class _Refused(msgspec.Struct, frozen=True):
    """A place that may not act."""

    accepted: ClassVar = frozenset({"admitted"})

    outcome: str
    reason: FinishReason | None


class SeatMaps:
    """The seat maps of one process.

    Args:
        changes_seconds: how long the log keeps changes.
        most_seats: the largest number of seats whose states are kept; beyond that the maps that
            were read longest ago are dropped, and read again when needed.
    """

    def __init__(
        self, pool: asyncpg.Pool, lanes: Lanes, *, changes_seconds: float, most_seats: int
    ) -> None:
        self._pool = pool
        self._changes_seconds = changes_seconds
        self._most_seats = most_seats
        self._maps: OrderedDict[UUID, CachedSeatMap] = OrderedDict()
        # One batch at a time: each continues from the state that the one before it has reached.
        self._following = lanes.open("seat_map", self._follow, in_flight=1)
        self._loading = lanes.open("seat_map_load", self._load)

    async def read(self, place: PlaceRef | None, show: Show) -> CachedSeatMap:
        """Returns the present seats of a show for an admitted place; claims it at its first call.

        Without a place, for the operator, nothing is checked.

        Raises:
            NotAdmitted, TokenFinished, CredentialInvalid: the place may not act.
        """
        while True:
            found = await self._following.submit((place, show.show_id))
            if isinstance(found, _Refused):
                raise refusal_of(found)
            if found is not None:
                return found
            await self._loading.submit(show)

    @property
    def seats_kept(self) -> int:
        """The number of seats whose states this process keeps."""
        return sum(len(kept.seats.states) for kept in self._maps.values())

    def forget_idle(self) -> int:
        """Drops the maps that are no longer read. Returns their number."""
        since = time.monotonic() - IDLE_SECONDS
        idle = [show_id for show_id, kept in self._maps.items() if kept.read_at < since]
        for show_id in idle:
            del self._maps[show_id]
        return len(idle)

    async def forget_changes(self) -> int:
        """Deletes changes from the log that are too old for any process. Safe in every process."""
        return await queries.delete_seat_changes(self._pool, seconds=self._changes_seconds)

    async def _follow(
        self, asked: Sequence[tuple[PlaceRef | None, UUID]]
    ) -> list["CachedSeatMap | _Refused | None"]:
        """Updates the maps of these shows; ``None`` for a map that has to be loaded."""
        shows = dict.fromkeys(show_id for _, show_id in asked)
        kept = [(show_id, self._maps[show_id]) for show_id in shows if show_id in self._maps]
        running: list[int] = []
        firsts, lasts = [], []
        for _, one in kept:
            firsts.append(len(running) + 1)
            running += one.seats.running
            lasts.append(len(running))
        judged = [(index, place) for index, (place, _) in enumerate(asked) if place is not None]
        rows = await queries.follow_seats(
            self._pool,
            [ReadingPlace(place.room_id, place.number, place.place_id) for _, place in judged],
            show_ids=[show_id for show_id, _ in kept],
            newest=[one.seats.newest for _, one in kept],
            firsts=firsts,
            lasts=lasts,
            running=running,
        )
        if rows[0].judged != len(judged):
            message = f"{rows[0].judged} places judged of {len(judged)}"
            raise RuntimeError(message)
        refused = {judged[item - 1][0]: refusal for item, refusal in _refused(rows[0])}
        current = {
            show_id: one
            for (show_id, one), row in zip(kept, rows, strict=False)
            if self._update(show_id, one, _changes(row))
        }
        return [
            refused.get(index) or current.get(show_id) for index, (_, show_id) in enumerate(asked)
        ]

    def _update(self, show_id: UUID, one: CachedSeatMap, changes: SeatChanges) -> bool:
        """Applies changes to a map, or drops the map if they don't continue it."""
        follows = one.seats.follows(changes)
        if follows:
            one.seats.apply(changes)
            one.read_at = time.monotonic()
        if self._maps.get(show_id) is one:
            if follows:
                self._maps.move_to_end(show_id)
            else:
                del self._maps[show_id]
        return follows

    async def _load(self, shows: Sequence[Show]) -> list[bool]:
        """Reads all seats of shows that have no map."""
        await queries.name_seat_log(self._pool)
        for show in dict.fromkeys(shows):
            if show.show_id not in self._maps:
                seats = await self._read_all(show)
                self._make_room(show.seats_total)
                # Another batch may have loaded it first; that map has been updated since.
                self._maps.setdefault(show.show_id, CachedSeatMap(seats))
        return [True] * len(shows)

    def _make_room(self, seats: int) -> None:
        while self._maps and self.seats_kept + seats > self._most_seats:
            self._maps.popitem(last=False)

    async def _read_all(self, show: Show) -> SeatStates:
        async with self._pool.acquire() as connection:
            row = await queries.seats_of_show(
                connection,
                show_id=show.show_id,
                kept_seconds=self._changes_seconds,
                most=max(show.seats_total, 1_000),
            )
            sections = await queries.sections_of_show(connection, show_id=show.show_id)
        changes = [
            SeatChange(xid, number, AVAILABLE, None)
            for xid, number in zip(row.xids or (), row.changed or (), strict=True)
        ]
        return SeatStates(
            show,
            sections,
            row.states.encode(),
            list(zip(row.held or (), row.untils or (), strict=True)),
            SeatChanges(changes, row.running, row.log_id, row.now),
            kept_seconds=self._changes_seconds - _LONGEST_STATEMENT_SECONDS,
        )


def _refused(row: ChangesRow) -> list[tuple[int, _Refused]]:
    """Returns the refused places by their 1-based position in the batch."""
    return [
        (item, _Refused(outcome, reason))
        for item, outcome, reason in zip(
            row.refused or (), row.outcomes or (), row.reasons or (), strict=True
        )
    ]


def _changes(row: ChangesRow) -> SeatChanges:
    changes = [
        SeatChange(*change)
        for change in zip(
            row.xids or (), row.numbers or (), (row.states or "").encode(), row.untils or (),
            strict=True,
        )
    ]  # fmt: skip
    return SeatChanges(changes, row.running, row.log_id, row.now)
