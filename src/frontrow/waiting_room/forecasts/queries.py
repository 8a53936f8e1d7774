"""The typed queries of forecasts."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from frontrow.db.queries import Database, Item, bind
from frontrow.waiting_room.model import ForecastQuality


class ForecastItem(Item, frozen=True):
    """The forecast that the place at a position of a line gets."""

    room_id: int
    position: int
    p50: int
    p90: int


class ForecastQueries(Protocol):
    """The statements of ``queries.sql``."""

    async def lines_to_observe(
        self, database: Database, *, rooms: Sequence[int], least: int
    ) -> list[int]: ...

    async def observe(
        self, database: Database, items: Sequence[ForecastItem], *, rooms: Sequence[int], keep: int
    ) -> list[int]: ...

    async def forecast_quality(
        self, database: Database, *, concert_id: UUID
    ) -> ForecastQuality: ...


queries = bind(ForecastQueries)
