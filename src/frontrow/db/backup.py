"""Backup and restore of a database in one file, with the wheel's pg_dump and pg_restore.

A dump reads one snapshot beside a running server: everything acknowledged before it began is in it,
and every invariant holds. A restore creates the schema with Frontrow's own migrations and takes
only rows from the file, so that nothing in a file is ever executed. Passwords go through the
environment, never through arguments, which every account of the machine can see.
"""

import hashlib
import os
import stat
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import asyncpg

from frontrow.db.connect import connect, place
from frontrow.db.dump_reader import (
    KEPT_BY_TOOLS,
    DumpReader,
    SequenceValue,
    Table,
    check_entries,
    migrations_of,
    not_ours,
    reading,
)
from frontrow.db.functions import PACKAGE
from frontrow.db.migrate import (
    UNFINISHED_RESTORE,
    check_server,
    create_schema,
    migration_names,
    unfinished_restore,
)
from frontrow.db.programs import ENVIRONMENT, wheel_folder
from frontrow.db.schema_role import step_down
from frontrow.errors import SetupError, WrongUse

_HEAD = b"PGDMP"
"""The first bytes of a dump in pg_dump's custom format."""


def dump(owner_url: str, file: Path) -> int:
    """Writes a database into a file, which is complete or missing. Returns its size in bytes.

    Raises:
        WrongUse: the file exists.
        SetupError: it can't be written, or the database can't be dumped.
    """
    if file.exists():
        raise WrongUse(f"{file} exists: name another file, or remove it first")
    unfinished = file.with_name(f"{file.name}.part")
    try:
        # Only this account may read it: it holds the hashes of user keys, and the signing keys.
        # An existing file or link is neither overwritten nor followed: it may be an attacker's.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(unfinished, flags, 0o600)
    except FileExistsError:
        raise WrongUse(
            f"{unfinished} exists: another backup is being written, or one was interrupted; "
            "then remove it first"
        ) from None
    except OSError as error:
        raise SetupError(f"can't write {unfinished}: {error.strerror}") from None
    try:
        try:
            _dump(owner_url, descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        check(unfinished)
        unfinished.rename(file)
    except OSError as error:
        raise SetupError(f"can't write {unfinished}: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return file.stat().st_size


def check(file: Path) -> set[str]:
    """Checks that a file is a dump of Frontrow's database that this version can restore.

    Returns the names of its migrations.

    Raises:
        WrongUse: it isn't.
        SetupError: it can't be read.
    """
    try:
        # It is read several times, and opening a FIFO waits for its writer.
        if not stat.S_ISREG(file.stat().st_mode):
            raise WrongUse(f"{file} is not a regular file")
        with file.open("rb") as opened:
            head = opened.read(len(_HEAD))
    except OSError as error:
        raise SetupError(f"can't read {file}: {error.strerror}") from None
    if head != _HEAD:
        raise WrongUse(f"{file} is not a backup of frontrow")
    check_entries(file)
    return _known_migrations(file)


async def is_restored(url: str, file: Path, *, connect_timeout_seconds: float = 10) -> bool:
    """Returns whether an interrupted restore has restored a dump already; changes nothing.

    Raises:
        SetupError: the database has something else, or can't be used.
    """
    connection = await connect(url, timeout_seconds=connect_timeout_seconds)
    try:
        await check_server(connection)
        return await _is_restored(connection, file, url)
    finally:
        await connection.close()


async def restore(owner_url: str, file: Path, *, connect_timeout_seconds: float = 10) -> None:
    """Restores a dump into an empty database, in one transaction.

    The database remembers the dump until it is migrated, so that a retry can continue from there.

    Raises:
        WrongUse: the file isn't a dump of Frontrow's database.
        SetupError: the database isn't empty, or it refuses.
    """
    migrations = check(file)
    connection = await connect(
        owner_url,
        timeout_seconds=connect_timeout_seconds,
        search_path="public",
        statement_timeout="0",
    )
    try:
        if await _is_restored(connection, file, owner_url):
            return
        await step_down(connection)
        async with connection.transaction():
            await create_schema(connection, migrations)
            await _load(connection, file)
            await connection.execute(_REMEMBER.format(_mark_of(file)))
    except asyncpg.PostgresError as error:
        text = " ".join(str(error).split())
        raise SetupError(f"{file} can't be restored: {text}") from None
    finally:
        await connection.close()


async def _is_restored(connection: "asyncpg.Connection[Any]", file: Path, url: str) -> bool:
    if not await connection.fetchval(_RELATIONS):
        return False
    if await unfinished_restore(connection) == _mark_of(file):
        return True
    raise SetupError(
        f"the database at {place(url)} isn't empty: a backup goes into a new --data-dir, or into a "
        "database that was just created"
    )


def _mark_of(file: Path) -> str:
    with file.open("rb") as opened:
        return f"{UNFINISHED_RESTORE} {hashlib.file_digest(opened, 'sha256').hexdigest()}"


_REMEMBER = "COMMENT ON TABLE public._pogo_migration IS '{}'"
_RELATIONS = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
# Unlogged tables are of use to one server only.
_TABLES = """
    SELECT relname, relpersistence = 'p' AND relname <> ALL ($1::text[]) AS lasting FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""
_HAS_ROWS = "SELECT EXISTS (SELECT FROM public.{})"
_SET_SEQUENCE = "SELECT setval(to_regclass('public.' || quote_ident($1)), $2, $3)"


def _known_migrations(file: Path) -> set[str]:
    """Returns the migrations of a dump. Raises WrongUse if this version lacks one of them."""
    found = migrations_of(file)
    known = migration_names()
    if unknown := sorted(found.difference(known)):
        if all(name > known[-1] for name in unknown):
            raise WrongUse(
                f"{file} was created by a newer version of frontrow (it has {', '.join(unknown)}): "
                "restore it with that version"
            )
        raise not_ours(file, f"it has the migration {unknown[0][:60]!r}")
    return found


async def _load(connection: "asyncpg.Connection[Any]", file: Path) -> None:
    """Loads the rows of a dump into the tables that the migrations have created.

    Keys and indexes are created afterwards: that is faster, and tables may come in any order.
    """
    tables = dict(await connection.fetch(_TABLES, list(KEPT_BY_TOOLS)))
    missing = {name for name, lasting in tables.items() if lasting}
    indexes = await connection.fetch((PACKAGE / "db" / "bulk_load.sql").read_text())
    for index in indexes:
        await connection.execute(index["dropping"])
    with reading(file) as dump:
        for part in dump.parts():
            if isinstance(part, SequenceValue):
                await connection.execute(_SET_SEQUENCE, *part)
            elif part.name in missing:
                missing.remove(part.name)
                await _copy(connection, part, dump)
            elif tables.get(part.name) is False:
                for _ in dump.rows():
                    pass
            else:
                raise not_ours(file, f"it has the table {part.name}")
    if missing:
        raise not_ours(file, f"it lacks the table {min(missing)}")
    for index in reversed(indexes):
        await connection.execute(index["creating"])


async def _copy(connection: "asyncpg.Connection[Any]", table: Table, dump: DumpReader) -> None:
    async def rows() -> AsyncIterator[bytes]:
        for batch in dump.rows():
            yield batch

    # The migrations add some rows. A name that a table of ours has needs no quoting.
    if await connection.fetchval(_HAS_ROWS.format(table.name)):
        await connection.execute(f"DELETE FROM public.{table.name}")  # noqa: S608
    await connection.copy_to_table(
        table.name, source=rows(), schema_name="public", columns=table.columns, format="text"
    )


def _dump(url: str, descriptor: int) -> None:
    """Writes the dump of Frontrow's schema into an open file."""
    bare, secret = _without_password(url)
    done = subprocess.run(  # noqa: S603 - a list without a shell; the path is ours
        [
            wheel_folder() / "bin" / "pg_dump",
            "--no-password",
            "--format=custom",
            "--schema=public",
            "--no-owner",
            "--no-privileges",
            # An unlogged table is of use to this server only.
            "--no-unlogged-table-data",
            # Not by its name, which could be another's by now.
            f"--file=/dev/fd/{descriptor}",
            bare,
        ],
        pass_fds=[descriptor],
        capture_output=True,
        text=True,
        check=False,
        env={**ENVIRONMENT, **secret},
    )
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if "error" in line]
        first = (lines or [done.stderr.strip() or "no output"])[0]
        raise SetupError(f"pg_dump failed: {first.removeprefix('pg_dump: ')}")


def _without_password(url: str) -> tuple[str, Mapping[str, str]]:
    """Returns the URL without its password, and the variable that passes it to libpq."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    query = [(key, value) for key, value in parse_qsl(parts.query) if key != "password"]
    password = dict(parse_qsl(parts.query)).get("password", unquote(password))
    bare = urlunsplit(
        parts._replace(netloc=f"{name}@{host}" if name else host, query=urlencode(query))
    )
    return bare, {"PGPASSWORD": password} if password else {}
