"""How long calls took, counted by bucket."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.waiting_room.latency_histogram import BOUNDS_MS, LatencyHistogram

SECONDS = st.floats(0, 100, allow_nan=False)
LAST = len(BOUNDS_MS)


def noted(*seconds: float) -> dict[int, int]:
    """What is told of these calls: by bucket, without the empty ones."""
    load = LatencyHistogram()
    for each in seconds:
        load.observe(each)
    return {bucket: calls for bucket, calls in enumerate(load.take()) if calls}


def test_the_buckets_are_fine_enough() -> None:
    """From half a millisecond to beyond half a minute; a bound is a quarter off at most."""
    assert BOUNDS_MS[0] == 0.5
    assert BOUNDS_MS[-1] > 30_000
    assert all(upper == 1.25 * lower for lower, upper in pairwise(BOUNDS_MS))


def test_no_call() -> None:
    """Before any call every bucket is empty; the last one is for those above all bounds."""
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
def test_the_bucket_of_a_call(seconds: float, bucket: int) -> None:
    """A bound belongs to its bucket; what is above all bounds is in the last one."""
    assert noted(seconds) == {bucket: 1}


@given(st.lists(SECONDS, max_size=50))
def test_every_call_is_counted_once(calls: list[float]) -> None:
    """In the first bucket whose bound it doesn't exceed."""
    told = noted(*calls)
    expected: dict[int, int] = {}
    for seconds in calls:
        bucket = sum(bound < seconds * 1000 for bound in BOUNDS_MS)
        expected[bucket] = expected.get(bucket, 0) + 1
    assert told == expected


@given(st.lists(st.lists(SECONDS, max_size=10), max_size=5))
def test_what_was_taken_is_not_told_again(rounds: list[list[float]]) -> None:
    """Each round tells its own calls, and goes on as it was when others are noted."""
    load = LatencyHistogram()
    taken = []
    for calls in rounds:
        for seconds in calls:
            load.observe(seconds)
        taken.append(load.take())
    assert [sum(counts) for counts in taken] == [len(calls) for calls in rounds]
    assert load.take() == [0] * (LAST + 1)
