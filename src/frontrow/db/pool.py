"""Opens the connection pool."""

import asyncpg

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
