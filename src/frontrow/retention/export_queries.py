"""The typed queries of a user's export."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol
from uuid import UUID

from frontrow.db.queries import Database, Row, bind
from frontrow.retention.model import (
    ExportedKey,
    ExportedPayment,
    ExportedPlace,
    ExportedReservation,
    ExportedTicket,
)
from frontrow.wallet.model import Transfer


class AccountRow(Row, frozen=True):
    """A user's account: the first fields of ``UserExport``."""

    user_id: UUID
    created_at: datetime
    erased_at: datetime | None
    balance: int
    currency: str


class ExportQueries(Protocol):
    """The statements of ``export_queries.sql``."""

    async def let_reader_be_slow(self, database: Database, *, limit_ms: str) -> None: ...

    async def account(self, database: Database, *, user_id: UUID) -> AccountRow | None: ...

    def keys(self, database: Database, *, user_id: UUID) -> AsyncIterator[list[ExportedKey]]: ...

    def places(
        self, database: Database, *, user_id: UUID
    ) -> AsyncIterator[list[ExportedPlace]]: ...

    def reservations(
        self, database: Database, *, user_id: UUID
    ) -> AsyncIterator[list[ExportedReservation]]: ...

    def transfers(self, database: Database, *, user_id: UUID) -> AsyncIterator[list[Transfer]]: ...

    def payments(
        self, database: Database, *, user_id: UUID
    ) -> AsyncIterator[list[ExportedPayment]]: ...

    def tickets(
        self, database: Database, *, user_id: UUID
    ) -> AsyncIterator[list[ExportedTicket]]: ...


queries = bind(ExportQueries)
