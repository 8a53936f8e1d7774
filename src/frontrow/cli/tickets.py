"""The command ``frontrow tickets verify``: verifies codes without a server or database."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from frontrow.payments.scanned_text import LENGTH, possible_codes, why_unreadable
from frontrow.payments.ticket_code import verify
from frontrow.payments.ticket_keys import read_keys

NOT_GENUINE = 1
_LONGEST_LINE = 4096


@click.group()
def tickets() -> None:
    """Verify ticket codes offline, and print the public keys."""


@tickets.command("verify")
@click.argument("codes", metavar="[CODE]...", nargs=-1)
@click.option(
    "--public-key",
    "files",
    type=click.Path(exists=True, dir_okay=False, allow_dash=False, path_type=Path),
    multiple=True,
    required=True,
    metavar="FILE",
    help="File of accepted keys: PEM, a JWK or a JWK set. May be repeated.",
)
def verify_codes(codes: tuple[str, ...], files: tuple[Path, ...]) -> None:
    """Verify ticket codes offline with the public keys.

    Without CODE, codes are read from standard input, one per line, and each is answered at once.
    Exits with 1 if one of them isn't genuine. Only the server knows whether a ticket is void or has
    been checked in.

    \b
    Examples:
      frontrow tickets public-key > keys.pem
      frontrow tickets verify ASH-Md8sH55NantM… --public-key keys.pem
      scanner | frontrow tickets verify --public-key keys.pem
    """  # noqa: D301 - click reads the character \b
    keys: dict[str, bytes] = {}
    for file in files:
        try:
            keys |= read_keys(file.read_text("utf-8"))
        except (ValueError, OSError) as error:
            raise click.BadParameter(f"{file}: {error}", param_hint="--public-key") from None
    failed = False
    for code in codes or _scanned():
        genuine, said = _judge(code, keys)
        failed |= not genuine
        click.echo(said)
        sys.stdout.flush()
    if failed:
        raise SystemExit(NOT_GENUINE)


def _scanned() -> Iterator[str]:
    """Yields the lines of standard input as they arrive."""
    while line := sys.stdin.buffer.readline(_LONGEST_LINE):
        if code := line.decode(errors="replace").strip():
            yield code


def _judge(text: str, keys: dict[str, bytes]) -> tuple[bool, str]:
    refusals = []
    for code in possible_codes(text) or (text,):
        try:
            said = verify(code, keys)
        except ValueError as error:
            refusals.append(str(error))
        else:
            seat = f"show {said.show_id}  seat {said.number}"
            return True, f"genuine  ticket {said.ticket_id}  {seat}"
    why = why_unreadable(text)
    return False, f"refused  {refusals[0] if why in (None, LENGTH) else why}"
