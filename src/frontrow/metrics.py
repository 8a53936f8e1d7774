"""Every metric. Worker processes share them through files in ``PROMETHEUS_MULTIPROC_DIR``.

The variable has to be set before this module is imported; the command does that.
"""

from bisect import bisect_left

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ITEMS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class TalliedHistogram(Histogram):
    """A histogram that also takes many observations at once, for a hot path."""

    def add(self, counts: list[int], total: float) -> None:
        """Adds ``counts`` observations by bucket (the last above all) and their sum."""
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(total)


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
ADMITTED = Counter("frontrow_admitted", "Places called by this line.", ["concert"])
PLACES_EXPIRED = Counter("frontrow_places_expired", "Places whose time ran out.", ["concert"])
HOLDS_EXPIRED = Counter("frontrow_holds_expired", "Holds that ended unpaid.")
UPKEEP_FAILURES = Counter("frontrow_upkeep_failures", "Upkeep that failed.", ["job"])
WAITING = Gauge(
    "frontrow_line_waiting", "People waiting.", ["concert"], multiprocess_mode="mostrecent"
)
ACTIVE = Gauge(
    "frontrow_line_active",
    "People called and not finished.",
    ["concert"],
    multiprocess_mode="mostrecent",
)
SEATS_AVAILABLE = Gauge(
    "frontrow_seats_available", "Seats free now.", ["concert"], multiprocess_mode="mostrecent"
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
