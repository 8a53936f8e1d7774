"""Hostile, foreign and damaged dumps: nothing in them is run, and the database stays empty."""

import asyncio
import os
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from frontrow.db import backup, schema_role
from frontrow.db.cluster import OWNER
from frontrow.db.migrate import MIGRATIONS, migrate
from frontrow.db.programs import ENVIRONMENT, wheel_folder
from frontrow.db.server import EmbeddedServer
from frontrow.errors import SetupError
from testkit.database import Database, fresh_database
from testkit.server import scratch

RUNS_A_PROGRAM = """
    CREATE FUNCTION spring() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        COPY (SELECT 1) TO PROGRAM 'cat > {marker}';
        RETURN NEW;
    END $$;
    CREATE TABLE concert (concert_id int PRIMARY KEY);
    INSERT INTO concert VALUES (1);
    CREATE TRIGGER spring BEFORE INSERT ON concert FOR EACH ROW EXECUTE FUNCTION spring();
    ALTER TABLE concert ENABLE ALWAYS TRIGGER spring;
"""
# A constraint is checked while pg_restore loads the rows.
RUNS_IT_AT_ONCE = """
    CREATE FUNCTION spring(a int) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        COPY (SELECT 1) TO PROGRAM 'cat > {marker}';
        RETURN true;
    END $$;
    CREATE TABLE concert (concert_id int CHECK (public.spring(concert_id)));
    INSERT INTO concert VALUES (1);
"""
RECORD = "UPDATE _pogo_migration SET migration_id = '{}' WHERE migration_id < '0002'"
ADDED = {
    "table": "CREATE TABLE stranger (a int)",
    "trigger": """
        CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER nothing BEFORE INSERT ON concert FOR EACH ROW EXECUTE FUNCTION nothing()
    """,
    "event trigger": """
        CREATE FUNCTION nothing() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
        CREATE EVENT TRIGGER nothing ON ddl_command_end EXECUTE FUNCTION nothing()
    """,
    "language": "CREATE FUNCTION length_of(text) RETURNS int LANGUAGE internal AS 'textlen'",
    "program": """
        CREATE FUNCTION run() RETURNS void LANGUAGE plpgsql AS
        'BEGIN COPY (SELECT 1) TO PROGRAM ''true''; END'
    """,
    "rule": "CREATE RULE nothing AS ON INSERT TO concert DO ALSO NOTHING",
    "schema": "CREATE SCHEMA other; CREATE TABLE other.stranger (a int)",
    "no record": "DELETE FROM _pogo_migration",
    "strange record": RECORD.format("0001_other"),
    "newer version": RECORD.format("9999_later"),
}


@asynccontextmanager
async def empty_database(engine: EmbeddedServer) -> AsyncIterator[tuple[str, Any]]:
    """Yields the URL of an empty database for a superuser, and a connection to it."""
    async with fresh_database(engine) as made:
        connection = await asyncpg.connect(made.owner_url)
        try:
            yield made.owner_url, connection
        finally:
            await connection.close()


def run(program: str, url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs a program of PostgreSQL, as an attacker does for a dump of their own."""
    bare, secret = backup._without_password(url)
    return subprocess.run(
        [wheel_folder() / "bin" / program, *arguments, f"--dbname={bare}"],
        capture_output=True,
        text=True,
        check=False,
        env={**ENVIRONMENT, **secret},
    )


def dumped(url: str, file: Path) -> Path:
    """Returns a dump of a whole database."""
    done = run("pg_dump", url, "--format=custom", f"--file={file}")
    assert done.returncode == 0, done.stderr
    return file


async def check_refused(engine: EmbeddedServer, file: Path, match: str) -> None:
    """Checks that a dump is refused, before the restore and in it, and that nothing is left."""
    with pytest.raises(SetupError, match=match) as refused:
        backup.check(file)
    assert refused.value.exit_code == 2
    await check_not_restored(engine, file)


async def check_not_restored(engine: EmbeddedServer, file: Path) -> None:
    """Checks that a restore fails and leaves the database empty."""
    async with empty_database(engine) as (url, connection):
        with pytest.raises(SetupError):
            await backup.restore(url, file)
        assert await connection.fetchval(backup._RELATIONS) == 0


@pytest.mark.parametrize("hostile", [RUNS_A_PROGRAM, RUNS_IT_AT_ONCE], ids=["trigger", "index"])
async def test_program_of_a_hostile_dump_is_not_run(engine: EmbeddedServer, hostile: str) -> None:
    """It is refused; a superuser's pg_restore, the control, runs the program."""
    with scratch() as folder:
        folder.chmod(0o777)  # the account of PostgreSQL writes the marker
        marker = folder / "marker"
        async with empty_database(engine) as (url, connection):
            await connection.execute(hostile.format(marker=marker))
            marker.unlink(missing_ok=True)
            file = dumped(url, folder / "hostile.dump")
        await check_refused(engine, file, "is not a backup of frontrow: it has")
        assert not marker.exists()
        async with empty_database(engine) as (url, connection):
            run("pg_restore", url, str(file))
            if hostile is RUNS_A_PROGRAM:
                await connection.execute("INSERT INTO public.concert VALUES (2)")
        assert marker.exists()


async def test_forged_copy_statement_is_not_run(engine: EmbeddedServer, database: Database) -> None:
    """In a genuine dump, COPY was replaced by one that runs a program; pg_restore runs it."""
    with scratch() as folder:
        folder.chmod(0o777)
        content = dumped(database.owner_url, folder / "genuine.dump").read_bytes()
        (statement,) = re.findall(rb"COPY public\.concert \([\w, ]+\) FROM stdin;", content)
        marker = folder / "marker"
        forged = f"COPY public.concert FROM PROGRAM '>{marker}';".encode().ljust(len(statement))
        assert len(forged) == len(statement)
        file = folder / "forged.dump"
        file.write_bytes(content.replace(statement, forged))
        await check_not_restored(engine, file)
        assert not marker.exists()
        async with empty_database(engine) as (url, _):
            run("pg_restore", url, str(file))
        assert marker.exists()


@pytest.mark.parametrize("added", ADDED)
async def test_dump_with_more_than_frontrows_is_refused(
    database: Database, tmp_path: Path, added: str
) -> None:
    """A genuine database with one foreign object, or with another record of migrations.

    A restore makes the same check first, as the other tests show.
    """
    connection = await asyncpg.connect(database.owner_url)
    try:
        await connection.execute(ADDED[added])
    finally:
        await connection.close()
    match = "newer version" if added == "newer version" else "is not a backup of frontrow"
    with pytest.raises(SetupError, match=match) as refused:
        backup.check(dumped(database.owner_url, tmp_path / "file"))
    assert refused.value.exit_code == 2


async def test_dump_of_another_application_is_refused(
    engine: EmbeddedServer, tmp_path: Path
) -> None:
    """As is a plain dump, whose commands psql would run."""
    async with empty_database(engine) as (url, connection):
        file = dumped(url, tmp_path / "empty.dump")
        await check_refused(engine, file, "it has no record of migrations")
        await connection.execute("CREATE TABLE customer (name text)")
        file = dumped(url, tmp_path / "other.dump")
        await check_refused(engine, file, "it has the entry .*TABLE public customer")
        with pytest.raises(SetupError, match="the table customer, which isn't frontrow's"):
            await migrate(url)
    plain = tmp_path / "plain.sql"
    plain.write_text("\\! touch marker\n")
    await check_refused(engine, plain, "is not a backup of frontrow")


def test_fifo_is_refused(tmp_path: Path) -> None:
    """One line and exit code 2, instead of waiting for its writer."""
    file = tmp_path / "backup"
    os.mkfifo(file)
    done = subprocess.run(
        [sys.executable, "-m", "frontrow", "restore", file, "--data-dir", tmp_path / "data"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr == f"frontrow: {file} is not a regular file\n"
    assert not (tmp_path / "data").exists()


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """Also a device, a socket and a folder."""
    link, bound = tmp_path / "link", tmp_path / "bound"
    link.symlink_to(os.devnull)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(bound))
        for file in (link, bound, tmp_path):
            with pytest.raises(SetupError, match="is not a regular file") as refused:
                backup.check(file)
            assert refused.value.exit_code == 2


async def test_damaged_dump_leaves_the_database_empty(
    engine: EmbeddedServer, database: Database, tmp_path: Path
) -> None:
    """Cut off anywhere, also within the rows."""
    whole = await asyncio.to_thread(dumped, database.owner_url, tmp_path / "whole")
    content = whole.read_bytes()
    for share in (0.001, 0.5, 0.98):
        file = tmp_path / f"cut {share}"
        file.write_bytes(content[: int(len(content) * share)])
        await check_not_restored(engine, file)


async def test_restore_and_migration_run_without_superuser(
    engine: EmbeddedServer, database: Database, tmp_path: Path
) -> None:
    """A superuser's URL ends in a schema of a role that runs no program; so does a login."""
    file = tmp_path / "file"
    await asyncio.to_thread(backup.dump, database.owner_url, file)
    superusers = """
        SELECT count(*) FROM pg_class AS c INNER JOIN pg_roles AS r ON r.oid = c.relowner
        WHERE r.rolsuper AND c.relnamespace = 'public'::regnamespace
    """
    async with empty_database(engine) as (url, connection):
        await backup.restore(url, file)
        assert await connection.fetchval(superusers) == 0
        await migrate(url)
        assert await connection.fetchval(superusers) == 0
        login = await asyncpg.connect(await schema_role.login(url, timeout_seconds=10))
        try:
            assert await login.fetchval("SELECT count(*) FROM concert") == 0
            for program in ("COPY (SELECT 1) TO PROGRAM 'true'", "SET ROLE " + OWNER):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await login.execute(program)
        finally:
            await login.close()


async def test_link_in_place_of_the_unfinished_file_is_not_followed(
    database: Database, tmp_path: Path
) -> None:
    """A backup neither writes through it nor over another's file; it removes neither."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    part = tmp_path / "new.dump.part"
    part.symlink_to(victim)
    for _ in range(2):
        with pytest.raises(SetupError, match=r"new\.dump\.part exists") as refused:
            await asyncio.to_thread(backup.dump, database.owner_url, tmp_path / "new.dump")
        assert refused.value.exit_code == 2
        assert victim.read_text() == "precious"
        assert part.exists()
        part.unlink()
        part.write_text("another's")
    assert not (tmp_path / "new.dump").exists()


async def test_older_dump_is_restored_and_migrated(
    engine: EmbeddedServer, template: Database, tmp_path: Path
) -> None:
    """The rows of an older version are restored, and later migrations change them."""
    older = tmp_path / "older"
    older.mkdir()
    for path in sorted(MIGRATIONS.glob("*.sql"))[:14]:
        (older / path.name).write_text(path.read_text())
    user, key = secrets.token_bytes(16), secrets.token_bytes(32)
    async with empty_database(engine) as (url, connection):
        await migrate(url, migrations=older, functions=[])
        await connection.execute("INSERT INTO installation (currency) VALUES ('KRW')")
        await connection.execute(
            "INSERT INTO user_key (key_hash, user_id, created_at) VALUES ($1, $2, now())",
            key,
            user.hex(),
        )
        file = dumped(url, tmp_path / "older.dump")
    async with (
        empty_database(engine) as (url, connection),
        fresh_database(engine, template) as new,
    ):
        await backup.restore(url, file)
        assert len(await migrate(url)) > 5
        assert await connection.fetchval("SELECT key_hash FROM user_key") == key
        row = await connection.fetchrow("SELECT currency, operator_sessions FROM installation")
        assert tuple(row or ()) == ("KRW", 0)
        schemas = [
            run("pg_dump", each, "--schema-only", "--no-privileges", "--restrict-key=a").stdout
            for each in (url, new.owner_url)
        ]
        assert sorted(schemas[0].splitlines()) == sorted(schemas[1].splitlines())
