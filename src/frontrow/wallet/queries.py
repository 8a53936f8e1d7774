"""The typed queries of wallets and the ledger."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from frontrow.db.outcomes import PlaceRefusal
from frontrow.db.queries import Database, Item, Row, bind
from frontrow.errors import FinishReason


class ChargeItem(Item, frozen=True):
    """A charge that an admitted user requests."""

    room_id: int
    number: int
    place_id: UUID
    user_id: UUID
    transfer_id: UUID
    amount: int


class ChargeRow(Row, frozen=True):
    """The outcome of a charge, and the transfer if there is one."""

    accepted: ClassVar = frozenset({"charged", "replayed"})

    outcome: Literal["charged", "replayed", "again", "idempotency_key_reused"] | PlaceRefusal
    reason: FinishReason | None
    balance: int
    created_at: datetime


class TransferRow(Row, frozen=True):
    """A row of the ledger, from its user's side; ``entry`` is its number there."""

    transfer_id: UUID
    kind: Literal["charge", "payment", "refund"]
    amount: int
    balance: int
    reference: UUID | None
    created_at: datetime
    entry: int


class WalletQueries(Protocol):
    """The statements of ``queries.sql``."""

    async def charge(self, database: Database, items: Sequence[ChargeItem]) -> list[ChargeRow]: ...

    async def balances(self, database: Database, *, user_ids: Sequence[UUID]) -> list[int]: ...

    async def transfers(
        self, database: Database, *, user_id: UUID, before: int, limit: int
    ) -> list[TransferRow]: ...


queries = bind(WalletQueries)
