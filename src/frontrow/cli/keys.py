"""The commands about signing keys: ``frontrow keys`` and ``frontrow tickets public-key``."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import click
import msgspec

from frontrow.cli import launch
from frontrow.cli.options import USAGE, Failure, database_options, settings_from
from frontrow.cli.tickets import tickets
from frontrow.errors import KeyInUse, NotFound


@click.group()
def keys() -> None:
    """List, rotate and retire the signing keys of queue tokens, tickets and challenges.

    These commands also work beside a running server with the same database options.
    """


@keys.command("list")
@database_options
def list_keys(**given: object) -> None:
    """List all keys without their secrets."""
    _print_keys(_rotate(given, lambda rotation, database: rotation.key_states(database)))


@keys.command("rotate")
@click.option(
    "--purpose",
    type=click.Choice(["token", "ticket", "challenge"]),
    default="token",
    show_default=True,
    help="What the new key will sign.",
)
@database_options
def rotate_key(purpose: str, **given: object) -> None:
    """Add a key that starts to sign after a few seconds, when every process has read it.

    Signatures of the previous key stay valid until it is retired.
    """
    key, _ = _rotate(given, lambda rotation, database: rotation.rotate_key(database, purpose))
    _print_keys([key])


@keys.command("retire")
@click.argument("key_id")
@database_options
def retire_key(key_id: str, **given: object) -> None:
    """Retire a key: within a second its signatures are refused."""
    try:
        _rotate(given, lambda rotation, database: rotation.retire_key(database, key_id))
    except NotFound:
        raise Failure(f"there is no key {key_id}", USAGE) from None
    except KeyInUse as error:
        raise Failure(f"{key_id}: {error.detail}", USAGE) from None


def _rotate(given: Mapping[str, object], do: Callable[[Any, Any], Awaitable[Any]]) -> Any:  # noqa: ANN401 - what it does
    """Runs a function of ``frontrow.rotation`` on the live database."""
    settings = settings_from(**given)
    with launch.live_connections(settings) as run:
        return run(partial(do, import_module("frontrow.rotation")))


def _print_keys(states: Sequence[Any]) -> None:
    for state in states:
        since = state.retired_at or state.signs_at
        click.echo(f"{state.key_id}  {state.purpose:<9}  {state.state:<8}  {since:%FT%TZ}")


@tickets.command("public-key")
@click.option("--jwks", is_flag=True, help="Print a JWK set instead of PEM.")
@database_options
def public_key(jwks: bool, **given: object) -> None:
    """Print the public keys of genuine tickets.

    In this order: previous keys that aren't retired, the signing key, and a coming one. Print them
    again after each rotation.

    \b
    Examples:
      frontrow tickets public-key > keys.pem
      frontrow tickets public-key --jwks --data-dir /srv/frontrow > keys.json
    """  # noqa: D301 - click reads the character \b
    found = _rotate(given, lambda rotation, database: rotation.ticket_keys(database))
    forms = import_module("frontrow.payments.ticket_keys")
    if jwks:
        click.echo(msgspec.json.encode(forms.jwks(found)))
    else:
        click.echo("".join(map(forms.pem, found)), nl=False)
