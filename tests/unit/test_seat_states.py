"""The seats of a show in the memory of one process, read from a simulated database."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from frontrow.concerts.bounded_log import BoundedLog
from frontrow.concerts.model import Section, Show
from frontrow.concerts.seat_states import AVAILABLE, HELD, SOLD, SeatChange, SeatChanges, SeatStates

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
SEATS = 6
SHOW = Show(UUID(int=1), UUID(int=2), date(2027, 1, 1), START, START, SEATS)
SECTIONS = [Section(None, 1, 1, SEATS, SEATS)]
LOG = "0a1b2c3d"


def test_log_is_in_order() -> None:
    """A late entry is inserted in order."""
    log = BoundedLog(10)
    for key, number in [(3, 30), (5, 50), (4, 40), (5, 51), (1, 10)]:
        log.add(key, number)
    assert list(log.since(4) or ()) == [40, 50, 51]
    assert list(log.since(0) or ()) == [10, 30, 40, 50, 51]
    assert list(log.since(6) or ()) == []


def test_log_drops_its_oldest_entries() -> None:
    """It reports from where it is complete, and never keeps more than twice its length."""
    log = BoundedLog(10)
    for key in range(1, 22):
        log.add(key, key)
    assert list(log.since(12) or ()) == list(range(12, 22))
    assert log.since(11) is None
    log.cut(15)
    assert log.since(14) is None
    log.cut(3)
    assert list(log.since(20) or ()) == [20, 21]


@dataclass
class SimulatedDatabase:
    """A simulated database: transactions that commit in an order of their own."""

    now: datetime = START
    seats: dict[int, tuple[int, datetime | None]] = field(
        default_factory=lambda: dict.fromkeys(range(1, SEATS + 1), (AVAILABLE, None))
    )
    next_xid: int = 100
    running: dict[int, tuple[int, int, datetime | None]] = field(default_factory=dict)
    """By transaction: the locked seat and its new state and time."""
    log: list[tuple[int, int]] = field(default_factory=list)

    def begin(self, number: int, state: int, seconds: int) -> None:
        """Starts a transaction that changes a seat, unless another one has locked it."""
        if all(number != locked for locked, _, _ in self.running.values()):
            until = self.now + timedelta(seconds=seconds) if state == HELD else None
            self.running[self.next_xid] = number, state, until
            self.next_xid += 1

    def commit(self, choice: int) -> None:
        """Commits a running transaction; its change is visible from now on."""
        if self.running:
            xid = sorted(self.running)[choice % len(self.running)]
            number, state, until = self.running.pop(xid)
            self.seats[number] = state, until
            self.log.append((xid, number))

    def states(self) -> bytes:
        """Returns the current states of all seats."""
        return bytes(self._state(number) for number in self.seats)

    def _state(self, number: int) -> int:
        state, until = self.seats[number]
        return AVAILABLE if until is not None and until <= self.now else state

    def read_all(self) -> SeatStates:
        """Returns what a process reads first."""
        held = [(number, until) for number, (_, until) in self.seats.items() if until is not None]
        return SeatStates(
            SHOW, SECTIONS, self.states(), held, self._reading(self.log), kept_seconds=500
        )

    def follow(self, seats: SeatStates) -> None:
        """Applies what a process reads next."""
        seats.apply(
            self._reading(
                [one for one in self.log if one[0] > seats.newest or one[0] in seats.running]
            )
        )

    def _reading(self, log: list[tuple[int, int]]) -> SeatChanges:
        changes = [
            SeatChange(xid, number, self._state(number), self.seats[number][1])
            for xid, number in log
        ]
        return SeatChanges(changes, list(self.running), LOG, self.now)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.integers(0, 5)),
        st.tuples(
            st.just("begin"),
            st.integers(1, SEATS),
            st.sampled_from([AVAILABLE, HELD, HELD, SOLD]),
            st.integers(1, 5),
        ),
        st.tuples(st.just("pass"), st.integers(1, 4)),
        st.tuples(st.just("follow"), st.integers(0, 1)),
        st.tuples(st.just("load"), st.integers(0, 1)),
        st.tuples(st.just("ask"), st.integers(0, 1), st.integers(0, 1)),
    ),
    min_size=30,
    max_size=80,
)


@settings(max_examples=150)
@given(STEPS)
def test_changes_since_a_version_are_complete(steps: list[tuple[str, int, int, int]]) -> None:
    """All seats at a version plus the changes since then are all seats now, in any history.

    Two processes follow; two clients send their requests to either of them.
    """
    database = SimulatedDatabase()
    processes = [database.read_all(), database.read_all()]
    clients: list[tuple[str, bytearray]] = [
        (process.version, bytearray(process.states)) for process in processes
    ]
    for what, *numbers in steps:
        if what == "begin":
            database.begin(*numbers)
        elif what == "commit":
            database.commit(*numbers)
        elif what == "pass":
            database.now += timedelta(seconds=numbers[0])
        elif what == "load":
            processes[numbers[0]] = database.read_all()
        else:
            process = processes[numbers[0]]
            database.follow(process)
            assert process.states == database.states()
            assert process.available == database.states().count(AVAILABLE)
            if what == "ask":
                version, states = clients[numbers[1]]
                changed = process.since(version)
                assert changed is not None
                for number in changed:
                    states[number - 1] = process.states[number - 1]
                assert states == database.states()
                clients[numbers[1]] = (process.version, states)
    tags = set()
    for process in [*processes, database.read_all()]:
        database.follow(process)
        tags.add(process.tag)
    assert len(tags) == 1


def test_obsolete_ends_are_dropped() -> None:
    """Ends of holds that were paid or released early do not fill the memory."""
    database = SimulatedDatabase()
    seats = database.read_all()
    for _ in range(2_000):
        for state in (HELD, AVAILABLE):
            database.begin(1, state, 3_600)
            database.commit(0)
            database.follow(seats)
            database.log.clear()
    assert len(seats._ends) < 1_100


def test_reading_with_a_gap_does_not_follow() -> None:
    """Another log, no log, or a reading so late that changes may be missing."""
    seats = SimulatedDatabase().read_all()
    for log_id, later, goes_on in [
        (LOG, 499, True), (LOG, 500, False), (None, 1, False), ("deadbeef", 1, False),
    ]:  # fmt: skip
        reading = SeatChanges([], [], log_id, START + timedelta(seconds=later))
        assert seats.follows(reading) is goes_on
