"""Opens the connection pool."""

import asyncpg
from asyncpg.pool import PoolAcquireContext

from frontrow.db.hosts import Hosts

# Sent at connect: the pool would lose a SET when it takes a connection back.
SERVER_SETTINGS = {
    "application_name": "frontrow",
    "timezone": "UTC",
    "default_transaction_isolation": "read committed",
    # Compiling a plan takes longer than any of these statements.
    "jit": "off",
    # No statement of a server takes long; a statement that hangs must not keep its locks.
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
}


class BoundedPool(asyncpg.Pool):  # type: ignore[misc]
    """A pool in which the wait for a connection is bounded, and that for its return too."""

    def __init__(
        self, hosts: Hosts, *, connections: int, connect_timeout_seconds: float, wait_seconds: float
    ) -> None:
        super().__init__(
            # Opens one connection at first, and no others without a call that needs it.
            init_size=1,
            min_size=0,
            max_size=connections,
            max_queries=50_000,
            max_inactive_connection_lifetime=300.0,
            connect=hosts.connect,
            # The default resets the session each time: a needless round trip, since no statement
            # leaves anything in its session.
            reset=_keep_session,
            loop=None,
            connection_class=asyncpg.Connection,
            record_class=asyncpg.Record,
            timeout=connect_timeout_seconds,
            server_settings=SERVER_SETTINGS,
        )
        self._wait_seconds = wait_seconds

    def acquire(self, *, timeout: float | None = None) -> PoolAcquireContext:
        """Returns the context of a connection. Entering it raises TimeoutError after the bound."""
        bounded: PoolAcquireContext = super().acquire(timeout=timeout or self._wait_seconds)
        return bounded


async def open_pool(
    database: str | Hosts,
    *,
    connections: int,
    connect_timeout_seconds: float = 10,
    wait_seconds: float = 10,
) -> asyncpg.Pool:
    """Opens a pool of connections to any PostgreSQL.

    Args:
        database: its URL, or its servers.
        connections: their greatest number.
        connect_timeout_seconds: longest attempt to connect.
        wait_seconds: longest wait for a connection that is in use.

    Raises:
        OSError, asyncpg.PostgresError: the database can't be reached or refuses.
    """
    pool = BoundedPool(
        Hosts(database) if isinstance(database, str) else database,
        connections=connections,
        connect_timeout_seconds=connect_timeout_seconds,
        wait_seconds=wait_seconds,
    )
    await pool
    return pool


async def _keep_session(_: asyncpg.Connection) -> None:
    """Does nothing: no statement changes its session."""
