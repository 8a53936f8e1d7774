"""The metrics. Worker processes share them through files in ``PROMETHEUS_MULTIPROC_DIR``.

The variable must be set before this module is imported; the command does that.

Counters count the work of this process and are summed over the processes. Gauges of a line show
what every process sees; the latest value is reported. docs/reference/metrics.md explains each.
"""

from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator
from math import inf, nan
from pathlib import Path
from typing import Protocol
from uuid import UUID

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ITEMS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
STATES = ("scheduled", "open", "paused", "sold_out", "closed")


class TalliedHistogram(Histogram):
    """A histogram that also takes many observations in one call, for hot paths."""

    def add(self, counts: list[int], total: float) -> None:
        """Adds observations: their number in each bucket (the last is +Inf) and their sum."""
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(total)


def _of_line(name: str, says: str, *labels: str) -> Gauge:
    return Gauge(name, says, ["concert", *labels], multiprocess_mode="mostrecent")


# Calls and batches -------------------------------------------------------------------------------

REQUESTS = Counter("frontrow_http_requests", "Answered calls.", ["call", "status"])
REQUEST_SECONDS = TalliedHistogram(
    "frontrow_http_request_seconds", "Time to answer a call.", ["call"], buckets=SECONDS
)
BATCH_ITEMS = Histogram("frontrow_batch_items", "Calls in one batch.", ["lane"], buckets=ITEMS)
BATCH_SECONDS = Histogram(
    "frontrow_batch_seconds", "Time of one batch in the database.", ["lane"], buckets=SECONDS
)
RATE_LIMITED = Counter("frontrow_rate_limited", "Calls refused by a rate limit.", ["by"])
WRONG_OPERATOR_KEYS = Counter(
    "frontrow_wrong_operator_keys", "Wrong operator keys that were tried."
)
DATABASE_FAULTS = Counter(
    "frontrow_database_faults", "Statements that the database could not serve.", ["cause"]
)
UNREADY = Gauge(
    "frontrow_unready",
    "1 for the cause for which the server is not ready, 0 for the others.",
    ["cause"],
    multiprocess_mode="mostrecent",
)
STREAMS = Gauge("frontrow_streams", "Open streams.", multiprocess_mode="livesum")
STREAM_EVENTS = Counter("frontrow_stream_events", "Events sent by streams.")

# The lines ---------------------------------------------------------------------------------------

JOINED = Counter("frontrow_joined", "Places joined in this line.", ["concert"])
ADMITTED = Counter("frontrow_admitted", "Places admitted in this line.", ["concert"])
FINISHED = Counter(
    "frontrow_finished", "Places that were paid, left or expired.", ["concert", "reason"]
)
ADMISSION_DELAY_SECONDS = Histogram(
    "frontrow_admission_delay_seconds",
    "Time from a free slot, or from joining with a free slot, to the admission.",
    buckets=SECONDS,
)
DRAWS = Counter("frontrow_draws", "Drawn lines.")
WAITING = _of_line("frontrow_line_waiting", "Waiting places.")
ACTIVE = _of_line("frontrow_line_active", "Admitted, unfinished places.")
CLAIMED = _of_line("frontrow_line_claimed", "Admitted, unfinished places that were claimed.")
CAP = _of_line("frontrow_line_cap", "Maximum number of admitted, unfinished places.")
RATE = _of_line("frontrow_line_rate", "Maximum admissions per second.")
STATE = _of_line("frontrow_line_state", "1 for the state of the room, 0 for the others.", "state")
ETA_SECONDS = _of_line(
    "frontrow_line_eta_seconds", "Forecast wait of the last place in the line.", "forecast"
)
FORECASTS_JUDGED = _of_line("frontrow_forecasts_judged", "Forecasts whose place was admitted.")
FORECAST_SHARE = _of_line(
    "frontrow_forecast_share", "Share of waits that ended within the forecast.", "forecast"
)
SEATS = _of_line("frontrow_seats", "All seats.")
SEATS_HELD = _of_line("frontrow_seats_held", "Held seats.")
SEATS_AVAILABLE = _of_line("frontrow_seats_available", "Available seats.")

REFUNDS = Counter("frontrow_refunds", "Refunded payments.", ["reason"])
REFUNDED_AMOUNT = Counter(
    "frontrow_refunded_amount", "Refunded amount in the currency's minor unit.", ["reason"]
)

# Gates -------------------------------------------------------------------------------------------

CHECK_INS = Counter("frontrow_check_ins", "Scanned tickets by outcome.", ["outcome"])

# Upkeep ------------------------------------------------------------------------------------------

HOLDS_EXPIRED = Counter("frontrow_holds_expired", "Holds that expired unpaid.")
UPKEEP_SECONDS = Histogram(
    "frontrow_upkeep_seconds", "Time of one round of an upkeep job.", ["task"], buckets=SECONDS
)
UPKEEP_FAILURES = Counter("frontrow_upkeep_failures", "Failed rounds of an upkeep job.", ["task"])
SNAPSHOT_TIMESTAMP = Gauge(
    "frontrow_snapshot_timestamp_seconds",
    "Unix time of the last snapshot of the lines, in the process with the oldest one.",
    multiprocess_mode="livemin",
)


class CallTally:
    """Counts the answers of one call between flushes; costs a few additions per request."""

    __slots__ = ("_call", "_counts", "_seconds", "_statuses")

    def __init__(self, call: str) -> None:
        self._call = call
        self._counts = [0] * (len(SECONDS) + 1)
        self._seconds = 0.0
        self._statuses: dict[int, int] = {}

    def note(self, status: int, seconds: float) -> None:
        """Records an answer."""
        self._counts[bisect_left(SECONDS, seconds)] += 1
        self._seconds += seconds
        self._statuses[status] = self._statuses.get(status, 0) + 1

    def flush(self) -> None:
        """Adds the tally to the metrics and resets it."""
        if not self._statuses:
            return
        for status, count in self._statuses.items():
            REQUESTS.labels(self._call, str(status)).inc(count)
        REQUEST_SECONDS.labels(self._call).add(self._counts, self._seconds)
        self.__init__(self._call)  # type: ignore[misc]


def observe_batch(lane: str, items: int, seconds: float) -> None:
    """Records a batch of a lane."""
    BATCH_ITEMS.labels(lane).observe(items)
    BATCH_SECONDS.labels(lane).observe(seconds)


def count_finished(concerts: Iterable[UUID], reason: str) -> None:
    """Counts finished places, one for each concert given."""
    counts: dict[UUID, int] = {}
    for concert in concerts:
        counts[concert] = counts.get(concert, 0) + 1
    for concert, count in counts.items():
        FINISHED.labels(str(concert), reason).inc(count)


def count_refunds(reason: str, payments: int, amount: int) -> None:
    """Counts refunded payments and their total amount."""
    REFUNDS.labels(reason).inc(payments)
    REFUNDED_AMOUNT.labels(reason).inc(amount)


class _Eta(Protocol):
    @property
    def p50(self) -> int: ...
    @property
    def p90(self) -> int: ...


class LineSeen(Protocol):
    """A line in a process's snapshot."""

    concert_id: UUID
    seats_available: int
    seats_held: int
    seats_total: int

    @property
    def waiting(self) -> int:
        """The number of waiting places."""

    @property
    def state(self) -> str:
        """One of ``STATES``."""

    def eta(self, ahead: int) -> _Eta | None:
        """The forecast for a place with this many ahead of it."""


# The last values: most lines don't change, and setting a gauge costs some microseconds.
_last_lines: dict[UUID, object] = {}
_last_bounds: dict[UUID, object] = {}


def set_line(line: LineSeen) -> None:
    """Sets the gauges of a line, if they have changed."""
    eta = line.eta(max(0, line.waiting - 1))
    values = (
        line.waiting, line.state, eta, line.seats_total, line.seats_held, line.seats_available
    )  # fmt: skip
    if _last_lines.get(line.concert_id) == values:
        return
    _last_lines[line.concert_id] = values
    concert = str(line.concert_id)
    WAITING.labels(concert).set(line.waiting)
    for one in STATES:
        STATE.labels(concert, one).set(one == line.state)
    p50, p90 = (None, None) if eta is None else (eta.p50, eta.p90)
    set_forecast(ETA_SECONDS, concert, p50, p90)
    SEATS.labels(concert).set(line.seats_total)
    SEATS_HELD.labels(concert).set(line.seats_held)
    SEATS_AVAILABLE.labels(concert).set(line.seats_available)


def set_bounds(concert: UUID, cap: int | None, per_second: float | None) -> None:
    """Sets the gauges of a line's bounds, if they have changed; ``None``: unbounded."""
    if _last_bounds.get(concert) == (cap, per_second):
        return
    _last_bounds[concert] = cap, per_second
    CAP.labels(str(concert)).set(inf if cap is None else cap)
    RATE.labels(str(concert)).set(inf if per_second is None else per_second)


def set_forecast(gauge: Gauge, concert: str, p50: float | None, p90: float | None) -> None:
    """Sets a gauge of both forecasts; ``None``: no forecast."""
    gauge.labels(concert, "p50").set(nan if p50 is None else p50)
    gauge.labels(concert, "p90").set(nan if p90 is None else p90)


class _OnlyConcerts(Collector):
    """Leaves out the series of other concerts than those given.

    The files that processes share can't remove a label, so it is filtered here.
    """

    def __init__(self, source: Collector, concerts: Container[str]) -> None:
        self._source = source
        self._concerts = concerts

    def collect(self) -> Iterator[Metric]:
        for family in self._source.collect():
            family.samples = [
                sample
                for sample in family.samples
                if "concert" not in sample.labels or sample.labels["concert"] in self._concerts
            ]
            yield family


def exposition(folder: Path | None, concerts: Container[str]) -> bytes:
    """Returns all metrics in Prometheus' text format.

    Args:
        folder: the directory of the shared files; ``None``: only this process.
        concerts: the concerts whose series are included.
    """
    source: Collector = REGISTRY
    if folder is not None:
        source = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    registry.register(_OnlyConcerts(source, concerts))
    return generate_latest(registry)
