"""The typed queries of the signing keys."""

from datetime import datetime
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from frontrow.db.queries import Database, Row, bind


class AddKeyRow(Row, frozen=True):
    """The outcome of adding a key; ``unneeded``: the purpose has a key already."""

    accepted: ClassVar = frozenset({"added", "replayed", "unneeded"})

    outcome: Literal["added", "replayed", "unneeded", "idempotency_key_reused"]
    key_id: str
    signs_at: datetime


class KeyRow(Row, frozen=True):
    """A key that isn't retired, and the time now."""

    key_id: str
    secret: bytes
    public_key: bytes | None
    signs_at: datetime
    now: datetime


class DescribedKeyRow(Row, frozen=True):
    """A key without its secret."""

    key_id: str
    public_key: bytes
    signs_at: datetime
    retired_at: datetime | None
    state: Literal["coming", "signing", "accepted", "retired"]


class KeyQueries(Protocol):
    """The statements of ``queries.sql``."""

    async def add_key(
        self,
        database: Database,
        *,
        write_id: UUID,
        purpose: str,
        key_id: str,
        secret: bytes,
        public_key: bytes | None,
        lead_seconds: float,
        first: bool,
    ) -> AddKeyRow: ...

    async def retire_key(
        self, database: Database, *, purpose: str, key_id: str
    ) -> Literal["retired", "not_found", "signing"]: ...

    async def retire_old_keys(
        self, database: Database, *, purpose: str, overlap_seconds: float
    ) -> int: ...

    async def keys_of(self, database: Database, *, purpose: str) -> list[KeyRow]: ...

    async def described_keys(
        self, database: Database, *, purpose: str
    ) -> list[DescribedKeyRow]: ...


queries = bind(KeyQueries)
