"""The metrics report exactly what was observed, and every line once."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY, CollectorRegistry, Histogram

from frontrow.metrics import (
    BATCH_ITEMS,
    SECONDS,
    STATES,
    CallTally,
    TalliedHistogram,
    count_finished,
    exposition,
    observe_batch,
    set_bounds,
    set_line,
)
from frontrow.waiting_room.model import Eta, RoomState
from tests.programs import program

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


class SeenLine:
    """A line as a process sees it."""

    def __init__(
        self, *, waiting: int = 7, state: RoomState = "open", forecast: Eta | None
    ) -> None:
        self.concert_id: UUID = uuid4()
        self.seats_available = 20
        self.seats_held = 3
        self.seats_total = 50
        self.waiting = waiting
        self.state = state
        self.asked: list[int] = []
        self._forecast = forecast

    def eta(self, ahead: int) -> Eta | None:
        """Returns the given forecast and records the number ahead."""
        self.asked.append(ahead)
        return self._forecast


def of_concert(line: SeenLine, name: str, **labels: str) -> float | None:
    """Returns a value of a line."""
    return sample(f"frontrow_{name}", concert=str(line.concert_id), **labels)


def test_line_is_exported() -> None:
    """The waiting users, the seats, and the forecast of the last in line."""
    line = SeenLine(forecast=Eta(p50=60, p90=90))
    set_line(line)
    assert line.asked == [6]
    assert of_concert(line, "line_waiting") == 7
    assert of_concert(line, "line_eta_seconds", forecast="p50") == 60
    assert of_concert(line, "line_eta_seconds", forecast="p90") == 90
    assert of_concert(line, "seats") == 50
    assert of_concert(line, "seats_held") == 3
    assert of_concert(line, "seats_available") == 20


def test_each_change_of_a_line_is_exported() -> None:
    """After any change, and after it is reverted."""
    line = SeenLine(forecast=Eta(p50=60, p90=90))
    set_line(line)
    line.waiting = 8
    set_line(line)
    assert of_concert(line, "line_waiting") == 8
    line.waiting = 7
    set_line(line)
    assert of_concert(line, "line_waiting") == 7
    for seats in ("total", "held", "available"):
        setattr(line, f"seats_{seats}", 1)
        set_line(line)
        name = "seats" if seats == "total" else f"seats_{seats}"
        assert of_concert(line, name) == 1


def test_missing_forecast_is_nan() -> None:
    """A missing forecast is NaN; in an empty line the forecast is for the next to join."""
    line = SeenLine(waiting=0, forecast=None)
    set_line(line)
    assert line.asked == [0]
    for forecast in ("p50", "p90"):
        assert math.isnan(of_concert(line, "line_eta_seconds", forecast=forecast) or 0)


@pytest.mark.parametrize("state", get_args(RoomState))
def test_current_state_is_1_and_others_0(state: RoomState) -> None:
    """1 for the current state, 0 for all others, after a change of state too."""
    line = SeenLine(state="open" if state == "closed" else "closed", forecast=None)
    set_line(line)
    line.state = state
    set_line(line)
    states = {one: of_concert(line, "line_state", state=one) for one in STATES}
    assert states == {one: float(one == state) for one in get_args(RoomState)}


@pytest.mark.parametrize(
    ("cap", "per_second", "expected"),
    [(5, None, (5, math.inf)), (None, 0.5, (math.inf, 0.5)), (None, None, (math.inf, math.inf))],
)
def test_no_bound_is_infinite(
    cap: int | None, per_second: float | None, expected: tuple[float, float]
) -> None:
    """So no value is ever above it."""
    line = SeenLine(forecast=None)
    set_bounds(line.concert_id, 1, 1.0)
    set_bounds(line.concert_id, cap, per_second)
    assert (of_concert(line, "line_cap"), of_concert(line, "line_rate")) == expected


def test_finished_are_counted_by_concert() -> None:
    """A batch over several concerts counts for each; an empty batch counts for none."""
    one, two = SeenLine(forecast=None), SeenLine(forecast=None)
    count_finished([one.concert_id, two.concert_id, one.concert_id], "paid")
    count_finished([two.concert_id], "left")
    count_finished([], "left")
    assert of_concert(one, "finished_total", reason="paid") == 2
    assert of_concert(two, "finished_total", reason="paid") == 1
    assert of_concert(one, "finished_total", reason="left") is None
    assert of_concert(two, "finished_total", reason="left") == 1


def test_only_the_selected_concerts_are_exported() -> None:
    """No other concert is exported; metrics without a concert always are."""
    kept, dropped = SeenLine(forecast=None), SeenLine(forecast=None)
    for line in (kept, dropped):
        set_line(line)
        count_finished([line.concert_id], "paid")
    text = exposition(None, {str(kept.concert_id)}).decode()
    assert text.count(f'concert="{kept.concert_id}"') > 10
    assert str(dropped.concert_id) not in text
    assert "\nfrontrow_streams " in text
    assert str(dropped.concert_id) in exposition(None, {str(dropped.concert_id)}).decode()


# Run by one of two processes, which has the folder in its environment before any import.
PROCESS = """
import sys
from uuid import UUID
from frontrow import metrics
concert, waiting = UUID(sys.argv[1]), int(sys.argv[2])
metrics.JOINED.labels(str(concert)).inc(waiting)
metrics.WAITING.labels(str(concert)).set(waiting)
metrics.STREAMS.inc(waiting)
metrics.SNAPSHOT_TIMESTAMP.set(waiting)
metrics.set_bounds(concert, None, None)
"""


def test_two_processes_are_combined(tmp_path: Path) -> None:
    """Counters and streams are summed; a gauge has its latest value, a timestamp its oldest."""
    concert, other = uuid4(), uuid4()
    for named, waiting in ((concert, 5), (concert, 3), (other, 4)):
        subprocess.run(
            [sys.executable, "-c", PROCESS, str(named), str(waiting)],
            env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            check=True,
        )
    exported = exposition(tmp_path, {str(concert)}).decode().splitlines()
    assert f'frontrow_joined_total{{concert="{concert}"}} 8.0' in exported
    assert f'frontrow_line_waiting{{concert="{concert}"}} 3.0' in exported
    assert f'frontrow_line_cap{{concert="{concert}"}} +Inf' in exported
    assert "frontrow_streams 12.0" in exported
    assert "frontrow_snapshot_timestamp_seconds 3.0" in exported
    assert str(other) not in "".join(exported)


def test_promtool_accepts_the_names() -> None:
    """The program promtool accepts names, types and help texts."""
    set_line(SeenLine(forecast=None))
    ours = "\n".join(
        line
        for line in exposition(None, Everything()).decode().splitlines()
        if "frontrow_" in line and "_created" not in line
    )
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=ours + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


class Everything:
    """A set that contains everything."""

    def __contains__(self, wanted: object) -> Literal[True]:
        return True
