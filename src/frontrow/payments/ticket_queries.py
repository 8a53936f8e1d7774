"""The typed queries of tickets and check-ins."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from frontrow.db.queries import Database, Item, Row, bind
from frontrow.payments.model import Revision, VoidReason


class TicketRow(Row, frozen=True):
    """A ticket with its show and its seat."""

    ticket_id: UUID
    payment_id: UUID
    concert_id: UUID
    title: str
    venue: str | None
    timezone: str
    show_id: UUID
    date: date
    starts_at: datetime
    number: int
    section: str | None
    row: int
    seat: int
    paid_at: datetime
    checked_in_at: datetime | None
    void_at: datetime | None
    void_reason: VoidReason | None


class UsedTicketRow(Row, frozen=True):
    """A ticket that was checked in: the fields of the refusal ``AlreadyCheckedIn``."""

    checked_in_at: datetime
    gate: str | None
    ticket_id: UUID
    concert_id: UUID
    concert_title: str
    show_id: UUID
    date: date
    starts_at: datetime
    number: int
    section: str | None
    row: int
    seat: int


class CheckInItem(Item, frozen=True):
    """A ticket at a gate; ``for_show`` and ``for_concert`` are the gate's show and concert."""

    ticket_id: UUID
    key_id: str
    check_in_id: UUID
    gate: str | None
    for_show: UUID | None
    for_concert: UUID | None


class CheckInRow(Row, frozen=True):
    """The outcome of a check-in, and the ticket if it exists."""

    accepted: ClassVar = frozenset({"checked_in", "replayed"})

    outcome: Literal[
        "checked_in",
        "replayed",
        "again",
        "already_checked_in",
        "idempotency_key_reused",
        "not_found",
        "ticket_void",
        "wrong_show",
    ]
    ticket_id: UUID
    concert_id: UUID
    title: str
    show_id: UUID
    date: date
    starts_at: datetime
    number: int
    section: str | None
    row: int
    seat: int
    checked_in_at: datetime
    gate: str | None
    void_reason: VoidReason | None


class TicketQueries(Protocol):
    """The statements of ``ticket_queries.sql``."""

    async def tickets_of_user(
        self, database: Database, *, user_id: UUID, limit: int
    ) -> list[TicketRow]: ...

    async def ticket_of_user(
        self, database: Database, *, ticket_id: UUID, user_id: UUID
    ) -> TicketRow | None: ...

    async def revision_of_ticket(
        self, database: Database, *, ticket_id: UUID, user_id: UUID
    ) -> Revision | None: ...

    async def used_ticket_of_payment(
        self, database: Database, *, payment_id: UUID
    ) -> UsedTicketRow | None: ...

    async def check_in(
        self, database: Database, items: Sequence[CheckInItem]
    ) -> list[CheckInRow]: ...


queries = bind(TicketQueries)
