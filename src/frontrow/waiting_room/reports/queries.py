"""The typed queries of reports."""

from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from frontrow.db.queries import Database, Row, bind
from frontrow.errors import FinishReason
from frontrow.waiting_room.model import PlaceState


class PlaceCountRow(Row, frozen=True):
    """The places of a line in one state."""

    state: PlaceState
    reason: FinishReason | None
    admitted: bool
    """Whether they were ever admitted."""
    claimed: bool
    places: int
    joined_lately: int
    admitted_lately: int
    finished_lately: int


class EventsRow(Row, frozen=True):
    """The events of a kind in one minute, or the places in a state now."""

    as_of: datetime
    kind: Literal["waiting", "admitted", "joined", "called", "paid", "gave_up", "gone"] | None
    minute: datetime | None
    places: int | None


class ReportQueries(Protocol):
    """The statements of ``queries.sql``."""

    async def place_counts(
        self, database: Database, *, concert_id: UUID
    ) -> list[PlaceCountRow]: ...

    async def cap_of_line(self, database: Database, *, concert_id: UUID) -> int | None: ...

    async def line_history(
        self, database: Database, *, concert_id: UUID, minutes: int
    ) -> list[EventsRow]: ...


queries = bind(ReportQueries)
