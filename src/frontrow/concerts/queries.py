"""The typed queries of concerts and shows."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from frontrow.concerts.model import (
    Block,
    ConcertDetails,
    RankedConcert,
    Sale,
    Show,
)
from frontrow.db.queries import Database, Row, bind


class CreatedRow(Row, frozen=True):
    """The stored concert: its request's hash, and why its waiting room is invalid."""

    request_hash: int
    flaw: str | None


class SaleRow(Row, frozen=True):
    """The sale of a show."""

    show_id: UUID
    starts_at: datetime
    sales_end_at: datetime
    cancelled_at: datetime | None


class StockRow(Row, frozen=True):
    """The free seats of a show."""

    available: int
    sale: Sale


class ConcertQueries(Protocol):
    """The statements of ``queries.sql``."""

    async def create_concert(
        self,
        database: Database,
        *,
        concert_id: UUID,
        request_hash: int,
        title: str,
        artist: str | None,
        venue: str | None,
        timezone: str,
        currency: str,
        hold_seconds: int,
        max_seats_per_user: int,
        policy: str,
        session_seconds: int,
        claim_seconds: int,
        opens_at: datetime | None,
        closes_at: datetime | None,
        line_order: str,
        seed: str,
        refundable_until: datetime | None,
        guests: bool,
        description: str | None,
        poster_url: str | None,
        age_limit: int | None,
        search: str,
    ) -> CreatedRow: ...

    async def add_show(
        self,
        database: Database,
        items: Sequence[Block],
        *,
        concert_id: UUID,
        show_id: UUID,
        request_hash: int,
        starts_at: datetime,
        date: date,
        sales_end_at: datetime,
    ) -> None: ...

    async def request_hash_of_show(self, database: Database, *, show_id: UUID) -> int | None: ...

    async def concert_of_show(self, database: Database, *, show_id: UUID) -> UUID | None: ...

    async def timezone_of_concert(self, database: Database, *, concert_id: UUID) -> str | None: ...

    async def change_concert(
        self,
        database: Database,
        *,
        concert_id: UUID,
        title: str | None,
        search_title: str | None,
        hold_seconds: int | None,
        max_seats_per_user: int | None,
        guests: bool | None,
        changes_refundable_until: bool,
        refundable_until: datetime | None,
        changes_description: bool,
        description: str | None,
        changes_poster_url: bool,
        poster_url: str | None,
        changes_age_limit: bool,
        age_limit: int | None,
    ) -> UUID | None: ...

    async def end_sale(
        self, database: Database, *, show_id: UUID, sales_end_at: datetime | None
    ) -> SaleRow | None: ...

    async def claim_currency(self, database: Database, *, currency: str) -> None: ...

    async def currency(self, database: Database) -> str: ...

    async def list_concert(self, database: Database, *, concert_id: UUID) -> None: ...

    async def list_due_concerts(self, database: Database, *, most: int) -> int: ...

    async def listed_concerts(
        self,
        database: Database,
        *,
        after_rank: int,
        after_id: UUID,
        text: str | None,
        from_date: date | None,
        to_date: date | None,
        most: int | None,
    ) -> list[RankedConcert]: ...

    async def concert_details(
        self, database: Database, *, concert_id: UUID
    ) -> ConcertDetails | None: ...

    async def shows_of_concert(self, database: Database, *, concert_id: UUID) -> list[Show]: ...

    async def stock_of_shows(
        self, database: Database, *, show_ids: Sequence[UUID]
    ) -> list[StockRow]: ...


queries = bind(ConcertQueries)
