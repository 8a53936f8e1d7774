"""The metrics: what was noted is what they say, to the last call, and of each line once."""

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
    """A value of this process's metrics."""
    return REGISTRY.get_sample_value(name, labels)


def buckets(registry: CollectorRegistry, name: str) -> dict[str, float]:
    """A histogram's samples by bucket, and its sum."""
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
    """Many observations at once give the buckets and the sum that each one by itself does."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tallied = TalliedHistogram("t", "Ours.", buckets=SECONDS, registry=ours)
    plain = Histogram("t", "Theirs.", buckets=SECONDS, registry=theirs)
    for times in parts:
        add_all(tallied, times)
        for time in times:
            plain.observe(time)
    assert buckets(ours, "t") == pytest.approx(buckets(theirs, "t"))


@settings(max_examples=20, deadline=None)  # a busy machine is no fault
@given(st.lists(st.tuples(st.sampled_from([200, 201, 409]), st.floats(0, 20)), max_size=40))
def test_tally(calls: list[tuple[int, float]]) -> None:
    """Counts by status, buckets and sum of all that was noted, whenever it was flushed."""
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


def test_nothing_is_told_before_the_flush() -> None:
    """Notes stay with the tally until it is flushed."""
    call = f"test {uuid4()}"
    CallTally(call).note(200, 0.5)
    assert sample("frontrow_http_requests_total", call=call, status="200") is None


def test_batches() -> None:
    """A batch counts once by its size and once by its time."""
    lane = f"test {uuid4()}"
    observe_batch(lane, 3, 0.004)
    observe_batch(lane, 500, 0.2)
    assert sample("frontrow_batch_items_count", lane=lane) == 2
    assert sample("frontrow_batch_items_sum", lane=lane) == 503
    assert sample("frontrow_batch_seconds_sum", lane=lane) == pytest.approx(0.204)
    assert BATCH_ITEMS.labels(lane)._sum.get() == 503


class SeenLine:
    """A line as a process may see it."""

    def __init__(self, *, waiting: int = 7, state: RoomState = "open", told: Eta | None) -> None:
        self.concert_id: UUID = uuid4()
        self.seats_available = 20
        self.seats_held = 3
        self.seats_total = 50
        self.waiting = waiting
        self.state = state
        self.asked: list[int] = []
        self._told = told

    def eta(self, ahead: int) -> Eta | None:
        """What was given, whoever asks."""
        self.asked.append(ahead)
        return self._told


def of_concert(line: SeenLine, name: str, **labels: str) -> float | None:
    """A value that is told of a line."""
    return sample(f"frontrow_{name}", concert=str(line.concert_id), **labels)


def test_a_line_is_told() -> None:
    """How many wait, the seats, and what the last in line is told."""
    line = SeenLine(told=Eta(p50=60, p90=90))
    set_line(line)
    assert line.asked == [6]
    assert of_concert(line, "line_waiting") == 7
    assert of_concert(line, "line_eta_seconds", forecast="p50") == 60
    assert of_concert(line, "line_eta_seconds", forecast="p90") == 90
    assert of_concert(line, "seats") == 50
    assert of_concert(line, "seats_held") == 3
    assert of_concert(line, "seats_available") == 20


def test_each_change_of_a_line_is_told() -> None:
    """Whatever it is that has changed; back again too."""
    line = SeenLine(told=Eta(p50=60, p90=90))
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


def test_what_is_not_known_is_not_a_number() -> None:
    """No forecast is NaN; of an empty line the next to join is meant."""
    line = SeenLine(waiting=0, told=None)
    set_line(line)
    assert line.asked == [0]
    for forecast in ("p50", "p90"):
        assert math.isnan(of_concert(line, "line_eta_seconds", forecast=forecast) or 0)


@pytest.mark.parametrize("state", get_args(RoomState))
def test_one_state_is_told(state: RoomState) -> None:
    """1 for the one that it is, 0 for all others, also where it was another one."""
    line = SeenLine(state="open" if state == "closed" else "closed", told=None)
    set_line(line)
    line.state = state
    set_line(line)
    told = {one: of_concert(line, "line_state", state=one) for one in STATES}
    assert told == {one: float(one == state) for one in get_args(RoomState)}


@pytest.mark.parametrize(
    ("cap", "per_second", "told"),
    [(5, None, (5, math.inf)), (None, 0.5, (math.inf, 0.5)), (None, None, (math.inf, math.inf))],
)
def test_no_bound_is_infinite(
    cap: int | None, per_second: float | None, told: tuple[float, float]
) -> None:
    """So that nothing is ever above it."""
    line = SeenLine(told=None)
    set_bounds(line.concert_id, 1, 1.0)
    set_bounds(line.concert_id, cap, per_second)
    assert (of_concert(line, "line_cap"), of_concert(line, "line_rate")) == told


def test_finished_are_counted_by_concert() -> None:
    """Of a batch over several concerts; an empty one counts nothing."""
    one, two = SeenLine(told=None), SeenLine(told=None)
    count_finished([one.concert_id, two.concert_id, one.concert_id], "paid")
    count_finished([two.concert_id], "left")
    count_finished([], "left")
    assert of_concert(one, "finished_total", reason="paid") == 2
    assert of_concert(two, "finished_total", reason="paid") == 1
    assert of_concert(one, "finished_total", reason="left") is None
    assert of_concert(two, "finished_total", reason="left") == 1


def test_only_the_wanted_concerts_are_told() -> None:
    """Of another one nothing is; what has no concert always is."""
    kept, dropped = SeenLine(told=None), SeenLine(told=None)
    for line in (kept, dropped):
        set_line(line)
        count_finished([line.concert_id], "paid")
    text = exposition(None, {str(kept.concert_id)}).decode()
    assert text.count(f'concert="{kept.concert_id}"') > 10
    assert str(dropped.concert_id) not in text
    assert "\nfrontrow_streams " in text
    assert str(dropped.concert_id) in exposition(None, {str(dropped.concert_id)}).decode()


# What one process of two does: it has the folder in its environment before anything is imported.
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


def test_two_processes(tmp_path: Path) -> None:
    """Counts and streams are added up; a gauge of a line is the latest, the oldest view is told."""
    concert, other = uuid4(), uuid4()
    for named, waiting in ((concert, 5), (concert, 3), (other, 4)):
        subprocess.run(
            [sys.executable, "-c", PROCESS, str(named), str(waiting)],
            env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            check=True,
        )
    told = exposition(tmp_path, {str(concert)}).decode().splitlines()
    assert f'frontrow_joined_total{{concert="{concert}"}} 8.0' in told
    assert f'frontrow_line_waiting{{concert="{concert}"}} 3.0' in told
    assert f'frontrow_line_cap{{concert="{concert}"}} +Inf' in told
    assert "frontrow_streams 12.0" in told
    assert "frontrow_snapshot_timestamp_seconds 3.0" in told
    assert str(other) not in "".join(told)


def test_prometheus_takes_the_names() -> None:
    """Its own check finds nothing wrong with names, types and help texts."""
    set_line(SeenLine(told=None))
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
    """Holds whatever is looked for."""

    def __contains__(self, wanted: object) -> Literal[True]:
        return True
