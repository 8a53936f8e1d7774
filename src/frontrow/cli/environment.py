"""The variables of the command: cleaned before they are read, and checked for misspelt names."""

import os
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

import click

from frontrow.settings import Settings

PREFIX = "FRONTROW_"


def clean() -> list[str]:
    """Strips our variables, and removes those of PostgreSQL's clients from this process.

    A file or a shell may add a line end to a value. The other ones, such as ``PGPORT``, would
    complete or contradict the URL of a database.

    Returns:
        The names of the removed variables.
    """
    for name, value in os.environ.items():
        if name.upper().startswith(PREFIX) and value != value.strip():
            os.environ[name] = value.strip()
    removed = sorted(name for name in os.environ if name.startswith("PG"))
    for name in removed:
        del os.environ[name]
    return removed


def unknown(command: click.Command) -> Iterator[tuple[str, str | None]]:
    """Yields our variables that no setting or option has, each with the nearest name."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {*_options(command)}
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            yield name, next(iter(get_close_matches(name.upper(), known, 1, 0.8)), None)


def _options(command: click.Command) -> Iterable[str]:
    """Yields the variables of the options of a command and of its commands."""
    for parameter in command.params:
        if isinstance(parameter.envvar, str):
            yield parameter.envvar
    if isinstance(command, click.Group):
        for one in command.commands.values():
            yield from _options(one)
