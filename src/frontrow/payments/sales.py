"""Sales as the operator sees them: by payment, by show, at the gate; without ticket codes."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from frontrow.errors import NotFound
from frontrow.payments.model import RefundReason, SeatCounts
from frontrow.payments.sales_queries import ShowRow, SoldRow, queries

LOOKED_UP = 100
"""The most payments of a user that a look-up returns."""


class SoldTicket(msgspec.Struct, frozen=True, gc=False):
    """A ticket of a payment, without its code."""

    ticket_id: UUID
    number: int
    state: Annotated[
        Literal["valid", "used", "void"],
        Meta(description="valid → used at check-in; void: refunded or cancelled."),
    ]
    checked_in_at: Annotated[datetime | None, Meta(description="When it was checked in.")]
    gate: Annotated[str | None, Meta(description="The gate of the check-in.")]


class SoldPayment(msgspec.Struct, frozen=True):
    """A payment of any user."""

    payment_id: UUID
    reservation_id: UUID
    user_id: UUID
    concert_id: UUID
    show_id: UUID
    starts_at: datetime
    amount: int
    currency: str
    state: Literal["paid", "refunded"]
    tickets: list[SoldTicket]
    paid_at: datetime
    refunded_at: datetime | None
    refund_reason: Annotated[
        RefundReason | None,
        Meta(description="Who requested the refund; `show_cancelled` if the show was cancelled."),
    ]


class SoldPayments(msgspec.Struct, frozen=True):
    """A page of payments, newest first; ``next`` is the ``after`` of the next page."""

    payments: list[SoldPayment]
    next: str | None


class FoundPayments(msgspec.Struct, frozen=True):
    """The payments of an id."""

    payments: list[SoldPayment]


class ShowSales(msgspec.Struct, frozen=True):
    """A show and the state of its sale."""

    show_id: UUID
    date: date
    starts_at: datetime
    sales_end_at: Annotated[datetime, Meta(description="From this time no seat can be held.")]
    cancelled_at: Annotated[datetime | None, Meta(description="When it was cancelled.")]
    seats: SeatCounts
    revenue: Annotated[int, Meta(description="In the currency's minor unit.")]


class ConcertShows(msgspec.Struct, frozen=True):
    """The shows of a concert."""

    shows: list[ShowSales]


class LetIn(msgspec.Struct, frozen=True):
    """The check-ins of a show."""

    show_id: UUID
    tickets: Annotated[int, Meta(description="Valid tickets, checked in or not.")]
    checked_in: Annotated[int, Meta(description="How many of them are checked in.")]


async def payments_of_concert(
    pool: asyncpg.Pool, concert_id: UUID, *, currency: str, limit: int, after: UUID | None
) -> SoldPayments:
    """Returns a page of a concert's payments, newest first.

    ``after`` is ``next`` of the page before.
    """
    rows = await queries.payments_of_concert(
        pool, concert_id=concert_id, after=after, limit=limit + 1
    )
    page = [_sold(row, currency) for row in rows[:limit]]
    return SoldPayments(page, str(page[-1].payment_id) if len(rows) > limit else None)


async def payments_of_id(pool: asyncpg.Pool, any_id: UUID, *, currency: str) -> FoundPayments:
    """Returns the payments of an id: a payment's, a reservation's, a ticket's or a user's.

    Raises:
        NotFound: there is none.
    """
    rows = await queries.payments_of_id(pool, any_id=any_id, limit=LOOKED_UP)
    if not rows:
        raise NotFound
    return FoundPayments([_sold(row, currency) for row in rows])


async def shows_of_concert(pool: asyncpg.Pool, concert_id: UUID) -> ConcertShows:
    """Returns the shows of a concert, in order of time.

    Raises:
        NotFound: no such concert.
    """
    rows = await queries.shows_of_concert(pool, concert_id=concert_id)
    if not rows:
        raise NotFound
    return ConcertShows([_show(row) for row in rows])


async def let_in(pool: asyncpg.Pool, show_id: UUID) -> LetIn:
    """Returns the check-ins of a show. Reads all its tickets: for occasional use."""
    row = await queries.let_in(pool, show_id=show_id)
    return LetIn(show_id, row.tickets, row.checked_in)


def _show(row: ShowRow) -> ShowSales:
    available = 0 if row.cancelled_at is not None else row.total - row.held - row.sold
    return ShowSales(
        show_id=row.show_id,
        date=row.date,
        starts_at=row.starts_at,
        sales_end_at=row.sales_end_at,
        cancelled_at=row.cancelled_at,
        seats=SeatCounts(total=row.total, available=available, held=row.held, sold=row.sold),
        revenue=row.revenue,
    )


def _sold(row: SoldRow, currency: str) -> SoldPayment:
    tickets = zip(
        row.ticket_ids, row.numbers, row.voids, row.checked_in_ats, row.gates, strict=True
    )
    return SoldPayment(
        payment_id=row.payment_id,
        reservation_id=row.reservation_id,
        user_id=row.user_id,
        concert_id=row.concert_id,
        show_id=row.show_id,
        starts_at=row.starts_at,
        amount=row.amount,
        currency=currency,
        state=row.state,
        tickets=[
            SoldTicket(ticket_id, number, _state(void, used_at), used_at, gate)
            for ticket_id, number, void, used_at, gate in tickets
        ],
        paid_at=row.paid_at,
        refunded_at=row.refunded_at,
        refund_reason=row.refund_reason,
    )


def _state(void: bool, used_at: datetime | None) -> Literal["valid", "used", "void"]:
    if void:
        return "void"
    return "valid" if used_at is None else "used"
