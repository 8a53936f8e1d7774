"""Durations of calls, counted by bucket."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.waiting_room.latency_histogram import BOUNDS_MS, LatencyHistogram

SECONDS = st.floats(0, 100, allow_nan=False)
LAST = len(BOUNDS_MS)


def counted(*seconds: float) -> dict[int, int]:
    """Returns the non-empty buckets after these calls."""
    load = LatencyHistogram()
    for each in seconds:
        load.observe(each)
    return {bucket: calls for bucket, calls in enumerate(load.take()) if calls}


def test_buckets_are_fine_enough() -> None:
    """From 0.5 ms to more than 30 s; a bound is at most 25 % above the previous one."""
    assert BOUNDS_MS[0] == 0.5
    assert BOUNDS_MS[-1] > 30_000
    assert all(upper == 1.25 * lower for lower, upper in pairwise(BOUNDS_MS))


def test_empty_histogram_has_zero_counts() -> None:
    """Without calls every bucket is empty; the last one has no upper bound."""
    assert LatencyHistogram().take() == [0] * (LAST + 1)


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [
        (0, 0),
        (0.0005, 0),
        (0.000501, 1),
        (0.000625, 1),
        (0.001, 4),
        (0.2, 27),
        (35.032, LAST - 1),
        (35.033, LAST),
        (3_600, LAST),
        (float("inf"), LAST),
    ],
)
def test_bucket_of_a_call(seconds: float, bucket: int) -> None:
    """A bound belongs to its bucket; values above all bounds are in the last one."""
    assert counted(seconds) == {bucket: 1}


@given(st.lists(SECONDS, max_size=50))
def test_every_call_is_counted_once(calls: list[float]) -> None:
    """In the first bucket whose bound is not exceeded."""
    counts = counted(*calls)
    expected: dict[int, int] = {}
    for seconds in calls:
        bucket = sum(bound < seconds * 1000 for bound in BOUNDS_MS)
        expected[bucket] = expected.get(bucket, 0) + 1
    assert counts == expected


@given(st.lists(st.lists(SECONDS, max_size=10), max_size=5))
def test_taken_counts_are_not_returned_again(rounds: list[list[float]]) -> None:
    """Each round has its own calls, also after more calls were counted."""
    load = LatencyHistogram()
    taken = []
    for calls in rounds:
        for seconds in calls:
            load.observe(seconds)
        taken.append(load.take())
    assert [sum(counts) for counts in taken] == [len(calls) for calls in rounds]
    assert load.take() == [0] * (LAST + 1)
