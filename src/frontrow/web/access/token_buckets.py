"""Token buckets by key: so many requests at once, so many a second on end.

Each bucket is one number, the time at which it will be full again (the generic cell rate algorithm
of ITU-T I.371: its theoretical arrival time). Times are nanoseconds of the monotonic clock, as
integers: nothing is lost by rounding, however long a process lives.
"""

from collections.abc import Callable, Hashable
from time import monotonic_ns

SECOND = 1_000_000_000


class Empty(Exception):
    """The bucket has no token left."""

    def __init__(self, wait_ns: int) -> None:
        super().__init__(f"the next token comes in {wait_ns} ns")
        self.wait_ns = wait_ns


class Buckets:
    """Buckets of one size. A key that isn't known has a full one.

    At least the ``most_keys // 2`` keys that took a token last are remembered, and never more than
    ``most_keys``. What is forgotten is full again: whoever has so many keys needs no more tokens.

    Args:
        per_second: tokens that a bucket gets, up to its size.
        burst: its size in tokens.
        most_keys: bounds the memory.
        clock: a monotonic clock in nanoseconds.
    """

    def __init__(
        self,
        *,
        per_second: float,
        burst: int,
        most_keys: int,
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        self.token_ns = max(1, round(SECOND / per_second))
        """In how many nanoseconds a bucket gets a token."""
        self.burst = burst
        self._size_ns = burst * self.token_ns
        self._generation = max(1, most_keys // 2)
        self._clock = clock
        # Two generations: when the young one is grown, the old one is let go, all of it at once.
        self._young: dict[Hashable, int] = {}
        self._old: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def take(self, key: Hashable) -> int:
        """Takes a token. How many are left.

        Raises:
            Empty: there is none; nothing is taken.
        """
        now = self._clock()
        left_ns = self._left_ns(key, now)
        young = self._young
        if key not in young and len(young) >= self._generation:
            self._old = young
            self._young = young = {}
        young[key] = now + self._size_ns - left_ns
        return left_ns // self.token_ns

    def check(self, key: Hashable) -> None:
        """Takes nothing.

        Raises:
            Empty: there is no token that could be taken.
        """
        self._left_ns(key, self._clock())

    def _left_ns(self, key: Hashable, now: int) -> int:
        """What is left once a token is taken, as the time in which the bucket gets it."""
        full_at = self._young.get(key)
        if full_at is None:
            full_at = self._old.get(key, now)
        # Not with max(): this is done for each request, and that takes three times as long.
        left_ns = self._size_ns - self.token_ns - (full_at - now if full_at > now else 0)
        if left_ns < 0:
            raise Empty(-left_ns)
        return left_ns
