"""The text of the metrics: the lines in use, of bounded size, rendered outside the event loop."""

import asyncio
import math
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, get_args
from uuid import UUID, uuid4

import psutil
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from frontrow.errors import Unavailable
from frontrow.exposition import exposition
from frontrow.exposition import lines as lines_in_use
from frontrow.exposition.exposition import Exposition
from frontrow.exposition.lines import LINE_GAUGES, STATES, Counted, LineActivity
from frontrow.exposition.text import render
from frontrow.metrics import (
    ADMITTED,
    JOINED,
    UPKEEP_SECONDS,
    CallTally,
    count_finished,
    observe_batch,
)
from frontrow.settings import Settings
from frontrow.waiting_room.model import Eta, RoomState
from frontrow.web.pages.routes import PAGES
from frontrow.web.routes import ALL_CALLS
from tests.programs import program

FORECAST = Eta(p50=60, p90=90)
LARGEST_TEXT = 200_000
"""Bytes."""
LANES = JOBS = 25
"""More than the server has."""


class SeenLine:
    """A line as a process sees it."""

    def __init__(
        self,
        *,
        waiting: int = 7,
        active: int = 5,
        state: RoomState = "open",
        forecast: Eta | None = FORECAST,
    ) -> None:
        self.concert_id: UUID = uuid4()
        self.issued = waiting + active
        self.serving = active
        self.active = active
        self.seats_available = 20
        self.seats_held = 3
        self.seats_total = 50
        self.waiting = waiting
        self.state = state
        self.cap: int | None = None
        self.rate_per_second: float | None = None
        self.asked: list[int] = []
        self._forecast = forecast

    def eta(self, ahead: int) -> Eta | None:
        """Returns the given forecast and records the number ahead."""
        self.asked.append(ahead)
        return self._forecast


def quiet(**changes: Any) -> SeenLine:
    """Returns a line without users."""
    return SeenLine(waiting=0, active=0, **changes)


class Seen:
    """Lines that were looked at once, and their text."""

    def __init__(self, *lines: SeenLine, most: int = 100) -> None:
        self.lines = {line.concert_id: line for line in lines}
        self.most = most
        self.activity = LineActivity()
        self.activity.look(lines)

    def text(self, folder: Path | None = None) -> str:
        """Returns the metrics with these lines."""
        return render(self.activity.readings(self.lines, self.most), folder).decode()

    def of_concert(self, line: SeenLine) -> dict[str, float]:
        """Returns the values of a line, by name without the prefix, and further labels."""
        return {
            " ".join(
                [
                    one.name.removeprefix("frontrow_"),
                    *(v for k, v in one.labels.items() if k != "concert"),
                ]
            ): one.value
            for family in text_string_to_metric_families(self.text())
            for one in family.samples
            if one.labels.get("concert") == str(line.concert_id)
        }

    def exported(self) -> list[bool]:
        """Returns which of the lines have series."""
        text = self.text()
        return [str(concert_id) in text for concert_id in self.lines]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock, which a test moves."""
    now = [1000.0]
    monkeypatch.setattr(lines_in_use, "monotonic", lambda: now[0])
    return now


# A line -------------------------------------------------------------------------------------------


def test_line_is_exported() -> None:
    """The users, the seats, and the forecast of the last in line; no bound is infinite."""
    line = SeenLine()
    assert Seen(line).of_concert(line) == {
        "line_waiting": 7,
        "line_active": 5,
        "line_cap": math.inf,
        "line_rate": math.inf,
        "line_eta_seconds p50": 60,
        "line_eta_seconds p90": 90,
        "seats": 50,
        "seats_held": 3,
        "seats_available": 20,
        **{f"line_state {state}": float(state == "open") for state in STATES},
    }
    assert line.asked == [6]


def test_each_change_of_a_line_is_exported() -> None:
    """Without another look: the line is read when the text is rendered."""
    line = SeenLine()
    made = Seen(line)
    line.waiting, line.cap, line.rate_per_second = 8, 5, 0.5
    line.seats_total, line.seats_held, line.seats_available = 4, 2, 1
    found = made.of_concert(line)
    names = ("line_waiting", "line_cap", "line_rate", "seats", "seats_held", "seats_available")
    assert [found[name] for name in names] == [8, 5, 0.5, 4, 2, 1]


def test_missing_forecast_is_nan() -> None:
    """A missing forecast is NaN; in an empty line the forecast is for the next to join."""
    line = SeenLine(waiting=0, forecast=None)
    found = Seen(line).of_concert(line)
    assert line.asked == [0]
    assert math.isnan(found["line_eta_seconds p50"])
    assert math.isnan(found["line_eta_seconds p90"])


@pytest.mark.parametrize("state", get_args(RoomState))
def test_current_state_is_1_and_others_0(state: RoomState) -> None:
    """1 for the current state, 0 for all others."""
    line = SeenLine(state=state)
    found = Seen(line).of_concert(line)
    assert {one: found[f"line_state {one}"] for one in STATES} == {
        one: float(one == state) for one in get_args(RoomState)
    }


def test_counts_are_exported_once_there_are_some() -> None:
    """No claims and forecasts before the first count; no claims once all have finished."""
    line = SeenLine()
    made = Seen(line)
    assert "line_claimed" not in made.of_concert(line)
    made.activity.count(line.concert_id, Counted(4, 2, 0.5, None))
    found = made.of_concert(line)
    assert [found["line_claimed"], found["forecasts_judged"]] == [4, 2]
    assert found["forecast_share p50"] == 0.5
    assert math.isnan(found["forecast_share p90"])
    line.active = 0
    assert made.of_concert(line)["line_claimed"] == 0


# The lines in use ---------------------------------------------------------------------------------


def test_quiet_line_has_no_series() -> None:
    """Of the first look only lines with users; later also new ones and those that changed."""
    waiting, active = SeenLine(active=0), SeenLine(waiting=0)
    calm, sold, new = quiet(), quiet(), quiet()
    lines = (waiting, active, calm, sold, new)
    made = Seen(*lines)
    made.activity = LineActivity()
    made.activity.look(lines[:4])
    assert made.exported() == [True, True, False, False, False]
    sold.seats_available -= 1
    made.activity.look(lines)
    assert made.exported() == [True, True, False, True, True]


@pytest.mark.parametrize(
    ("field", "value"),
    [("issued", 1), ("serving", 1), ("state", "paused"), ("seats_held", 4), ("seats_total", 51)],
)
def test_each_change_is_activity(field: str, value: object) -> None:
    """A join that has left again, an admission, a pause, a hold, an added show."""
    line = quiet()
    made = Seen(line)
    assert made.exported() == [False]
    setattr(line, field, value)
    made.activity.look([line])
    assert made.exported() == [True]


def test_line_is_dropped_after_a_quiet_hour(clock: list[float]) -> None:
    """An hour after its last user or change; a line with users is never dropped."""
    line, busy = SeenLine(), SeenLine()
    made = Seen(line, busy)
    made.activity.count(line.concert_id, Counted(1, 0, None, None))
    line.waiting = line.active = 0
    made.activity.look([line, busy])
    clock[0] += 3599
    made.activity.look([line, busy])
    assert made.exported() == [True, True]
    clock[0] += 2
    made.activity.look([line, busy])
    assert made.exported() == [False, True]
    assert line.concert_id not in made.activity._counted


def test_ended_line_is_dropped_at_once() -> None:
    """Closed or sold out, and without users."""
    closed, sold_out, used = quiet(), quiet(), SeenLine(waiting=0)
    made = Seen(closed, sold_out, used)
    closed.issued = sold_out.issued = 1
    made.activity.look([closed, sold_out, used])
    assert made.exported() == [True, True, True]
    closed.state, sold_out.state, used.state = "closed", "sold_out", "sold_out"
    assert made.exported() == [False, False, True]


def test_only_the_largest_are_exported() -> None:
    """At most the given number: those with most users, then the latest ones."""
    small, large, larger = (SeenLine(waiting=waiting) for waiting in (1, 5, 9))
    old, late = quiet(), quiet()
    lines = (larger, small, old, large, late)
    made = Seen(*lines, most=4)
    for line in (old, late):
        line.issued += 1
        made.activity.look(lines)
    assert made.exported() == [True, True, False, True, True]


def test_counters_of_other_concerts_are_left_out() -> None:
    """A concert without gauges has no counters; metrics without a concert are always there."""
    kept, dropped = SeenLine(), quiet()
    for line in (kept, dropped):
        count_finished([line.concert_id], "paid")
    made = Seen(kept, dropped)
    assert made.exported() == [True, False]
    assert "\nfrontrow_streams " in made.text()
    assert made.of_concert(kept)["finished_total paid"] == 1


# Size and time ------------------------------------------------------------------------------------


def test_text_is_bounded_with_ten_thousand_concerts() -> None:
    """At most 200 kB after every call, lane, page and job was used and all lines have users."""
    for metric in [*REGISTRY._collector_to_names]:  # without the series of earlier tests
        if getattr(metric, "_labelnames", ()):
            metric.clear()  # type: ignore[attr-defined]
    for name in [call.name for _, call in ALL_CALLS] + [f"page_{page.name}" for page in PAGES]:
        for status in (200, 429):
            tally = CallTally(name)
            tally.note(status, 0.123456)
            tally.flush()
    for lane in range(LANES):
        observe_batch(f"lane_number_{lane}", 3, 0.123456)
    for job in range(JOBS):
        UPKEEP_SECONDS.labels(f"job_number_{job}").observe(0.123456)
    lines = [SeenLine(waiting=number) for number in range(10_000)]
    most = Settings().metrics_concerts
    made = Seen(*lines, most=most)
    for line in lines[-most:]:
        JOINED.labels(str(line.concert_id)).inc(123_456)
        ADMITTED.labels(str(line.concert_id)).inc(123_456)
        for reason in ("paid", "left", "expired"):
            count_finished([line.concert_id], reason)
        made.activity.count(line.concert_id, Counted(100, 100_000, 0.512345, 0.912345))
    text = made.text()
    ours = [line for line in text.splitlines() if "test " not in line]
    assert len("\n".join(ours)) <= LARGEST_TEXT
    assert text.count("frontrow_line_waiting{") == most
    assert all(str(line.concert_id) in text for line in lines[-most:])
    assert "_created" not in text


def exposition_of(line: SeenLine, folder: Path | None) -> Exposition:
    """Returns the exposition of a server that has this line."""
    made = Exposition(folder, {line.concert_id: line}, most_concerts=1)
    made.activity.look([line])
    return made


async def test_text_is_rendered_once_a_second_outside_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Concurrent and repeated calls share one rendering, during which the event loop runs."""
    loop_ran = threading.Event()
    threads = []

    def render_once(_readings: object) -> bytes:
        threads.append(threading.current_thread())
        assert loop_ran.wait(60)  # only the event loop can set it: it must not be blocked
        return b"text"

    monkeypatch.setattr(exposition, "render", render_once)
    made = exposition_of(SeenLine(), None)
    asyncio.get_running_loop().call_later(0.01, loop_ran.set)
    assert await asyncio.gather(*(made.text() for _ in range(10))) == [b"text"] * 10
    assert await made.text() == b"text"
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


# Several processes --------------------------------------------------------------------------------

# Run by one of two processes, which has the folder in its environment before any import.
PROCESS = """
import sys
from frontrow import metrics
concert, count = sys.argv[1], int(sys.argv[2])
metrics.JOINED.labels(concert).inc(count)
metrics.STREAMS.inc(count)
metrics.SNAPSHOT_TIMESTAMP.set(count)
"""


def test_two_processes_are_combined(tmp_path: Path) -> None:
    """Counters and streams are summed, a timestamp is the oldest; a line's gauges are our own."""
    line, other = SeenLine(), quiet()
    for named, count in ((line, 5), (line, 3), (other, 4)):
        subprocess.run(
            [sys.executable, "-c", PROCESS, str(named.concert_id), str(count)],
            env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            check=True,
        )
    text = Seen(line, other).text(tmp_path).splitlines()
    assert f'frontrow_joined_total{{concert="{line.concert_id}"}} 8.0' in text
    assert f'frontrow_line_waiting{{concert="{line.concert_id}"}} 7.0' in text
    assert "frontrow_streams 12.0" in text
    assert "frontrow_snapshot_timestamp_seconds 3.0" in text
    assert str(other.concert_id) not in "".join(text)


async def test_other_process_renders(tmp_path: Path) -> None:
    """Its text has this process's lines and memory; it is replaced when it was killed."""
    line = SeenLine()
    made = exposition_of(line, tmp_path)
    try:
        before = children()
        text = (await made.text()).decode()
        (renderer,) = children() - before
        assert f'frontrow_line_waiting{{concert="{line.concert_id}"}} 7.0' in text
        assert psutil.Process(renderer).nice() > psutil.Process().nice()
        resident = re.search(r"^process_resident_memory_bytes (\S+)$", text, re.MULTILINE)
        assert resident is not None
        assert float(resident[1]) > 2 * psutil.Process(renderer).memory_info().rss
        os.kill(renderer, signal.SIGKILL)
        made.text.cache_clear()
        with pytest.raises(Unavailable):
            await made.text()
        line.waiting = 8
        assert f'{line.concert_id}"}} 8.0' in (await made.text()).decode()
    finally:
        await made.close()
    assert children() == before


def test_process_ends_with_its_input(tmp_path: Path) -> None:
    """However its server ends, the pipe is closed."""
    command = [sys.executable, "-m", "frontrow.exposition.text", str(tmp_path)]
    ended = subprocess.run(command, input=b"[]\n", capture_output=True, check=True)
    size, _, text = ended.stdout.partition(b"\n")
    assert len(text) == int(size)
    assert ended.stderr == b""


async def test_cancelled_text_is_not_the_next_one(tmp_path: Path) -> None:
    """The process that renders for a call that ended doesn't answer a later one."""
    line = SeenLine()
    made = exposition_of(line, tmp_path)
    try:
        first = asyncio.create_task(made.text())
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.wait([first])
        line.waiting = 8
        assert f'{line.concert_id}"}} 8.0' in (await made.text()).decode()
    finally:
        await made.close()


def children() -> set[int]:
    """Returns the processes that this one has started and that run."""
    return {
        child.pid for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE
    }


def test_promtool_accepts_the_names() -> None:
    """The program promtool accepts names, types and help texts."""
    line = SeenLine()
    made = Seen(line)
    made.activity.count(line.concert_id, Counted(4, 2, 0.5, 0.9))
    text = made.text()
    assert all(f"# TYPE {name} gauge\n" in text for name, _, _ in LINE_GAUGES)
    ours = "\n".join(one for one in text.splitlines() if "frontrow_" in one)
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=ours + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
