"""Token buckets by key: a burst size and a sustained rate.

A bucket is stored as one number, the time at which it will be full again (the theoretical arrival
time of the generic cell rate algorithm, ITU-T I.371). Times are integers, in nanoseconds of the
monotonic clock, so that no rounding error adds up.
"""

from collections.abc import Callable, Hashable
from time import monotonic_ns

SECOND = 1_000_000_000


class Empty(Exception):
    """The bucket has no token left."""

    def __init__(self, wait_ns: int) -> None:
        super().__init__(f"the next token is available in {wait_ns} ns")
        self.wait_ns = wait_ns


class Buckets:
    """Buckets of one size; an unknown key has a full bucket.

    At least the ``most_keys // 2`` keys that took a token last are stored, and at most
    ``most_keys``. A key that is dropped has a full bucket again; a client with that many keys gains
    nothing from it.

    Args:
        per_second: refill rate of a bucket, in tokens.
        burst: size of a bucket, in tokens.
        most_keys: most keys stored.
        clock: a monotonic clock, in nanoseconds.
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
        """Time in which a bucket gets one token."""
        self.burst = burst
        self._size_ns = burst * self.token_ns
        self._generation = max(1, most_keys // 2)
        self._clock = clock
        self._latest = 0
        """The time at which every bucket will be full again."""
        # Two generations: when the young one is full, the old one is dropped as a whole.
        self._young: dict[Hashable, int] = {}
        self._old: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def take(self, key: Hashable) -> int:
        """Takes a token, and returns the number of tokens left.

        Raises:
            Empty: the bucket is empty; nothing is taken.
        """
        now = self._clock()
        left_ns = self._left_ns(key, now)
        young = self._young
        if key not in young and len(young) >= self._generation:
            self._old = young
            self._young = young = {}
        young[key] = full_at = now + self._size_ns - left_ns
        # Not max(), which takes three times as long: this runs for each request.
        if full_at > self._latest:  # noqa: PLR1730
            self._latest = full_at
        return left_ns // self.token_ns

    def check(self, key: Hashable) -> None:
        """Checks that a token could be taken; takes none.

        Raises:
            Empty: the bucket is empty.
        """
        self._left_ns(key, self._clock())

    @property
    def may_be_empty(self) -> bool:
        """Whether a bucket is empty, or was when it was dropped."""
        return self._latest - self._clock() > self._size_ns - self.token_ns

    def _left_ns(self, key: Hashable, now: int) -> int:
        """Returns the content of a bucket after a token is taken, as its refill time."""
        full_at = self._young.get(key)
        if full_at is None:
            full_at = self._old.get(key, now)
        # Not max() either.
        left_ns = self._size_ns - self.token_ns - (full_at - now if full_at > now else 0)
        if left_ns < 0:
            raise Empty(-left_ns)
        return left_ns
