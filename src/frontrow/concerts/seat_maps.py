"""Seat maps for any number of readers: what each process keeps of the shows somebody looks at.

A show's seats are read once; from then on a reading asks only for what has changed. All who ask at
the same moment, for whichever shows, share one statement, which judges their tokens too. It begins
after they asked: whoever has been told of a hold finds it in the next map.
"""

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg

from frontrow.concerts.model import Section, Show
from frontrow.concerts.seat_documents import Document, Documents, Wanted
from frontrow.concerts.seats_now import AVAILABLE, Changed, Reading, SeatsNow
from frontrow.db.queries import load
from frontrow.errors import outcome_error
from frontrow.group_commit import Lanes
from frontrow.ids import PlaceRef, place_arrays

_queries = load("frontrow.concerts", "seat_queries.sql")

IDLE_SECONDS = 60.0
"""A map that nobody has looked at for so long is dropped."""
# A change is logged under the time when it is made, and seen when it is committed: later by a
# statement's longest time at most (db/pool.py).
_LONGEST_STATEMENT_SECONDS = 60.0


class LiveMap:
    """The seats of one show, and the answers that are made of them."""

    __slots__ = ("_documents", "looked_at", "seats")

    def __init__(self, seats: SeatsNow) -> None:
        self.seats = seats
        self.looked_at = time.monotonic()
        self._documents = Documents()

    @property
    def etag(self) -> bytes:
        """The entity tag of every answer about these seats, whatever its form.

        It is a weak one (RFC 9110, 8.8.1): the same seats may be told with another version, and
        compressed or not.
        """
        return b'W/"%b"' % self.seats.tag

    def document(self, wanted: Wanted) -> Document:
        """An answer."""
        return self._documents.get(self.seats, wanted)


class _Refused(NamedTuple):
    """A place that may not act."""

    outcome: str
    reason: str | None


class SeatMaps:
    """The seat maps of one process.

    Args:
        changes_seconds: how long the log of changes is kept.
        most_seats: of how many seats at most the states are kept; beyond that the maps that were
            looked at longest ago are dropped, to be read again when somebody looks.
    """

    def __init__(
        self, pool: asyncpg.Pool, lanes: Lanes, *, changes_seconds: float, most_seats: int
    ) -> None:
        self._pool = pool
        self._changes_seconds = changes_seconds
        self._most_seats = most_seats
        self._maps: OrderedDict[UUID, LiveMap] = OrderedDict()
        # One at a time: then each goes on from where the one before it has come to.
        self._following = lanes.open("seat_map", self._follow, in_flight=1)
        self._loading = lanes.open("seat_map_load", self._load)

    async def read(self, place: PlaceRef | None, show: Show) -> LiveMap:
        """The seats of a show as they are now, for an admitted place; claims it at its first call.

        Without a place, for the operator: nobody is judged.

        Raises:
            NotAdmitted, TokenFinished, CredentialInvalid: it may not look.
        """
        while True:
            found = await self._following.submit((place, show.show_id))
            if isinstance(found, _Refused):
                raise outcome_error(found.outcome, found.reason)
            if found is not None:
                return found
            await self._loading.submit(show)

    @property
    def seats_kept(self) -> int:
        """Of how many seats this process keeps the states."""
        return sum(len(kept.seats.states) for kept in self._maps.values())

    def forget_idle(self) -> int:
        """Drops the maps that nobody looks at any more. Returns how many."""
        since = time.monotonic() - IDLE_SECONDS
        idle = [show_id for show_id, kept in self._maps.items() if kept.looked_at < since]
        for show_id in idle:
            del self._maps[show_id]
        return len(idle)

    async def forget_changes(self) -> int:
        """Clears the log of what is too old for everybody. Safe in every process."""
        forgotten: int = await _queries.forget_seat_changes(
            self._pool, seconds=self._changes_seconds
        )
        return forgotten

    async def _follow(
        self, asked: Sequence[tuple[PlaceRef | None, UUID]]
    ) -> list["LiveMap | _Refused | None"]:
        """Takes the maps that are asked for to the present; None for one that isn't there yet."""
        shows = dict.fromkeys(show_id for _, show_id in asked)
        kept = [(show_id, self._maps[show_id]) for show_id in shows if show_id in self._maps]
        running: list[int] = []
        firsts, lasts = [], []
        for _, one in kept:
            firsts.append(len(running) + 1)
            running += one.seats.running
            lasts.append(len(running))
        judged_items = [item for item, (place, _) in enumerate(asked) if place is not None]
        rows = await _queries.follow_seats(
            self._pool,
            **place_arrays([place for place, _ in asked if place is not None]),
            show_ids=[show_id for show_id, _ in kept],
            newest=[one.seats.newest for _, one in kept],
            firsts=firsts,
            lasts=lasts,
            running=running,
        )
        judged = rows[0]
        if judged["judged"] != len(judged_items):
            message = f"{judged['judged']} places judged of {len(judged_items)}"
            raise RuntimeError(message)
        refused = {
            judged_items[number - 1]: _Refused(outcome, reason)
            for number, outcome, reason in zip(
                judged["refused"] or (), judged["outcomes"] or (), judged["reasons"] or (),
                strict=True,
            )
        }  # fmt: skip
        present = {
            show_id: one
            for (show_id, one), row in zip(kept, rows, strict=False)
            if self._go_on(show_id, one, _reading(row))
        }
        return [
            refused.get(item) or present.get(show_id) for item, (_, show_id) in enumerate(asked)
        ]

    def _go_on(self, show_id: UUID, one: LiveMap, reading: Reading) -> bool:
        """Takes a map to the present, or drops it where it has to be read anew."""
        follows = one.seats.follows(reading)
        if follows:
            one.seats.take(reading)
            one.looked_at = time.monotonic()
        if self._maps.get(show_id) is one:
            if follows:
                self._maps.move_to_end(show_id)
            else:
                del self._maps[show_id]
        return follows

    async def _load(self, shows: Sequence[Show]) -> list[bool]:
        """Reads shows that aren't there yet."""
        await _queries.name_seat_log(self._pool)
        for show in dict.fromkeys(shows):
            if show.show_id not in self._maps:
                seats = await self._read_all(show)
                self._make_room(show.seats_total)
                # Another batch may have been quicker; its map has been followed since.
                self._maps.setdefault(show.show_id, LiveMap(seats))
        return [True] * len(shows)

    def _make_room(self, seats: int) -> None:
        while self._maps and self.seats_kept + seats > self._most_seats:
            self._maps.popitem(last=False)

    async def _read_all(self, show: Show) -> SeatsNow:
        async with self._pool.acquire() as connection:
            row = await _queries.seats_of_show(
                connection,
                show_id=show.show_id,
                kept_seconds=self._changes_seconds,
                most=max(show.seats_total, 1_000),
            )
            sections = await _queries.sections_of_show(connection, show_id=show.show_id)
        changes = [
            Changed(xid, number, AVAILABLE, None)
            for xid, number in zip(row["xids"] or (), row["changed"] or (), strict=True)
        ]
        return SeatsNow(
            show,
            [Section(**section) for section in sections],
            row["states"].encode(),
            list(zip(row["held"] or (), row["untils"] or (), strict=True)),
            Reading(changes, row["running"], row["log_id"], row["now"]),
            kept_seconds=self._changes_seconds - _LONGEST_STATEMENT_SECONDS,
        )


def _reading(row: asyncpg.Record) -> Reading:
    changes = [
        Changed(*change)
        for change in zip(
            row["xids"] or (), row["numbers"] or (), (row["states"] or "").encode(),
            row["untils"] or (), strict=True,
        )
    ]  # fmt: skip
    return Reading(changes, row["running"], row["log_id"], row["now"])
