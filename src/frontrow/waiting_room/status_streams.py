"""The open streams of statuses: one task wakes the streams of this process that may have news.

One task serves all streams, because a timer for each would cost more than the work itself. Several
times a second it finds the streams whose line has changed, whose place has been admitted (only the
database knows about those) or that have been silent for long. It wakes them in small groups, so
that other calls are answered in between.

A stream doesn't count as a call of the place's user: it doesn't claim the place.
"""

import asyncio
import contextlib
from collections import Counter
from itertools import islice
from uuid import UUID

from msgspec.structs import replace

from frontrow.errors import CredentialInvalid, Overloaded, TokenFinished, Unavailable
from frontrow.ids import PlaceRef
from frontrow.metrics import STREAM_EVENTS, STREAMS
from frontrow.waiting_room.model import Status
from frontrow.waiting_room.service import WaitingRooms

PACE_SECONDS = 1.0
"""Least time between two statuses of a stream, and between two reads of an admitted place."""

STREAMS_OF_A_PLACE = 10
"""Most open streams of one place: a user's devices and windows. A token is easy to get, and must
not use up the streams of all other users."""

_TICK_SECONDS = 0.1
# A read that starts when the status is due may take this long; then the last known status is sent.
_LAST_READ_SECONDS = 0.25
_GROUP = 64  # waking these delays other calls by about 3 ms

_UNSEEN = -1


class StatusStreams:
    """The open streams of one process. Their task ends with the last of them.

    Args:
        limit: most streams at a time.
        heartbeat_seconds: longest silence of a stream.
        stopping: set when the process drains, which ends every stream.
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
        self._limit = limit
        self._stopping = stopping
        self._open: set[StatusStream] = set()
        self._of_place: Counter[UUID] = Counter()
        self._waking: asyncio.Task[None] | None = None

    async def open(self, place: PlaceRef) -> "StatusStream":
        """Reads a place and opens its stream, which the caller has to close.

        Raises:
            TokenFinished, CredentialInvalid: the place has no stream.
            Overloaded: no more streams may be opened now, or of this place.
            Unavailable: the process is stopping, or the database is away.
        """
        status = await self.rooms.status(place)
        if status.state == "finished":
            raise TokenFinished(reason=status.reason)
        if self._stopping.is_set():
            raise Unavailable("the server is stopping")
        # Counted here, with no await in between: concurrent calls can't exceed the limits.
        if len(self._open) >= self._limit or self._of_place[place.place_id] >= STREAMS_OF_A_PLACE:
            raise Overloaded
        stream = StatusStream(self, place, status)
        self._add(stream, place.place_id)
        return stream

    def _add(self, stream: "StatusStream", place_id: UUID) -> None:
        self._open.add(stream)
        self._of_place[place_id] += 1
        STREAMS.inc()
        # A task that has found no stream left is done before any other code runs.
        if self._waking is None or self._waking.done():
            self._waking = asyncio.create_task(self._wake_until_empty(), name="streams")

    def remove(self, stream: "StatusStream", place_id: UUID) -> None:
        """Closes a stream, unless it is closed."""
        if stream in self._open:
            self._open.remove(stream)
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
            for stream in self._open:
                stream.end()

    def revision_of(self, room_id: int) -> int:
        """Returns the revision of a room's line. Changes only with time are sent as heartbeats."""
        line = self.rooms.snapshot.lines.get(room_id)
        return 0 if line is None else line.revision

    async def _wake(self) -> None:
        """Wakes all streams that may have something to send."""
        now = asyncio.get_running_loop().time()
        due = iter([
            stream
            for stream in self._open
            if stream.rests_until <= now
            and (stream.heartbeat_at <= now or stream.seen != self.revision_of(stream.room_id))
        ])  # fmt: skip
        while group := list(islice(due, _GROUP)):
            for stream in group:
                stream.wake()
            await asyncio.sleep(0)


class StatusStream:
    """One stream: a place, and the status that was sent last.

    Args:
        status: the status that the stream begins with.
    """

    __slots__ = (
        "__weakref__",
        "_ended",
        "_place",
        "_streams",
        "_woken",
        "heartbeat_at",
        "rests_until",
        "room_id",
        "seen",
        "status",
    )

    def __init__(self, streams: StatusStreams, place: PlaceRef, status: Status) -> None:
        self._streams = streams
        self._place = place
        self.room_id = place.room_id
        self.status = status
        self.seen = _UNSEEN
        """The line's revision at the last check; unseen if the database has to be read."""
        self.rests_until = 0.0
        """Loop time before which the stream isn't woken."""
        self.heartbeat_at = 0.0
        """Loop time at which the status is sent even if it has not changed."""
        self._woken: asyncio.Future[None] | None = None
        self._ended = False

    def first(self) -> Status:
        """Returns the status that the stream begins with."""
        self._send(self.status)
        return self.status

    def close(self) -> None:
        """Closes the stream; does nothing if it is closed."""
        self._streams.remove(self, self._place.place_id)

    def wake(self) -> None:
        """Makes the stream check for news, unless it is busy sending."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def end(self) -> None:
        """Ends the stream: nothing more is sent."""
        self._ended = True
        self.wake()

    async def next(self) -> Status | None:
        """Returns the next status to send, once there is one; ``None`` after the last."""
        loop = asyncio.get_running_loop()
        while not self._ended and self.status.state != "finished":
            self._woken = loop.create_future()
            await self._woken
            if self._ended:
                break
            try:
                status = await self._read(loop.time())
            except CredentialInvalid:
                break  # the database has lost the place: the client's next call reports it
            # The next check may come a pace later: too late for a heartbeat that is due before.
            is_heartbeat = loop.time() + PACE_SECONDS > self.heartbeat_at
            # A difference in poll_after_ms alone is jitter.
            if (
                is_heartbeat
                or replace(status, poll_after_ms=self.status.poll_after_ms) != self.status
            ):
                self._send(status)
                return status
        return None

    async def _read(self, now: float) -> Status:
        """Returns the place's status: without I/O while it certainly waits, else once a second."""
        rooms = self._streams.rooms
        line = rooms.snapshot.lines.get(self.room_id)
        place = self._place
        if line is not None and line.is_waiting(place.number) and line.has_found(place):
            self.seen = line.revision
            return await rooms.status(place)
        self.seen = _UNSEEN
        self.rests_until = now + PACE_SECONDS
        try:
            # The database may be away for longer than a stream may be silent.
            async with asyncio.timeout_at(max(self.heartbeat_at, now + _LAST_READ_SECONDS)):
                return await rooms.status(place)
        except (Overloaded, Unavailable, TimeoutError):
            return self.status

    def _send(self, status: Status) -> None:
        now = asyncio.get_running_loop().time()
        self.status = status
        self.rests_until = now + PACE_SECONDS
        self.heartbeat_at = now + self._streams.heartbeat_seconds
        STREAM_EVENTS.inc()
