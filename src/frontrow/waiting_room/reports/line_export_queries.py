"""The typed queries of the line's export."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol
from uuid import UUID

from frontrow.db.queries import Database, Row, bind


class ExportedLine(Row, frozen=True):
    """A line to export; ``drawing``: it will be drawn, so no place has a position yet."""

    room_id: int
    entrants: int
    drawing: bool
    now: datetime


class LineExportQueries(Protocol):
    """The statements of ``line_export_queries.sql``."""

    async def allow_slow_reader(self, database: Database, *, limit_ms: str) -> None: ...

    async def line_to_export(
        self, database: Database, *, concert_id: UUID
    ) -> ExportedLine | None: ...

    def places(
        self,
        database: Database,
        *,
        csv: bool,
        drawing: bool,
        entrants: int,
        now: datetime,
        room_id: int,
    ) -> AsyncIterator[list[str]]: ...


queries = bind(LineExportQueries)
