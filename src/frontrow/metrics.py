"""Every metric. Worker processes share them through files in ``PROMETHEUS_MULTIPROC_DIR``.

The variable has to be set before this module is imported; the command does that.

A counter counts what this process did, and is summed over the processes. A gauge of a line says
what every process can see; of those, the latest is told. What each of them means stands in
docs/reference/metrics.md.
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
    """A histogram that also takes many observations at once, for a hot path."""

    def add(self, counts: list[int], total: float) -> None:
        """Adds ``counts`` observations by bucket (the last above all) and their sum."""
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(total)


def _of_line(name: str, says: str, *labels: str) -> Gauge:
    return Gauge(name, says, ["concert", *labels], multiprocess_mode="mostrecent")


# Calls and batches -------------------------------------------------------------------------------

REQUESTS = Counter("frontrow_http_requests", "Calls answered.", ["call", "status"])
REQUEST_SECONDS = TalliedHistogram(
    "frontrow_http_request_seconds", "Time to answer a call.", ["call"], buckets=SECONDS
)
BATCH_ITEMS = Histogram(
    "frontrow_batch_items", "Calls that rode one database call.", ["lane"], buckets=ITEMS
)
BATCH_SECONDS = Histogram(
    "frontrow_batch_seconds", "Time of one database call.", ["lane"], buckets=SECONDS
)
RATE_LIMITED = Counter("frontrow_rate_limited", "Calls refused by a rate limit.", ["by"])
STREAMS = Gauge("frontrow_streams", "Open streams.", multiprocess_mode="livesum")
STREAM_EVENTS = Counter("frontrow_stream_events", "Statuses told by streams.")

# The lines ---------------------------------------------------------------------------------------

JOINED = Counter("frontrow_joined", "Places given in this line.", ["concert"])
ADMITTED = Counter("frontrow_admitted", "Places called by this line.", ["concert"])
FINISHED = Counter(
    "frontrow_finished", "Places that were paid, left or expired.", ["concert", "reason"]
)
ADMISSION_DELAY_SECONDS = Histogram(
    "frontrow_admission_delay_seconds",
    "Time from a slot coming free, or somebody coming to a free one, to the call.",
    buckets=SECONDS,
)
DRAWS = Counter("frontrow_draws", "Lines drawn.")
WAITING = _of_line("frontrow_line_waiting", "People waiting.")
ACTIVE = _of_line("frontrow_line_active", "People called and not finished.")
CLAIMED = _of_line("frontrow_line_claimed", "Of the people called and not finished, who came.")
CAP = _of_line("frontrow_line_cap", "Most people called and not finished, now.")
RATE = _of_line("frontrow_line_rate", "Most people called per second.")
STATE = _of_line("frontrow_line_state", "1 for the state of the room, 0 for the others.", "state")
ETA_SECONDS = _of_line(
    "frontrow_line_eta_seconds", "Forecast of the wait of the last in line.", "forecast"
)
FORECASTS_JUDGED = _of_line("frontrow_forecasts_judged", "Forecasts whose place was called.")
FORECAST_SHARE = _of_line(
    "frontrow_forecast_share", "Share of the waits that ended within the forecast.", "forecast"
)
SEATS = _of_line("frontrow_seats", "Seats there are.")
SEATS_HELD = _of_line("frontrow_seats_held", "Seats on hold now.")
SEATS_AVAILABLE = _of_line("frontrow_seats_available", "Seats free now.")

REFUNDS = Counter("frontrow_refunds", "Payments refunded.", ["reason"])
REFUNDED_AMOUNT = Counter(
    "frontrow_refunded_amount", "Money given back, in the currency's minor unit.", ["reason"]
)

# Gates -------------------------------------------------------------------------------------------

CHECK_INS = Counter("frontrow_check_ins", "Tickets scanned at the gates.", ["outcome"])

# Upkeep ------------------------------------------------------------------------------------------

HOLDS_EXPIRED = Counter("frontrow_holds_expired", "Holds that ended unpaid.")
UPKEEP_SECONDS = Histogram(
    "frontrow_upkeep_seconds", "Time of one round of upkeep.", ["task"], buckets=SECONDS
)
UPKEEP_FAILURES = Counter("frontrow_upkeep_failures", "Upkeep that failed.", ["task"])
SNAPSHOT_TIMESTAMP = Gauge(
    "frontrow_snapshot_timestamp_seconds",
    "Unix time of the last refresh of the lines, in the process where that is longest ago.",
    multiprocess_mode="livemin",
)


class CallTally:
    """What one kind of HTTP call did since the last flush; a few additions a request."""

    __slots__ = ("_call", "_counts", "_seconds", "_statuses")

    def __init__(self, call: str) -> None:
        self._call = call
        self._counts = [0] * (len(SECONDS) + 1)
        self._seconds = 0.0
        self._statuses: dict[int, int] = {}

    def note(self, status: int, seconds: float) -> None:
        """One call was answered."""
        self._counts[bisect_left(SECONDS, seconds)] += 1
        self._seconds += seconds
        self._statuses[status] = self._statuses.get(status, 0) + 1

    def flush(self) -> None:
        """Hands the tally to the metrics."""
        if not self._statuses:
            return
        for status, count in self._statuses.items():
            REQUESTS.labels(self._call, str(status)).inc(count)
        REQUEST_SECONDS.labels(self._call).add(self._counts, self._seconds)
        self.__init__(self._call)  # type: ignore[misc]


def observe_batch(lane: str, items: int, seconds: float) -> None:
    """One batch of a lane ran."""
    BATCH_ITEMS.labels(lane).observe(items)
    BATCH_SECONDS.labels(lane).observe(seconds)


def count_finished(concerts: Iterable[UUID], reason: str) -> None:
    """Places ended, one for each concert given."""
    counts: dict[UUID, int] = {}
    for concert in concerts:
        counts[concert] = counts.get(concert, 0) + 1
    for concert, count in counts.items():
        FINISHED.labels(str(concert), reason).inc(count)


def count_refunds(reason: str, payments: int, amount: int) -> None:
    """So many payments were refunded, of so much money together."""
    REFUNDS.labels(reason).inc(payments)
    REFUNDED_AMOUNT.labels(reason).inc(amount)


class _Eta(Protocol):
    @property
    def p50(self) -> int: ...
    @property
    def p90(self) -> int: ...


class LineSeen(Protocol):
    """What is told of a line as a process sees it."""

    concert_id: UUID
    seats_available: int
    seats_held: int
    seats_total: int

    @property
    def waiting(self) -> int:
        """How many wait."""

    @property
    def state(self) -> str:
        """One of ``STATES``."""

    def eta(self, ahead: int) -> _Eta | None:
        """When somebody with so many ahead is called."""


# What was told last: most lines stand as they did, and a gauge costs some microseconds to set.
_lines_told: dict[UUID, object] = {}
_bounds_told: dict[UUID, object] = {}


def tell_line(line: LineSeen) -> None:
    """Tells how a line stands, if that has changed."""
    eta = line.eta(max(0, line.waiting - 1))
    stands = (
        line.waiting, line.state, eta, line.seats_total, line.seats_held, line.seats_available
    )  # fmt: skip
    if _lines_told.get(line.concert_id) == stands:
        return
    _lines_told[line.concert_id] = stands
    concert = str(line.concert_id)
    WAITING.labels(concert).set(line.waiting)
    for one in STATES:
        STATE.labels(concert, one).set(one == line.state)
    p50, p90 = (None, None) if eta is None else (eta.p50, eta.p90)
    tell_forecast(ETA_SECONDS, concert, p50, p90)
    SEATS.labels(concert).set(line.seats_total)
    SEATS_HELD.labels(concert).set(line.seats_held)
    SEATS_AVAILABLE.labels(concert).set(line.seats_available)


def tell_bounds(concert: UUID, cap: int | None, per_second: float | None) -> None:
    """Tells how many a line lets in, if that has changed; ``None``: nothing bounds that."""
    if _bounds_told.get(concert) == (cap, per_second):
        return
    _bounds_told[concert] = cap, per_second
    CAP.labels(str(concert)).set(inf if cap is None else cap)
    RATE.labels(str(concert)).set(inf if per_second is None else per_second)


def tell_forecast(gauge: Gauge, concert: str, p50: float | None, p90: float | None) -> None:
    """Sets what a gauge says of both forecasts; ``None``: there is none."""
    gauge.labels(concert, "p50").set(nan if p50 is None else p50)
    gauge.labels(concert, "p90").set(nan if p90 is None else p90)


class _LiveOnly(Collector):
    """The metrics without what they tell of other concerts than those given.

    The files that processes share can't forget a label. So it is left out here.
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
    """All metrics in Prometheus' text format.

    Args:
        folder: where the processes share theirs; ``None``: this process's own.
        concerts: those that are told of, where a metric has them as a label.
    """
    source: Collector = REGISTRY
    if folder is not None:
        source = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    registry.register(_LiveOnly(source, concerts))
    return generate_latest(registry)
