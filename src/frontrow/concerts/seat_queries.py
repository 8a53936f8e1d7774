"""The typed queries of seats."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from frontrow.concerts.model import Section
from frontrow.db.queries import Database, Item, Row, bind
from frontrow.errors import FinishReason


class ReadingPlace(Item, frozen=True):
    """A place that reads seats."""

    room_id: int
    number: int
    place_id: UUID


class SeatsRow(Row, frozen=True):
    """All seats of a show; ``xids`` and ``changed``, ``held`` and ``untils`` belong together."""

    states: str
    held: list[int] | None
    untils: list[datetime] | None
    xids: list[int] | None
    changed: list[int] | None
    running: list[int]
    log_id: str | None
    now: datetime


class ChangesRow(Row, frozen=True):
    """The checked places, the same in each row, and the changes of one show."""

    judged: int
    refused: list[int] | None
    outcomes: list[str] | None
    reasons: list[FinishReason | None] | None
    item: int | None
    xids: list[int] | None
    numbers: list[int] | None
    states: str | None
    untils: list[datetime | None] | None
    running: list[int]
    log_id: str | None
    now: datetime


class SeatQueries(Protocol):
    """The statements of ``seat_queries.sql``."""

    async def name_seat_log(self, database: Database) -> None: ...

    async def seats_of_show(
        self, database: Database, *, show_id: UUID, kept_seconds: float, most: int
    ) -> SeatsRow: ...

    async def sections_of_show(self, database: Database, *, show_id: UUID) -> list[Section]: ...

    async def follow_seats(
        self,
        database: Database,
        items: Sequence[ReadingPlace],
        *,
        show_ids: Sequence[UUID],
        newest: Sequence[int],
        firsts: Sequence[int],
        lasts: Sequence[int],
        running: Sequence[int],
    ) -> list[ChangesRow]: ...

    async def delete_seat_changes(self, database: Database, *, seconds: float) -> int: ...


queries = bind(SeatQueries)
