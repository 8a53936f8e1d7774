"""Creates a database cluster with its two roles and its database, completely or not.

``frontrow_owner`` owns the schema and all objects; ``frontrow_app`` may log in and do what the
migrations grant it. Both authenticate with a password (SCRAM), also through the socket.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import structlog

from frontrow.db.accounts import Account, named
from frontrow.db.data_directory import DataDirectory, Secrets
from frontrow.db.programs import Programs, unreachable
from frontrow.errors import SetupError

OWNER = "frontrow_owner"
APP = "frontrow_app"
DATABASE = "frontrow"

log = structlog.get_logger()


def ensure_cluster(directory: DataDirectory, programs: Programs) -> Secrets:
    """Returns the passwords of the cluster in ``directory``, which is created if missing.

    It is built in a folder beside its place and moved there when it is complete, so that an
    interrupted start leaves nothing that a later start would mistake for a database.
    """
    with directory.explained():
        if directory.database.exists() and any(directory.database.iterdir()):
            _check_version(directory, programs)
            return directory.read_secrets()
        fresh = directory.database.with_name("database.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        give(fresh, programs.account)
        made = directory.make_secrets()
        log.info("creating the database", data_dir=str(directory.path))
        with named(directory.path) as variables:
            _initdb(directory, programs, fresh, made.owner, variables)
            _make_roles(programs, fresh, made.app, variables)
        with contextlib.suppress(FileNotFoundError):
            directory.database.rmdir()
        fresh.rename(directory.database)
        _sync(directory.path)
    return made


def give(path: Path, account: Account | None) -> None:
    """Gives ``path`` to the account that runs PostgreSQL."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def _check_version(directory: DataDirectory, programs: Programs) -> None:
    ours = programs.version().split(".")[0]
    try:
        theirs = (directory.database / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        msg = f"{directory.database} isn't a PostgreSQL database: name another --data-dir"
        raise SetupError(msg) from None
    if theirs != ours:
        msg = (
            f"the database in {directory.path} was created by PostgreSQL {theirs} and this "
            f"frontrow brings PostgreSQL {ours}: "
            "dump it with the older one, or name another --data-dir"
        )
        raise SetupError(msg)


def _initdb(
    directory: DataDirectory,
    programs: Programs,
    fresh: Path,
    password: str,
    variables: Mapping[str, str],
) -> None:
    with _password_file(directory, programs.account, password) as file:
        done = programs.run(
            "initdb",
            f"--pgdata={fresh}",
            f"--username={OWNER}",
            f"--pwfile={file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            # Text sorts in the same way on every machine, with any C library.
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--data-checksums",
            "--no-instructions",
            variables=variables,
        )
    if done.returncode != 0:
        if "Permission denied" in done.stderr and programs.account is not None:
            raise unreachable(directory.path, programs.account)
        msg = f"can't make a database in {directory.path}: {_first_error(done.stderr)}"
        raise SetupError(msg)


@contextlib.contextmanager
def _password_file(directory: DataDirectory, account: Account | None, text: str) -> Iterator[Path]:
    """Creates a file that only the account of PostgreSQL can read, and removes it afterwards."""
    path = directory.path / "secrets.json.new"
    path.unlink(missing_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{text}\n")
        give(path, account)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _make_roles(
    programs: Programs, fresh: Path, password: str, variables: Mapping[str, str]
) -> None:
    """Creates the application's role and the database in single-user mode: no server, no socket.

    The password is URL-safe base64, so that it needs no quoting.
    """
    done = programs.run(
        "postgres",
        "--single",
        "-D",
        fresh,
        "-c",
        "exit_on_error=on",
        "postgres",
        stdin=(
            f"CREATE ROLE {APP} LOGIN PASSWORD '{password}';\n"
            f"CREATE DATABASE {DATABASE};\n"
            f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC;\n"
            f"GRANT CONNECT ON DATABASE {DATABASE} TO {APP};\n"
        ),
        variables=variables,
    )
    if done.returncode != 0 or "ERROR" in done.stderr or "FATAL" in done.stderr:
        msg = f"can't set up the new database: {_first_error(done.stderr)}"
        raise SetupError(msg)


def _first_error(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    wrong = [line for line in lines if "error:" in line or "FATAL" in line or "ERROR" in line]
    return (wrong or lines or ["no output"])[0]


def _sync(folder: Path) -> None:
    """Syncs the folder, so that the rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
