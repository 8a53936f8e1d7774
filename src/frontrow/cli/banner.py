"""Announces a server that answers: as lines on standard output, or as one event of a JSON log."""

import sys
from collections.abc import Sequence
from importlib.metadata import version

import structlog
from rich.console import Console

from frontrow.cli.launch import Started
from frontrow.cli.process import OutputError

log = structlog.get_logger()


def announce(log_format: str, started: Started) -> None:
    """Announces a server; a new operator key is shown on a terminal only, never in a log."""
    file = str(started.key_file) if started.key_file else None
    if log_format == "json":
        log.info(
            "the server answers",
            version=version("frontrow"),
            url=started.base,
            data=started.data,
            durability=started.durability,
            workers=started.workers,
            operator_key_file=file,
        )
        return
    lines = [
        ("Frontrow", version("frontrow")),
        ("Pages", f"{started.base}/ and {started.base}/console"),
        ("API", f"{started.base}/docs"),
        ("Metrics", f"{started.base}/metrics"),
        ("Data", started.data),
        ("Durability", started.durability),
        ("Workers", str(started.workers)),
    ]
    if started.new_key is not None and sys.stdout.isatty():
        lines += [("Operator key", started.new_key), ("", f"shown only once; stored in {file}")]
    elif file is not None:
        lines.append(("Operator key", f"in {file}"))
    _print(lines)


def announce_mock(log_format: str, base: str) -> None:
    """Announces the mock."""
    if log_format == "json":
        log.info("the mock answers", url=base)
    else:
        _print([("Mock", f"{base}/api/v1"), ("API", f"{base}/docs")])


def _print(lines: Sequence[tuple[str, str]]) -> None:
    """Prints the lines without wrapping, so that URLs and keys stay in one piece.

    A server whose output is full or closed runs nevertheless.
    """
    console = Console(highlight=False, soft_wrap=True)
    try:
        console.print()
        for name, value in lines:
            console.print(f"  [bold]{name:<14}[/bold]", end="")
            console.print(value, markup=False)
        console.print()
    except OutputError as error:
        log.warning("the start can't be printed", reason=str(error))
