"""The operator's browser sessions: opened, used, and ended before they expire.

The signature of a session proves that it is genuine, so that a check needs no look-up. Opened and
ended sessions are stored; each process regularly reads the changes.
"""

from datetime import UTC, datetime
from time import time

import asyncpg

from frontrow.errors import CredentialInvalid
from frontrow.operators.operator_key import OperatorKey, Session
from frontrow.operators.session_queries import queries


class OperatorSessions:
    """Opens, checks and ends the operator's sessions.

    Args:
        pool: the database.
        key: the operator's key, which signs the sessions.
    """

    def __init__(self, pool: asyncpg.Pool, key: OperatorKey) -> None:
        self._pool = pool
        self._key = key
        self._ended: dict[str, int] = {}
        """The ended sessions, with the Unix time at which each expires."""
        self._holders: dict[str, dict[str, int]] = {}
        """By address, its valid sessions, with the Unix time at which each expires."""
        self._read_to = 0

    async def open(self, address: str | None) -> tuple[str, int]:
        """Returns a new session, and the Unix time at which it expires.

        Args:
            address: the address that opens it, if known.
        """
        value, expires = self._key.new_session()
        session = self._key.check_session(value.encode())
        await self._store(session, address=address, ended=False)
        self._note_holder(address, session)
        return value, expires

    def check(self, session: bytes, address: str | None = None) -> None:
        """Checks that a session is genuine, has not expired, and was not ended.

        Another process may have ended it since the last ``refresh``.

        Args:
            session: the session.
            address: the address that uses it, if known.

        Raises:
            CredentialInvalid: it isn't valid.
        """
        checked = self._key.check_session(session)
        if checked.session_id in self._ended:
            raise CredentialInvalid
        self._note_holder(address, checked)

    def is_held_at(self, address: str) -> bool:
        """Returns whether an address has opened or used a session that is still valid.

        Another process may have seen that since the last ``refresh``.
        """
        now = time()
        return any(
            expires > now and session_id not in self._ended
            for session_id, expires in self._holders.get(address, {}).items()
        )

    async def end(self, session: bytes) -> None:
        """Ends a session. Does nothing for an invalid or expired one."""
        try:
            ended = self._key.check_session(session)
        except CredentialInvalid:
            return
        await self._store(ended, address=None, ended=True)
        self._ended[ended.session_id] = ended.expires

    async def refresh(self) -> None:
        """Reads the sessions that any process opened or ended since the last call."""
        rows = await queries.changed_sessions(self._pool, after=self._read_to)
        for row in rows:
            session = Session(row.session_id, int(row.expires_at.timestamp()))
            if row.ended:
                self._ended[session.session_id] = session.expires
            else:
                self._note_holder(row.address, session)
        if rows:
            self._read_to = rows[-1].change
            self._forget_expired()

    def _note_holder(self, address: str | None, session: Session) -> None:
        if address is not None:
            self._holders.setdefault(address, {})[session.session_id] = session.expires

    def _forget_expired(self) -> None:
        """Drops sessions that have expired, and holders of ended ones."""
        now = time()
        for address, sessions in list(self._holders.items()):
            for session_id, expires in list(sessions.items()):
                if expires <= now or session_id in self._ended:
                    del sessions[session_id]
            if not sessions:
                del self._holders[address]
        for session_id in [key for key, expires in self._ended.items() if expires <= now]:
            del self._ended[session_id]

    async def _store(self, session: Session, *, address: str | None, ended: bool) -> None:
        await queries.store_session(
            self._pool,
            session_id=session.session_id,
            address=address,
            expires_at=datetime.fromtimestamp(session.expires, UTC),
            ended=ended,
        )
