"""The embedded PostgreSQL: started, watched and stopped with the server that uses it.

No TCP, a socket in a private folder, passwords for all roles, an unprivileged account when started
as root. One server per data directory. ``programs`` has the binaries, ``data_directory`` the files,
``cluster`` creates the database, ``postmaster`` is one process of it.
"""

import contextlib
import os
import re
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode

import structlog

from frontrow.db.accounts import Account, take_over, unprivileged_account
from frontrow.db.cluster import APP, DATABASE, OWNER, ensure_cluster, give
from frontrow.db.data_directory import DataDirectory, Secrets
from frontrow.db.postmaster import Died, PidFile, end, end_stale, wait_ready
from frontrow.db.programs import Programs, find_programs, options
from frontrow.errors import SetupError

log = structlog.get_logger()

PORT = "5432"  # a part of the socket's file name; nothing listens on TCP
SOCKET_NAME = f"/.s.PGSQL.{PORT}"
SOCKET_PATH_BYTES = 100  # a socket's path may have 103 (macOS) or 107 (Linux)
SOCKET_PREFIX = "frontrow-socket-"
PRIVATE = 0o700
LOG_BYTES = 16 * 1024 * 1024
RETRY_SECONDS = (0.1, 5.0)
LEFTOVER_SECONDS = 120.0

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": PORT,
    # An acknowledged transaction survives a crash.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # The wheel has only pglz: it halves the log and costs a sixth of the payments per second.
    "wal_compression": "off",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "5min",
    "shared_buffers": "256MB",
    "max_connections": "200",
    # Modern disks; and queries of a millisecond are too short for compilation.
    "random_page_cost": "1.1",
    "jit": "off",
    # Places, seats and wallets are updated all the time: vacuum often, in small steps.
    "autovacuum_naptime": "5s",
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_analyze_scale_factor": "0.02",
    "autovacuum_vacuum_cost_delay": "1ms",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u ",
    "log_min_duration_statement": "1s",
    "log_lock_waits": "on",
    # The log has no value of a statement or a row, which may be a secret.
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    # Connections come and go all the time.
    "log_connections": "",
    "log_disconnections": "off",
}


class EmbeddedServer:
    """A PostgreSQL server in ``data_dir``. Use it as a context manager, or start and stop it.

    ``settings`` override the ones above. Everything here is synchronous: it runs around the event
    loop, not in it.
    """

    def __init__(
        self, data_dir: Path | None = None, *, settings: Mapping[str, str] | None = None
    ) -> None:
        self.directory = DataDirectory(data_dir)
        self._settings = {**SETTINGS, **(settings or {})}
        self._undo = contextlib.ExitStack()
        self._stopping = threading.Event()
        self._mutex = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._programs: Programs
        self._secrets: Secrets
        self._socket: Path

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def owner_url(self) -> str:
        """The URL of the database for the role that owns the schema."""
        return self.url(OWNER)

    @property
    def app_url(self) -> str:
        """The URL of the database for the application's role."""
        return self.url(APP)

    def url(self, role: str, database: str = DATABASE) -> str:
        """Returns the URL of a database of this server for one of its two roles."""
        return _url(self._secrets, str(self._socket), role, database)

    @property
    def pid(self) -> int:
        """The process id of the running postmaster."""
        if self._process is None:
            msg = "PostgreSQL isn't running"
            raise SetupError(msg)
        return self._process.pid

    def start(self) -> None:
        """Starts PostgreSQL and waits until it takes connections. Raises SetupError."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        self.directory.prepare()
        self._undo.enter_context(self.directory.locked())
        account = unprivileged_account(self.directory.database)
        if account is not None:
            log.info("PostgreSQL runs as another account than root", account=account.name)
        self._programs = find_programs(account, self.directory.path)
        with self.directory.explained():
            left = PidFile.read(self.directory)
            end_stale(self.directory)
            take_over(self.directory.database, account)
            _remove_left(left, account)
            self._secrets = ensure_cluster(self.directory, self._programs)
            self._socket = self._undo.enter_context(_socket_folder(self.directory, account))
        self._start_patiently()
        self._watcher = threading.Thread(target=self._watch, name="postgresql", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Shuts PostgreSQL down and unlocks the data directory. A second call does nothing."""
        with self._mutex:
            self._stopping.set()
        if self._process is not None:
            end(self._process)
        if self._watcher is not None:
            self._watcher.join()
        self._undo.close()

    def _start_patiently(self) -> None:
        """Starts PostgreSQL for the first time; only passing errors are retried."""
        deadline = time.monotonic() + LEFTOVER_SECONDS
        while True:
            try:
                self._launch()
            except Died as death:
                if not death.passes or time.monotonic() > deadline:
                    msg = f"PostgreSQL didn't start: {death.reason} (see {self.directory.log_file})"
                    raise SetupError(msg) from None
                log.info("waiting for processes of a killed PostgreSQL to end")
                self._stopping.wait(RETRY_SECONDS[0])
            else:
                return

    def _launch(self) -> None:
        """Starts the process and waits for it. Raises Died."""
        self._turn_log()
        _clear(self._socket)
        with self.directory.log_file.open("ab") as file:
            offset = file.tell()
            with self._mutex:
                if self._stopping.is_set():
                    return
                self._process = self._programs.spawn("postgres", self._arguments(), file)
        self.directory.log_file.chmod(0o600)
        wait_ready(self._process, self.directory, offset, self._stopping.is_set)

    def _arguments(self) -> list[str]:
        settings = {**self._settings, "unix_socket_directories": str(self._socket)}
        return ["-D", str(self.directory.database), *options(settings)]

    def _turn_log(self) -> None:
        """Starts a new log when the old one has grown large; keeps one old log."""
        file = self.directory.log_file
        if file.exists() and file.stat().st_size > LOG_BYTES:
            file.replace(file.with_name(f"{file.name}.old"))

    def _watch(self) -> None:
        """Restarts PostgreSQL whenever it dies, until we stop."""
        while self._process is not None:
            code = self._process.wait()
            if self._stopping.is_set():
                return
            log.error("PostgreSQL died and is started again", exit_code=code)
            self._start_again()

    def _start_again(self) -> None:
        """Retries until PostgreSQL runs: the workers wait for it."""
        pause, longest = RETRY_SECONDS
        while not self._stopping.is_set():
            try:
                end_stale(self.directory)
                self._launch()
            except (Died, OSError, SetupError) as error:
                log.warning("PostgreSQL didn't start, trying again", reason=str(error))
                self._stopping.wait(pause)
                passes = isinstance(error, Died) and error.passes
                pause = pause if passes else min(pause * 2, longest)
            else:
                log.info("PostgreSQL is back", pid=self.pid)
                return


def running_urls(data_dir: Path | None = None) -> tuple[str, str] | None:
    """Returns the owner's and the application's URL of the server in ``data_dir``, or None.

    Raises SetupError if the server can't be used yet, or not by this account.
    """
    directory = DataDirectory(data_dir)
    holder = directory.holder()
    if holder is None:
        return None
    known = directory.read_secrets()
    with directory.explained():
        written = PidFile.read(directory)
    if written is None or not written.socket_folder:
        msg = f"frontrow (pid {holder}) is just starting or stopping in {directory.path}: try again"
        raise SetupError(msg)
    return (
        _url(known, written.socket_folder, OWNER, DATABASE),
        _url(known, written.socket_folder, APP, DATABASE),
    )


def _url(known: Secrets, socket: str, role: str, database: str) -> str:
    password = known.owner if role == OWNER else known.app
    place = urlencode({"host": socket, "port": PORT}, quote_via=quote)
    return f"postgresql://{role}:{password}@/{database}?{place}"


@contextlib.contextmanager
def _socket_folder(directory: DataDirectory, account: Account | None) -> Iterator[Path]:
    """Creates the socket's private folder: in the data directory if its path is short and plain.

    PostgreSQL and its clients take a comma for the end of a path, and the kernel limits its length;
    for such a data directory the folder has a random name below the temporary folder.
    """
    folder = directory.socket
    plain = re.fullmatch(r"[\w/.+-]+", str(folder)) is not None
    if plain and len(os.fsencode(folder)) + len(SOCKET_NAME) <= SOCKET_PATH_BYTES:
        folder.mkdir(mode=PRIVATE, exist_ok=True)
        folder.chmod(PRIVATE)
        give(folder, account)
        yield folder
        return
    folder = Path(tempfile.mkdtemp(prefix=SOCKET_PREFIX))
    try:
        give(folder, account)
        _check_private(folder, account)
        yield folder
    finally:
        _remove(folder)


def _remove_left(written: PidFile | None, account: Account | None) -> None:
    """Removes the temporary socket folder of a server that was killed."""
    if written is None:
        return
    folder = Path(written.socket_folder)
    ours = folder.parent == Path(tempfile.gettempdir()) and folder.name.startswith(SOCKET_PREFIX)
    with contextlib.suppress(FileNotFoundError):
        if ours and folder.lstat().st_uid == (account.uid if account else os.geteuid()):
            _remove(folder)


def _remove(socket: Path) -> None:
    with contextlib.suppress(OSError):
        _clear(socket)
        socket.rmdir()


def _clear(socket: Path) -> None:
    """Removes the files that a killed PostgreSQL left in its private socket folder.

    Its lock would stop the next server while any process, even a zombie, has the old pid.
    """
    for left in socket.iterdir():
        left.unlink()


def _check_private(folder: Path, account: Account | None) -> None:
    """Checks that the folder has not been replaced by something else."""
    status = folder.lstat()
    owner = account.uid if account else os.geteuid()
    above = folder.parent.stat()
    exchangeable = above.st_mode & stat.S_IWOTH and not above.st_mode & stat.S_ISVTX
    private = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == PRIVATE
    if exchangeable or not private or status.st_uid != owner:
        msg = f"the temporary folder {folder.parent} isn't safe: set TMPDIR to a private one"
        raise SetupError(msg)
