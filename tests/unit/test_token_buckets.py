"""Token buckets: exact arithmetic, every time window, bounded memory."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.web.access.token_buckets import SECOND, Buckets, Empty

RATES = st.sampled_from([0.3, 1, 7, 50, 1000, 1_000_000]) | st.floats(0.01, 10_000)
BURSTS = st.integers(1, 20)


class Clock:
    """A clock that a test moves. It starts late, as on a machine that has run for long."""

    def __init__(self) -> None:
        self.now = 10**17

    def __call__(self) -> int:
        """The time."""
        return self.now


def buckets_with_clock(
    per_second: float, burst: int, most_keys: int = 1000
) -> tuple[Buckets, Clock]:
    """Returns buckets and their clock."""
    clock = Clock()
    return Buckets(per_second=per_second, burst=burst, most_keys=most_keys, clock=clock), clock


def takes(buckets: Buckets, key: object) -> bool:
    """Whether a token was available."""
    try:
        buckets.take(key)
    except Empty:
        return False
    return True


STEPS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        # Pauses in fractions of a token's time: the important cases are near whole tokens.
        st.sampled_from([Fraction(0), Fraction(1, 3), Fraction(1), Fraction(5, 2), Fraction(30)]),
    ),
    max_size=80,
)


@given(RATES, BURSTS, STEPS)
def test_bucket_equals_exact_arithmetic(
    per_second: float, burst: int, steps: list[tuple[str, Fraction]]
) -> None:
    """Each answer equals that of a bucket in exact fractions; a refusal takes no token."""
    buckets, clock = buckets_with_clock(per_second, burst)
    tokens = {key: Fraction(burst) for key in "ab"}
    for key, pause in steps:
        pause_ns = int(pause * buckets.token_ns)
        clock.now += pause_ns
        came = Fraction(pause_ns, buckets.token_ns)
        tokens = {one: min(Fraction(burst), had + came) for one, had in tokens.items()}
        if tokens[key] >= 1:
            buckets.check(key)
            tokens[key] -= 1
            assert buckets.take(key) == int(tokens[key])
        else:
            missing_ns = (1 - tokens[key]) * buckets.token_ns
            for ask in (buckets.check, buckets.take):
                with pytest.raises(Empty) as refused:
                    ask(key)
                assert refused.value.wait_ns == missing_ns


@given(RATES, BURSTS, STEPS)
def test_no_window_exceeds_burst_and_rate(
    per_second: float, burst: int, steps: list[tuple[str, Fraction]]
) -> None:
    """In any time t: at most the burst plus the tokens of that time."""
    buckets, clock = buckets_with_clock(per_second, burst)
    taken: list[int] = []
    for _, pause in steps:
        clock.now += int(pause * buckets.token_ns)
        if takes(buckets, "a"):
            taken.append(clock.now)
    for first, begins in enumerate(taken):
        for last, ends in enumerate(taken[first:], first):
            assert last - first + 1 <= burst + (ends - begins) // buckets.token_ns


@given(RATES, BURSTS, st.integers(0, 10**10))
def test_returned_wait_is_exact(per_second: float, burst: int, pause_ns: int) -> None:
    """A token is available at the end of the returned wait, and not a nanosecond earlier."""
    buckets, clock = buckets_with_clock(per_second, burst)
    for _ in range(burst):
        buckets.take("a")
        clock.now += min(pause_ns, buckets.token_ns - 1) // burst
    while takes(buckets, "a"):
        pass
    with pytest.raises(Empty) as refused:
        buckets.take("a")
    clock.now += refused.value.wait_ns - 1
    assert not takes(buckets, "a")
    clock.now += 1
    assert takes(buckets, "a")


def test_rate_is_exact_for_a_day() -> None:
    """A client that requests constantly gets the burst, then exactly the rate."""
    buckets, clock = buckets_with_clock(0.5, 10)
    got = 0
    for _ in range(24 * 3600):
        clock.now += SECOND
        got += takes(buckets, "a")
    assert got == 10 + 24 * 3600 // 2 - 1


@given(st.integers(2, 12), st.lists(st.integers(0, 20), max_size=200))
def test_memory_is_bounded(most_keys: int, keys: list[int]) -> None:
    """Never more keys than the limit; the latest half of the limit is always stored."""
    buckets, _ = buckets_with_clock(1, 1000, most_keys)
    used: Counter[int] = Counter()
    order: dict[int, None] = {}
    for key in keys:
        left = buckets.take(key)
        recent = list(order)[-(most_keys // 2) :]
        if key in recent:
            assert left == 1000 - used[key] - 1
        else:
            assert left in (1000 - used[key] - 1, 999)
        used[key] = 1000 - left
        order.pop(key, None)
        order[key] = None
        assert len(buckets) <= most_keys


def test_many_keys_cost_little_each() -> None:
    """A flood of keys discards old keys in two large steps, not one at a time."""
    buckets, _ = buckets_with_clock(1, 1, 1000)
    sizes = []
    for key in range(5000):
        buckets.take(key)
        sizes.append(len(buckets))
    assert max(sizes) == 1000
    assert min(sizes[1000:]) == 501
