"""The figures of both systems beside each other, as a table for the documents."""

import statistics
from collections.abc import Iterable, Sequence
from operator import attrgetter

import msgspec

from benchmarks.load import Result
from benchmarks.peers.calls import CALLS, Call

GOALS: dict[Call, float] = {"poll": 9, "join": 8, "seats of a date": 18, "hold": 15, "pay": 15}
"""Frontrow's throughput relative to the textbook system's."""
FRONTROW, TEXTBOOK = "Frontrow", "textbook"


class Turn(msgspec.Struct, frozen=True):
    """One run of a call against one system."""

    system: str
    call: Call
    result: Result
    database_us: float
    """CPU of PostgreSQL and Redis, in µs per request."""


class Row(msgspec.Struct, frozen=True):
    """A call: the median turn of each system, and the median of the ratios of the turns."""

    call: Call
    frontrow: Turn
    textbook: Turn
    ratio: float
    p50_ratio: float
    """The textbook system's median response time relative to Frontrow's."""

    @property
    def met(self) -> bool:
        """Whether the throughput reaches its goal, if it has one."""
        return self.ratio >= GOALS.get(self.call, 0)


class Rush(msgspec.Struct, frozen=True):
    """Many requests for few seats."""

    system: str
    requests: int
    seconds: float
    seats: int
    held: int
    """The number of 201."""
    sold_twice: int
    """Seats that belong to more than one reservation."""


def compare(turns: Iterable[Turn]) -> list[Row]:
    """Returns a row per call. The n-th turn of one system is paired with the other's n-th."""
    rows = []
    found = list(turns)
    for call in CALLS:
        ours, theirs = (
            [turn for turn in found if (turn.system, turn.call) == (system, call)]
            for system in (FRONTROW, TEXTBOOK)
        )
        if not ours:
            continue
        pairs = [(a.result, b.result) for a, b in zip(ours, theirs, strict=True)]
        rows.append(
            Row(
                call,
                _median(ours),
                _median(theirs),
                statistics.median(a.requests_per_second / b.requests_per_second for a, b in pairs),
                statistics.median(b.p50_ms / a.p50_ms for a, b in pairs),
            )
        )
    return rows


def _median(turns: Sequence[Turn]) -> Turn:
    in_order = sorted(turns, key=attrgetter("result.requests_per_second"))
    return in_order[len(in_order) // 2]


def markdown(loaded: Sequence[Row], alone: Sequence[Row], rushes: Sequence[Rush]) -> str:
    """Returns the tables."""
    lines = [
        "| call | system | requests/s | p50 ms | p99 ms | server µs | database µs | times | goal |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in loaded:
        goal = GOALS.get(row.call)
        for turn, times, least in (
            (row.frontrow, f"{row.ratio:.1f}", "" if goal is None else f"{goal:g}"),
            (row.textbook, "", ""),
        ):
            found = turn.result
            lines.append(
                f"| {row.call} | {turn.system} | {found.requests_per_second:,.0f}"
                f" | {found.p50_ms:.1f} | {found.p99_ms:.1f} | {found.cpu_us:,.0f}"
                f" | {turn.database_us:,.0f} | {times} | {least} |"
            )
    lines += [
        "",
        "| one user alone, p50 ms | Frontrow | textbook | times |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.call} | {row.frontrow.result.p50_ms:.2f} | {row.textbook.result.p50_ms:.2f}"
        f" | {row.p50_ratio:.1f} |"
        for row in alone
    ]
    lines += [
        "",
        "| a rush | requests | seats | held | sold twice | requests/s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {rush.system} | {rush.requests:,} | {rush.seats} | {rush.held} | {rush.sold_twice}"
        f" | {rush.requests / rush.seconds:,.0f} |"
        for rush in rushes
    ]
    return "\n".join(lines) + "\n"
