"""The latencies that the caps of adaptive policies follow."""

from bisect import bisect_left
from itertools import accumulate, repeat
from operator import mul

BOUNDS_MS = tuple(accumulate(repeat(1.25, 50), mul, initial=0.5))
"""Upper bounds of the buckets, in ms: each a quarter above the one before, up to 35 s."""


class LatencyHistogram:
    """Counts the latencies of this process's holds and payments by bucket."""

    def __init__(self) -> None:
        self._calls = [0] * (len(BOUNDS_MS) + 1)

    def observe(self, seconds: float) -> None:
        """Counts one call."""
        self._calls[bisect_left(BOUNDS_MS, seconds * 1000)] += 1

    def take(self) -> list[int]:
        """Returns the calls by bucket since the last time; the last bucket is above all bounds."""
        calls, self._calls = self._calls, [0] * len(self._calls)
        return calls
