"""The command ``frontrow``: its options, what it prints and its exit codes.

Exit codes: 0 success, 1 the audit found a violation or a draw is wrong, 2 an invalid option or
variable (``WrongUse`` too), 3 the server can't start, the database, a file or the output is
unusable, or a draw can't be fetched (``SetupError``), 4 the line has not been drawn yet, 70 a bug,
130 interrupted, 141 the reader of the output has ended. ``launch`` starts the server.
"""

import asyncio
import json
import re
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Protocol
from uuid import UUID

import click
from rich.console import Console
from rich.table import Table

from frontrow.__main__ import INTERRUPTED
from frontrow.cli import banner, launch
from frontrow.cli import retention as retention_commands
from frontrow.cli.keys import keys
from frontrow.cli.options import (
    NOT_DRAWN,
    USAGE,
    VIOLATION,
    Frontrow,
    confirm,
    database_options,
    logged_as_json,
    option,
    progress,
    settings_from,
)
from frontrow.cli.tickets import tickets
from frontrow.errors import DomainError

__all__ = ["INTERRUPTED", "USAGE", "main"]


class Finding(Protocol):
    """The result of one invariant in ``frontrow.audit``."""

    invariant: str
    checked: int
    violations: int
    examples: list[str]


class DrawReport(Protocol):
    """The result of ``frontrow.verification``."""

    drawn: bool
    failed: int

    def lines(self) -> Sequence[str]:
        """Returns the lines of the report."""


class Commitment(click.ParamType[str]):
    """A SHA-256 digest in hexadecimal, any case."""

    name = "HEX"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Returns the digest in lower case."""
        digest = value.strip().lower()
        if not re.fullmatch("[0-9a-f]{64}", digest):
            self.fail("it must be 64 hexadecimal digits", param, ctx)
        return digest


@click.group(cls=Frontrow, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="frontrow", message="frontrow %(version)s")
def main() -> None:
    """A booking server for concerts: a fair line, seats sold once, money that adds up.

    Every option can also be given as the variable in its help. Start with `frontrow serve`.
    """


main.add_command(keys)
main.add_command(tickets)
main.add_command(retention_commands.prune)
main.add_command(retention_commands.users)


@main.command()
@option("--host", "Address to listen on [default: 127.0.0.1].", metavar="ADDRESS")
@option(
    "--port", "Port to listen on; 0 takes a free one [default: 8000].", click.IntRange(0, 65535)
)
@option("--workers", "Worker processes that share the port [default: 1].", click.IntRange(1))
@database_options
@click.option(
    "--demo",
    is_flag=True,
    envvar="FRONTROW_DEMO",
    show_envvar=True,
    help="Create three demo concerts, unless they exist.",
)
@option(
    "--log-format",
    "Format of log lines [default: console].",
    click.Choice(["console", "json"]),
)
def serve(demo: bool, **given: object) -> None:
    """Start the server, with an embedded PostgreSQL unless a database is given.

    \b
    Examples:
      frontrow serve --demo
      frontrow serve --host 0.0.0.0 --port 80 --workers 4
      frontrow serve --database-url postgresql://frontrow:secret@db1,db2/frontrow?target_session_attrs=primary

    On Ctrl-C or SIGTERM running calls finish, then everything stops, the database last.
    """  # noqa: D301 - click reads the character \b
    settings = settings_from(**given)
    with logged_as_json(settings):
        launch.serve(settings, demo=demo, announce=partial(banner.announce, settings.log_format))


@main.command()
@database_options
def migrate(**given: object) -> None:
    """Migrate the database, as `frontrow serve` does when it starts.

    \b
    Example, with a role that may change the schema:
      FRONTROW_MIGRATION_DATABASE_URL=postgresql://owner:secret@db/frontrow \\
        frontrow migrate --database-url postgresql://frontrow:secret@db/frontrow
    """  # noqa: D301 - click reads the character \b
    settings = settings_from(**given)
    applied = launch.migrate_database(settings)
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("the database is up to date")


@main.command()
@database_options
def audit(**given: object) -> None:
    """Check every invariant on a live database; exit with 1 if one is violated.

    \b
    Beside a running server, found by the same option:
      frontrow audit
      frontrow audit --data-dir /srv/frontrow
    """  # noqa: D301 - click reads the character \b
    settings = settings_from(**given)
    with launch.live_database(settings) as url:
        _audit(url)


@main.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@database_options
def backup(file: Path, **given: object) -> None:
    """Write the whole database into FILE, also beside a running server.

    The backup is a consistent snapshot. The file contains secrets, such as the signing keys; only
    you can read it.

    \b
    Examples:
      frontrow backup /var/backups/frontrow-monday.dump
      frontrow backup monday.dump --database-url postgresql://owner:secret@db/frontrow
    """  # noqa: D301 - click reads the character \b
    settings = settings_from(**given)
    with Console(stderr=True).status("writing the backup"):
        size = launch.back_up(settings, file)
    click.echo(f"wrote {file}: {size / 1e6:,.1f} MB")


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@database_options
def restore(file: Path, **given: object) -> None:
    """Restore a backup into an empty database, migrate it and audit it.

    Exits with 1 if an invariant is violated. The database doesn't contain the operator key: set
    FRONTROW_OPERATOR_KEY, or the server creates a new one.

    \b
    Examples:
      frontrow restore monday.dump --data-dir /srv/frontrow-restored
      frontrow restore monday.dump --database-url postgresql://owner:secret@db/empty
    """  # noqa: D301 - click reads the character \b
    settings = settings_from(**given)
    with launch.restored(settings, file) as url:
        click.echo(f"restored {file}")
        _audit(url)


@main.command("cancel-show")
@click.argument("show_id", type=click.UUID)
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
@database_options
def cancel_show(show_id: UUID, yes: bool, **given: object) -> None:
    """Cancel a show: end its sale and refund every payment.

    Also beside a running server with the same database options. After an interruption a running
    server finishes it, or run it again.

    \b
    Example:
      frontrow cancel-show 7c9e6679-7425-40de-944b-e07fc1f90ae7
    """  # noqa: D301 - click reads the character \b
    settings = settings_from(**given)
    cancelling = import_module("frontrow.payments.cancellations")
    with launch.live_database(settings) as url:
        try:
            stake = asyncio.run(cancelling.look(url, show_id))
        except DomainError:
            raise click.BadParameter("there is no such show", param_hint="SHOW_ID") from None
        if not yes and stake.cancelled_at is None:
            click.echo(f"{stake.line()}: {stake.seats_sold:,} seats sold for {stake.revenue:,}")
            confirm("Cancel it and refund everybody?")
        with progress("refunded") as update:
            done = asyncio.run(cancelling.cancel_show(url, show_id, progress=update))
    click.echo(
        f"cancelled: {done.payments_refunded:,} of {done.payments_total:,} payments refunded, "
        f"{done.amount_refunded:,} in total; {done.seats_freed:,} seats"
    )


@main.command("verify-draw")
@click.argument("url")
@option("--commitment", "The draw's commitment as published before the opening.", Commitment())
@option(
    "--token",
    "Your queue token, to find your place in the draw. It is not sent anywhere.",
    metavar="TOKEN",
)
def verify_draw(url: str, commitment: str | None, token: str | None) -> None:
    """Verify a line's draw with the public data of its server.

    URL is that of the draw, of its queue or of its concert. Exits with 1 if a check fails, with 4
    if the line has not been drawn yet.

    \b
    Examples:
      frontrow verify-draw https://tickets.example/api/v1/concerts/ID
      frontrow verify-draw --commitment 66687aadf862… https://tickets.example/api/v1/concerts/ID
    """  # noqa: D301 - click reads the character \b
    verification = import_module("frontrow.verification")
    try:
        address, concert_id = verification.draw_address(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="URL") from None
    try:
        own = None if token is None else verification.read_token(token, concert_id)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--token") from None
    with progress("entries") as update:
        report: DrawReport = verification.verify(
            address, concert_id, commitment=commitment, own=own, fetched=update
        )
    for line in report.lines():
        click.echo(line)
    if report.failed:
        raise SystemExit(VIOLATION)
    if not report.drawn:
        raise SystemExit(NOT_DRAWN)


@main.command()
@option("--host", "Address to listen on [default: 127.0.0.1].", metavar="ADDRESS")
@option(
    "--port", "Port to listen on; 0 takes a free one [default: 8000].", click.IntRange(0, 65535)
)
def mock(**given: object) -> None:
    """Answer every call with the examples of the API document, without a database.

    Requests are checked as by the real server. The header Prefer selects a documented response by
    status or by error code. Pages of any origin may call it.

    \b
    Examples:
      frontrow mock --port 8080
      curl -X POST -H 'Prefer: code=409' http://127.0.0.1:8080/api/v1/reservations
      curl -X POST -H 'Prefer: example=seat_taken' http://127.0.0.1:8080/api/v1/reservations
    """  # noqa: D301 - click reads the character \b
    settings = settings_from(**given)
    with logged_as_json(settings):
        launch.mock(settings, announce=partial(banner.announce_mock, settings.log_format))


@main.command()
def openapi() -> None:
    """Print the OpenAPI document of the HTTP API as JSON."""
    document = import_module("frontrow.web.routes").document()
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


def _audit(url: str) -> None:
    findings: Sequence[Finding] = asyncio.run(import_module("frontrow.audit").run(url))
    _report(findings)
    if any(found.violations for found in findings):
        raise SystemExit(VIOLATION)


def _report(findings: Sequence[Finding]) -> None:
    table = Table()
    table.add_column("invariant")
    table.add_column("checked", justify="right")
    table.add_column("violations", justify="right")
    table.add_column("examples")
    for found in findings:
        style = "bold red" if found.violations else None
        table.add_row(
            found.invariant,
            f"{found.checked:,}",
            f"{found.violations:,}",
            ", ".join(found.examples),
            style=style,
        )
    console = Console()
    console.print(table)
    violated = sum(1 for found in findings if found.violations)
    console.print(f"{violated} of {len(findings)} invariants violated")
