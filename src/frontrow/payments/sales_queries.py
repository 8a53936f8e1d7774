"""The typed queries of sales as the operator sees them."""

from datetime import date, datetime
from typing import Literal, Protocol
from uuid import UUID

from frontrow.db.queries import Database, Row, bind
from frontrow.payments.model import RefundReason


class SoldRow(Row, frozen=True):
    """A payment of any user, and its tickets by number: lists of one length."""

    payment_id: UUID
    reservation_id: UUID
    user_id: UUID
    concert_id: UUID
    show_id: UUID
    starts_at: datetime
    amount: int
    state: Literal["paid", "refunded"]
    paid_at: datetime
    refunded_at: datetime | None
    refund_reason: RefundReason | None
    ticket_ids: list[UUID]
    numbers: list[int]
    voids: list[bool]
    checked_in_ats: list[datetime | None]
    gates: list[str | None]


class ShowRow(Row, frozen=True):
    """A show, its seats by state and its revenue."""

    show_id: UUID
    date: date
    starts_at: datetime
    sales_end_at: datetime
    cancelled_at: datetime | None
    total: int
    sold: int
    held: int
    revenue: int


class LetInRow(Row, frozen=True):
    """The valid tickets of a show, and the number of these that are checked in."""

    tickets: int
    checked_in: int


class SalesQueries(Protocol):
    """The statements of ``sales_queries.sql``."""

    async def payments_of_concert(
        self, database: Database, *, concert_id: UUID, after: UUID | None, limit: int
    ) -> list[SoldRow]: ...

    async def payments_of_id(
        self, database: Database, *, any_id: UUID, limit: int
    ) -> list[SoldRow]: ...

    async def shows_of_concert(self, database: Database, *, concert_id: UUID) -> list[ShowRow]: ...

    async def let_in(self, database: Database, *, show_id: UUID) -> LetInRow: ...


queries = bind(SalesQueries)
