"""The typed queries of the snapshot."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from frontrow.db.queries import Database, Row, bind
from frontrow.waiting_room.model import Sale
from frontrow.waiting_room.settings import LineOrder


class LineRow(Row, frozen=True):
    """A line; the pace (``finish_hazard`` …) is null until the line has been observed."""

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


class StockRow(Row, frozen=True):
    """The seats of a concert."""

    concert_id: UUID
    total: int
    available: int
    held: int
    sale: Sale


class RecentlyAdmittedRow(Row, frozen=True):
    """The places that a line has admitted within the last minute."""

    room_id: int
    admitted: int


class SnapshotQueries(Protocol):
    """The statements of ``snapshot_queries.sql``."""

    async def lines(self, database: Database) -> list[LineRow]: ...

    async def left_between(
        self, database: Database, *, room_id: int, after: int, until: int, behind: int
    ) -> bytes | None: ...

    async def positions(self, database: Database, *, room_id: int) -> bytes | None: ...

    async def stock_of_concerts(self, database: Database) -> list[StockRow]: ...

    async def recently_admitted(self, database: Database) -> list[RecentlyAdmittedRow]: ...


queries = bind(SnapshotQueries)
