"""``make dev``: a change of any kind of source file is in the running server after a restart."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from importlib.resources import files
from pathlib import Path

import asyncpg

from frontrow.db.data_directory import DataDirectory
from frontrow.db.postmaster import PidFile, end_stale
from frontrow.db.server import running_urls
from testkit.server import PATIENCE_SECONDS, free_port, plain_environment, scratch, until

ROOT = Path(__file__).resolve().parents[2]
MARK = "changed by a developer"


class Development:
    """A development server on a copy of the package, with a data directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.package = folder / "src" / "frontrow"
        shutil.copytree(str(files("frontrow")), self.package)
        self.data = DataDirectory(folder / "data")
        self.log = folder / "log"
        self.port = free_port()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tools.dev"],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=plain_environment(
                    PYTHONPATH=str(self.package.parent),
                    PYTHONUNBUFFERED="1",
                    FRONTROW_DATA_DIR=str(self.data.path),
                    FRONTROW_PORT=str(self.port),
                    TMPDIR=str(folder),
                ),
            )

    def get(self, path: str) -> str:
        """Returns the body of a page; an empty text while the server restarts."""
        assert self.process.poll() is None, self.log.read_text()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except (OSError, HTTPException):
            return ""
        finally:
            connection.close()

    async def has_function(self, name: str) -> bool:
        """Whether the database has a function of this name."""
        urls = running_urls(self.data.path)
        assert urls is not None
        connection = await asyncpg.connect(urls[0])
        try:
            return await connection.fetchval("SELECT to_regproc($1)", name) is not None
        finally:
            await connection.close()

    @property
    def postgres(self) -> PidFile | None:
        """The embedded PostgreSQL, while it runs."""
        return PidFile.read(self.data)

    def append(self, name: str, text: str) -> Path:
        """Appends to the one source file of this name; returns its path."""
        (file,) = self.package.rglob(name)
        with file.open("a") as source:
            source.write(text)
        return file

    def end(self) -> int:
        """Ends it as Ctrl-C does; returns the exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def developing() -> Iterator[Development]:
    """A development server that answers; nothing of it is left afterwards."""
    with scratch() as folder:
        server = Development(folder)
        try:
            until(lambda: server.get("/readyz"))
            yield server
        finally:
            server.end()
            end_stale(server.data)


def test_changed_sources_are_reloaded_beside_a_running_database() -> None:
    """A script, template, function or module is reloaded; a broken module waits for its fix."""
    with developing() as server:
        before = server.postgres
        script = server.append("clock.js", f"export const mark = '{MARK}';\n")
        server.append("base.html", f"<!-- {MARK} -->\n")
        server.append(
            "challenge_functions.sql",
            "CREATE OR REPLACE FUNCTION marked() RETURNS int LANGUAGE sql RETURN 1;\n",
        )
        path = script.relative_to(server.package / "web" / "site")
        until(lambda: MARK in server.get(f"/site/any/{path}"))
        until(lambda: MARK in server.get("/"))
        until(lambda: asyncio.run(server.has_function("marked")))
        module = server.append("logs.py", "def broken(:\n")
        until(lambda: "SyntaxError" in server.log.read_text())
        module.write_text(module.read_text().replace("def broken(:\n", f"print('{MARK}')\n"))
        until(lambda: f"\n{MARK}\n" in server.log.read_text())
        until(lambda: server.get("/readyz"))
        assert server.postgres == before
        assert server.end() == 0
        assert server.postgres is None
