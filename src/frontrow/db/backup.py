"""Backup and restore of a database in one file, with the wheel's pg_dump and pg_restore.

A dump reads one snapshot beside a running server: everything acknowledged before it began is in it,
and every invariant holds. Passwords go through the environment, never through arguments,
which every account of the machine can see.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from frontrow.db.connect import connect, place
from frontrow.db.programs import ENVIRONMENT, wheel_folder
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
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        _run("pg_dump", owner_url, "--format=custom", *_PLAIN, *_LASTING, f"--file={unfinished}")
        _sync(unfinished)
        unfinished.rename(file)
    except OSError as error:
        raise SetupError(f"can't write {unfinished}: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return file.stat().st_size


def check(file: Path) -> None:
    """Checks that a file is a dump.

    Raises:
        WrongUse: it isn't.
        SetupError: it can't be read.
    """
    try:
        with file.open("rb") as opened:
            head = opened.read(len(_HEAD))
    except OSError as error:
        raise SetupError(f"can't read {file}: {error.strerror}") from None
    if head != _HEAD:
        raise WrongUse(f"{file} is not a backup of frontrow")


async def restore(owner_url: str, file: Path, *, connect_timeout_seconds: float = 10) -> None:
    """Restores a dump into an empty database, completely or not.

    Raises:
        SetupError: the database isn't empty, or it refuses.
    """
    connection = await connect(owner_url, timeout_seconds=connect_timeout_seconds)
    try:
        tables = await connection.fetchval(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        )
    finally:
        await connection.close()
    if tables:
        raise SetupError(
            f"the database at {place(owner_url)} isn't empty: a backup goes into a new --data-dir, "
            "or into a database that was just created"
        )
    arguments = ("--exit-on-error", "--single-transaction", str(file))
    _run("pg_restore", owner_url, *_PLAIN, *arguments, named="--dbname")


_PLAIN = ("--no-owner", "--no-privileges")
# An unlogged table is of use to this server only.
_LASTING = ("--no-unlogged-table-data",)


def _run(program: str, url: str, *arguments: str, named: str | None = None) -> None:
    bare, secret = _without_password(url)
    where = [f"{named}={bare}"] if named else [bare]
    done = subprocess.run(  # noqa: S603 - a list without a shell; the path is ours
        [wheel_folder() / "bin" / program, "--no-password", *arguments, *where],
        capture_output=True,
        text=True,
        check=False,
        env={**ENVIRONMENT, **secret},
    )
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if "error" in line]
        said = (lines or [done.stderr.strip() or "no output"])[0]
        raise SetupError(f"{program} failed: {said.removeprefix(f'{program}: ')}")


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


def _sync(file: Path) -> None:
    """Syncs the file, so that the backup survives a power cut."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
