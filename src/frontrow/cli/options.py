"""Shared by the commands: options with variables, one-line errors, a progress bar."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar

import asyncpg
import click
import structlog
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from frontrow import logs
from frontrow.__main__ import INTERRUPTED
from frontrow.cli import environment, process
from frontrow.cli.process import FAILED
from frontrow.cli.setting_errors import describe
from frontrow.errors import SetupError
from frontrow.settings import Settings

VIOLATION = 1
USAGE = 2
NOT_DRAWN = 4
BUG = 70

_REMOVED = "frontrow.removed_variables"

log = structlog.get_logger()
Command = TypeVar("Command", bound=Callable[..., Any])


class Failure(click.ClickException):
    """An error that is reported in one line, with its own exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        # click declares it for the class; here each instance has its own.
        vars(self)["exit_code"] = exit_code

    def show(self, file: IO[str] | None = None) -> None:
        """Prints the line."""
        click.echo(f"frontrow: {self.message}", file=file, err=file is None)


class Frontrow(click.Group):
    """The group of commands: each ends with a documented exit code.

    Errors that an operator can fix are one line without a traceback.
    """

    def main(self, *arguments: Any, **named: Any) -> NoReturn:  # noqa: ANN401 - those of click
        """Runs the command, and ends the process."""
        with process.ending_signals():
            sys.exit(self._exit_code(*arguments, **named))

    def _exit_code(self, *arguments: Any, **named: Any) -> int:  # noqa: ANN401 - those of click
        try:
            try:
                code = super().main(*arguments, **{**named, "standalone_mode": False})
            except SystemExit as end:
                code = end.code
            sys.stdout.flush()
        except process.OutputError as error:
            return _report(Failure(str(error), error.exit_code), silent=error.silent)
        except click.ClickException as error:
            return _report(error)
        except (click.Abort, KeyboardInterrupt):
            return INTERRUPTED
        except Exception:
            log.exception("the command failed")
            return BUG
        return code if isinstance(code, int) else 0

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command."""
        ctx.meta[_REMOVED] = environment.clean()
        try:
            return super().invoke(ctx)
        except process.OutputError:
            raise
        except SetupError as error:
            raise Failure(str(error), error.exit_code) from None
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Failure(f"the database failed: {_one_line(error)}", FAILED) from None
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            raise Failure(f"{(error.strerror or str(error)).lower()}{where}", FAILED) from None


def _report(error: click.ClickException, *, silent: bool = False) -> int:
    """Prints an error; returns its exit code."""
    if not silent:
        with contextlib.suppress(OSError):
            error.show()
    return error.exit_code


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def confirm(question: str) -> None:
    """Asks a question on standard error, and ends the command unless the answer is yes."""
    try:
        confirmed = click.confirm(question, err=True)
    except click.Abort:
        click.echo(err=True)
        confirmed = False
    if not confirmed:
        raise Failure("not confirmed: nothing was changed", INTERRUPTED)


def option(
    name: str,
    help_text: str,
    kind: "click.ParamType[Any] | None" = None,
    metavar: str | None = None,
) -> Callable[[Command], Command]:
    """Returns the decorator of an option that can also be given as its variable ``FRONTROW_…``."""
    return click.option(
        name,
        type=kind,
        metavar=metavar,
        envvar=f"FRONTROW_{name.removeprefix('--').replace('-', '_').upper()}",
        show_envvar=True,
        help=help_text,
    )


def database_options(command: Command) -> Command:
    """Adds the two options that select the database."""
    by_url = option(
        "--database-url",
        "A PostgreSQL (15 or newer) to use instead of the embedded one: "
        "postgresql://user:password@host/database. Several hosts may be named.",
        metavar="URL",
    )
    by_folder = option(
        "--data-dir",
        "Directory of the embedded database and the operator key "
        "[default: /var/lib/frontrow for root, the user's data folder otherwise].",
        kind=click.Path(path_type=Path),
        metavar="DIR",
    )
    return by_folder(by_url(command))


def settings_from(**given: object) -> Settings:
    """Returns the settings: options take precedence over the environment, that over defaults.

    Configures the log by them, and warns of variables that have no effect.

    Raises:
        Failure: a setting is invalid.
    """
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    try:
        settings = Settings(**chosen)
    except ValidationError as error:
        raise Failure("; ".join(describe(error)), USAGE) from None
    logs.configure(settings.log_format, settings.log_level)
    context = click.get_current_context()
    for name, nearest in environment.unknown(context.find_root().command):
        log.warning("a variable is unknown", variable=name, nearest=nearest)
    removed = context.meta.get(_REMOVED)
    if settings.database_url is not None and removed:
        log.warning("variables of PostgreSQL are ignored", variables=removed)
    return settings


@contextlib.contextmanager
def logged_as_json(settings: Settings) -> Iterator[None]:
    """Reports the error of a server in its log, where that is one JSON object per line."""
    try:
        yield
    except SetupError as error:
        if settings.log_format != "json":
            raise
        log.error(str(error))  # noqa: TRY400 - a traceback would add nothing
        raise SystemExit(error.exit_code) from None


@contextlib.contextmanager
def progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Shows a progress bar on a terminal. Yields the function that updates it (done, total)."""
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
