"""Connections to the database, and what its errors mean to a batch."""

import asyncpg

from frontrow.errors import Fault

# Given to the server at connect: what a SET would say is lost when the pool takes a connection
# back.
SERVER_SETTINGS = {
    "application_name": "frontrow",
    "timezone": "UTC",
    "default_transaction_isolation": "read committed",
    # Compiling a plan costs more than any of these statements takes.
    "jit": "off",
    # No statement of a server takes long; one that hangs must not hold its locks for ever.
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
}

_LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # What asyncpg says of a connection that was cut just when it was handed out.
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    # After a failover the old primary, or a replica, answers for a moment.
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TargetServerAttributeNotMatched,
)
_CONFLICT = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    # Two processes wrote a row with the same id at once: the second try finds it.
    asyncpg.UniqueViolationError,
)


def classify(error: Exception) -> Fault:
    """What a failed statement means: see ``Fault``."""
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
        # The default asks the server to reset the session each time: a round trip for nothing, as
        # no statement here leaves anything in its session.
        reset=_keep_session,
    )


async def _keep_session(_: asyncpg.Connection) -> None:
    """Nothing to undo."""
