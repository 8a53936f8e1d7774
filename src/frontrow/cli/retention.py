"""The commands about stored data: ``frontrow prune`` and ``frontrow users``."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import click

from frontrow.cli import launch
from frontrow.cli.options import (
    USAGE,
    Failure,
    confirm,
    database_options,
    progress,
    settings_from,
)
from frontrow.errors import BalanceRemains, NotFound
from frontrow.settings import Settings

_READER_SECONDS = 300.0


@click.command()
@click.option(
    "--older-than-days",
    type=click.IntRange(1, 36_500),
    metavar="DAYS",
    help="Age in days of the data to delete [default: FRONTROW_RETENTION_DAYS].",
)
@click.option("--dry-run", is_flag=True, help="Count only, delete nothing.")
@database_options
def prune(older_than_days: int | None, dry_run: bool, **given: object) -> None:
    """Delete finished places, unpaid reservations and revoked user keys older than the retention.

    Transfers, payments, tickets and paid reservations are always kept. The command may run beside
    a server; after an interruption run it again.

    \b
    Examples:
      frontrow prune --dry-run
      frontrow prune --older-than-days 30
    """  # noqa: D301 - click reads the character \b
    settings = settings_from(**given)
    days = older_than_days or settings.retention_days
    if days == 0:
        click.echo("FRONTROW_RETENTION_DAYS is 0: nothing is deleted")
        return
    pruning = import_module("frontrow.retention.pruning")
    with launch.live_database(settings) as url, progress("deleted") as update:
        work = pruning.prune(url, older_than_days=days, dry_run=dry_run, progress=update)
        places, reservations, keys = asyncio.run(work)
    did = "would delete" if dry_run else "deleted"
    click.echo(f"{did} what ended more than {days} days ago")
    click.echo(f"places                {places:>12,}")
    click.echo(f"unpaid reservations   {reservations:>12,}")
    click.echo(f"revoked user keys     {keys:>12,}")


@click.group()
def users() -> None:
    """Export and erase the data of a user.

    These commands also work beside a running server with the same database options.
    """


@users.command()
@click.argument("user_id", type=click.UUID)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="New file to write [default: standard output].",
)
@database_options
def export(user_id: UUID, output: Path | None, **given: object) -> None:
    """Export all data of a user as JSON."""
    settings = settings_from(**given)
    pages = import_module("frontrow.retention.export").export_pages

    async def write(database: Any, file: IO[bytes]) -> None:  # noqa: ANN401 - asyncpg's
        async for page in pages(database, user_id, reader_seconds=_READER_SECONDS):
            file.write(page)
        file.write(b"\n")

    if output is None:
        with _database(settings, user_id) as run:
            run(lambda database: write(database, sys.stdout.buffer))
        return
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Failure(f"{output}: {(error.strerror or str(error)).lower()}", USAGE) from None
    try:
        with os.fdopen(descriptor, "wb") as file, _database(settings, user_id) as run:
            run(lambda database: write(database, file))
    except BaseException:
        output.unlink()
        raise
    click.echo(f"wrote {output}", err=True)


@users.command()
@click.argument("user_id", type=click.UUID)
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
@click.option("--force", is_flag=True, help="Erase even with a balance, which stays in the ledger.")
@database_options
def erase(user_id: UUID, yes: bool, force: bool, **given: object) -> None:
    """Erase a user's credentials, places and holds. It can't be undone.

    Transfers, payments and tickets are kept under the user's id. After an interruption run it
    again.
    """
    settings = settings_from(**given)
    erasure = import_module("frontrow.retention.erasure")

    async def complete(database: Any) -> bool:  # noqa: ANN401 - asyncpg's
        await erasure.erase(database, user_id, force=force)
        return bool(await erasure.unlink_now(database, user_id))

    try:
        with _database(settings, user_id) as run:
            run(lambda database: erasure.check_erasable(database, user_id, force=force))
            if not yes:
                confirm(f"Erase user {user_id}? It can't be undone.")
            unlinked = run(complete)
    except BalanceRemains as error:
        left = f"{error.fields['balance']:,} {settings.currency}"
        raise Failure(
            f"{user_id} has a balance of {left}: pay it out first, or add --force", USAGE
        ) from None
    click.echo(f"erased {user_id}")
    if not unlinked:
        click.echo("a place has not ended yet; a running server finishes the erasure", err=True)


@contextlib.contextmanager
def _database(
    settings: Settings, user_id: UUID
) -> Iterator[Callable[[Callable[[Any], Awaitable[Any]]], Any]]:
    """Yields ``launch.live_connections`` for actions on a user, who may not exist."""
    with launch.live_connections(settings) as run:
        try:
            yield run
        except NotFound:
            raise Failure(f"there is no user {user_id}", USAGE) from None
