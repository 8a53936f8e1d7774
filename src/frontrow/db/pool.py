"""Opens the connection pool, and classifies the database's errors for batches."""

import asyncpg

from frontrow.errors import Fault

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

_LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # asyncpg raises it for a connection that was cut just when it was acquired.
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    # After a failover the old primary, or a replica, may answer for a moment.
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TargetServerAttributeNotMatched,
)
_CONFLICT = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    # Two processes wrote a row with the same id at once: the retry finds it.
    asyncpg.UniqueViolationError,
)


def classify(error: Exception) -> Fault:
    """Returns the meaning of a failed statement for its batch: see ``Fault``."""
    if isinstance(error, _CONFLICT):
        return Fault.CONFLICT
    return Fault.LOST if isinstance(error, _LOST) else Fault.ITEM


async def open_pool(
    database_url: str, *, connections: int, connect_timeout_seconds: float
) -> asyncpg.Pool:
    """Opens a pool of connections to any PostgreSQL that ``database_url`` names.

    Raises:
        OSError, asyncpg.PostgresError: the database can't be reached or refuses.
    """
    return await asyncpg.create_pool(
        database_url,
        min_size=1,
        max_size=connections,
        timeout=connect_timeout_seconds,
        server_settings=SERVER_SETTINGS,
        # The default resets the session each time: a needless round trip, since no statement
        # leaves anything in its session.
        reset=_keep_session,
    )


async def _keep_session(_: asyncpg.Connection) -> None:
    """Does nothing: no statement changes its session."""
