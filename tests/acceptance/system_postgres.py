"""The system's PostgreSQL, started on a new cluster and set up as a DBA would do it."""

import contextlib
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from frontrow.db.accounts import unprivileged_account
from frontrow.db.cluster import give
from frontrow.db.programs import Programs, options
from testkit.server import PATIENCE_SECONDS, free_port, scratch, until
from tests.programs import missing
from tools.programs import UNPACKED

OWNER, APP, PASSWORD = "concerts_owner", "concerts_app", "correct horse"
OLDEST = 15
KNOWN = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")


@dataclass(frozen=True)
class SystemPostgres:
    """A running PostgreSQL with an empty database, and two roles."""

    version: str
    port: int

    def url(self, role: str, *, hosts: str = "") -> str:
        """Returns the URL of the database for a role; ``hosts`` are put before the live host."""
        password = PASSWORD.replace(" ", "%20")
        return f"postgresql://{role}:{password}@{hosts}127.0.0.1:{self.port}/concerts"


def installed() -> Path:
    """Returns the programs of the newest PostgreSQL; skips the test if all are too old."""
    folders = [found for pattern in KNOWN for found in Path("/").glob(pattern)]
    folders.append(UNPACKED / "postgres" / "bin")
    if (pg_config := shutil.which("pg_config")) is not None:
        said = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=True)
        folders.append(Path(said.stdout.strip()))
    if (initdb := shutil.which("initdb")) is not None:
        folders.append(Path(initdb).resolve().parent)
    versions = {
        int(Programs(folder, None).version().split(".")[0]): folder
        for folder in folders
        if (folder / "initdb").exists() and (folder / "postgres").exists()
    }
    if max(versions, default=0) < OLDEST:
        missing(f"PostgreSQL {OLDEST} or newer is missing: make postgres")
    return versions[max(versions)]


@contextlib.contextmanager
def system_postgresql() -> Iterator[SystemPostgres]:
    """A PostgreSQL of the system, with the database and the roles that a DBA creates."""
    with scratch() as folder:
        cluster = folder / "cluster"
        found, account = installed(), unprivileged_account(cluster)
        if account is not None and found.is_relative_to(UNPACKED):
            # The checkout may be in root's private home.
            shutil.copytree(found.parent, folder / "programs", symlinks=True)
            found = folder / "programs" / "bin"
        programs = Programs(found, account)
        for made in (cluster, folder / "socket"):
            made.mkdir()
            give(made, programs.account)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        done = programs.run(
            "initdb",
            f"--pgdata={cluster}",
            "--username=dba",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--no-sync",
        )
        assert done.returncode == 0, done.stderr
        _make_roles(programs, cluster)
        port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(folder / "socket"),
            # The machine doesn't crash in this test.
            "fsync": "off",
        }
        with (folder / "log").open("ab") as log:
            process = programs.spawn("postgres", ["-D", str(cluster), *options(settings)], log)
        try:
            _wait_ready(process, cluster, folder / "log")
            yield SystemPostgres(programs.version(), port)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(PATIENCE_SECONDS)


def _make_roles(programs: Programs, cluster: Path) -> None:
    """Creates a role that owns the database, and one for the application."""
    done = programs.run(
        "postgres",
        *("--single", "-D", cluster, "-c", "exit_on_error=on", "postgres"),
        stdin=(
            f"CREATE ROLE {OWNER} LOGIN PASSWORD '{PASSWORD}';\n"
            f"CREATE ROLE {APP} LOGIN PASSWORD '{PASSWORD}';\n"
            f"CREATE DATABASE concerts OWNER {OWNER} ENCODING 'UTF8' TEMPLATE template0;\n"
        ),
    )
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr, done.stderr


def _wait_ready(process: subprocess.Popen[bytes], cluster: Path, log: Path) -> None:
    def is_ready() -> bool:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(FileNotFoundError, IndexError):
            # The eighth line of postmaster.pid is the state.
            return (cluster / "postmaster.pid").read_text().split("\n")[7].strip() == "ready"
        return False

    until(is_ready)
