"""The typed queries of forecasts."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from frontrow.db.queries import Database, Item, bind
from frontrow.waiting_room.model import ForecastQuality


class ForecastItem(Item, frozen=True):
    """The forecast that the place at a position gets."""

    position: int
    p50: int
    p90: int


class ForecastQueries(Protocol):
    """The statements of ``queries.sql``."""

    async def observe(
        self, database: Database, items: Sequence[ForecastItem], *, room_id: int, keep: int
    ) -> bool: ...

    async def forecast_quality(
        self, database: Database, *, concert_id: UUID
    ) -> ForecastQuality: ...


queries = bind(ForecastQueries)
