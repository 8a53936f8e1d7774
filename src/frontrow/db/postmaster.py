"""One PostgreSQL process: waits for its start, ends it, and recognises it by its pid."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from frontrow.db.data_directory import DataDirectory
from frontrow.errors import SetupError

# Fast shutdown first; then immediate, from which the next start recovers; then SIGKILL.
ENDINGS = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))
POLL_SECONDS = 0.02
REPORT_SECONDS = 5.0

log = structlog.get_logger()


@dataclass(frozen=True)
class PidFile:
    """The file that a postmaster writes into its data directory."""

    pid: int
    socket_folder: str
    status: str

    @classmethod
    def read(cls, directory: DataDirectory) -> "PidFile | None":
        """Returns the file of ``directory``; None if it is missing or incomplete."""
        try:
            lines = (directory.database / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None
        try:
            return cls(int(lines[0]), lines[4].strip(), lines[7].strip() if len(lines) > 7 else "")  # noqa: PLR2004 - its line numbers are PostgreSQL's
        except (IndexError, ValueError):
            return None


class Died(Exception):
    """PostgreSQL ended while it was starting; ``reason`` is from its log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def passes(self) -> bool:
        """Whether a retry can help: processes of a killed predecessor are still ending."""
        return "shared memory block" in self.reason


def wait_ready(
    process: subprocess.Popen[bytes],
    directory: DataDirectory,
    log_offset: int,
    stopping: Callable[[], bool],
) -> None:
    """Waits until ``process`` takes connections, however long crash recovery takes.

    Raises Died when it ends instead. Returns early when ``stopping`` returns true.
    """
    started = reported = time.monotonic()
    while not stopping():
        if process.poll() is not None:
            raise Died(_last_word(directory, log_offset))
        written = PidFile.read(directory)
        if written is not None and written.pid == process.pid and written.status == "ready":
            return
        if time.monotonic() - reported >= REPORT_SECONDS:
            reported = time.monotonic()
            log.info(
                "PostgreSQL is still starting, recovering after a crash perhaps",
                seconds=round(reported - started),
                pid=process.pid,
            )
        time.sleep(POLL_SECONDS)


def _last_word(directory: DataDirectory, log_offset: int) -> str:
    """Returns the first FATAL or PANIC in the log since ``log_offset``, else its last line."""
    with directory.log_file.open("rb") as file:
        file.seek(log_offset)
        lines = file.read().decode(errors="replace").splitlines()
    for line in lines:
        for mark in ("FATAL:", "PANIC:"):
            if mark in line:
                return line.partition(mark)[2].strip()
    return lines[-1].strip() if lines else "no output"


def end(process: subprocess.Popen[bytes]) -> None:
    """Shuts down our postmaster and waits until it has ended."""
    for number, seconds in ENDINGS:
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            log.warning("PostgreSQL doesn't stop", pid=process.pid, signal=number.name)
        else:
            return


def end_stale(directory: DataDirectory) -> None:
    """Shuts down the postmaster of a killed server, or removes the file of a dead one.

    Called with the directory locked: a postmaster that runs there has no server any more.
    """
    written = PidFile.read(directory)
    if written is None:
        return
    if not _is_postmaster(written.pid, directory):
        # PostgreSQL refuses to start while another process has the old pid. Its own check of the
        # shared memory still keeps two servers apart.
        (directory.database / "postmaster.pid").unlink(missing_ok=True)
        return
    log.warning("taking over from a frontrow that was killed", postgres_pid=written.pid)
    for number, seconds in ENDINGS:
        with contextlib.suppress(ProcessLookupError):
            os.kill(written.pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _is_postmaster(written.pid, directory):
                return
            time.sleep(POLL_SECONDS)
    msg = f"PostgreSQL (pid {written.pid}) still runs in {directory.path} and can't be stopped"
    raise SetupError(msg)


def _is_postmaster(pid: int, directory: DataDirectory) -> bool:
    """Returns whether ``pid`` runs and is the PostgreSQL of this directory."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # Another account's process: it can't be the postmaster of our own files.
        return False
    arguments = _command_line(pid)
    if not arguments or not arguments[0].endswith("postgres"):
        return False
    return str(directory.database) in arguments or _links_to(
        Path(f"/proc/{pid}/cwd"), directory.database
    )


def _command_line(pid: int) -> list[str]:
    """Returns the arguments of a process; none for one that has ended."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").rstrip("\0").split("\0")
        except OSError:
            return []
    said = subprocess.run(  # noqa: S603 - a list without a shell
        ["ps", "-ww", "-o", "args=", "-p", str(pid)],  # noqa: S607 - wherever there is no /proc
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.split()


def _links_to(link: Path, folder: Path) -> bool:
    try:
        return link.samefile(folder)
    except OSError:
        return False
