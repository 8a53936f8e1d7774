"""The typed queries of the operator's browser sessions."""

from datetime import datetime
from typing import Protocol

from frontrow.db.queries import Database, Row, bind


class SessionRow(Row, frozen=True):
    """A session, and the number of its last change."""

    session_id: str
    address: str | None
    expires_at: datetime
    ended: bool
    change: int


class SessionQueries(Protocol):
    """The statements of ``session_queries.sql``."""

    async def store_session(
        self,
        database: Database,
        *,
        session_id: str,
        address: str | None,
        expires_at: datetime,
        ended: bool,
    ) -> None: ...

    async def changed_sessions(self, database: Database, *, after: int) -> list[SessionRow]: ...


queries = bind(SessionQueries)
