"""The role that migrates and restores a database: never a superuser.

A superuser's session could run any program, so that a hostile object in a database would be a way
into the machine. The embedded database has a login of its own for this role. With the URL of a
superuser of another server the session takes the role, and the schema is given to it.
"""

import contextlib
import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg
import structlog

from frontrow.db.connect import connect
from frontrow.db.functions import PACKAGE

SCHEMA_ROLE = "frontrow_schema"
"""Owns the schema wherever a superuser would."""

_CREATE = f"CREATE ROLE {SCHEMA_ROLE} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
# The owner of the schema as it is, else of the database, if that is no superuser.
_OWNER = """
    SELECT rolname FROM pg_roles AS r
    WHERE NOT r.rolsuper AND r.oid = coalesce(
        (SELECT relowner FROM pg_class WHERE oid = to_regclass('public._pogo_migration')),
        (SELECT datdba FROM pg_database WHERE datname = current_database())
    )
"""

log = structlog.get_logger()


async def step_down(connection: "asyncpg.Connection[Any]") -> None:
    """Makes the session of a superuser act as the owner of the schema."""
    if not await _is_superuser(connection):
        return
    role = await connection.fetchval(_OWNER) or await _ensure_role(connection)
    await _give(connection, role)
    await connection.execute("SELECT set_config('role', $1, false)", role)


async def login(superuser_url: str, *, timeout_seconds: float) -> str:
    """Returns the URL of an embedded database for the role that owns its schema.

    Creates the role, and gives it the schema, in a database from before there was one. Its password
    is derived from the superuser's, so that nothing more has to be stored.
    """
    parts = urlsplit(superuser_url)
    host = parts.netloc.rpartition("@")[2]
    digest = hmac.digest(
        unquote(parts.password or "").encode(), SCHEMA_ROLE.encode(), hashlib.sha256
    )
    password = urlsafe_b64encode(digest).decode().rstrip("=")
    connection = await connect(superuser_url, timeout_seconds=timeout_seconds)
    try:
        await _ensure_role(connection)
        # The password is URL-safe base64, so that it needs no quoting.
        await connection.execute(f"ALTER ROLE {SCHEMA_ROLE} LOGIN PASSWORD '{password}'")
        await _give(connection, SCHEMA_ROLE)
    finally:
        await connection.close()
    return urlunsplit(parts._replace(netloc=f"{SCHEMA_ROLE}:{quote(password)}@{host}"))


async def _is_superuser(connection: "asyncpg.Connection[Any]") -> bool:
    query = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    return bool(await connection.fetchval(query))


async def _ensure_role(connection: "asyncpg.Connection[Any]") -> str:
    """Creates the role unless it exists. Returns its name."""
    exists = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)"
    if not await connection.fetchval(exists, SCHEMA_ROLE):
        # Another process may just have done so.
        with contextlib.suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            await connection.execute(_CREATE)
    return SCHEMA_ROLE


async def _give(connection: "asyncpg.Connection[Any]", role: str) -> None:
    """Gives a role what superusers own of this database, each object in its own transaction."""
    query = (PACKAGE / "db" / "schema_role.sql").read_text()
    statements = [statement for (statement,) in await connection.fetch(query, role)]
    if statements:
        log.info("giving the schema to a role that isn't a superuser", role=role)
    for statement in statements:
        await connection.execute(statement)
