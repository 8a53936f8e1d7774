"""The typed queries of pruning."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from frontrow.db.queries import Database, Row, bind


class PrunableLine(Row, frozen=True):
    """A line, the number of its places that can be dropped, and the last number of these."""

    room_id: int
    places: int
    until: int


class PrunedHolds(Row, frozen=True):
    """The last reservation that a step read (``None`` at the end), and the number dropped."""

    last: UUID | None
    dropped: int


class PruneQueries(Protocol):
    """The statements of ``prune_queries.sql``."""

    async def cutoff(self, database: Database, *, days: int) -> datetime: ...

    async def prunable_lines(
        self, database: Database, *, before: datetime
    ) -> list[PrunableLine]: ...

    async def prunable_holds(
        self,
        database: Database,
        *,
        room_ids: Sequence[int],
        untils: Sequence[int],
        before: datetime,
    ) -> int: ...

    async def prune_places(
        self, database: Database, *, room_id: int, before: datetime, limit: int
    ) -> int: ...

    async def prune_drawn(
        self, database: Database, *, room_id: int, after: int, limit: int
    ) -> bool: ...

    async def prune_holds(
        self, database: Database, *, after: UUID, before: datetime, limit: int
    ) -> PrunedHolds: ...

    async def prunable_keys(self, database: Database, *, before: datetime) -> int: ...

    async def prune_keys(self, database: Database, *, before: datetime, limit: int) -> int: ...


queries = bind(PruneQueries)
