"""The typed queries of erasures."""

from typing import ClassVar, Literal, Protocol
from uuid import UUID

from frontrow.db.queries import Database, Row, bind


class EraseRow(Row, frozen=True):
    """The outcome of an erasure: the lines that the user left, the hashes of the revoked keys."""

    accepted: ClassVar = frozenset({"erased"})

    outcome: Literal["erased", "balance_remains", "not_found"]
    balance: int
    rooms: list[int]
    revoked: list[bytes]


class UnlinkRow(Row, frozen=True):
    """The numbers of users whose erasure is complete, and of places and reservations unlinked."""

    users: int
    places: int
    reservations: int


class EraseQueries(Protocol):
    """The statements of ``erase_queries.sql``."""

    async def erase(self, database: Database, *, user_id: UUID, force: bool) -> EraseRow: ...

    async def rooms(self, database: Database) -> list[int]: ...

    async def sweep(self, database: Database, *, room_id: int, user_id: UUID) -> bool: ...

    async def unlink(self, database: Database, *, limit: int) -> UnlinkRow: ...

    async def is_unlinked(self, database: Database, *, user_id: UUID) -> bool | None: ...


queries = bind(EraseQueries)
