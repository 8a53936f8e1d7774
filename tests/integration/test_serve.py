"""The processes of ``frontrow serve``: how they are started, replaced and ended.

A minimal application replaces the real one; everything else is the command itself.
"""

import contextlib
import http.client
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from frontrow.db.data_directory import DataDirectory
from frontrow.db.postmaster import PidFile

STAND_IN = Path(__file__).with_name("standin.py")
PATIENCE_SECONDS = 60
ORPHAN_SECONDS = 3


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A data directory that is kept after its servers end."""
    path = Path(tempfile.mkdtemp(prefix="frontrow-tests-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def port() -> int:
    """A free port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number: int = listening.getsockname()[1]
        return number


def _with_default_signals() -> None:
    """Restores signals that are ignored here: under nohup, or in a background job of a shell."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


class Command:
    """A running ``frontrow serve``."""

    def __init__(
        self,
        folder: Path,
        port: int,
        workers: int,
        log: Path,
        output: IO[bytes] | None = None,
        **extra: str,
    ) -> None:
        self.directory = DataDirectory(folder)
        self.port = port
        self.base = f"http://127.0.0.1:{port}"
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    STAND_IN,
                    "serve",
                    f"--port={port}",
                    f"--data-dir={folder}",
                    f"--workers={workers}",
                ],
                stdout=output or file,
                stderr=file,
                env={**os.environ, **extra},
                start_new_session=True,
                preexec_fn=_with_default_signals,  # noqa: PLW1509 - the tests have one thread
            )

    def get(self, path: str = "/pid") -> dict[str, Any]:
        """Returns the application's answer, on a separate connection."""
        with self.begun(path) as answer:
            body: dict[str, Any] = json.load(answer)
            return body

    @contextlib.contextmanager
    def begun(self, path: str) -> Iterator[http.client.HTTPResponse]:
        """Returns an answer that has begun."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", path)
            yield connection.getresponse()
        finally:
            connection.close()

    def answers(self) -> bool:
        """Returns whether a worker answers."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            self.get()
        except (OSError, http.client.HTTPException):
            return False
        return True

    def pids(self) -> set[int]:
        """Returns the pids of all workers that answer now."""
        return {self.get()["pid"] for _ in range(30)}

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal to the command alone; returns its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def served(
    folder: Path,
    port: int,
    log: Path,
    *,
    workers: int = 1,
    output: IO[bytes] | None = None,
    **extra: str,
) -> Iterator[Command]:
    """Yields a command that answers; ends it afterwards if it still runs."""
    command = Command(folder, port, workers, log, output, **extra)
    try:
        until(command.answers)
        yield command
    finally:
        if command.process.poll() is None:
            command.end()


def until(condition: Callable[[], object]) -> float:
    """Waits for a condition; returns how long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < PATIENCE_SECONDS
        time.sleep(0.01)
    return time.monotonic() - started


def alive(pid: int) -> bool:
    """Returns whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def postgres(command: Command) -> int:
    """Returns the pid of the embedded PostgreSQL."""
    written = PidFile.read(command.directory)
    assert written is not None
    return written.pid


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Returns the output of the command."""
    return tmp_path / "log"


def test_one_worker_answers_in_the_command(folder: Path, port: int, log: Path) -> None:
    """With one worker the command answers as the application's role; a log names the key's file."""
    with served(folder, port, log) as command:
        answer = command.get()
        assert answer["pid"] == command.process.pid
        assert answer["database_url"].startswith("postgresql://frontrow_app:")
        assert answer["operator_key"] == command.directory.operator_key()[0]
        assert Path(answer["metrics_dir"]).is_dir()
        left = postgres(command)
        assert command.end() == 0
    assert not alive(left)
    assert answer["operator_key"] not in log.read_text()
    assert f"Operator key  in {command.directory.operator_key_file}\n" in log.read_text()
    assert f"{command.base}/docs" in log.read_text()


def test_new_key_is_printed_once_on_a_terminal(folder: Path, port: int, log: Path) -> None:
    """The next start on the terminal names the file."""
    key = DataDirectory(folder).operator_key_file
    key.unlink(missing_ok=True)
    for shown in (1, 0):
        screen, terminal = pty.openpty()
        with os.fdopen(screen, "rb", 0), os.fdopen(terminal, "wb") as output:
            with served(folder, port, log, output=output) as command:
                assert command.end() == 0
            printed = os.read(screen, 65_536).decode()
        assert printed.count(key.read_text().strip()) == shown
        assert str(key) in printed
        assert key.stat().st_mode & 0o777 == 0o600


def test_json_log_is_one_object_a_line(folder: Path, port: int, log: Path) -> None:
    """All that the command and its workers print, from the start to the end."""
    with served(folder, port, log, workers=2, FRONTROW_LOG_FORMAT="json") as command:
        until(lambda: "the server answers" in log.read_text())
        assert command.end() == 0
    events = [json.loads(line) for line in log.read_text().splitlines()]
    (started,) = (event for event in events if event["event"] == "the server answers")
    assert (started["url"], started["workers"]) == (command.base, 2)
    assert started["operator_key_file"] == str(command.directory.operator_key_file)


def test_full_outputs_do_not_stop_a_server(folder: Path, port: int) -> None:
    """Neither the banner nor a line of the log can be written; calls are answered."""
    with served(folder, port, Path("/dev/full"), workers=2) as command:
        until(lambda: len(command.pids()) == 2)
        assert command.end() == 0


@pytest.mark.parametrize(
    ("number", "workers"),
    [(signal.SIGTERM, 1), (signal.SIGHUP, 1), (signal.SIGTERM, 2), (signal.SIGINT, 2)],
)
def test_signal_drains_and_stops_everything(
    folder: Path, port: int, log: Path, number: signal.Signals, workers: int
) -> None:
    """A call in progress is answered, then all processes end silently with exit code 0."""
    with served(folder, port, log, workers=workers) as command:
        until(lambda: len(command.pids()) == workers)
        all_pids = {*command.pids(), postgres(command)}
        with command.begun("/slow") as answer:
            if number == signal.SIGTERM:
                command.process.send_signal(number)
            else:
                # As a terminal does: to every process of the group.
                os.killpg(command.process.pid, number)
            assert json.load(answer)["pid"] in all_pids
        assert command.process.wait(PATIENCE_SECONDS) == 0
    assert not any(map(alive, all_pids))
    assert "Traceback" not in log.read_text()


def test_workers_leave_ctrl_c_to_the_command(folder: Path, port: int, log: Path) -> None:
    """Each worker blocks SIGINT, the first one too."""
    with served(folder, port, log, workers=2) as command:
        until(lambda: len(command.pids()) == 2)
        for pid in command.pids():
            status = Path(f"/proc/{pid}/status").read_text()
            (blocked,) = re.findall(r"^SigBlk:\s*(\w+)$", status, re.MULTILINE)
            assert int(blocked, 16) & 1 << signal.SIGINT - 1


def test_killed_worker_is_replaced(folder: Path, port: int, log: Path) -> None:
    """After kill -9 of a worker the other one answers, and it is replaced within seconds."""
    with served(folder, port, log, workers=2) as command:
        until(lambda: len(command.pids()) == 2)
        before = command.pids()
        metrics = command.get()["metrics_dir"]
        assert Path(metrics).stat().st_mode & 0o777 == 0o700
        victim = before.pop()
        os.kill(victim, signal.SIGKILL)
        until(lambda: victim not in (now := command.pids()) and len(now) == 2)
        assert before < command.pids()
        assert "a worker died and is replaced" in log.read_text()
        command.end()
    assert not Path(metrics).exists()


def test_killed_command_frees_the_port(folder: Path, port: int, log: Path) -> None:
    """After kill -9 of the command its workers end, and the next one starts on the port."""
    with served(folder, port, log, workers=2) as command:
        until(lambda: len(command.pids()) == 2)
        orphans, left = command.pids(), postgres(command)
        command.process.kill()
        command.process.wait()
        with served(folder, port, log, workers=2) as successor:
            # Until they have ended, one of them may answer.
            assert until(lambda: not any(map(alive, orphans))) < ORPHAN_SECONDS
            until(successor.answers)
            assert not alive(left)
            assert not successor.pids() & orphans


def test_killed_postgresql_is_restarted(folder: Path, port: int, log: Path) -> None:
    """After kill -9 of PostgreSQL the server continues, and a new PostgreSQL is started."""
    with served(folder, port, log) as command:
        left = postgres(command)
        os.kill(left, signal.SIGKILL)
        until(lambda: (now := PidFile.read(command.directory)) and now.pid != left)
        assert command.answers()
        until(lambda: "PostgreSQL is back" in log.read_text())


@pytest.mark.parametrize("workers", [1, 2])
def test_application_that_cannot_start_ends_the_command(
    folder: Path, port: int, log: Path, workers: int
) -> None:
    """No process is left, and the exit code says that the application didn't start."""
    command = Command(folder, port, workers, log, STANDIN_FAILS="1")
    assert command.process.wait(PATIENCE_SECONDS) == 3
    assert "frontrow: the application didn't start" in log.read_text()
    assert "Pages" not in log.read_text()
    assert PidFile.read(command.directory) is None


@pytest.mark.parametrize("workers", [1, 2])
def test_another_currency_is_refused_in_one_line(
    folder: Path, port: int, log: Path, workers: int
) -> None:
    """The currency of an installation is fixed at its first start; no start is reported."""
    with served(folder, port, log):
        pass
    log.unlink()
    refused = Command(folder, port, workers, log, FRONTROW_CURRENCY="USD")
    assert refused.process.wait(PATIENCE_SECONDS) == 2
    logged = log.read_text()
    assert logged.endswith(
        "frontrow: FRONTROW_CURRENCY: this installation sells in KRW, not in USD\n"
    )
    assert "Pages" not in logged
    assert "Traceback" not in logged


def test_named_database_needs_no_embedded_one(folder: Path, port: int, log: Path) -> None:
    """With a URL no embedded server is started; a wrong URL gives one line and exit code 3."""
    with served(folder, port, log) as command:
        url = str(command.get()["database_url"])
        with socket.create_server(("127.0.0.1", 0)) as listening:
            other = listening.getsockname()[1]
        with served(folder, other, log, FRONTROW_DATABASE_URL=url) as second:
            assert json.dumps(second.get()["database_url"]) == json.dumps(url)
            assert second.end() == 0
        assert command.answers()
    bad = url.replace("@", "x@")
    failed = Command(
        folder, port, 1, log, FRONTROW_DATABASE_URL=bad, FRONTROW_CONNECT_TIMEOUT_SECONDS="0.3"
    )
    assert failed.process.wait(PATIENCE_SECONDS) == 3
    last = log.read_text().splitlines()[-1]
    assert last.startswith("frontrow: nothing answers at")
