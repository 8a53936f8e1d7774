"""Following places: wakes this process's streams when there may be something new to tell.

One task does that for all of them; a timer for each would cost more than what it is for. A few
times a second it looks for those whose line has changed, whose place is called (only the database
knows about those) or who have been silent for long, and wakes them in small groups, so that other
calls are answered in between.

Following is no call of the place's owner: it claims nothing.
"""

import asyncio
import contextlib
from collections import Counter
from itertools import islice
from typing import TypeAlias
from uuid import UUID

from msgspec.structs import replace

from frontrow.errors import Overloaded, TokenFinished, Unavailable
from frontrow.ids import PlaceRef
from frontrow.metrics import STREAM_EVENTS, STREAMS
from frontrow.waiting_room.model import Status
from frontrow.waiting_room.service import WaitingRooms
from frontrow.waiting_room.snapshot import Line

PACE_SECONDS = 1.0
"""Least time between two statuses of a stream, and between two reads of a called place."""

STREAMS_OF_A_PLACE = 10
"""Most open streams of one place: a user's devices and windows. One token is easy to have, and must
not take the streams of all others."""

_TICK_SECONDS = 0.1
# A look that begins when the status is due has this long, or it is told as it was known last.
_LAST_LOOK_SECONDS = 0.25
_GROUP = 64  # what these do together keeps other calls waiting for about 3 ms

View: TypeAlias = tuple[object, ...]
"""All of a line that the statuses of those who wait in it depend on."""

_UNSEEN: View = ()


def view_of(line: Line) -> View:
    """What there is to tell of a line. What only time changes goes with the next heartbeat."""
    return (
        line.serving,
        line.left_count,
        line.drawn,
        0 if line.drawn else line.issued,  # before a draw whoever joins may come to stand ahead
        line.state,
        line.sale,
        line.seats_available,
        line.claim_seconds,
        line.policy_version,
        line.forecasts.version,
    )


class Followers:
    """The open streams of one process. Their task ends with the last of them.

    Args:
        limit: most streams at a time.
        heartbeat_seconds: longest silence of a stream.
        stopping: set when the process drains: that ends every stream.
    """

    def __init__(
        self,
        rooms: WaitingRooms,
        *,
        limit: int,
        heartbeat_seconds: float,
        stopping: asyncio.Event,
    ) -> None:
        self.rooms = rooms
        self.heartbeat_seconds = heartbeat_seconds
        self.views: dict[int, View] = {}
        """By room; the same object for as long as nothing changes."""
        self._limit = limit
        self._stopping = stopping
        self._open: set[Follower] = set()
        self._of_place: Counter[UUID] = Counter()
        self._waking: asyncio.Task[None] | None = None

    async def follow(self, place: PlaceRef) -> "Follower":
        """Opens a stream: looks at a place. What comes back has to be closed.

        Raises:
            TokenFinished, CredentialInvalid: there is nothing to follow.
            Overloaded: no more streams may be opened now, or of this place.
            Unavailable: the process is stopping, or the database away.
        """
        status = await self.rooms.status(place)
        if status.state == "finished":
            raise TokenFinished(reason=status.reason)
        if self._stopping.is_set():
            raise Unavailable("the server is stopping")
        # Counted here, with no await in between: however many ask at once, no more get in.
        if len(self._open) >= self._limit or self._of_place[place.place_id] >= STREAMS_OF_A_PLACE:
            raise Overloaded
        follower = Follower(self, place, status)
        self._add(follower, place.place_id)
        return follower

    def _add(self, follower: "Follower", place_id: UUID) -> None:
        self._open.add(follower)
        self._of_place[place_id] += 1
        STREAMS.inc()
        # One that has found nobody there is done before anything else runs.
        if self._waking is None or self._waking.done():
            self._waking = asyncio.create_task(self._wake_until_empty(), name="streams")

    def remove(self, follower: "Follower", place_id: UUID) -> None:
        """Closes a stream, unless it is closed."""
        if follower in self._open:
            self._open.remove(follower)
            self._of_place[place_id] -= 1
            if not self._of_place[place_id]:
                del self._of_place[place_id]
            STREAMS.dec()

    async def _wake_until_empty(self) -> None:
        try:
            while self._open and not self._stopping.is_set():
                await self._wake()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_TICK_SECONDS):
                        await self._stopping.wait()
        finally:
            for follower in self._open:
                follower.end()

    async def _wake(self) -> None:
        """Wakes all who may have something to tell."""
        for room_id, line in self.rooms.snapshot.lines.items():
            view = view_of(line)
            if view != self.views.get(room_id):
                self.views[room_id] = view
        now, views = asyncio.get_running_loop().time(), self.views
        due = iter([
            follower
            for follower in self._open
            if follower.rests_until <= now
            and (follower.beats_at <= now or follower.seen is not views.get(follower.room_id))
        ])  # fmt: skip
        while group := list(islice(due, _GROUP)):
            for follower in group:
                follower.wake()
            await asyncio.sleep(0)


class Follower:
    """One stream: a place, and what was told about it last.

    Args:
        told: its status, which the stream begins with.
    """

    __slots__ = (
        "__weakref__",
        "_bell",
        "_followers",
        "_over",
        "_place",
        "beats_at",
        "rests_until",
        "room_id",
        "seen",
        "told",
    )

    def __init__(self, followers: Followers, place: PlaceRef, told: Status) -> None:
        self._followers = followers
        self._place = place
        self.room_id = place.room_id
        self.told = told
        self.seen = _UNSEEN
        """The view of the line at the last look; unseen if the database has to be asked."""
        self.rests_until = 0.0
        """Loop time before which it is left alone."""
        self.beats_at = 0.0
        """Loop time at which it tells its status, whether or not that has changed."""
        self._bell: asyncio.Future[None] | None = None
        self._over = False

    def first(self) -> Status:
        """What the stream begins with."""
        self._tell(self.told)
        return self.told

    def close(self) -> None:
        """Closes the stream. Again is no harm."""
        self._followers.remove(self, self._place.place_id)

    def wake(self) -> None:
        """Lets it look whether there is something to tell, unless it is busy telling."""
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    def end(self) -> None:
        """Nothing more is to be told."""
        self._over = True
        self.wake()

    async def next(self) -> Status | None:
        """What to tell next, once there is something; ``None`` after the last."""
        loop = asyncio.get_running_loop()
        while not self._over and self.told.state != "finished":
            self._bell = loop.create_future()
            await self._bell
            if self._over:
                break
            status = await self._look(loop.time())
            # The next look may come a pace later: too late for what is due before.
            is_heartbeat = loop.time() + PACE_SECONDS > self.beats_at
            # Of what changes, only the jitter of the poll says nothing.
            if is_heartbeat or replace(status, poll_after_ms=self.told.poll_after_ms) != self.told:
                self._tell(status)
                return status
        return None

    async def _look(self, now: float) -> Status:
        """The place's status: of a surely waiting one without I/O, of others once a second."""
        rooms = self._followers.rooms
        line = rooms.snapshot.lines.get(self.room_id)
        if line is not None and line.is_waiting(self._place.number):
            self.seen = self._followers.views.get(self.room_id, _UNSEEN)
            return await rooms.status(self._place)
        self.seen = _UNSEEN
        self.rests_until = now + PACE_SECONDS
        try:
            # The database may be away for longer than a stream may be silent.
            async with asyncio.timeout_at(max(self.beats_at, now + _LAST_LOOK_SECONDS)):
                return await rooms.status(self._place)
        except (Overloaded, Unavailable, TimeoutError):
            return self.told

    def _tell(self, status: Status) -> None:
        now = asyncio.get_running_loop().time()
        self.told = status
        self.rests_until = now + PACE_SECONDS
        self.beats_at = now + self._followers.heartbeat_seconds
        STREAM_EVENTS.inc()
