"""The line, as the rest of Frontrow uses it: join, follow, enter, admit, configure."""

import random
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid4

import asyncpg
import msgspec

from frontrow.db.queries import load
from frontrow.errors import CredentialInvalid, NotFound, TokenFinished, outcome_error
from frontrow.group_commit import AGAIN, Again, Lane, Lanes
from frontrow.ids import PlaceRef, place_arrays
from frontrow.waiting_room.model import FinishReason, IssuedStatus, PlaceState, Status
from frontrow.waiting_room.policy import Policy, bounds
from frontrow.waiting_room.settings import RoomSettings
from frontrow.waiting_room.snapshot import Line, Snapshot
from frontrow.waiting_room.statistics import LineStatistics, line_statistics
from frontrow.waiting_room.token import TokenSigner

_queries = load("frontrow.waiting_room")

_NEAREST_POLL_MS = 1_000
_FARTHEST_POLL_MS = 30_000
_POLL_MS_PER_PERSON_AHEAD = 10
_CLOSE_BATCH = 10_000


class _Standing(NamedTuple):
    """How a place stands in the database; ``place_id`` tells a token of ours from a forgery."""

    place_id: UUID | None
    state: PlaceState
    reason: FinishReason | None
    admitted_at: datetime | None
    claimed_at: datetime | None
    expires_at: datetime | None


class Admitted(NamedTuple):
    """What one look at a line did. ``more``: somebody waits who may not come in yet."""

    admitted: int
    expired: int
    active: int
    more: bool


class WaitingRooms:
    """All lines of this installation, through this process's eyes.

    Args:
        wake: told the room where somebody may be called now.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        lanes: Lanes,
        signer: TokenSigner,
        snapshot: Snapshot,
        *,
        wake: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._pool = pool
        self._lanes = lanes
        self._signer = signer
        self.snapshot = snapshot
        self.wake = wake
        self._joining: dict[int, Lane[tuple[UUID, UUID], tuple[str, asyncpg.Record]]] = {}
        self._entering = lanes.open("enter", self._enter)
        self._reading = lanes.open("place_read", self._read)

    async def join(self, user_id: UUID, concert_id: UUID) -> tuple[IssuedStatus, bool]:
        """Gives a user a place in a concert's line; the live one if there is one.

        Returns:
            The status with its token, and whether the place is new.

        Raises:
            NotFound: no such concert.
            RoomClosed: the line takes nobody any more.
        """
        line = await self._line_of(concert_id)
        lane = self._joining.get(line.room_id)
        if lane is None:
            lane = self._joining[line.room_id] = self._joining_lane(line.room_id)
        outcome, row = await lane.submit((user_id, uuid4()))
        if outcome not in ("new", "live"):
            raise outcome_error(outcome, None)
        place = PlaceRef(
            user_id, concert_id, line.room_id, row["number"], row["place_id"],
            row["joined_at"].replace(microsecond=0),
        )  # fmt: skip
        standing = _Standing(
            place.place_id, row["state"], None, row["admitted_at"], row["claimed_at"],
            row["expires_at"],
        )  # fmt: skip
        status = self._status(place, line, standing)
        issued = IssuedStatus(
            token=self._signer.sign(place),
            **{f: getattr(status, f) for f in Status.__struct_fields__},
        )
        if status.state == "waiting":
            self.wake(line.room_id)
        return issued, outcome == "new"

    async def status(self, place: PlaceRef) -> Status:
        """How a place stands. Of a waiting one nothing is read: the snapshot tells.

        Raises:
            CredentialInvalid: the token names a place that isn't there.
        """
        line = self.snapshot.lines.get(place.room_id)
        if line is not None and line.is_waiting(place.number):
            return self._waiting_status(place, line)
        standing = await self._reading.submit(place)
        if standing.place_id != place.place_id:
            raise CredentialInvalid
        return self._status(place, line or await self._line_of(place.concert_id), standing)

    async def check_live(self, place: PlaceRef) -> None:
        """Refuses a place that is finished.

        Raises:
            TokenFinished: it is.
            CredentialInvalid: the token names a place that isn't there.
        """
        status = await self.status(place)
        if status.state == "finished":
            raise TokenFinished(reason=status.reason)

    async def enter(self, place: PlaceRef) -> None:
        """Lets an admitted place act, and claims it if this is its first call.

        Raises:
            NotAdmitted, TokenFinished, CredentialInvalid: it may not.
        """
        outcome, reason = await self._entering.submit(place)
        if outcome != "admitted":
            raise outcome_error(outcome, reason)

    async def admit(self, line: Line) -> Admitted:
        """Calls the next people of one line, as far as its policy allows. Safe in every process."""
        if line.closed:
            while await _queries.close(self._pool, room_id=line.room_id, limit=_CLOSE_BATCH):
                pass
        allowed = bounds(line.policy)
        row = await _queries.admit(
            self._pool,
            room_id=line.room_id,
            policy_version=line.policy_version,
            cap=allowed.cap,
            rate=allowed.rate,
            rate_seconds=allowed.rate_seconds,
        )
        if row["outcome"] == "stale_policy":
            await self.snapshot.refresh()
        return Admitted(row["admitted"], row["expired"], row["active"], row["more"])

    async def configure(self, concert_id: UUID, settings: RoomSettings) -> None:
        """Replaces a line's policy and times, for all processes within a second.

        Raises:
            NotFound: no such concert.
        """
        version = await _queries.configure(
            self._pool,
            concert_id=concert_id,
            policy=msgspec.json.encode(settings.policy).decode(),
            session_seconds=settings.session_seconds,
            claim_seconds=settings.claim_seconds,
            opens_at=settings.opens_at,
            closes_at=settings.closes_at,
        )
        if version is None:
            raise NotFound
        await self.snapshot.refresh()
        self.wake(self.snapshot.by_concert[concert_id].room_id)

    async def pause(self, concert_id: UUID, *, paused: bool) -> None:
        """Stops or resumes calling people; those who are in go on.

        Raises:
            NotFound: no such concert.
        """
        room_id = await _queries.pause(self._pool, concert_id=concert_id, paused=paused)
        if room_id is None:
            raise NotFound
        await self.snapshot.refresh()
        self.wake(room_id)

    async def statistics(self, concert_id: UUID) -> LineStatistics:
        """A concert's line, counted.

        Raises:
            NotFound: no such concert.
        """
        await self._line_of(concert_id)
        return await line_statistics(self._pool, concert_id)

    async def settings(self, concert_id: UUID) -> RoomSettings:
        """A line's policy and times.

        Raises:
            NotFound: no such concert.
        """
        row = await _queries.settings_of_room(self._pool, concert_id=concert_id)
        if row is None:
            raise NotFound
        return RoomSettings(
            policy=msgspec.json.decode(row["policy"], type=Policy),
            session_seconds=row["session_seconds"],
            claim_seconds=row["claim_seconds"],
            opens_at=row["opens_at"],
            closes_at=row["closes_at"],
        )

    async def _line_of(self, concert_id: UUID) -> Line:
        """The line of a concert, also of one that was made a moment ago."""
        line = self.snapshot.by_concert.get(concert_id)
        if line is None:
            await self.snapshot.refresh()
            line = self.snapshot.by_concert.get(concert_id)
            if line is None:
                raise NotFound
        return line

    def _waiting_status(self, place: PlaceRef, line: Line) -> Status:
        ahead = line.ahead_of(place.number)
        return Status(
            user_id=place.user_id,
            concert_id=place.concert_id,
            number=place.number,
            position=place.number,
            state="waiting",
            ahead=ahead,
            eta_seconds=None,
            poll_after_ms=poll_after_ms(ahead, line.claim_seconds),
            seats_available=line.seats_available,
            issued_at=place.issued_at,
            admitted_at=None,
            claimed_at=None,
            expires_at=None,
            reason=None,
        )

    def _status(self, place: PlaceRef, line: Line, standing: _Standing) -> Status:
        if standing.state == "waiting" and place.number > line.serving:
            return self._waiting_status(place, line)
        return Status(
            user_id=place.user_id,
            concert_id=place.concert_id,
            number=place.number,
            position=place.number,
            state=standing.state,
            ahead=0,
            eta_seconds=None,
            poll_after_ms=poll_after_ms(0, line.claim_seconds),
            seats_available=line.seats_available,
            issued_at=place.issued_at,
            admitted_at=standing.admitted_at,
            claimed_at=standing.claimed_at,
            expires_at=standing.expires_at if standing.state == "admitted" else None,
            reason=standing.reason,
        )

    def _joining_lane(self, room_id: int) -> Lane[tuple[UUID, UUID], tuple[str, asyncpg.Record]]:
        """The lane of one room: it keeps the order of arrival inside this process."""

        async def join(
            items: Sequence[tuple[UUID, UUID]],
        ) -> list[tuple[str, asyncpg.Record] | Again]:
            user_ids, place_ids = zip(*items, strict=True)
            rows = await _queries.join_room(
                self._pool, room_id=room_id, user_ids=user_ids, place_ids=place_ids
            )
            return [AGAIN if row["outcome"] == "again" else (row["outcome"], row) for row in rows]

        return self._lanes.open("join", join, in_flight=1)

    async def _enter(self, places: Sequence[PlaceRef]) -> list[tuple[str, FinishReason | None]]:
        rows = await _queries.enter(self._pool, **place_arrays(places))
        return [(row["outcome"], row["reason"]) for row in rows]

    async def _read(self, places: Sequence[PlaceRef]) -> list[_Standing]:
        rows = await _queries.places(
            self._pool,
            room_ids=[place.room_id for place in places],
            numbers=[place.number for place in places],
        )
        return [_standing(row) for row in rows]


def poll_after_ms(ahead: int, claim_seconds: int) -> int:
    """When to ask again: the farther back the later, jittered, and often enough not to miss a call.

    From 1,000–2,000 ms in front to 30,000 ms far back, never above a third of the claim window.
    """
    longest = min(_FARTHEST_POLL_MS, claim_seconds * 1000 // 3)
    base = min(_NEAREST_POLL_MS + _POLL_MS_PER_PERSON_AHEAD * ahead, longest // 2)
    return int(base * (1 + random.random()))  # noqa: S311 - spreads load, guards nothing


def _standing(row: asyncpg.Record) -> _Standing:
    """A place past its time is over, whether or not that has been written down."""
    if row["state"] == "admitted" and row["overdue"]:
        return _Standing(
            row["place_id"], "finished", "expired", row["admitted_at"], row["claimed_at"], None
        )
    return _Standing(
        row["place_id"], row["state"], row["reason"], row["admitted_at"], row["claimed_at"],
        row["expires_at"],
    )  # fmt: skip
