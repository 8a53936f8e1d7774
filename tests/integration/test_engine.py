"""The embedded PostgreSQL: access, recovery, and the messages if it can't start."""

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from frontrow.db import postmaster, programs
from frontrow.db.cluster import APP, OWNER
from frontrow.db.data_directory import DataDirectory
from frontrow.db.postmaster import PidFile
from frontrow.db.server import EmbeddedServer, running_urls
from frontrow.errors import SetupError
from tests.integration.accounts import (
    needs_root,
    ordinary_python,
    stranger,
)

PATIENCE_SECONDS = 60


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty data directory that the account of PostgreSQL can reach."""
    path = Path(tempfile.mkdtemp(prefix="frontrow-tests-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def grown() -> Iterator[Path]:
    """A data directory with a stopped database; the tests leave it unchanged."""
    path = Path(tempfile.mkdtemp(prefix="frontrow-tests-"))
    with EmbeddedServer(path):
        pass
    yield path
    shutil.rmtree(path)


async def ask(url: str, query: str, *arguments: object) -> object:
    """Returns one value from a database."""
    connection = await asyncpg.connect(url, timeout=PATIENCE_SECONDS)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


async def until(condition: Callable[[], bool]) -> None:
    """Waits for a condition; fails after a time limit."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Returns whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def mode(path: Path) -> int:
    """Returns the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


async def test_runs_postgresql_18_without_tcp(engine: EmbeddedServer) -> None:
    """The application reaches PostgreSQL 18 through its socket, and no TCP port is open."""
    assert str(await ask(engine.app_url, "SHOW server_version")).startswith("18.")
    assert await ask(engine.app_url, "SHOW listen_addresses") == ""
    assert await ask(engine.app_url, "SHOW server_encoding") == "UTF8"
    assert await ask(engine.app_url, "SHOW data_checksums") == "on"
    assert await ask(engine.app_url, "SHOW TimeZone") == "UTC"


async def test_data_survives_by_default(grown: Path) -> None:
    """Without the settings of the tests, committed data is on disk."""
    with EmbeddedServer(grown) as server:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await ask(server.app_url, "SELECT current_setting($1)", name) == "on"


async def test_application_role_has_no_privileges(engine: EmbeddedServer) -> None:
    """The application's role can't create tables, roles or databases, nor read server files."""
    for statement in (
        "CREATE TABLE mine (a int)",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "CREATE DATABASE mine",
        "SELECT pg_read_file('PG_VERSION')",
        "SET ROLE frontrow_owner",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ask(engine.app_url, statement)


async def test_password_is_required_on_the_socket(engine: EmbeddedServer) -> None:
    """Access to the socket isn't enough, even for root or the account of PostgreSQL."""
    for role in (APP, OWNER):
        url = engine.url(role).replace("@", "x@")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await ask(url, "SELECT 1")


def test_files_are_private(engine: EmbeddedServer) -> None:
    """Only the accounts concerned can open files in the data directory."""
    directory = engine.directory
    assert mode(directory.path) == (0o711 if os.geteuid() == 0 else 0o700)
    assert mode(directory.socket) == 0o700
    assert mode(directory.database) == 0o700
    for file in (directory.secrets, directory.lock_file, directory.log_file):
        assert mode(file) == 0o600
        assert file.stat().st_uid == os.geteuid()


@needs_root
def test_another_account_cannot_connect(engine: EmbeddedServer) -> None:
    """Another account that knows path and password is stopped by the folder's permissions."""
    script = f"import asyncio, asyncpg\nasyncio.run(asyncpg.connect({engine.app_url!r}))"
    done = as_ordinary_account(script, Path("/nonexistent"), uid=65533)
    assert done.returncode == 1
    assert "PermissionError" in done.stderr


@needs_root
def test_root_starts_it_as_another_account(engine: EmbeddedServer) -> None:
    """PostgreSQL never runs as root."""
    assert Path(f"/proc/{engine.pid}").stat().st_uid != 0
    assert engine.directory.database.stat().st_uid == Path(f"/proc/{engine.pid}").stat().st_uid


@needs_root
async def test_database_of_nobody_is_given_to_the_own_account(
    folder: Path, engine: EmbeddedServer
) -> None:
    """An earlier version ran PostgreSQL as ``nobody``; links of that account aren't followed."""
    with EmbeddedServer(folder):
        pass
    nobody = stranger()
    for path in ((folder / "database"), *(folder / "database").rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    (folder / "roots").write_text("")
    (folder / "database" / "link").symlink_to(folder / "roots")
    (folder / "database" / "roots").hardlink_to(folder / "roots")
    with EmbeddedServer(folder) as server:
        assert await ask(server.app_url, "SELECT 1") == 1
        account = Path(f"/proc/{server.pid}").stat().st_uid
    assert account == engine.directory.database.stat().st_uid != nobody.pw_uid
    assert (folder / "database").stat().st_uid == account
    assert (folder / "database" / "PG_VERSION").stat().st_uid == account
    assert (folder / "roots").stat().st_uid == 0


async def test_log_of_postgresql_has_no_values(grown: Path) -> None:
    """Neither parameters of a slow or failed statement nor the row that a constraint refuses."""
    with EmbeddedServer(grown, settings={"log_min_duration_statement": "0"}) as server:
        connection = await asyncpg.connect(server.owner_url)
        await connection.execute("CREATE TEMP TABLE safe (secret text UNIQUE, n int CHECK (n > 0))")
        insert = "INSERT INTO safe VALUES ($1, $2)"
        await connection.execute(insert, "geheim", 1)
        for error, values in (
            (asyncpg.CheckViolationError, ("geheim", -1)),
            (asyncpg.UniqueViolationError, ("geheim", 2)),
        ):
            with pytest.raises(error):
                await connection.execute(insert, *values)
        await connection.close()
        logged = server.directory.log_file.read_text()
    assert "violates check constraint" in logged
    assert insert in logged
    assert "geheim" not in logged


def test_second_server_is_refused(engine: EmbeddedServer) -> None:
    """A data directory has one server; the error of the second has the pid of the first."""
    with pytest.raises(SetupError, match=rf"in use by another frontrow \(pid {os.getpid()}\)"):
        EmbeddedServer(engine.directory.path).start()


async def test_running_server_is_found(engine: EmbeddedServer, grown: Path) -> None:
    """Another process gets the URLs of a running server, and None without one."""
    assert running_urls(engine.directory.path) == (engine.owner_url, engine.app_url)
    assert running_urls(grown) is None
    assert running_urls(grown / "nowhere") is None


async def test_killed_postmaster_is_restarted(grown: Path) -> None:
    """After kill -9 PostgreSQL is restarted, with all committed data."""
    with EmbeddedServer(grown) as server:
        await ask(server.owner_url, "DROP TABLE IF EXISTS kept")
        await ask(server.owner_url, "CREATE TABLE kept AS SELECT 42 AS a")
        # A client in the middle of a query keeps the old shared memory in use for a moment.
        busy = await asyncpg.connect(server.owner_url)
        first = server.pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: server.pid != first and running(server))
        busy.terminate()
        assert await ask(server.owner_url, "SELECT a FROM kept") == 42
    assert not alive(server.pid)


def running(server: EmbeddedServer) -> bool:
    """Returns whether PostgreSQL accepts connections."""
    written = PidFile.read(server.directory)
    return written is not None and written.pid == server.pid and written.status == "ready"


OWNER_SCRIPT = """
import pathlib, sys, threading
from frontrow import logs
from frontrow.db.server import EmbeddedServer
logs.configure()
server = EmbeddedServer(pathlib.Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
threading.Event().wait()
"""


@contextlib.contextmanager
def owner_process(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Starts a process with a server in ``folder``; returns it and the pid of its PostgreSQL."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER_SCRIPT, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


async def test_server_of_a_killed_process_is_taken_over(grown: Path) -> None:
    """After kill -9 of the owner, the next one stops its PostgreSQL and starts another."""
    with owner_process(grown) as (process, left):
        urls = running_urls(grown)
        assert urls is not None
        assert await ask(urls[1], "SELECT 1") == 1
        process.kill()
        process.wait()
        assert alive(left)
        assert running_urls(grown) is None
        with EmbeddedServer(grown) as server:
            assert server.pid != left
            assert not alive(left)
            assert await ask(server.app_url, "SELECT 1") == 1


async def test_server_recovers_after_all_processes_are_killed(grown: Path) -> None:
    """Owner and PostgreSQL are killed together: the next start waits for the remains of both."""
    with owner_process(grown) as (process, left):
        urls = running_urls(grown)
        assert urls is not None
        busy = await asyncpg.connect(urls[0])
        process.kill()
        os.kill(left, signal.SIGKILL)
        with EmbeddedServer(grown) as server:
            assert await ask(server.app_url, "SELECT 1") == 1
        busy.terminate()


@pytest.mark.parametrize("reused", [False, True])
async def test_stale_pid_file_is_ignored(grown: Path, reused: bool) -> None:
    """The pid file of a dead PostgreSQL is ignored, even if another process has its pid now."""
    owner = (grown / "database").stat()
    root = os.geteuid() == 0
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(
            subprocess.Popen(
                ["sleep", "60"],
                user=owner.st_uid if root else None,
                group=owner.st_gid if root else None,
            )
        )
        stack.callback(other.kill)
        if not reused:
            other.kill()
            other.wait()
        file = grown / "database" / "postmaster.pid"
        file.write_text(f"{other.pid}\n{grown}/database\n1\n5432\n{grown}/socket\n\n1 1\nready\n")
        (grown / "socket" / ".s.PGSQL.5432.lock").write_text(file.read_text())
        with EmbeddedServer(grown) as server:
            assert await ask(server.app_url, "SELECT 1") == 1
        if reused:
            assert other.poll() is None


def test_interrupted_initdb_is_repeated(folder: Path) -> None:
    """The files of an interrupted initdb aren't taken for a database."""
    (folder / "database.new" / "base").mkdir(parents=True)
    (folder / "database.new" / "PG_VERSION").write_text("18\n")
    (folder / "secrets.json").write_text("{")
    (folder / "database").mkdir()
    with EmbeddedServer(folder):
        assert not (folder / "database.new").exists()
    assert not list(folder.glob("*.new"))


def test_other_major_version_is_refused(folder: Path) -> None:
    """A database of another major version is reported and left unchanged."""
    (folder / "database").mkdir()
    (folder / "database" / "PG_VERSION").write_text("17\n")
    with pytest.raises(SetupError, match="created by PostgreSQL 17 and this frontrow brings"):
        EmbeddedServer(folder).start()


def test_foreign_folder_is_refused(folder: Path) -> None:
    """A folder that isn't a database, or not one of frontrow, is left unchanged."""
    (folder / "database").mkdir()
    (folder / "database" / "letters").write_text("")
    with pytest.raises(SetupError, match="isn't a PostgreSQL database"):
        EmbeddedServer(folder).start()
    (folder / "holiday.jpg").write_text("")
    before = mode(folder)
    with pytest.raises(SetupError, match="isn't a data directory of frontrow"):
        EmbeddedServer(folder).start()
    assert mode(folder) == before


def test_extra_files_in_the_data_directory_are_ignored(grown: Path) -> None:
    """A backup that was written into the data directory doesn't prevent the start."""
    stray = grown / "monday.dump"
    stray.write_text("kept")
    try:
        with EmbeddedServer(grown):
            pass
        assert stray.read_text() == "kept"
    finally:
        stray.unlink()


def test_file_instead_of_a_data_directory_is_refused(folder: Path) -> None:
    """A file at the path of the data directory gives one line."""
    (folder / "file").write_text("")
    for path in (folder / "file", folder / "file" / "deeper"):
        with pytest.raises(SetupError, match="can't use the data directory"):
            EmbeddedServer(path).start()


def test_missing_secrets_are_reported(grown: Path) -> None:
    """Without its passwords a database can't be used, and the line names the invalid file."""
    file = grown / "secrets.json"
    kept = file.read_text()
    try:
        file.write_text("{")
        with pytest.raises(SetupError, match=r"secrets\.json is damaged"):
            EmbeddedServer(grown).start()
        file.unlink()
        with pytest.raises(SetupError, match=r"no such file or directory \(.*secrets\.json\)"):
            EmbeddedServer(grown).start()
    finally:
        file.write_text(kept)
        file.chmod(0o600)


def test_reason_of_a_failed_start_is_reported(grown: Path) -> None:
    """The reason is PostgreSQL's own, and the directory is unlocked afterwards."""
    with pytest.raises(SetupError, match=r'didn\'t start: .*"shared_buffers".*postgresql\.log'):
        EmbeddedServer(grown, settings={"shared_buffers": "plenty"}).start()
    with EmbeddedServer(grown):
        pass


@pytest.mark.parametrize("name", ["x" * 90, "a, b"])
async def test_unsuitable_socket_path_is_replaced(folder: Path, name: str) -> None:
    """A path too long or invalid for a socket is replaced by a private temporary folder."""
    path = folder / name
    if os.geteuid() == 0:
        folder.chmod(0o711)
    with EmbeddedServer(path) as server:
        assert await ask(server.app_url, "SELECT 1") == 1
        socket = Path(str(await ask(server.owner_url, "SHOW unix_socket_directories")))
        assert socket.parent == Path(tempfile.gettempdir())
        assert mode(socket) == 0o700
        assert running_urls(path) == (server.owner_url, server.app_url)
    assert not socket.exists()


async def test_temporary_socket_folder_of_a_killed_server_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the next start, which has a new one."""
    temporary = folder / "tmp"
    temporary.mkdir()
    folder.chmod(0o711)
    temporary.chmod(0o711)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    data = folder / ("x" * 90)
    with owner_process(data) as (process, _):
        (left,) = temporary.iterdir()
        process.kill()
        process.wait()
        with EmbeddedServer(data) as server:
            assert await ask(server.app_url, "SELECT 1") == 1
            assert len([*temporary.iterdir()]) == 1
            assert not left.exists()
    assert list(temporary.iterdir()) == []


def test_unsafe_temporary_folder_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If other accounts could replace the socket's folder, no server is started."""
    shared = folder / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    folder.chmod(0o711)
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    with pytest.raises(SetupError, match="isn't safe"):
        EmbeddedServer(folder / ("y" * 90)).start()
    assert not list(shared.iterdir())


def test_second_stop_does_nothing(grown: Path) -> None:
    """Stopping a stopped server has no effect."""
    server = EmbeddedServer(grown)
    server.start()
    server.stop()
    server.stop()
    assert running_urls(grown) is None


def test_slow_recovery_is_awaited(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The start waits for a slow PostgreSQL as long as its process lives, and logs that."""
    directory = DataDirectory(folder)
    directory.database.mkdir()
    with subprocess.Popen(["sleep", "60"]) as process, pytest.MonkeyPatch.context() as patch:
        patch.setattr(postmaster, "REPORT_SECONDS", 0.05)
        said: list[str] = []
        patch.setattr(postmaster.log, "info", lambda text, **_: said.append(text), raising=False)
        file = directory.database / "postmaster.pid"

        def write(status: str) -> None:
            file.write_text(f"{process.pid}\n/d\n1\n5432\n/s\n\n1 1\n{status}\n")

        write("starting")
        waiter = threading.Thread(
            target=postmaster.wait_ready, args=(process, directory, 0, lambda: False)
        )
        waiter.start()
        while not said:
            assert waiter.is_alive()
        write("ready")
        waiter.join(PATIENCE_SECONDS)
        assert not waiter.is_alive()
        process.kill()
    assert "still starting" in said[0]
    assert not capfd.readouterr().out


def test_process_that_ignores_signals_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ignores the first signals is ended by SIGKILL."""
    monkeypatch.setattr(
        postmaster, "ENDINGS", ((signal.SIGINT, 0.05), (signal.SIGQUIT, 0.05), (signal.SIGKILL, 5))
    )
    script = "trap '' INT QUIT; echo set; while :; do sleep 1; done"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        postmaster.end(process)
        assert process.returncode == -signal.SIGKILL


def test_operator_key_is_created_once(folder: Path) -> None:
    """The key is private, doesn't change, and is reported as new only the first time."""
    directory = DataDirectory(folder)
    key, made = directory.operator_key()
    assert made
    assert len(key) >= 32
    assert mode(directory.operator_key_file) == 0o600
    assert directory.operator_key() == (key, False)
    directory.operator_key_file.write_text("short\n")
    with pytest.raises(SetupError, match="holds no key"):
        directory.operator_key()


@needs_root
def test_unreachable_data_directory_is_refused(folder: Path) -> None:
    """A data directory below a private folder gives one line, and the folder is unchanged."""
    (folder / "private").mkdir(mode=0o700)
    with pytest.raises(SetupError, match="is out of reach for the account"):
        EmbeddedServer(folder / "private" / "deep" / "down").start()
    assert mode(folder / "private") == 0o700


@needs_root
def test_directory_of_another_account_is_refused(folder: Path) -> None:
    """Root doesn't write where another account could replace the files."""
    os.chown(folder, stranger().pw_uid, stranger().pw_gid)
    with pytest.raises(SetupError, match="belongs to another account"):
        EmbeddedServer(folder).start()


@needs_root
async def test_unreachable_programs_are_copied_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a virtual environment below a private home, PostgreSQL runs from a copy."""
    wheel = programs.wheel_folder()
    private = folder / "home"
    hidden = private / wheel.parent.name / wheel.name
    shutil.copytree(wheel, hidden, symlinks=True)
    libraries = wheel.parent.with_name(f"{wheel.parent.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, private / libraries.name)
    private.chmod(0o700)
    folder.chmod(0o711)
    monkeypatch.setattr(programs, "wheel_folder", lambda: hidden)
    for _ in range(2):
        with EmbeddedServer(folder / "data") as server:
            assert await ask(server.app_url, "SELECT 1") == 1
            running_program = Path(f"/proc/{server.pid}/exe").readlink()
    assert running_program.is_relative_to(folder / "data" / f"postgresql-{VERSION}")
    assert running_program.stat().st_uid == 0
    assert mode(running_program) == 0o755


VERSION = "18.4"

ORDINARY_SCRIPT = """
import asyncio, os, asyncpg
from frontrow import logs
from frontrow.db.server import EmbeddedServer
logs.configure()
async def ask(url):
    connection = await asyncpg.connect(url)
    print(await connection.fetchval("SELECT current_user"))
    await connection.close()
with EmbeddedServer() as server:
    asyncio.run(ask(server.app_url))
    print(server.directory.path)
    assert os.stat(f"/proc/{server.pid}").st_uid == os.geteuid()
"""


@needs_root
def test_runs_as_an_ordinary_account(folder: Path) -> None:
    """Without root it needs no special rights, and keeps its data in the user's own folder."""
    os.chown(folder, stranger().pw_uid, stranger().pw_gid)
    done = as_ordinary_account(ORDINARY_SCRIPT, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [APP, str(folder / ".local" / "share" / "frontrow")]
    assert mode(folder / ".local" / "share" / "frontrow") == 0o700


@needs_root
def test_data_directory_without_permission_is_one_line(folder: Path) -> None:
    """An ordinary account without access to the directory gets one line."""
    folder.chmod(0o755)
    script = (
        "import pathlib\nfrom frontrow.db.server import EmbeddedServer\n"
        "from frontrow.errors import SetupError\n"
        "try: EmbeddedServer(pathlib.Path({!r})).start()\n"
        "except SetupError as error: print(error)\n"
    )
    said = as_ordinary_account(script.format(str(folder / "new")), folder).stdout
    assert said == f"can't use the data directory {folder}/new: permission denied\n"
    said = as_ordinary_account(script.format(str(folder)), folder).stdout
    assert said == f"the data directory {folder} belongs to another account: start it as that\n"


def as_ordinary_account(
    script: str, home: Path, uid: int = stranger().pw_uid
) -> subprocess.CompletedProcess[str]:
    """Runs a script as an ordinary account with its own home."""
    python, environment = ordinary_python()
    return subprocess.run(
        [python, "-c", script],
        env={**environment, "HOME": str(home)},
        user=uid,
        group=stranger().pw_gid,
        extra_groups=[],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
    )
