"""The lines in use, and their gauges.

The gauges of a line are read from this process's snapshot when the metrics are rendered, so that a
line costs nothing in between. Only lines in use within the last hour are included, and of those the
largest: the text must not grow with the catalogue.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from heapq import nlargest
from math import inf, nan
from operator import itemgetter
from time import monotonic
from typing import NamedTuple, Protocol, TypeAlias
from uuid import UUID

STATES = ("scheduled", "open", "paused", "sold_out", "closed")
QUIET_SECONDS = 3_600.0
"""A line without activity for this time has no series."""

Reading: TypeAlias = tuple[str, tuple[str, ...], float]
"""A value of a gauge: its name, its labels (the concert first), the value."""


class _Eta(Protocol):
    @property
    def p50(self) -> int: ...
    @property
    def p90(self) -> int: ...


class LineSeen(Protocol):
    """A line in a process's snapshot."""

    concert_id: UUID
    issued: int
    serving: int
    active: int
    seats_available: int
    seats_held: int
    seats_total: int

    @property
    def waiting(self) -> int:
        """The number of waiting places."""

    @property
    def state(self) -> str:
        """One of ``STATES``."""

    @property
    def cap(self) -> int | None:
        """The present cap; ``None``: none."""

    @property
    def rate_per_second(self) -> float | None:
        """The limit of admissions; ``None``: none."""

    def eta(self, ahead: int) -> _Eta | None:
        """The forecast for a place with this many ahead of it."""


class Counted(NamedTuple):
    """The places of a line as last counted; shares are of the judged forecasts."""

    claimed: int
    judged: int
    below_p50: float | None
    below_p90: float | None


class LineActivity:
    """The lines of one process that are in use, with the latest counts of their places."""

    def __init__(self) -> None:
        self._seen: dict[UUID, int] = {}
        """A digest of each line at the last look."""
        self._in_use: OrderedDict[UUID, tuple[int, float]] = OrderedDict()
        """The users of a line, and when it last changed or had users; the longest ago first."""
        self._counted: dict[UUID, Counted] = {}
        self._started = False

    def look(self, lines: Iterable[LineSeen]) -> None:
        """Records which of these lines are in use: they changed, are new, or have users.

        Lines of the first look are not new: they are as old as the database.
        """
        now = monotonic()
        for line in lines:
            seen = hash((
                line.issued, line.serving, line.active, line.state,
                line.seats_total, line.seats_held, line.seats_available,
            ))  # fmt: skip
            before = self._seen.get(line.concert_id)
            if before != seen:
                self._seen[line.concert_id] = seen
            is_new = before is None and self._started
            users = line.waiting + line.active
            if is_new or before not in (None, seen) or users > 0:
                self._in_use[line.concert_id] = users, now
                self._in_use.move_to_end(line.concert_id)
        self._started = True
        self._forget_quiet(now)

    def count(self, concert_id: UUID, counted: Counted) -> None:
        """Records the counts of a line."""
        if concert_id in self._in_use:
            self._counted[concert_id] = counted

    def readings(self, lines: Mapping[UUID, LineSeen], most: int) -> list[Reading]:
        """Returns the gauges of the lines in use with most users, then of the latest ones.

        Args:
            lines: the present lines, by concert; those that ended are left out.
            most: the maximum number of lines.
        """
        found: list[Reading] = []
        for concert_id, _ in nlargest(most, self._in_use.items(), key=_users_and_time):
            line = lines.get(concert_id)
            if line is not None and not has_ended(line):
                found += readings(line, self._counted.get(concert_id))
        return found

    def _forget_quiet(self, now: float) -> None:
        while self._in_use:
            concert_id, (_, active_at) = next(iter(self._in_use.items()))
            if active_at + QUIET_SECONDS > now:
                return
            del self._in_use[concert_id]
            self._counted.pop(concert_id, None)


_users_and_time = itemgetter(1)


def has_ended(line: LineSeen) -> bool:
    """Returns whether the line is empty, and closed or sold out."""
    return line.waiting <= 0 and line.active <= 0 and line.state in ("closed", "sold_out")


def readings(line: LineSeen, counted: Counted | None) -> Iterator[Reading]:
    """Yields the values of all gauges of a line; ``counted``: its latest counts, if any."""
    concert = str(line.concert_id)
    plain: dict[str, float | None] = {
        "frontrow_line_waiting": line.waiting,
        "frontrow_line_active": line.active,
        "frontrow_line_cap": inf if line.cap is None else line.cap,
        "frontrow_line_rate": inf if line.rate_per_second is None else line.rate_per_second,
        "frontrow_line_claimed": (counted and counted.claimed) if line.active > 0 else 0,
        "frontrow_forecasts_judged": counted and counted.judged,
        "frontrow_seats": line.seats_total,
        "frontrow_seats_held": line.seats_held,
        "frontrow_seats_available": line.seats_available,
    }
    for name, value in plain.items():
        if value is not None:
            yield name, (concert,), value
    for state in STATES:
        yield "frontrow_line_state", (concert, state), float(state == line.state)
    eta = line.eta(max(0, line.waiting - 1))
    p50, p90 = (None, None) if eta is None else (eta.p50, eta.p90)
    yield from _forecasts("frontrow_line_eta_seconds", concert, p50, p90)
    if counted is not None:
        shares = counted.below_p50, counted.below_p90
        yield from _forecasts("frontrow_forecast_share", concert, *shares)


def _forecasts(name: str, concert: str, p50: float | None, p90: float | None) -> Iterator[Reading]:
    """Yields the values of both forecasts; ``None``: there is none."""
    yield name, (concert, "p50"), nan if p50 is None else p50
    yield name, (concert, "p90"), nan if p90 is None else p90


LINE_GAUGES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("frontrow_line_waiting", "Waiting places.", ()),
    ("frontrow_line_active", "Admitted, unfinished places.", ()),
    ("frontrow_line_claimed", "Admitted, unfinished places that were claimed.", ()),
    ("frontrow_line_cap", "Maximum number of admitted, unfinished places.", ()),
    ("frontrow_line_rate", "Maximum admissions per second.", ()),
    ("frontrow_line_state", "1 for the state of the room, 0 for the others.", ("state",)),
    (
        "frontrow_line_eta_seconds",
        "Forecast wait of the last place in the line.",
        ("forecast",),
    ),
    ("frontrow_forecasts_judged", "Forecasts whose place was admitted.", ()),
    (
        "frontrow_forecast_share",
        "Share of waits that ended within the forecast.",
        ("forecast",),
    ),
    ("frontrow_seats", "All seats.", ()),
    ("frontrow_seats_held", "Held seats.", ()),
    ("frontrow_seats_available", "Available seats.", ()),
)
"""The name, help text and further labels of each gauge of a line."""
