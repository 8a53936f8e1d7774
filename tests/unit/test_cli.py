"""The command's options, help, output and exit codes; its effects are tested elsewhere."""

import contextlib
import json
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from uuid import UUID

import asyncpg
import click
import pytest
from click.testing import CliRunner, Result

from frontrow import verification
from frontrow.cli import launch
from frontrow.cli import main as cli
from frontrow.errors import SetupError
from frontrow.settings import Settings


@dataclass
class Finding:
    """A finding of an audit, with the members of the real one."""

    invariant: str
    checked: int
    violations: int
    examples: list[str]


def run(*arguments: str, **environment: str) -> Result:
    """Runs the command in this process."""
    return CliRunner().invoke(cli.main, arguments, env=environment)


def test_version_is_that_of_the_package() -> None:
    """The version is that of the package."""
    assert run("--version").output == "frontrow 0.1.0\n"


def test_help_names_every_command_and_variable() -> None:
    """Each command has a help text, and each option of serve names its variable."""
    for command in (
        "serve",
        "migrate",
        "audit",
        "prune",
        "cancel-show",
        "users",
        "verify-draw",
        "openapi",
        "mock",
        "backup",
        "restore",
        "keys",
    ):
        assert command in run("--help").output
        assert run(command, "-h").exit_code == 0
    said = " ".join(run("serve", "--help").output.split())
    for name in ("HOST", "PORT", "WORKERS", "DATABASE_URL", "DATA_DIR", "DEMO", "LOG_FORMAT"):
        assert f"env var: FRONTROW_{name}" in said
    assert "frontrow serve --demo" in said


def test_variables_of_options_are_settings() -> None:
    """An option sets the setting of the same name, so its variable means the same everywhere."""
    command = cli.main.commands["serve"]
    options = {
        parameter.name for parameter in command.params if isinstance(parameter, click.Option)
    }
    assert options - {"demo", "help"} <= set(Settings.model_fields)


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--port", "70000"], {}),
        (["--port", "http"], {}),
        (["--workers", "0"], {}),
        (["--log-format", "xml"], {}),
        (["--nonsense"], {}),
        ([], {"FRONTROW_PORT": "http"}),
    ],
)
def test_bad_option_is_a_usage_error(arguments: list[str], environment: dict[str, str]) -> None:
    """A wrong value prints the usage and exits with 2."""
    result = run("serve", *arguments, **environment)
    assert result.exit_code == cli.USAGE
    assert "Usage: " in result.stderr


def test_bad_variable_is_one_line() -> None:
    """A variable without an option is named with the allowed and the given value."""
    result = run("serve", FRONTROW_BATCH_ITEMS="many", FRONTROW_OPERATOR_KEY="short")
    assert result.exit_code == cli.USAGE
    assert result.stderr == (
        "frontrow: FRONTROW_OPERATOR_KEY: it must be at least 16 characters; "
        "FRONTROW_BATCH_ITEMS: it must be a whole number of at least 1, not many\n"
    )


def test_busy_port_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The port is checked before anything starts; the line names it."""
    monkeypatch.setattr(launch, "PORT_PATIENCE_SECONDS", 0)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        result = run("serve", "--port", str(port), "--data-dir", str(tmp_path / "d"))
    assert result.exit_code == 3
    assert result.stderr == (
        f"frontrow: port {port} is busy: another program listens on 127.0.0.1:{port}\n"
    )
    assert not (tmp_path / "d").exists()


def test_error_of_a_server_with_json_logs_is_json() -> None:
    """The usual line would be none of its objects."""
    result = run("serve", "--host", "nowhere.invalid", "--log-format", "json")
    assert result.exit_code == 3
    assert result.stdout == ""
    event = json.loads(result.stderr)
    assert event["level"] == "error"
    assert event["event"].startswith("can't listen on nowhere.invalid:8000: ")


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_impossible_address_is_one_line(host: str) -> None:
    """An address that this machine does not have is refused in one line."""
    result = run("serve", "--host", host)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"frontrow: can't listen on {host}:8000: ")
    assert result.stderr.count("\n") == 1


def test_port_that_comes_free_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of a killed server keep the port for a moment."""
    with contextlib.ExitStack() as stack:
        busy = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        monkeypatch.setattr("frontrow.cli.launch.time.sleep", lambda _seconds: busy.close())
        listening = stack.enter_context(launch.listen(Settings(port=busy.getsockname()[1])))
        assert listening.getsockname()[0] == "127.0.0.1"


def test_audit_without_a_database_is_one_line(tmp_path: Path) -> None:
    """Before the first start there is no database to audit."""
    result = run("audit", "--data-dir", str(tmp_path))
    assert result.exit_code == 3
    assert result.stderr == (
        f"frontrow: there is no database in {tmp_path}: start frontrow serve first\n"
    )


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **members: object) -> None:
    """Replaces a module."""
    module = ModuleType(name)
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize(("violations", "exit_code"), [(0, 0), (2, 1)])
def test_audit_reports_each_invariant(
    monkeypatch: pytest.MonkeyPatch, violations: int, exit_code: int
) -> None:
    """Every invariant is a row with its counts; a violation exits with 1."""

    async def audited(url: str) -> Sequence[Finding]:
        assert url == "the database"
        return [
            Finding("a seat is sold once", 1234, 0, []),
            Finding("money adds up", 7, violations, ["wallet 1", "wallet 2"][:violations]),
        ]

    @contextlib.contextmanager
    def live(_settings: Settings) -> Iterator[str]:
        yield "the database"

    monkeypatch.setattr(launch, "live_database", live)
    stand_in(monkeypatch, "frontrow.audit", run=audited)
    result = run("audit")
    assert result.exit_code == exit_code
    assert "1,234" in result.output
    assert ("wallet 1, wallet 2" in result.output) == bool(violations)
    assert f"{bool(violations):d} of 2 invariants violated" in result.output


def test_openapi_prints_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """The document is JSON."""
    stand_in(
        monkeypatch,
        "frontrow.web.routes",
        document=lambda: {"openapi": "3.1.0", "x": "₩"},
    )
    assert json.loads(run("openapi").output) == {"openapi": "3.1.0", "x": "₩"}


CONCERT = "6a1b2c3d-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("arguments", "days", "says"),
    [
        ([], 90, "deleted what ended more than 90 days ago"),
        (["--older-than-days", "30"], 30, "deleted what ended more than 30 days ago"),
        (["--dry-run"], 90, "would delete what ended more than 90 days ago"),
    ],
)
def test_prune_reports_what_it_deletes(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], days: int, says: str
) -> None:
    """Prints what is (or would be) deleted; the age defaults to the retention."""
    asked: list[tuple[str, int, bool]] = []

    async def prune(
        url: str, *, older_than_days: int, dry_run: bool, progress: Callable[[int, int], None]
    ) -> tuple[int, int, int]:
        asked.append((url, older_than_days, dry_run))
        progress(1, 2)
        return 1_234, 56, 7

    monkeypatch.setattr(
        launch, "live_database", lambda _settings: contextlib.nullcontext("postgresql://here/f")
    )
    stand_in(monkeypatch, "frontrow.retention.pruning", prune=prune)
    result = run("prune", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    first, *counts = result.stdout.splitlines()
    assert first == says
    assert [line.split()[-1] for line in counts] == ["1,234", "56", "7"]
    assert asked == [("postgresql://here/f", days, "--dry-run" in arguments)]


def test_prune_keeps_everything() -> None:
    """Without a retention the database is not read."""
    result = run("prune", FRONTROW_RETENTION_DAYS="0")
    assert (result.exit_code, result.stdout) == (
        0,
        "FRONTROW_RETENTION_DAYS is 0: nothing is deleted\n",
    )


@pytest.mark.parametrize("days", ["0", "-1", "36501", "many", "1.5"])
def test_prune_refuses_an_age_below_one_day(days: str) -> None:
    """The minimum is one day."""
    assert run("prune", "--older-than-days", days).exit_code == cli.USAGE
    assert run("prune", FRONTROW_RETENTION_DAYS="-1").exit_code == cli.USAGE


DRAW = f"http://tickets.example/api/v1/concerts/{CONCERT}"
NOTED = "66687aad" * 8


@dataclass
class DrawReport:
    """A verification's report, with the members of the real one."""

    drawn: bool = True
    failed: int = 0

    def lines(self) -> list[str]:
        """Two lines."""
        return ["a draw", f"{self.failed} failed"]


@pytest.mark.parametrize(
    ("report", "exit_code"),
    [
        (DrawReport(), 0),
        (DrawReport(failed=2), 1),
        (DrawReport(drawn=False), 4),
        (DrawReport(drawn=False, failed=1), 1),
    ],
)
def test_verify_draw_reports_the_result(
    monkeypatch: pytest.MonkeyPatch, report: DrawReport, exit_code: int
) -> None:
    """The report goes to standard output; a failed check exits with 1, a draw to come with 4."""
    seen: list[tuple[str, str, str | None, object]] = []

    def verify(
        address: str,
        concert_id: UUID,
        *,
        commitment: str | None,
        own: object,
        fetched: Callable[[int, int], None],
    ) -> DrawReport:
        fetched(1, 2)
        seen.append((address, str(concert_id), commitment, own))
        return report

    monkeypatch.setattr(verification, "verify", verify)
    result = run("verify-draw", DRAW, "--commitment", f" {NOTED.upper()} ")
    assert (result.exit_code, result.stderr) == (exit_code, "")
    assert result.stdout == f"a draw\n{report.failed} failed\n"
    assert run("verify-draw", DRAW, FRONTROW_COMMITMENT=NOTED).exit_code == exit_code
    assert run("verify-draw", f"{DRAW}/queue").exit_code == exit_code
    address = f"{DRAW}/queue/draw"
    noted = (address, CONCERT, NOTED, None)
    assert seen == [noted, noted, (address, CONCERT, None, None)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Missing argument 'URL'"),
        (["tickets.example"], "Invalid value for URL: it must begin with http"),
        (["http://tickets.example/"], "Invalid value for URL: it must end in /concerts/ID"),
        ([DRAW, "--commitment", "66687aad"], "it must be 64 hexadecimal digits"),
        ([DRAW, "--commitment", NOTED[:-1] + "g"], "it must be 64 hexadecimal digits"),
        ([DRAW, "--token", "e30.e30.e30"], "Invalid value for --token: it is not a queue token"),
    ],
)
def test_verify_draw_with_wrong_arguments_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    """Prints the usage, exits with 2 and fetches nothing."""
    monkeypatch.delattr(verification, "verify")
    result = run("verify-draw", *arguments)
    assert result.exit_code == cli.USAGE
    assert "Usage: " in result.stderr
    assert says in result.stderr


def test_verify_draw_of_a_server_that_is_down() -> None:
    """One line; exits with 3."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = f"http://127.0.0.1:{gone.getsockname()[1]}"
    result = run("verify-draw", f"{address}/concerts/{CONCERT}")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(
        f"frontrow: can't fetch {address}/concerts/{CONCERT}/queue/draw: "
    )
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("applied", "said"),
    [
        ([], "the database is up to date\n"),
        (["0001_a", "0002_b"], "applied 0001_a\napplied 0002_b\n"),
    ],
)
def test_migrate_reports_the_applied_migrations(
    monkeypatch: pytest.MonkeyPatch, applied: list[str], said: str
) -> None:
    """Prints the names of the applied migrations, or that there were none."""
    monkeypatch.setattr(launch, "migrate_database", lambda _settings: applied)
    assert run("migrate").stdout == said


@pytest.mark.parametrize(
    ("error", "exit_code", "line"),
    [
        (SetupError("no", exit_code=7), 7, "frontrow: no\n"),
        (KeyboardInterrupt(), 130, ""),
        (OSError(28, "No space left on device", "x"), 3, "frontrow: no space left on device: x\n"),
        (
            asyncpg.ConnectionDoesNotExistError("closed\nin the middle"),
            3,
            "frontrow: the database failed: closed in the middle\n",
        ),
    ],
)
def test_error_is_one_line_with_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, exit_code: int, line: str
) -> None:
    """None has the code of a violation or a traceback; Ctrl-C prints nothing."""

    def fail(_settings: Settings) -> list[str]:
        raise error

    monkeypatch.setattr(launch, "migrate_database", fail)
    result = run("migrate")
    assert (result.exit_code, result.output) == (exit_code, line)


def test_bug_has_an_exit_code_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The traceback is in the log; the code isn't that of a violation."""
    monkeypatch.setattr(launch, "migrate_database", lambda _settings: 1 / 0)
    result = run("migrate")
    assert result.exit_code == 70
    assert "the command failed" in result.stderr
    assert "ZeroDivisionError" in result.stderr


def test_options_override_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option overrides its variable, a variable overrides the default."""
    seen: list[Settings] = []
    monkeypatch.setattr(launch, "serve", lambda settings, **_: seen.append(settings))
    run("serve", "--port", "1", FRONTROW_PORT="2", FRONTROW_WORKERS="3", FRONTROW_DRAIN_SECONDS="4")
    assert (seen[0].port, seen[0].workers, seen[0].drain_seconds) == (1, 3, 4)
    assert seen[0].host == "127.0.0.1"
