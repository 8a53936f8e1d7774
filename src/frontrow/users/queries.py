"""The typed queries of accounts, user keys, sessions and used challenges."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from frontrow.db.queries import Database, Item, Row, bind


class GuestItem(Item, frozen=True):
    """A guest account and the hash of its key."""

    user_id: UUID
    key_hash: bytes


class SolvedGuestItem(GuestItem, frozen=True):
    """A guest account for a solved challenge, which counts until ``expires_at``."""

    nonce: bytes
    expires_at: datetime


class SolvedGuestRow(Row, frozen=True):
    """The outcome: the challenge may have been used or have expired."""

    accepted: ClassVar = frozenset({"added", "used", "expired"})

    outcome: Literal["added", "used", "expired"]


class SessionItem(Item, frozen=True):
    """A session of a user, and the digest of the sign-in that it is for."""

    user_id: UUID
    key_hash: bytes
    sign_in: bytes
    seconds: int


class SessionRow(Row, frozen=True):
    """The outcome of opening a session; ``used``: the sign-in opened another session."""

    accepted: ClassVar = frozenset({"opened", "used"})

    outcome: Literal["opened", "used", "credential_invalid"]


class KeyOwnerRow(Row, frozen=True):
    """The user of an active key, and how long the key lasts if it ends."""

    user_id: UUID | None
    seconds_left: float | None


class IssueKeyRow(Row, frozen=True):
    """The outcome of issuing a key, and the hashes of the keys that it revoked."""

    accepted: ClassVar = frozenset({"issued", "replayed"})

    outcome: Literal[
        "issued",
        "replayed",
        "credential_invalid",
        "idempotency_key_reused",
        "key_limit",
        "not_found",
    ]
    revoked: list[bytes]
    limit: int


class RevokeKeysRow(Row, frozen=True):
    """The outcome of revoking keys, and the hashes of the revoked ones."""

    accepted: ClassVar = frozenset({"revoked"})

    outcome: Literal["revoked", "credential_invalid", "not_found"]
    revoked: list[bytes]


class RevocationRow(Row, frozen=True):
    """A revoked key, or a user who was erased, by the number of the revocation."""

    key_hash: bytes | None
    erased_user: UUID | None
    revocation: int


class UserQueries(Protocol):
    """The statements of ``queries.sql``."""

    async def add_users(self, database: Database, items: Sequence[GuestItem]) -> None: ...

    async def add_accounts(self, database: Database, *, user_ids: Sequence[UUID]) -> list[bool]: ...

    async def add_solved(
        self, database: Database, items: Sequence[SolvedGuestItem]
    ) -> list[SolvedGuestRow]: ...

    async def prune_challenges(self, database: Database, *, most: int) -> int: ...

    async def users_of_keys(
        self, database: Database, *, key_hashes: Sequence[bytes]
    ) -> list[KeyOwnerRow]: ...

    async def open_sessions(
        self, database: Database, items: Sequence[SessionItem], *, most: int
    ) -> list[SessionRow]: ...

    async def end_session(
        self, database: Database, *, key_hash: bytes, lasting: bool
    ) -> list[bytes]: ...

    async def issue_key(
        self,
        database: Database,
        *,
        user_id: UUID,
        key_hash: bytes,
        asked_with: bytes | None,
        keep: bool,
        most: int,
    ) -> IssueKeyRow: ...

    async def revoke_keys(
        self, database: Database, *, user_id: UUID, kept: bytes | None
    ) -> RevokeKeysRow: ...

    async def revocations(self, database: Database) -> int: ...

    async def revoked_since(self, database: Database, *, after: int) -> list[RevocationRow]: ...

    async def erased_users(self, database: Database) -> list[UUID]: ...


queries = bind(UserQueries)
