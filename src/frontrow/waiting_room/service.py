"""The line, as the rest of Frontrow uses it: join, follow, enter, admit, configure."""

import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID, uuid4

import asyncpg
import msgspec

from frontrow.db.queries import load
from frontrow.errors import (
    CredentialInvalid,
    FinishReason,
    NotFound,
    TokenFinished,
    VersionConflict,
    outcome_error,
)
from frontrow.group_commit import AGAIN, Again, Lane, Lanes
from frontrow.ids import PlaceRef, place_arrays
from frontrow.metrics import JOINED, set_bounds
from frontrow.waiting_room.latency_histogram import BOUNDS_MS
from frontrow.waiting_room.model import IssuedStatus, QueueDocument, Status
from frontrow.waiting_room.policy import AdaptivePolicy, Policy, bounds
from frontrow.waiting_room.settings import RoomSettings, StoredSettings
from frontrow.waiting_room.snapshot import Line, Snapshot
from frontrow.waiting_room.statistics import LineStatistics, line_statistics
from frontrow.waiting_room.status import Standing, pruned, standing, status_of, waiting_status
from frontrow.waiting_room.token import TokenSigner

_queries = load("frontrow.waiting_room")

_CLOSE_BATCH = 10_000


class Admitted(NamedTuple):
    """What one look at a line did. ``more``: somebody still waits."""

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
            lane = self._joining[line.room_id] = self._joining_lane(line)
        outcome, row = await lane.submit((user_id, uuid4()))
        if outcome not in ("new", "live"):
            raise outcome_error(outcome, None)
        # Known at once, so that admission looks at this line at its next tick.
        line.issued = max(line.issued, row["number"])
        place = PlaceRef(
            user_id, concert_id, line.room_id, row["number"], row["place_id"],
            row["joined_at"].replace(microsecond=0),
        )  # fmt: skip
        stands = Standing(
            place.place_id, row["state"], None, row["admitted_at"], row["claimed_at"],
            row["expires_at"],
        )  # fmt: skip
        status = status_of(place, line, stands)
        issued = IssuedStatus(
            token=self._signer.sign(place),
            **{f: getattr(status, f) for f in Status.__struct_fields__},
        )
        # Behind others who wait, admission looks by itself, ten times a second.
        if status.state == "waiting" and not (status.ahead or line.paused or line.scheduled):
            self.wake(line.room_id)
        return issued, outcome == "new"

    async def status(self, place: PlaceRef) -> Status:
        """How a place stands. Of a waiting one nothing is read: the snapshot tells.

        Raises:
            CredentialInvalid: the token names a place that isn't there.
        """
        line = self.snapshot.lines.get(place.room_id)
        if line is not None and line.is_waiting(place.number):
            return waiting_status(place, line)
        stands = await self._reading.submit(place)
        if stands.place_id is None and await self.is_pruned(place):
            stands = pruned(place.place_id)
        if stands.place_id != place.place_id:
            raise CredentialInvalid
        return status_of(place, line or await self._line_of(place.concert_id), stands)

    def claim_seconds(self, place: PlaceRef) -> int:
        """Returns the claim window of the line of a place whose ``status`` was read before."""
        return self.snapshot.lines[place.room_id].claim_seconds

    async def is_pruned(self, place: PlaceRef) -> bool:
        """Whether a place that isn't there was over for so long that it is no longer kept."""
        for looked in (False, True):
            line = self.snapshot.lines.get(place.room_id)
            if line is not None and place.number <= line.pruned_to:
                return True
            if not looked:
                await self.snapshot.refresh()
        return False

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

    async def admit(self, line: Line, *, tidy: bool = True) -> Admitted:
        """Calls the next people of one line, as far as its policy allows. Safe in every process.

        Args:
            line: which.
            tidy: also where nobody waits: then those who are in are counted and the overdue end.
        """
        allowed = bounds(line.policy)
        row = await _queries.admit(
            self._pool,
            room_id=line.room_id,
            policy_version=line.policy_version,
            cap=allowed.cap,
            rate=allowed.rate,
            rate_seconds=allowed.rate_seconds,
            tidy=tidy,
        )
        if row is None:
            return Admitted(0, 0, line.active, more=False)
        if row["outcome"] == "stale_policy":
            await self.snapshot.refresh()
        else:
            line.active = row["active"]
        return Admitted(row["admitted"], row["expired"], row["active"], row["more"])

    async def close(self, line: Line) -> None:
        """Ends those who still wait in a line that has closed. Safe in every process."""
        ended: int | None = 0
        while ended is not None:
            ended = await _queries.close(
                self._pool, room_id=line.room_id, after=ended, limit=_CLOSE_BATCH
            )

    async def configure(
        self,
        concert_id: UUID,
        settings: RoomSettings,
        *,
        known_versions: Sequence[int] | None = None,
    ) -> None:
        """Replaces a line's policy, times and order, for all processes within a second.

        Args:
            concert_id: the line's concert.
            settings: the new settings.
            known_versions: the versions that may be replaced; ``None`` for any.

        Raises:
            NotFound: no such concert.
            VersionConflict: another version is stored.
            InvalidRequest: the settings are invalid, or come too late for this line.
        """
        settings.check()
        outcome = await _queries.configure(
            self._pool,
            concert_id=concert_id,
            seed=secrets.token_hex(32),
            known_versions=known_versions,
            **settings.columns(),
        )
        if outcome == "not_found":
            raise NotFound
        if outcome == "version_conflict":
            raise VersionConflict(etag=(await self.stored_settings(concert_id)).etag)
        if outcome != "done":
            raise settings.refusal(outcome)
        await self.snapshot.refresh()
        self.wake(self.snapshot.by_concert[concert_id].room_id)

    async def draw(self, line: Line) -> bool:
        """Draws a line whose time has come, unless another process is at it.

        Returns whether it was drawn here.
        """
        if not await _queries.close_entries(self._pool, room_id=line.room_id):
            return False
        async with self._pool.acquire() as connection, connection.transaction():
            await _queries.take_time(connection)
            drawn = await _queries.draw(connection, room_id=line.room_id)
        if drawn is None:
            return False
        await self.snapshot.refresh()
        self.wake(line.room_id)
        return True

    async def adapt(self, calls: Sequence[int], step_seconds: float) -> None:
        """Lets the caps of adaptive policies follow what this process has measured.

        Args:
            calls: holds and payments since the last time, by bucket (``Load.take``).
            step_seconds: the time between two steps, over all processes.
        """
        for line in list(self.snapshot.lines.values()):
            if isinstance(line.policy, AdaptivePolicy):
                cap = await _queries.adapt(
                    self._pool,
                    room_id=line.room_id,
                    policy_version=line.policy_version,
                    calls=calls,
                    bounds_ms=BOUNDS_MS,
                    step_seconds=step_seconds,
                )
                if cap is not None:
                    set_bounds(line.concert_id, cap, None)

    async def document(self, concert_id: UUID) -> QueueDocument:
        """A line as everybody may see it; nothing is read for it.

        Raises:
            NotFound: no such concert.
        """
        line = await self._line_of(concert_id)
        return QueueDocument(
            concert_id=concert_id,
            state=line.state,
            serving=line.serving,
            issued=line.issued,
            waiting=line.waiting,
            admitted=line.active,
            sale=line.sale,
            seats_available=line.seats_available,
            seats_held=line.seats_held,
            seats_total=line.seats_total,
            seats_outnumbered=line.waiting > line.seats_available,
            order=line.order,
            opens_at=line.opens_at,
            closes_at=line.closes_at,
            admitted_per_minute=line.admitted_lately,
            as_of=line.seen_at,
        )

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
        """Returns a line's policy, times and order.

        Raises:
            NotFound: no such concert.
        """
        return (await self.stored_settings(concert_id)).settings

    async def stored_settings(self, concert_id: UUID) -> StoredSettings:
        """Returns a line's settings with their version.

        Raises:
            NotFound: no such concert.
        """
        row = await _queries.settings_of_room(self._pool, concert_id=concert_id)
        if row is None:
            raise NotFound
        settings = RoomSettings(
            policy=msgspec.json.decode(row["policy"], type=Policy),
            session_seconds=row["session_seconds"],
            claim_seconds=row["claim_seconds"],
            opens_at=row["opens_at"],
            closes_at=row["closes_at"],
            order=row["line_order"],
        )
        return StoredSettings(settings, row["policy_version"])

    async def _line_of(self, concert_id: UUID) -> Line:
        """The line of a concert, also of one that was made a moment ago."""
        line = self.snapshot.by_concert.get(concert_id)
        if line is None:
            await self.snapshot.refresh()
            line = self.snapshot.by_concert.get(concert_id)
            if line is None:
                raise NotFound
        return line

    def _joining_lane(self, line: Line) -> Lane[tuple[UUID, UUID], tuple[str, asyncpg.Record]]:
        """The lane of one room: it keeps the order of arrival inside this process."""
        joined = JOINED.labels(str(line.concert_id))

        async def join(
            items: Sequence[tuple[UUID, UUID]],
        ) -> list[tuple[str, asyncpg.Record] | Again]:
            user_ids, place_ids = zip(*items, strict=True)
            rows = await _queries.join_room(
                self._pool, room_id=line.room_id, user_ids=user_ids, place_ids=place_ids
            )
            joined.inc(sum(row["outcome"] == "new" for row in rows))
            return [AGAIN if row["outcome"] == "again" else (row["outcome"], row) for row in rows]

        return self._lanes.open("join", join, in_flight=1)

    async def _enter(self, places: Sequence[PlaceRef]) -> list[tuple[str, FinishReason | None]]:
        rows = await _queries.enter(self._pool, **place_arrays(places))
        return [(row["outcome"], row["reason"]) for row in rows]

    async def _read(self, places: Sequence[PlaceRef]) -> list[Standing]:
        rows = await _queries.places(
            self._pool,
            room_ids=[place.room_id for place in places],
            numbers=[place.number for place in places],
        )
        return [standing(row) for row in rows]
