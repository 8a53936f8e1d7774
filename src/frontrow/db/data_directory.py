"""The data directory: its files, their permissions, and the lock of the server that uses it.

    <data_dir>/           0700, or 0711 when started as root (PostgreSQL's account passes through)
      database/           the PostgreSQL cluster, of the account that runs PostgreSQL
      socket/             its socket, same owner, 0700: no other account can connect
      secrets.json        the passwords of the two database roles, 0600
      operator.key        the operator's key, 0600
      frontrow.lock       locked while a server uses this directory; has its pid
      postgresql.log      the log of PostgreSQL

Missing folders above are created; existing ones are never changed.
"""

import contextlib
import fcntl
import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from frontrow.errors import SetupError

OURS = ("database", "socket", "secrets.json", "operator.key", "frontrow.lock", "postgresql.log")
LOCK_PATIENCE_SECONDS = 1.0


def default_data_dir() -> Path:
    """Returns ``/var/lib/frontrow`` for root, else the data folder of the user."""
    if os.geteuid() == 0:
        return Path("/var/lib/frontrow")
    try:
        return platformdirs.user_data_path("frontrow")
    except RuntimeError:
        msg = f"the account {os.geteuid()} has no home: name a data directory with --data-dir"
        raise SetupError(msg) from None


@dataclass(frozen=True)
class Secrets:
    """The passwords of the owner (migrations) and of the application."""

    owner: str
    app: str


class DataDirectory:
    """One data directory. The methods raise SetupError with the reason in one line."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = Path(os.path.abspath(path or default_data_dir()))  # noqa: PTH100 - keeps symlinks
        self.database = self.path / "database"
        self.socket = self.path / "socket"
        self.secrets = self.path / "secrets.json"
        self.operator_key_file = self.path / "operator.key"
        self.lock_file = self.path / "frontrow.lock"
        self.log_file = self.path / "postgresql.log"

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turns an error of the operating system into a SetupError."""
        try:
            yield
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            msg = f"can't use the data directory {self.path}: {reason}"
            if error.filename and Path(os.fsdecode(error.filename)) != self.path:
                msg += f" ({os.fsdecode(error.filename)})"
            raise SetupError(msg) from error

    def prepare(self) -> None:
        """Creates the directory, or checks that it is ours and only we can write to it."""
        root = os.geteuid() == 0
        with self.explained():
            if not self.path.exists():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.mkdir(mode=0o700)
            status = self.path.stat()
            if status.st_uid != os.geteuid():
                # As root we would write through links that the other account may put there.
                msg = f"the data directory {self.path} belongs to another account: start it as that"
                raise SetupError(msg)
            strangers = [entry.name for entry in self.path.iterdir() if not _expected(entry.name)]
            # Other files beside our database, such as a backup, are allowed.
            if strangers and not self.secrets.exists():
                msg = (
                    f"{self.path} isn't a data directory of frontrow (it has {strangers[0]!r}): "
                    "name an empty or a new one with --data-dir"
                )
                raise SetupError(msg)
            self.path.chmod(0o711 if root else 0o700)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Locks this directory for this process; another process reads our pid."""
        with self.explained():
            descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._lock(descriptor)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
            yield
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        """Takes the lock, which ``holder`` may have for an instant."""
        deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    pid = os.pread(descriptor, 32, 0).decode().strip() or "unknown"
                    msg = (
                        f"the data directory {self.path} is in use by another frontrow (pid {pid})"
                    )
                    raise SetupError(msg) from None
                time.sleep(0.05)
            else:
                return

    def holder(self) -> str | None:
        """Returns the pid of the server that uses this directory now, or None."""
        try:
            descriptor = os.open(self.lock_file, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError:
            with self.explained():
                raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.pread(descriptor, 32, 0).decode().strip() or "unknown"
        else:
            return None
        finally:
            os.close(descriptor)

    def make_secrets(self) -> Secrets:
        """Creates the passwords of a new cluster, and writes them to disk before they are used."""
        made = Secrets(owner=secrets.token_urlsafe(32), app=secrets.token_urlsafe(32))
        with self.explained():
            self.secrets.unlink(missing_ok=True)
            _write_private(self.secrets, json.dumps({"owner": made.owner, "app": made.app}))
        return made

    def read_secrets(self) -> Secrets:
        """Returns the passwords of the existing cluster."""
        with self.explained():
            text = self.secrets.read_text()
        try:
            return Secrets(**json.loads(text))
        except (ValueError, TypeError):
            msg = f"{self.secrets} is damaged: restore it from a copy"
            raise SetupError(msg) from None

    def operator_key(self) -> tuple[str, bool]:
        """Returns the operator's key, and whether this call created it. Safe in all processes."""
        with self.explained():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = _made_once(self.operator_key_file, secrets.token_urlsafe(32))
            key = self.operator_key_file.read_text().strip()
        if len(key) < 16:  # noqa: PLR2004 - the shortest key that the settings take
            msg = f"{self.operator_key_file} holds no key of 16 characters or more: remove it"
            raise SetupError(msg)
        return key, made


def _expected(name: str) -> bool:
    """Returns whether a data directory may have a file: ours, hidden, or the file system's."""
    return name.removesuffix(".new").removesuffix(".old") in OURS or name.startswith(
        (".", "postgresql-", "lost+found")
    )


def _made_once(path: Path, text: str) -> bool:
    """Writes a private file unless it exists; readers never see a part of it."""
    if path.exists():
        return False
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False) as draft:
        draft.write(f"{text}\n")
    try:
        os.link(draft.name, path)
    except FileExistsError:
        return False
    finally:
        Path(draft.name).unlink()
    return True


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
