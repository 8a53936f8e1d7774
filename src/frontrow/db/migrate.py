"""Brings a database up to date: migrations, functions, and the rights of the application.

Runs once, under a lock in the database, however many processes start at the same time. Does
nothing to a database that is up to date: then the role needs no right to change the schema.
"""

import logging
import shutil
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import structlog
from pogo_core.error import BadMigrationError
from pogo_core.util import migrate as pogo

from frontrow.db.connect import connect
from frontrow.db.functions import CREATE_DIGEST, PACKAGE, function_files, install
from frontrow.db.schema_role import step_down
from frontrow.errors import SetupError

MIGRATIONS = PACKAGE / "db" / "migrations"
OLDEST_SERVER = 150_000
LOCK_KEY = 0x46_52_4F_4E_54  # "FRONT"
UNFINISHED_RESTORE = "unfinished restore of"
APPEND_ONLY = ("transfer",)  # the ledger
# Tables of an extension are no reason to refuse a database; those of the migrations' library may be
# left by a first start that failed.
_FOREIGN_TABLE = """
    SELECT relname FROM pg_class AS c
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
        AND NOT starts_with(relname, '_')
        AND NOT EXISTS (
            SELECT FROM pg_depend
            WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e'
        )
    ORDER BY relname LIMIT 1
"""
_NEWER = "the database was migrated by a newer version of frontrow"
_USE_NEWER = "run that version, or restore a backup from before its first start"

log = structlog.get_logger()
# The library logs each step at warning level; our log names them once, at info.
silent = logging.getLogger("frontrow.pogo")
silent.disabled = True


async def migrate(
    owner_dsn: str,
    *,
    app_role: str | None = None,
    migrations: Path | None = None,
    functions: Sequence[Path] | None = None,
    connect_timeout_seconds: float = 10,
) -> list[str]:
    """Brings a database up to date and grants ``app_role`` its rights. Returns the migrations run.

    ``migrations`` is a folder, by default the package's; ``functions`` are files of database
    functions, by default every feature's (``…functions.sql``).
    Raises SetupError with one line.
    """
    connection = await connect(
        owner_dsn,
        timeout_seconds=connect_timeout_seconds,
        search_path="public",
        statement_timeout="0",
    )
    try:
        await check_server(connection)
        async with _locked(connection):
            await refuse_newer(connection, migrations=migrations)
            await _refuse_foreign(connection)
            await step_down(connection)
            return await _bring_up_to_date(
                connection,
                app_role,
                migrations or MIGRATIONS,
                function_files() if functions is None else functions,
            )
    except BadMigrationError as error:
        raise _failure(error) from error
    except asyncpg.PostgresError as error:
        raise _failure(error) from error
    finally:
        await connection.close()


async def pending(
    connection: "asyncpg.Connection[Any]", *, migrations: Path | None = None
) -> list[str]:
    """Returns the migrations that this database lacks, in order. Needs only SELECT."""
    applied = await _applied(connection)
    return [name for name in migration_names(migrations) if name not in applied]


async def check_server(connection: "asyncpg.Connection[Any]") -> None:
    """Raises SetupError unless this database has a new enough server, and stores any text."""
    version = connection.get_server_version()
    if version.major * 10_000 < OLDEST_SERVER:
        msg = f"frontrow needs PostgreSQL 15 or newer; this database runs {version.major}"
        raise SetupError(msg)
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        msg = (
            f"the encoding of this database is {encoding}, which can't store every text: create "
            "one with ENCODING 'UTF8' TEMPLATE template0"
        )
        raise SetupError(msg)


async def refuse_newer(
    connection: "asyncpg.Connection[Any]", *, migrations: Path | None = None
) -> None:
    """Raises SetupError if a newer version of Frontrow has migrated this database."""
    newest = migration_names(migrations)[-1]
    unknown = sorted(name for name in await _applied(connection) if name > newest)
    if unknown:
        raise SetupError(f"{_NEWER} (it has {', '.join(unknown)}): {_USE_NEWER}")


async def _refuse_foreign(connection: "asyncpg.Connection[Any]") -> None:
    """Raises SetupError if schema public has tables, but none of Frontrow's."""
    if await _applied(connection):
        return
    table = await connection.fetchval(_FOREIGN_TABLE)
    if table is not None:
        msg = (
            f"the database has the table {table}, which isn't frontrow's: create a database for "
            "frontrow alone"
        )
        raise SetupError(msg)


async def create_schema(connection: "asyncpg.Connection[Any]", migrations: Collection[str]) -> None:
    """Applies these migrations of the package to an empty database, without the functions.

    Raises SetupError with one line.
    """
    with TemporaryDirectory(prefix="frontrow-migrations-") as folder:
        for name in migrations:
            shutil.copy(MIGRATIONS / f"{name}.sql", folder)
        try:
            await pogo.apply(connection, Path(folder), schema_name="public", logger=silent)
        except BadMigrationError as error:
            raise _failure(error) from error
    await connection.execute(CREATE_DIGEST)


async def unfinished_restore(connection: "asyncpg.Connection[Any]") -> str | None:
    """Returns the mark of a restore that wasn't followed by a migration yet."""
    query = "SELECT obj_description(to_regclass('public._pogo_migration'), 'pg_class')"
    mark: str | None = await connection.fetchval(query)
    return mark if mark is not None and mark.startswith(UNFINISHED_RESTORE) else None


async def _applied(connection: "asyncpg.Connection[Any]") -> set[str]:
    """Returns the names of the migrations that this database has."""
    if await connection.fetchval("SELECT to_regclass('public._pogo_migration')") is None:
        return set()
    rows = await connection.fetch(
        "SELECT migration_id FROM public._pogo_migration WHERE schema_name = 'public'"
    )
    return {row["migration_id"] for row in rows}


def migration_names(migrations: Path | None = None) -> list[str]:
    """Returns the names of the migrations in a folder, by default the package's, in order."""
    return sorted(path.stem for path in (migrations or MIGRATIONS).glob("*.sql"))


async def role_of(dsn: str, *, connect_timeout_seconds: float = 10) -> str:
    """Returns the role that a URL logs in as. Raises SetupError."""
    connection = await connect(dsn, timeout_seconds=connect_timeout_seconds)
    try:
        return str(await connection.fetchval("SELECT current_user"))
    finally:
        await connection.close()


@asynccontextmanager
async def _locked(connection: "asyncpg.Connection[Any]") -> AsyncIterator[None]:
    """Allows one process at a time, by a lock of the connection's session."""
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
        log.info("waiting for another process that is migrating the database")
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)


async def _bring_up_to_date(
    connection: "asyncpg.Connection[Any]",
    app_role: str | None,
    migrations: Path,
    functions: Sequence[Path],
) -> list[str]:
    missing = await pending(connection, migrations=migrations)
    if missing:
        log.info("migrating the database", migrations=missing)
        await pogo.apply(connection, migrations, schema_name="public", logger=silent)
    await install(connection, functions, replace=bool(missing))
    if app_role is not None and app_role != await connection.fetchval("SELECT current_user"):
        await _grant(connection, app_role)
    if await unfinished_restore(connection):
        await connection.execute("COMMENT ON TABLE public._pogo_migration IS NULL")
    return missing


async def _grant(connection: "asyncpg.Connection[Any]", role: str) -> None:
    """Grants the application its rights in one transaction: a running server never lacks any."""
    query = (PACKAGE / "db" / "grants.sql").read_text()
    async with connection.transaction():
        for (statement,) in await connection.fetch(query, role, list(APPEND_ONLY)):
            await connection.execute(statement)


def _failure(error: BaseException) -> SetupError:
    """Returns an error of the database or of a migration file in one line."""
    cause = error.__cause__ or error
    text = " ".join(str(cause).split())
    if isinstance(cause, asyncpg.InsufficientPrivilegeError):
        return SetupError(
            f"the database role may not change the schema ({text}): set "
            "FRONTROW_MIGRATION_DATABASE_URL to a role that may, or run frontrow migrate with one"
        )
    if isinstance(cause, asyncpg.InvalidFunctionDefinitionError):
        # A function of the same migrations, with another result: nothing else changes one.
        return SetupError(f"{_NEWER} ({text}): {_USE_NEWER}")
    where = f"{error}: " if cause is not error else ""
    return SetupError(f"the database can't be migrated: {where}{text}")
