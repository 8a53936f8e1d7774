"""Figures of a benchmark, each with its bound: a table for people, a file for programs."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.timing import machine


class Found(msgspec.Struct, frozen=True):
    """One figure. ``at_most``: its upper bound; ``None`` if it is only reported."""

    what: str
    figure: float
    unit: str
    at_most: float | None = None

    @property
    def met(self) -> bool:
        """Returns whether the figure is within its bound."""
        return self.at_most is None or self.figure <= self.at_most


def spread(what: str, seconds: Sequence[float], *, at_most_ms: float | None = None) -> list[Found]:
    """Returns the median and the 99th percentile of times, in milliseconds, with one bound."""
    in_order = sorted(seconds)
    return [
        Found(
            f"{what}: {name}",
            round(in_order[min(len(in_order) - 1, len(in_order) * percent // 100)] * 1e3, 2),
            "ms",
            at_most_ms,
        )
        for name, percent in (("p50", 50), ("p99", 99))
    ]


def report(title: str, found: Sequence[Found], path: Path, **more: object) -> int:
    """Prints the table and writes the file; returns 1 if a bound is exceeded, otherwise 0.

    Args:
        title: the heading of the table.
        found: the figures, in order.
        path: the JSON file.
        more: further content of the file.
    """
    table = Table("what", "figure", "unit", "at most", "", title=title, title_justify="left")
    for one in found:
        bound = "" if one.at_most is None else f"{one.at_most:,g}"
        mark = "" if one.at_most is None else ("met" if one.met else "MISSED")
        table.add_row(one.what, f"{one.figure:,.10g}", one.unit, bound, mark)
    Console(width=110).print(table)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole: Mapping[str, object] = {"figures": found, **more, "machine": machine()}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(whole)) + b"\n")
    missed = [one for one in found if not one.met]
    for one in missed:
        print(f"MISSED {one.what}: {one.figure:,g} {one.unit}", file=sys.stderr)
    return 1 if missed else 0
