"""The typed queries of the snapshot."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from frontrow.db.queries import Database, Item, Row, bind
from frontrow.waiting_room.model import Sale
from frontrow.waiting_room.settings import LineOrder


class LineRow(Row, frozen=True):
    """A line; the pace (``finish_hazard`` …) is null until the line has been observed.

    ``mark`` and ``seen_at`` are the arguments of the next read; ``origin`` names the database as
    long as no other one replaces it.
    """

    room_id: int
    concert_id: UUID
    policy: str
    policy_version: int
    claim_seconds: int
    opens_at: datetime | None
    closes_at: datetime | None
    paused: bool
    issued: int
    serving: int
    called: int
    left_count: int
    entrants: int | None
    pruned_to: int
    adaptive_cap: int | None
    line_order: LineOrder
    scheduled: bool
    draw_due: bool
    closed: bool
    seen_at: datetime
    finish_hazard: float | None
    finish_spread: float
    leave_hazard: float
    leave_spread: float
    called_then: int
    active_then: int
    mark: int
    origin: str


class LeaversItem(Item, frozen=True):
    """The places of a line with a ``left_seq`` above ``after``, behind the position ``behind``."""

    room_id: int
    after: int
    until: int
    behind: int


class LeaversRow(Row, frozen=True):
    """The numbers of a line's places that left, packed."""

    room_id: int
    numbers: bytes | None


class StockRow(Row, frozen=True):
    """The seats of a concert. ``mark`` and ``seen_at`` are the arguments of the next read."""

    concert_id: UUID
    total: int
    available: int
    held: int
    sale: Sale
    mark: int
    seen_at: datetime


class RecentlyAdmittedRow(Row, frozen=True):
    """The places that a line has admitted within the last minute."""

    room_id: int
    admitted: int


class AdmittedPlacesRow(Row, frozen=True):
    """The admitted, unfinished places of a line, and how many of them are overdue."""

    room_id: int
    active: int
    overdue: int


class SnapshotQueries(Protocol):
    """The statements of ``snapshot_queries.sql``."""

    async def lines(
        self,
        database: Database,
        *,
        mark: int | None,
        seen_at: datetime | None,
        rooms: Sequence[int],
        after: int,
        further: int,
    ) -> list[LineRow]: ...

    async def left_between(
        self, database: Database, items: Sequence[LeaversItem]
    ) -> list[LeaversRow]: ...

    async def positions(self, database: Database, *, room_id: int) -> bytes | None: ...

    async def concert_stock(
        self,
        database: Database,
        *,
        mark: int | None,
        seen_at: datetime | None,
        concert_ids: Sequence[UUID],
    ) -> list[StockRow]: ...

    async def recently_admitted(
        self, database: Database, *, rooms: Sequence[int]
    ) -> list[RecentlyAdmittedRow]: ...

    async def admitted_places(self, database: Database) -> list[AdmittedPlacesRow]: ...


queries = bind(SnapshotQueries)
