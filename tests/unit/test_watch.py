"""The watch of the database, without one: what it makes of answers and failures."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from frontrow.db import watch
from frontrow.db.faults import Faults
from frontrow.db.hosts import Hosts
from frontrow.db.watch import SILENT_SECONDS, Watch, _SilentError


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Returns the time."""
        return self.now


class Counted(Hosts):
    """Counts how often all connections are ended."""

    drops = 0

    def drop_all(self) -> None:
        """Counts."""
        self.drops += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the watch."""
    made = Clock()
    monkeypatch.setattr(watch, "monotonic", made)
    return made


@pytest.fixture
def hosts() -> Counted:
    """The servers of the database."""
    return Counted("postgresql://one,two/db")


@pytest.fixture
def faults() -> Faults:
    """The faults that the process meets."""
    return Faults()


@pytest.fixture
def watched(hosts: Counted, faults: Faults, clock: Clock) -> Watch:
    """The watch, which begins at the clock's time."""
    assert clock.now
    return Watch(hosts, faults)


def failures(watched: Watch, clock: Clock, count: int, error: Exception) -> list[dict[str, Any]]:
    """Notes a failure every second. Returns what is logged."""
    with capture_logs() as logged:
        for _ in range(count):
            clock.now += 1
            watched._note_failure(error)
    return [dict(line) for line in logged]


def test_silence_ends_the_connections(watched: Watch, hosts: Counted, clock: Clock) -> None:
    """Only after the bound, and from then on at each attempt."""
    assert failures(watched, clock, int(SILENT_SECONDS) - 1, _SilentError()) == []
    assert (hosts.drops, watched.is_away) == (0, False)
    (lost,) = failures(watched, clock, 2, _SilentError())
    assert (lost["event"], hosts.drops, watched.is_away) == ("the database is lost", 2, True)


def test_other_answers_end_a_silence(watched: Watch, hosts: Counted, clock: Clock) -> None:
    """While batches are answered, a slow answer to the watch means nothing."""
    for _ in range(10):
        failures(watched, clock, 1, _SilentError())
        watched.note_answer()
    assert (hosts.drops, watched.is_away) == (0, False)


def test_own_standstill_is_no_silence(watched: Watch, hosts: Counted, clock: Clock) -> None:
    """A process that was frozen for a minute keeps its connections."""
    clock.now += 60
    watched._excuse(60)
    failures(watched, clock, 1, _SilentError())
    assert (hosts.drops, watched.is_away) == (0, False)


def test_refused_connection_is_a_loss_at_once(watched: Watch, hosts: Counted, clock: Clock) -> None:
    """It is logged at once, then every 10 s; the end has the duration and the refused calls."""
    lines = failures(watched, clock, 22, ConnectionRefusedError())
    assert [line["event"] for line in lines] == [
        "the database is lost",
        "the database is still away",
        "the database is still away",
    ]
    assert hosts.drops == 0
    watched._faults.refusals += 7
    with capture_logs() as logged:
        watched._note_return()
        watched._note_return()
    assert [(line["event"], line["seconds"], line["refused"]) for line in logged] == [
        ("the database is back", 22, 7)
    ]
    assert not watched.is_away
