"""Full and closed outputs, and impatient signals: one line, and the documented exit code."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from testkit.database import Database
from testkit.server import FRONTROW, PATIENCE_SECONDS, plain_environment, scratch, until

FULL = "/dev/full"
NO_SPACE = "frontrow: can't write the output: no space left on device\n"


def run(*arguments: str, out: str, err: str | None = None, **variables: str) -> tuple[int, str]:
    """Runs a command with its outputs in these files; returns its exit code, and its errors."""
    with Path(out).open("wb") as output, Path(err or os.devnull).open("wb") as errors:
        done = subprocess.run(
            [FRONTROW, *arguments],
            stdout=output,
            stderr=errors if err else subprocess.PIPE,
            text=True,
            check=False,
            env=plain_environment(**variables),
            timeout=PATIENCE_SECONDS,
        )
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", ["audit", "keys rotate", "prune --dry-run"])
def test_full_output_of_a_command_on_a_database(database: Database, command: str) -> None:
    """The audit found no violation, so its exit code isn't that of one."""
    done = run(*command.split(), out=FULL, FRONTROW_DATABASE_URL=database.app_url)
    assert done == (3, NO_SPACE)


@pytest.mark.parametrize("command", ["openapi", "--help", "serve --help", "--version"])
def test_full_output_of_other_commands(command: str) -> None:
    """Long and short texts, also those that the library prints."""
    assert run(*command.split(), out=FULL) == (3, NO_SPACE)


def test_full_error_output_keeps_the_exit_code() -> None:
    """The line is lost, since there is no other place for it."""
    assert run("nonsense", out=os.devnull, err=FULL)[0] == 2
    assert run("audit", "--data-dir=/nowhere/at/all", out=FULL, err=FULL)[0] == 3


def test_reader_that_has_seen_enough_ends_the_command_silently() -> None:
    """As any program of a shell's pipeline: exit code 141, and no line."""
    with subprocess.Popen(
        [FRONTROW, "openapi"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(PATIENCE_SECONDS) == 141


def loaded(process: "subprocess.Popen[str]", library: str) -> Callable[[], bool]:
    """Returns whether a process has loaded a library."""
    return lambda: library in Path(f"/proc/{process.pid}/maps").read_text()


@pytest.mark.parametrize("moment", ["imports", "database"])
def test_two_interrupts_end_a_command_silently(moment: str) -> None:
    """Ctrl-C twice, early and while PostgreSQL starts: no traceback, and no PostgreSQL is left."""
    with scratch() as folder:
        data = folder / "data"
        process = subprocess.Popen(
            [FRONTROW, "migrate", f"--data-dir={data}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=plain_environment(FRONTROW_LOG_LEVEL="error"),
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
        try:
            if moment == "imports":
                until(loaded(process, "_pydantic_core"))
            else:
                until((data / "socket" / ".s.PGSQL.5432").exists)
            for _ in range(2):
                os.killpg(process.pid, signal.SIGINT)
            printed = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
        assert (process.returncode, printed) == (130, ("", ""))
        assert not (data / "database" / "postmaster.pid").exists()
