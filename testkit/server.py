"""``frontrow serve`` as a user starts it: a real server on a free port, with its processes."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from frontrow.db.data_directory import DataDirectory
from frontrow.db.postmaster import PidFile, end_stale
from testkit.connection import Connection, Json

FRONTROW = Path(sys.executable).with_name("frontrow")
OPERATOR_KEY = "the-operator-key-of-the-tests"
PATIENCE_SECONDS = 60
"""For what takes a second on an idle machine."""


class FrontrowServer:
    """A running ``frontrow serve``. A restart has the same port and data directory."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        workers: int = 1,
        data: str = "data",
        operator_key: str | None = OPERATOR_KEY,
        **environment: str,
    ) -> None:
        self.directory = DataDirectory(folder / data)
        self.log = folder / "log"
        self.port = free_port()
        self._command: list[str | Path] = [
            *(FRONTROW, "serve", f"--port={self.port}", f"--workers={workers}"),
            *(f"--data-dir={self.directory.path}", *options),
        ]
        self._workers = workers
        self._environment = {
            **({"FRONTROW_OPERATOR_KEY": operator_key} if operator_key else {}),
            # A killed server leaves its temporary files; here they are deleted with the folder.
            "TMPDIR": str(folder),
            **environment,
        }
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Starts it; waits until every worker runs and the database answers."""
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(
                self._command,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=plain_environment(**self._environment),
                start_new_session=True,
            )
        until(self.ready)

    def ready(self) -> bool:
        """Returns whether the server answers, with all of its workers."""
        assert self.process.poll() is None, self.log.read_text()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", "/readyz")
            answers = connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()
        return answers and len(self.workers()) == self._workers

    def workers(self) -> set[int]:
        """Returns the processes that answer HTTP."""
        if self._workers == 1:
            return {self.process.pid}
        return {pid for pid in children(self.process.pid) if "spawn_main" in command_line(pid)}

    @property
    def postgres(self) -> int:
        """Returns the pid of the embedded PostgreSQL."""
        pid = self.postgres_now()
        assert pid is not None
        return pid

    def postgres_now(self) -> int | None:
        """Returns the pid of the embedded PostgreSQL, if it accepts connections."""
        written = PidFile.read(self.directory)
        return written.pid if written is not None and written.status == "ready" else None

    def kill(self) -> None:
        """Sends SIGKILL to the command and its workers; PostgreSQL keeps running."""
        for pid in (self.process.pid, *self.workers()):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal to the command; returns its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        """Ends every process, in any state of the test."""
        if self.process.poll() is None:
            try:
                self.end()
            except subprocess.TimeoutExpired:
                self.kill()
        end_stale(self.directory)

    def frontrow(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs another command on the same data directory."""
        return frontrow(*arguments, f"--data-dir={self.directory.path}")

    async def operate(self, method: str, path: str, body: Json | None = None) -> Any:
        """Makes one successful call of the operator; returns its answer."""
        connection = Connection(self.port)
        answer = await connection.ask(method, path, OPERATOR_KEY, body=body)
        await connection.close()
        assert answer.status in (200, 201, 202), answer
        return answer.json()

    async def concert(self, *, shows: int = 1, seats: int = 50, **room: Any) -> Json:
        """Puts a concert on sale; the line is open unless ``room`` says otherwise."""
        first = datetime.now(UTC).replace(hour=10, minute=0) + timedelta(days=30)
        show = {"price": 50_000, "seats": seats}
        made: Json = await self.operate(
            "POST",
            "/admin/concerts",
            {
                "title": "The Test",
                "waiting_room": {"policy": {"kind": "open"}, **room},
                "shows": [
                    {**show, "starts_at": (first + timedelta(days=day)).isoformat()}
                    for day in range(shows)
                ],
            },
        )
        return made

    async def audited(self) -> dict[str, int]:
        """Fails if an invariant is violated; returns the number of rows that each has checked."""
        found = await self.operate("GET", "/admin/audit")
        assert found["violations"] == 0, found
        return {one["invariant"]: one["checked"] for one in found["findings"]}


@contextlib.contextmanager
def serving(*options: str, workers: int = 1, **environment: str) -> Iterator[FrontrowServer]:
    """Yields a running server with a data directory of its own; deletes everything afterwards."""
    with scratch() as folder:
        house = FrontrowServer(folder, *options, workers=workers, **environment)
        try:
            house.start()
            yield house
        finally:
            house.close()


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Yields a folder that other accounts can enter, as root's PostgreSQL runs as one of them."""
    folder = Path(tempfile.mkdtemp(prefix="frontrow-tests-"))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


def frontrow(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command of frontrow to its end."""
    return subprocess.run(
        [FRONTROW, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=plain_environment(**environment),
        timeout=PATIENCE_SECONDS,
    )


def plain_environment(**more: str) -> dict[str, str]:
    """Returns the environment without settings of frontrow, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FRONTROW_")}
    return {**kept, **more}


def free_port() -> int:
    """Returns a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number: int = listening.getsockname()[1]
        return number


def until(condition: Callable[[], object]) -> None:
    """Waits for a condition."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Returns whether a process exists and is not a zombie."""
    return _status(pid)[0] not in ("", "Z")


def children(pid: int) -> set[int]:
    """Returns the processes that a process has started."""
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return {one for one in pids if _status(one)[1] == str(pid)}


def command_line(pid: int) -> str:
    """Returns the arguments of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def _status(pid: int) -> tuple[str, str]:
    """Returns the state of a process and its parent; empty if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return "", ""
    return fields[0], fields[1]
