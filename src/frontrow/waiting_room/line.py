"""One line as a process last read it, so that a poll needs no I/O. Pure.

A line has 4 bytes for each place that left while waiting, as long as places wait behind it. A drawn
line has the position of every number: 4 bytes each. As much identifies each place that this process
has found in the database: a token may be older than a restored backup, and its number given to
another place.
"""

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import msgspec

from frontrow.ids import PlaceRef
from frontrow.waiting_room.forecasts.forecast import Forecasts, Pace, present_cap
from frontrow.waiting_room.model import Eta, RoomState, Sale
from frontrow.waiting_room.policy import Policy, bounds
from frontrow.waiting_room.settings import LineOrder
from frontrow.waiting_room.snapshot_queries import LineRow

_policy_decoder: msgspec.json.Decoder[Policy] = msgspec.json.Decoder(Policy)

# Up to this many leavers are inserted one by one; more are sorted in together.
_FEW_LEAVERS = 64

_revisions = count(1)


class LastRefresh:
    """When a process last asked the database which lines have changed."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = datetime.min.replace(tzinfo=UTC)


class Line:
    """One line. Positions up to ``serving`` are admitted; those in ``left`` left while waiting.

    A position is the index in serving order: the number, unless the line was drawn. Before a draw
    there are no positions, and no place has been admitted; then ``left`` has numbers.

    The places with numbers up to ``pruned_to`` have been pruned.
    """

    __slots__ = (
        "_called",
        "_counted_down_at",
        "_last_refresh",
        "_read_at",
        "_view",
        "active",
        "adaptive_cap",
        "admitted_lately",
        "claim_seconds",
        "closed",
        "closes_at",
        "concert_id",
        "draw_due",
        "drawn",
        "forecasts",
        "found",
        "issued",
        "joined",
        "left",
        "left_count",
        "opens_at",
        "order",
        "paused",
        "policy",
        "policy_version",
        "positions",
        "pruned_to",
        "revision",
        "room_id",
        "sale",
        "scheduled",
        "seats_available",
        "seats_held",
        "seats_total",
        "serving",
    )

    def __init__(
        self, room_id: int, concert_id: UUID, last_refresh: LastRefresh | None = None
    ) -> None:
        self.room_id = room_id
        self.concert_id = concert_id
        self.revision = 0
        """A number that changes with whatever the statuses of waiting places depend on; what
        changes only with time, as the wait for the opening, is excepted. No two lines share one."""
        self._view: tuple[object, ...] = ()
        self._called = 0
        self._last_refresh = last_refresh or LastRefresh()
        self._read_at = self._counted_down_at = self._last_refresh.at
        self.positions: array[int] | None = None
        self.left = array("i")
        self.left_count = 0
        self.found = array("I")
        """A part of the ids of the places found in the database, by number; 0: not read yet."""
        self.forecasts = Forecasts()
        self.issued = 0
        self.joined = 0
        """The last number that this process has issued since the last row was read."""
        self.serving = 0
        self.pruned_to = 0
        self.active = 0
        self.adaptive_cap: int | None = None
        self.admitted_lately = 0
        self.seats_available = 0
        self.seats_held = 0
        self.seats_total = 0
        self.sale: Sale = "open"
        self.policy: Policy
        self.policy_version = 0
        self.claim_seconds = 0
        self.order: LineOrder = "arrival"
        self.opens_at: datetime | None = None
        self.closes_at: datetime | None = None
        self.paused = False
        self.scheduled = False
        self.closed = False
        self.drawn = True
        self.draw_due = False

    @property
    def seen_at(self) -> datetime:
        """The time of this state: the last time that the database was asked for changes."""
        return max(self._read_at, self._last_refresh.at)

    @property
    def waiting(self) -> int:
        """The number of waiting users."""
        return 0 if self.closed else self.issued - self.serving - len(self.left)

    @property
    def state(self) -> RoomState:
        """The state of the room; sold out while no seat is free, though one may become free."""
        if self.closed:
            return "closed"
        if self.paused:
            return "paused"
        if self.scheduled:
            return "scheduled"
        return "sold_out" if self.seats_total and self.seats_available <= 0 else "open"

    @property
    def cap(self) -> int | None:
        """The present limit of admitted, unfinished places; ``None``: there is none."""
        return present_cap(self.policy, self.adaptive_cap)

    @property
    def rate_per_second(self) -> float | None:
        """The limit of admissions; ``None``: there is none."""
        allowed = bounds(self.policy)
        if allowed.rate is None or allowed.rate_seconds is None:
            return None
        return allowed.rate / allowed.rate_seconds

    def position_of(self, number: int) -> int | None:
        """Returns the position of a number in serving order; ``None`` before a draw."""
        return self._rank(number) if self.drawn else None

    def _rank(self, number: int) -> int:
        """Returns what ``serving`` and ``left`` are compared with."""
        positions = self.positions
        if positions is None or number > len(positions):
            return number
        return positions[number - 1]

    def ahead_of(self, number: int) -> int:
        """Returns how many users are ahead of this number, without leavers.

        Before a draw that may be all others.
        """
        if not self.drawn:
            return max(0, self.waiting - 1)
        rank = self._rank(number)
        return rank - self.serving - 1 - bisect_left(self.left, rank)

    def eta(self, ahead: int) -> Eta | None:
        """Returns the forecast for ``ahead`` users ahead; ``None`` where there is none."""
        if self.paused or self.closed or not self.drawn:
            return None
        if self.scheduled and self.opens_at is not None:
            looked_at = self._last_refresh.at
            if looked_at is not self._counted_down_at:
                self._counted_down_at = looked_at
                self.forecasts.count_down((self.opens_at - self.seen_at).total_seconds())
        return self.forecasts.of(ahead)

    def has_served(self, number: int) -> bool:
        """Returns whether the line has moved past this number."""
        return self._rank(number) <= self.serving

    def note_joined(self, place: PlaceRef) -> None:
        """Records a join that was answered: it counts before the next snapshot."""
        self.joined = max(self.joined, place.number)
        self.issued = max(self.issued, place.number)
        self.note_found(place)

    def note_found(self, place: PlaceRef) -> None:
        """Records that a place is in the database."""
        missing = place.number - len(self.found)
        if missing > 0:
            self.found.frombytes(bytes(self.found.itemsize * missing))
        self.found[place.number - 1] = _mark(place)

    def has_found(self, place: PlaceRef) -> bool:
        """Returns whether this process has found a place in the database."""
        at = place.number - 1
        return at < len(self.found) and self.found[at] == _mark(place)

    def is_waiting(self, number: int) -> bool:
        """Returns whether the place certainly waited at the snapshot; if not, read the database."""
        rank = self._rank(number)
        if number > self.issued or rank <= self.serving or self.closed:
            return False
        at = bisect_left(self.left, rank)
        return at == len(self.left) or self.left[at] != rank

    def is_ahead_of(self, row: LineRow) -> bool:
        """Returns whether the database has lost a part of this line, as after a restore."""
        return max(row.issued, self.joined) < self.issued or row.left_count < self.left_count

    def update(self, row: LineRow) -> None:
        """Applies a row that was read."""
        # Keeps a join that was answered since the row was read.
        self.issued = max(row.issued, self.joined)
        self.joined = 0
        self.serving = row.serving
        self.pruned_to = row.pruned_to
        if row.policy_version != self.policy_version:
            self.policy = _policy_decoder.decode(row.policy)
            self.policy_version = row.policy_version
        self.adaptive_cap = row.adaptive_cap
        self.claim_seconds = row.claim_seconds
        self.opens_at = row.opens_at
        self.closes_at = row.closes_at
        self.paused = row.paused
        self.scheduled = row.scheduled
        self.closed = row.closed
        self.order = row.line_order
        self.drawn = self.order != "draw" or row.entrants is not None
        self.draw_due = row.draw_due
        self._read_at = row.seen_at
        self.forecasts.update(
            self.policy,
            _pace(row),
            called=row.called,
            adaptive_cap=row.adaptive_cap,
            opens_in_seconds=(
                (self.opens_at - row.seen_at).total_seconds()
                if self.opens_at and self.scheduled
                else 0
            ),
        )

    def take_draw(self, positions: "array[int]") -> None:
        """Stores the outcome of the draw; leavers have to be counted out again."""
        self.positions = positions
        self.left = array("i")
        self.left_count = 0

    def count_out(self, leavers: Sequence[int], left_count: int) -> None:
        """Adds the leavers since the last time, and drops those behind whom no place waits."""
        ranks = map(self._rank, leavers)
        if len(leavers) > _FEW_LEAVERS:
            self.left = array("i", sorted([*self.left, *ranks]))
        else:
            for rank in ranks:
                insort(self.left, rank)
        self.left_count = left_count
        del self.left[: bisect_right(self.left, self.serving)]

    def take_called(self, called: int) -> bool:
        """Stores the number of admissions so far. Returns whether there are more than before."""
        before, self._called = self._called, called
        return called > before

    def revise(self) -> bool:
        """Takes a new revision, if there is a reason. Returns whether it did."""
        view = (
            self.serving,
            self.left_count,
            self.drawn,
            0 if self.drawn else self.issued,  # every later user may come to be ahead
            self.state,
            self.sale,
            self.seats_available,
            self.claim_seconds,
            self.policy_version,
            self.forecasts.version,
        )
        if view == self._view:
            return False
        self._view, self.revision = view, next(_revisions)
        return True


def _mark(place: PlaceRef) -> int:
    """Returns 32 bits of a place's random id, not 0."""
    return (place.place_id.int & 0xFFFF_FFFF) or 1


def _pace(row: LineRow) -> Pace | None:
    if row.finish_hazard is None:
        return None
    return Pace(
        finish_hazard=row.finish_hazard,
        finish_spread=row.finish_spread,
        leave_hazard=row.leave_hazard,
        leave_spread=row.leave_spread,
        called=row.called_then,
        active=row.active_then,
    )
