"""Following places: wakes this process's streams when there may be something new to tell.

One task does that for all of them; a timer for each would cost more than what it is for. A few
times a second it looks for those whose line has changed, whose place is called (only the database
knows about those) or who have been silent for long, and wakes them in small groups, so that other
calls are answered in between.

Following is no call of the place's owner: it claims nothing.
"""

import asyncio
import contextlib
from itertools import islice
from typing import Self, TypeAlias

from msgspec.structs import replace

from frontrow.errors import Overloaded, TokenFinished, Unavailable
from frontrow.ids import PlaceRef
from frontrow.metrics import STREAM_EVENTS, STREAMS
from frontrow.waiting_room.model import Status
from frontrow.waiting_room.service import WaitingRooms
from frontrow.waiting_room.snapshot import Line

PACE_SECONDS = 1.0
"""Least time between two statuses of a stream, and between two reads of a called place."""

_TICK_SECONDS = 0.1
_GROUP = 64  # what these do together keeps other calls waiting for about 3 ms

View: TypeAlias = tuple[object, ...]
"""All of a line that the statuses of those who wait in it depend on."""

_UNSEEN: View = ()


def view_of(line: Line) -> View:
    """What there is to tell of a line. What only time changes goes with the next heartbeat."""
    return (
        line.serving,
        line.left_count,
        line.drawn or line.issued,  # before a draw whoever joins may come to stand ahead
        line.state,
        line.seats_available,
        line.claim_seconds,
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
        self._waking: asyncio.Task[None] | None = None

    async def follow(self, place: PlaceRef) -> "Follower":
        """Looks at a place, for a stream that opens when what comes back is entered (``with``).

        Raises:
            TokenFinished, CredentialInvalid: there is nothing to follow.
            Overloaded: no more streams may be opened now.
            Unavailable: the process is stopping, or the database away.
        """
        status = await self.rooms.status(place)
        if status.state == "finished":
            raise TokenFinished(reason=status.reason)
        if self._stopping.is_set():
            raise Unavailable("the server is stopping")
        if len(self._open) >= self._limit:
            raise Overloaded
        return Follower(self, place, status)

    def add(self, follower: "Follower") -> None:
        """Opens a stream."""
        self._open.add(follower)
        STREAMS.inc()
        # One that has found nobody there is done before anything else runs.
        if self._waking is None or self._waking.done():
            self._waking = asyncio.create_task(self._wake_until_empty(), name="streams")

    def remove(self, follower: "Follower") -> None:
        """Closes a stream."""
        self._open.remove(follower)
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

    def __enter__(self) -> Self:
        self._tell(self.told)
        self._followers.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._followers.remove(self)

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
            is_heartbeat = loop.time() >= self.beats_at
            status = await self._look(loop.time())
            # Of what changes, only the jitter of the poll says nothing.
            if is_heartbeat or replace(status, poll_after_ms=self.told.poll_after_ms) != self.told:
                self._tell(status)
                return status
        return None

    async def _look(self, now: float) -> Status:
        """The place's status: of a surely waiting one without I/O, of others once a second."""
        line = self._followers.rooms.snapshot.lines.get(self.room_id)
        if line is not None and line.is_waiting(self._place.number):
            self.seen = self._followers.views.get(self.room_id, _UNSEEN)
        else:
            self.seen = _UNSEEN
            self.rests_until = now + PACE_SECONDS
        try:
            return await self._followers.rooms.status(self._place)
        except (Overloaded, Unavailable):
            return self.told

    def _tell(self, status: Status) -> None:
        now = asyncio.get_running_loop().time()
        self.told = status
        self.rests_until = now + PACE_SECONDS
        self.beats_at = now + self._followers.heartbeat_seconds
        STREAM_EVENTS.inc()
