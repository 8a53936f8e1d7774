"""The metrics. Worker processes share them through files in ``PROMETHEUS_MULTIPROC_DIR``.

The variable must be set before this module is imported; the command does that.

Counters count the work of this process and are summed over the processes. The gauges of the lines
are read when the metrics are rendered (``exposition``). docs/reference/metrics.md explains each.
"""

from bisect import bisect_left
from collections.abc import Iterable
from uuid import UUID

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

# They would double the number of series: Prometheus knows itself when a counter began.
disable_created_metrics()  # type: ignore[no-untyped-call]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Coarser: each bucket is a series for every lane and job.
JOB_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
ITEMS = (1, 5, 20, 100, 500)


class TalliedHistogram(Histogram):
    """A histogram that also takes many observations in one call, for hot paths."""

    def add(self, counts: list[int], total: float) -> None:
        """Adds observations: their number in each bucket (the last is +Inf) and their sum."""
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(total)


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

REFUNDS = Counter("frontrow_refunds", "Refunded payments.", ["reason"])
REFUNDED_AMOUNT = Counter(
    "frontrow_refunded_amount", "Refunded amount in the currency's minor unit.", ["reason"]
)

# Gates -------------------------------------------------------------------------------------------

CHECK_INS = Counter("frontrow_check_ins", "Scanned tickets by outcome.", ["outcome"])

# Upkeep ------------------------------------------------------------------------------------------

HOLDS_EXPIRED = Counter("frontrow_holds_expired", "Holds that expired unpaid.")
UPKEEP_SECONDS = Histogram(
    "frontrow_upkeep_seconds", "Time of one round of an upkeep job.", ["task"], buckets=JOB_SECONDS
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
