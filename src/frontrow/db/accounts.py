"""The operating system's account that runs PostgreSQL when Frontrow is started as root.

PostgreSQL refuses to run as root. The account must be its own or PostgreSQL's: what runs as
``nobody`` shares its files with every other service that was given that account.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from frontrow.errors import SetupError

OWN = "frontrow"
ACCOUNTS = (OWN, "postgres")
UNFIT = "nobody"
LOGINLESS = (
    *("--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"),
    *("--shell", "/usr/sbin/nologin"),
)
NSS_WRAPPER = "libnss_wrapper.so"
LIBRARIES = (Path("/usr/lib"), *Path("/usr/lib").glob("*-linux-*"), Path("/usr/lib64"))
PATH = "/usr/sbin:/sbin:/usr/bin:/bin"

log = structlog.get_logger()


@dataclass(frozen=True)
class Account:
    """An account of the operating system."""

    name: str
    uid: int
    gid: int


def unprivileged_account(database: Path) -> Account | None:
    """Returns the account that runs PostgreSQL: None for the caller, another one for root.

    The owner of an existing database comes first: no other account can use its files. Where there
    is no fitting account, one is created.

    Raises:
        SetupError: it can't be created.
    """
    if os.geteuid() != 0:
        return None
    unfit = _account(UNFIT)
    if database.exists():
        owner = database.stat()
        if owner.st_uid not in (0, unfit.uid if unfit else 0):
            return Account(_name_of(owner.st_uid), owner.st_uid, owner.st_gid)
    return next(filter(None, map(_account, ACCOUNTS)), None) or _create()


@contextlib.contextmanager
def named(folder: Path) -> Iterator[Mapping[str, str]]:
    """Yields the variables with which PostgreSQL's programs find a name for this account.

    A container may run as an account without an entry in ``/etc/passwd``: a server runs, but no
    database can be created. The library nss_wrapper, where it is installed, reads the entry from a
    file in ``folder``.

    Raises:
        SetupError: the account has no entry, and the library is missing.
    """
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        pass
    else:
        yield {}
        return
    library = next((path for place in LIBRARIES for path in sorted(place.glob(NSS_WRAPPER))), None)
    if library is None:
        msg = (
            f"PostgreSQL can't create a database for the account {os.geteuid()}, which has no "
            "entry in /etc/passwd: add one, install the package libnss-wrapper, or name another "
            "database with --database-url"
        )
        raise SetupError(msg)
    file = folder / "passwd.new"
    try:
        file.write_text(f"{OWN}:x:{os.geteuid()}:{os.getegid()}::/:/bin/false\n")
        yield {
            "LD_PRELOAD": str(library),
            "NSS_WRAPPER_PASSWD": str(file),
            "NSS_WRAPPER_GROUP": os.devnull,
        }
    finally:
        file.unlink(missing_ok=True)


def take_over(database: Path, account: Account | None) -> None:
    """Changes the owner of an existing database from ``nobody`` to ``account``.

    Its folder comes last, so that the next start repeats an interrupted change.
    """
    unfit = _account(UNFIT)
    if account is None or unfit is None or not database.exists():
        return
    if database.stat().st_uid != unfit.uid:
        return
    log.info("the database is given to another account", owner=UNFIT, account=account.name)
    for _, folders, files, descriptor in os.fwalk(database):
        for name in (*folders, *files):
            _give_entry(name, descriptor, unfit, account)
    os.chown(database, account.uid, account.gid)


def _give_entry(name: str, folder: int, owner: Account, account: Account) -> None:
    """Changes the owner of a file or a folder, but never of another account's.

    The owner may still have a process that exchanges entries: what was opened is what is changed.
    """
    try:
        entry = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return  # a link or a socket: neither is PostgreSQL's
    try:
        if os.fstat(entry).st_uid == owner.uid:
            os.fchown(entry, account.uid, account.gid)
    finally:
        os.close(entry)


def _create() -> Account:
    """Creates the account ``frontrow``: a system account without a login."""
    tool = shutil.which("useradd", path=PATH)
    reason = "useradd is missing"
    if tool is not None:
        done = subprocess.run(  # noqa: S603 - a list without a shell
            [tool, *LOGINLESS, OWN],
            capture_output=True,
            text=True,
            check=False,
        )
        reason = (done.stderr.strip().splitlines() or [""])[-1]
    # Another start may have created it at the same moment.
    account = _account(OWN)
    if account is None:
        msg = (
            f"PostgreSQL can't run as root, and the account {OWN} can't be created ({reason}): "
            "create it, or start frontrow as an ordinary user"
        )
        raise SetupError(msg)
    log.info("created the account that runs PostgreSQL", account=OWN)
    return account


def _account(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, entry.pw_uid, entry.pw_gid)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
