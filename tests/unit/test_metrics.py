"""The metrics report exactly what was observed."""

from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY, CollectorRegistry, Histogram

from frontrow.metrics import (
    BATCH_ITEMS,
    SECONDS,
    CallTally,
    TalliedHistogram,
    count_finished,
    observe_batch,
)

TIMES = st.lists(st.floats(0, 20) | st.sampled_from(SECONDS), max_size=30)


def sample(name: str, **labels: str) -> float | None:
    """Returns a value of this process's metrics."""
    return REGISTRY.get_sample_value(name, labels)


def buckets(registry: CollectorRegistry, name: str) -> dict[str, float]:
    """Returns a histogram's samples by bucket, and its sum."""
    return {
        one.labels.get("le", one.name.removeprefix(f"{name}_")): one.value
        for family in registry.collect()
        for one in family.samples
        if not one.name.endswith("_created")
    }


def add_all(histogram: TalliedHistogram, times: list[float]) -> None:
    """Adds observations at once, as a tally does."""
    counts = [
        sum(low < time <= high for time in times)
        for low, high in zip((-1.0, *SECONDS), (*SECONDS, float("inf")), strict=True)
    ]
    histogram.add(counts, sum(times))


@given(st.lists(TIMES, max_size=3))
def test_added_at_once_is_observed_one_by_one(parts: list[list[float]]) -> None:
    """Adding many observations at once gives the same buckets and sum as one after the other."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tallied = TalliedHistogram("t", "Ours.", buckets=SECONDS, registry=ours)
    plain = Histogram("t", "Theirs.", buckets=SECONDS, registry=theirs)
    for times in parts:
        add_all(tallied, times)
        for time in times:
            plain.observe(time)
    assert buckets(ours, "t") == pytest.approx(buckets(theirs, "t"))


@settings(max_examples=20, deadline=None)  # a busy machine may be slow
@given(st.lists(st.tuples(st.sampled_from([200, 201, 409]), st.floats(0, 20)), max_size=40))
def test_flushed_tally_has_every_observation(calls: list[tuple[int, float]]) -> None:
    """Counts by status, buckets and sum of all observations, whenever they were flushed."""
    call = f"test {uuid4()}"
    tally = CallTally(call)
    for at, (status, seconds) in enumerate(calls):
        tally.note(status, seconds)
        if at % 7 == 3:
            tally.flush()
    tally.flush()
    tally.flush()
    for status in (200, 201, 409):
        noted = sum(status == one for one, _ in calls)
        said = sample("frontrow_http_requests_total", call=call, status=str(status))
        assert (said or 0) == noted
    name = "frontrow_http_request_seconds"
    if not calls:
        assert sample(f"{name}_count", call=call) is None
        return
    assert sample(f"{name}_count", call=call) == len(calls)
    assert sample(f"{name}_sum", call=call) == pytest.approx(sum(seconds for _, seconds in calls))
    for bound in SECONDS:
        within = sum(seconds <= bound for _, seconds in calls)
        assert sample(f"{name}_bucket", call=call, le=str(bound)) == within
    assert sample(f"{name}_bucket", call=call, le="+Inf") == len(calls)


def test_nothing_is_exported_before_the_flush() -> None:
    """Observations stay in the tally until it is flushed."""
    call = f"test {uuid4()}"
    CallTally(call).note(200, 0.5)
    assert sample("frontrow_http_requests_total", call=call, status="200") is None


def test_batch_is_counted_by_size_and_duration() -> None:
    """A batch counts once by its size and once by its duration."""
    lane = f"test {uuid4()}"
    observe_batch(lane, 3, 0.004)
    observe_batch(lane, 500, 0.2)
    assert sample("frontrow_batch_items_count", lane=lane) == 2
    assert sample("frontrow_batch_items_sum", lane=lane) == 503
    assert sample("frontrow_batch_seconds_sum", lane=lane) == pytest.approx(0.204)
    assert BATCH_ITEMS.labels(lane)._sum.get() == 503


def test_finished_are_counted_by_concert() -> None:
    """A batch over several concerts counts for each; an empty batch counts for none."""
    one, two = uuid4(), uuid4()
    count_finished([one, two, one], "paid")
    count_finished([two], "left")
    count_finished([], "left")
    name = "frontrow_finished_total"
    assert sample(name, concert=str(one), reason="paid") == 2
    assert sample(name, concert=str(two), reason="paid") == 1
    assert sample(name, concert=str(one), reason="left") is None
    assert sample(name, concert=str(two), reason="left") == 1
