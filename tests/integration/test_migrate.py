"""Migrations, functions and rights; and one line for every database that can't be used."""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from frontrow.db import migrate as module
from frontrow.db.cluster import APP, OWNER
from frontrow.db.connect import connect, connect_error, place
from frontrow.db.functions import HOT, function_files
from frontrow.db.migrate import migrate, pending, role_of
from frontrow.db.server import EmbeddedServer
from frontrow.errors import SetupError
from testkit.database import Database, fresh_database

FIRST = """-- the first
-- depends:

-- migrate: apply
CREATE TABLE thing (thing_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
CREATE TABLE transfer (amount int);
CREATE SEQUENCE counter;
-- migrate: rollback
DROP TABLE thing;
"""
SECOND = """-- the second
-- depends: 0001_first

-- migrate: apply
ALTER TABLE thing ADD COLUMN size int;
{}
-- migrate: rollback
ALTER TABLE thing DROP COLUMN size;
"""
PINS = [
    "enable_seqscan=off",
    "enable_bitmapscan=off",
    "enable_hashjoin=off",
    "enable_mergejoin=off",
    "enable_material=off",
    "plan_cache_mode=force_generic_plan",
]
FUNCTION = "CREATE OR REPLACE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT {}';"


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    """A folder with one migration."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_first.sql").write_text(FIRST)
    return folder


@pytest.fixture
def functions(tmp_path: Path) -> list[Path]:
    """A file with one function."""
    (tmp_path / "functions.sql").write_text(FUNCTION.format(1))
    return [tmp_path / "functions.sql"]


@pytest.fixture
async def name(engine: EmbeddedServer) -> AsyncIterator[str]:
    """The name of an empty database."""
    async with fresh_database(engine) as made:
        yield made.name


@pytest.fixture
def owner_url(engine: EmbeddedServer, name: str) -> str:
    """The URL of the empty database for its owner."""
    return engine.url(OWNER, name)


@pytest.fixture
def app_url(engine: EmbeddedServer, name: str) -> str:
    """The URL of the empty database for the application."""
    return engine.url(APP, name)


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """Yields a connection."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_migrates_and_installs(
    owner_url: str, migrations: Path, functions: list[Path]
) -> None:
    """Tables and functions exist afterwards; a second run changes nothing."""
    async with connected(owner_url) as connection:
        assert await pending(connection, migrations=migrations) == ["0001_first"]
        assert await migrate(owner_url, migrations=migrations, functions=functions) == [
            "0001_first"
        ]
        assert await pending(connection, migrations=migrations) == []
        assert await connection.fetchval("SELECT answer()") == 1
        assert await migrate(owner_url, migrations=migrations, functions=functions) == []


async def test_application_gets_only_its_rights(
    owner_url: str, app_url: str, migrations: Path, functions: list[Path]
) -> None:
    """It can change rows, but no ledger row, no migration record and no schema."""
    await migrate(owner_url, app_role=APP, migrations=migrations, functions=functions)
    async with connected(app_url) as connection:
        for allowed in (
            "INSERT INTO thing (name) VALUES ('a')",
            "UPDATE thing SET name = 'b'",
            "DELETE FROM thing",
            "INSERT INTO transfer VALUES (1)",
            "SELECT * FROM transfer",
            "SELECT nextval('counter')",
            "SELECT answer()",
        ):
            await connection.execute(allowed)
        for forbidden in (
            "UPDATE transfer SET amount = 2",
            "DELETE FROM transfer",
            "TRUNCATE transfer",
            "TRUNCATE thing",
            "DELETE FROM _pogo_migration",
            "UPDATE _frontrow_functions SET digest = ''",
            "CREATE TABLE mine (a int)",
            "ALTER TABLE thing ADD COLUMN mine int",
            "DROP TABLE thing",
            "CREATE OR REPLACE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT 9'",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)
        assert await pending(connection, migrations=migrations) == []


async def test_wrong_rights_are_corrected(
    owner_url: str, app_url: str, migrations: Path, functions: list[Path]
) -> None:
    """The next run revokes an extra right and grants a missing one."""
    await migrate(owner_url, app_role=APP, migrations=migrations, functions=functions)
    async with connected(owner_url) as owner:
        await owner.execute(f"GRANT ALL ON transfer TO {APP}; REVOKE ALL ON thing FROM {APP}")
        await migrate(owner_url, app_role=APP, migrations=migrations, functions=functions)
    async with connected(app_url) as connection:
        await connection.execute("DELETE FROM thing")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM transfer")


async def test_current_database_needs_no_rights(
    owner_url: str, app_url: str, migrations: Path, functions: list[Path]
) -> None:
    """A role without rights on the schema is enough if there is nothing to change."""
    with pytest.raises(SetupError, match="FRONTROW_MIGRATION_DATABASE_URL"):
        await migrate(app_url, migrations=migrations, functions=functions)
    await migrate(owner_url, app_role=APP, migrations=migrations, functions=functions)
    assert await migrate(app_url, migrations=migrations, functions=functions) == []
    (migrations / "0002_second.sql").write_text(SECOND.format(""))
    with pytest.raises(SetupError, match="FRONTROW_MIGRATION_DATABASE_URL"):
        await migrate(app_url, migrations=migrations, functions=functions)


async def test_concurrent_starts_migrate_once(
    owner_url: str, migrations: Path, functions: list[Path]
) -> None:
    """Of ten concurrent starts one migrates; the others wait and find it done."""
    (migrations / "0002_second.sql").write_text(SECOND.format("SELECT pg_sleep(0.2);"))
    results = await asyncio.gather(
        *(
            migrate(owner_url, app_role=APP, migrations=migrations, functions=functions)
            for _ in range(10)
        )
    )
    assert sorted(results) == [[]] * 9 + [["0001_first", "0002_second"]]


async def test_changed_functions_are_replaced_together(
    owner_url: str, migrations: Path, functions: list[Path]
) -> None:
    """New text replaces the old; if one function is invalid, all stay unchanged."""
    await migrate(owner_url, migrations=migrations, functions=functions)
    async with connected(owner_url) as connection:
        functions[0].write_text(FUNCTION.format(2))
        await migrate(owner_url, migrations=migrations, functions=functions)
        assert await connection.fetchval("SELECT answer()") == 2
        functions[0].write_text(FUNCTION.format(3) + "CREATE FUNCTION wrong(")
        with pytest.raises(SetupError, match="can't be migrated: syntax error"):
            await migrate(owner_url, migrations=migrations, functions=functions)
        assert await connection.fetchval("SELECT answer()") == 2


async def test_hot_function_gets_the_planner_settings(
    owner_url: str, migrations: Path, tmp_path: Path
) -> None:
    """A marked function gets the settings beside its own; the next one gets none."""
    text = FUNCTION.replace("answer", "hot_{}").replace("sql AS", "sql SET work_mem = '9MB' AS")
    file = tmp_path / "hot_functions.sql"
    file.write_text("-- hot\n" + text.format("one", 1) + "\n" + text.format("two", 2))
    await migrate(owner_url, migrations=migrations, functions=[file])
    async with connected(owner_url) as connection:
        settings = "SELECT proconfig FROM pg_proc WHERE proname = $1"
        assert await connection.fetchval(settings, "hot_one") == ["work_mem=9MB", *PINS]
        assert await connection.fetchval(settings, "hot_two") == ["work_mem=9MB"]
        # An overload of this name from an older version keeps its settings.
        file.write_text(file.read_text().replace("hot_one()", "hot_one(size int)"))
        await connection.execute("ALTER FUNCTION hot_one() RESET ALL")
        await migrate(owner_url, migrations=migrations, functions=[file])
        both = await connection.fetch(
            "SELECT proconfig FROM pg_proc WHERE proname = 'hot_one' ORDER BY pronargs"
        )
        assert [row["proconfig"] for row in both] == [None, ["work_mem=9MB", *PINS]]


async def test_hot_functions_of_the_package_are_marked(template: Database) -> None:
    """Exactly the functions that the files mark have the settings."""
    marked = {name for path in function_files() for name in HOT.findall(path.read_text())}
    async with connected(template.owner_url) as connection:
        pinned = await connection.fetch("SELECT proname FROM pg_proc WHERE proconfig @> $1", PINS)
        generic = await connection.fetch(
            "SELECT proname FROM pg_proc WHERE proconfig @> $1", [PINS[-1]]
        )
    assert len(marked) > 30
    assert {row["proname"] for row in pinned} == {row["proname"] for row in generic} == marked


async def test_failing_migration_changes_nothing(
    owner_url: str, migrations: Path, functions: list[Path]
) -> None:
    """A migration that fails half way is rolled back and named; the lock is released."""
    (migrations / "0002_second.sql").write_text(SECOND.format("SELECT 1 / 0;"))
    with pytest.raises(SetupError, match="Failed to apply 0002_second: division by zero"):
        await migrate(owner_url, migrations=migrations, functions=functions)
    async with connected(owner_url) as connection:
        assert await pending(connection, migrations=migrations) == ["0002_second"]
        assert not await connection.fetch(
            "SELECT FROM pg_attribute WHERE attrelid = 'thing'::regclass AND attname = 'size'"
        )
    (migrations / "0002_second.sql").write_text(SECOND.format(""))
    assert await migrate(owner_url, migrations=migrations, functions=functions) == ["0002_second"]


async def test_own_migrations_and_functions_are_found() -> None:
    """The package contains its migrations and the features' functions."""
    assert [path.name for path in sorted(module.MIGRATIONS.glob("*.sql"))][:1]
    assert {path.parent.name for path in function_files()} >= {"payments", "waiting_room"}


async def test_texts_of_earlier_versions_lose_their_control_characters(
    owner_url: str, tmp_path: Path
) -> None:
    """Titles, names and sections from before the rule; other texts are untouched."""
    earlier = [path for path in module.MIGRATIONS.glob("*.sql") if path.stem < "0023"]
    for path in earlier:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    await migrate(owner_url, migrations=tmp_path, functions=[])
    concert, show, bad = secrets.token_hex(16), secrets.token_hex(16), "a\n\x1b[2J\u202e\u2028b"
    async with connected(owner_url) as connection:
        await connection.execute(
            "INSERT INTO concert (concert_id, request_hash, title, artist, venue, timezone,"
            " currency, hold_seconds, max_seats_per_user, created_at)"
            " VALUES ($1, 0, $2, $2, '한글 \u200d é', 'Asia/Seoul', 'KRW', 300, 4, now())",
            concert,
            bad,
        )
        await connection.execute(
            "INSERT INTO show (show_id, concert_id, request_hash, starts_at, date, sales_end_at,"
            " seats_total, price_from) VALUES ($1, $2, 0, now(), now(), now(), 2, 1)",
            show,
            concert,
        )
        await connection.execute(
            "INSERT INTO show_section (show_id, ordinal, name, price, first_number, last_number,"
            " seats_per_row) VALUES ($1, 1, $2, 1, 1, 1, 1), ($1, 2, '나', 1, 2, 2, 1)",
            show,
            bad,
        )
        await connection.execute(
            "INSERT INTO seat (show_id, number, price, section)"
            " VALUES ($1, 1, 1, $2), ($1, 2, 1, '나')",
            show,
            bad,
        )
        await migrate(owner_url, functions=[])
        found = await connection.fetchrow("SELECT title, artist, venue FROM concert")
        repaired = "a\ufffd\ufffd[2J\ufffd\ufffdb"
        assert found is not None
        assert tuple(found) == (repaired, repaired, "한글 \u200d é")
        for table, name in (("show_section", "name"), ("seat", "section")):
            texts = await connection.fetch(f"SELECT {name} FROM {table} ORDER BY 1")  # noqa: S608 - names above
            assert [row[0] for row in texts] == [repaired, "나"]


async def test_old_server_is_refused(
    owner_url: str, migrations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PostgreSQL older than the minimum is refused, and its version is reported."""
    monkeypatch.setattr(module, "OLDEST_SERVER", 990_000)
    with pytest.raises(SetupError, match="this database runs 18"):
        await migrate(owner_url, migrations=migrations)


async def test_database_of_a_newer_version_is_refused(
    owner_url: str, migrations: Path, functions: list[Path]
) -> None:
    """A downgrade is refused before it changes anything, with the unknown migrations."""
    (migrations / "0002_second.sql").write_text(SECOND.format(""))
    await migrate(owner_url, migrations=migrations, functions=functions)
    (migrations / "0002_second.sql").unlink()
    functions[0].write_text(FUNCTION.format(2))
    with pytest.raises(SetupError, match=r"by a newer version of frontrow \(it has 0002_sec"):
        await migrate(owner_url, migrations=migrations, functions=functions)
    async with connected(owner_url) as connection:
        assert await connection.fetchval("SELECT answer()") == 1


async def test_function_of_a_newer_version_is_named(
    owner_url: str, migrations: Path, functions: list[Path]
) -> None:
    """Functions with another result, of the same migrations, can only be a newer version's."""
    await migrate(owner_url, migrations=migrations, functions=functions)
    functions[0].write_text(FUNCTION.replace("int", "text").format("version()"))
    with pytest.raises(SetupError, match=r"migrated by a newer version of frontrow .*return type"):
        await migrate(owner_url, migrations=migrations, functions=functions)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_database_that_is_not_utf8_is_refused(
    engine: EmbeddedServer, name: str, encoding: str
) -> None:
    """Such a database can't store every title or name; nothing is created in it."""
    admin = await asyncpg.connect(engine.url(OWNER, "postgres"))
    try:
        await admin.execute(
            f"CREATE DATABASE {name}_{encoding} ENCODING '{encoding}' TEMPLATE template0 "
            "LOCALE 'C' LOCALE_PROVIDER libc"
        )
        url = engine.url(OWNER, f"{name}_{encoding}".lower())
        with pytest.raises(SetupError, match=f"the encoding of this database is {encoding}"):
            await migrate(url)
        async with connected(url) as connection:
            assert not await tables_of(connection)
    finally:
        await admin.execute(f"DROP DATABASE IF EXISTS {name}_{encoding} WITH (FORCE)")
        await admin.close()


async def tables_of(connection: Any) -> list[str]:
    """Returns the tables of the schema public."""
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return [row["tablename"] for row in rows]


async def test_role_of_a_url_is_the_servers(owner_url: str, app_url: str) -> None:
    """The role is the one that the server reports."""
    assert await role_of(owner_url) == OWNER
    assert await role_of(app_url) == APP


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def free_port() -> int:
    """A port on which no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("postgresql://u:hidden@127.0.0.1:{free}/db", "nothing answers at 127.0.0.1:"),
        ("postgresql://u:hidden@127.0.0.1:{silent}/db", "doesn't answer in time"),
        ("postgresql://u:hidden@nowhere.invalid/db", "at nowhere.invalid/db can't be reached"),
        ("postgresql://u:hidden@/db?host=/nowhere/at/all", "nothing answers at /nowhere/at/all/db"),
        ("mysql://u:hidden@localhost/db", "the database URL can't be read"),
        ("u:hidden@localhost/db", "the database URL can't be read"),
        ("postgresql://u:hidden@localhost:port/db", "the database URL can't be read"),
        ("postgresql://u:hidden@[::1/db", "the database URL can't be read"),
        ("", "the database URL can't be read"),
    ],
)
async def test_unusable_url_is_one_line(url: str, line: str, silent_port: int) -> None:
    """Each reason for an unreachable database has its line, without the password."""
    with pytest.raises(SetupError) as caught:
        await migrate(url.format(free=free_port(), silent=silent_port), connect_timeout_seconds=0.3)
    assert line in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == (2 if "can't be read" in line else 3)


async def test_refused_by_the_server_is_one_line(engine: EmbeddedServer, owner_url: str) -> None:
    """A wrong password, database or setting is reported with the server's reason."""
    for url, line in (
        (owner_url.replace("@", "x@"), "refuses the user or the password"),
        (owner_url.replace(OWNER, "nobody_here"), "refuses the user or the password"),
        (engine.url(OWNER, "not_there"), "doesn't exist"),
        (f"{owner_url}&no_such_setting=1", "unrecognized configuration parameter"),
    ):
        with pytest.raises(SetupError, match=line) as caught:
            await migrate(url)
        assert engine._secrets.owner not in str(caught.value)


async def test_url_of_several_hosts(owner_url: str) -> None:
    """A URL of several hosts connects to the one with the requested role."""
    dead = f"127.0.0.1:{free_port()}"
    many = owner_url.replace("host=", f"host={dead},").replace("&port=5432", "")
    primary = await connect(f"{many}&target_session_attrs=primary", timeout_seconds=30)
    assert await primary.fetchval("SELECT 1") == 1
    await primary.close()
    with pytest.raises(SetupError, match="target_session_attrs"):
        await connect(f"{owner_url}&target_session_attrs=standby", timeout_seconds=2)


async def test_reason_survives_a_last_attempt_without_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last attempt is cut off by the time limit: the reason of the one before is reported."""
    attempts = 0

    async def attempt(_url: str, *, timeout: float, **_settings: Any) -> None:  # noqa: ASYNC109 - asyncpg's
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise asyncpg.exceptions.TargetServerAttributeNotMatched("a primary")
        await asyncio.sleep(timeout)
        raise TimeoutError

    monkeypatch.setattr(asyncpg, "connect", attempt)
    with pytest.raises(SetupError, match="target_session_attrs"):
        await connect("postgresql://localhost/db", timeout_seconds=1)


async def test_starting_server_is_awaited() -> None:
    """A server may start within the time limit; afterwards the wait ends."""
    port = free_port()
    waiting = asyncio.create_task(
        connect(f"postgresql://u:p@127.0.0.1:{port}/db", timeout_seconds=10)
    )
    called = asyncio.Event()

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", port)
    async with server:
        await called.wait()
        with pytest.raises(SetupError):
            await waiting


def test_password_is_never_shown() -> None:
    """Not even if the server repeats it."""
    url = "postgresql://u:se%40cret@h/db?password=other"
    for secret in ("se%40cret", "se@cret", "other"):
        error = connect_error(OSError(0, f"bad {secret}"), url)
        assert str(error) == "the database at h/db can't be reached: bad …"
    assert place(url) == "h/db"
    assert place("postgresql://u:p@h1:1,h2:2/db") == "h1:1,h2:2/db"
