"""The waiting rooms as the rest of Frontrow uses them: join, status, enter, admit, configure."""

import secrets
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID, uuid4

import asyncpg
import msgspec
from msgspec.structs import asdict

from frontrow.db.outcomes import check
from frontrow.errors import (
    CredentialInvalid,
    NotFound,
    Overloaded,
    TokenFinished,
    Unavailable,
    VersionConflict,
)
from frontrow.group_commit import Again, Lane, Lanes, with_again
from frontrow.ids import PlaceRef
from frontrow.metrics import JOINED
from frontrow.waiting_room.line import Line
from frontrow.waiting_room.line_upkeep import LineUpkeep
from frontrow.waiting_room.model import IssuedStatus, QueueDocument, Status
from frontrow.waiting_room.policy import Policy
from frontrow.waiting_room.queries import (
    EnterItem,
    EnterRow,
    JoinItem,
    JoinRow,
    PlaceItem,
    queries,
)
from frontrow.waiting_room.reports.statistics import LineStatistics, line_statistics
from frontrow.waiting_room.settings import RoomSettings, StoredSettings
from frontrow.waiting_room.snapshot import Snapshot
from frontrow.waiting_room.status import (
    StoredPlace,
    pruned_place,
    status_of,
    stored_place,
    waiting_status,
)
from frontrow.waiting_room.token import TokenSigner


class KeyLookUp(Protocol):
    """The look-up of a user key, which the statement of a join makes."""

    @property
    def key_hash(self) -> bytes:
        """The hash of the key."""

    def found(self, user_id: UUID, seconds: float | None) -> None:
        """Records the user of a valid key, and how long the key lasts if it ends."""


class WaitingRooms(LineUpkeep):
    """All lines of this installation, as this process knows them.

    Args:
        wake: called with a room whose next place may be admitted now.
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
        super().__init__(pool, snapshot, wake)
        self._lanes = lanes
        self._signer = signer
        self._joining: dict[int, Lane[JoinItem, JoinRow]] = {}
        self._entering = lanes.open("enter", self._enter)
        self._reading = lanes.open("place_read", self._read)

    async def join(self, user: UUID | KeyLookUp, concert_id: UUID) -> tuple[IssuedStatus, bool]:
        """Gives a user a place in a concert's line; the unfinished one if there is one.

        Args:
            user: the user, or the look-up of a user key, which the same statement makes.
            concert_id: the concert.

        Returns:
            The status with its token, and whether the place is new.

        Raises:
            NotFound: no such concert.
            CredentialInvalid: the key is unknown, revoked or expired, or the user is erased.
            RoomClosed: the line has closed.
            SignInRequired: the user is a guest, and the concert has none.
        """
        line = await self.snapshot.line_of(concert_id)
        lane = self._joining.get(line.room_id)
        if lane is None:
            lane = self._joining[line.room_id] = self._joining_lane(line)
        if isinstance(user, UUID):
            row = await lane.submit(JoinItem(user, None, uuid4()))
            check(row)
        else:
            row = await lane.submit(JoinItem(None, user.key_hash, uuid4()))
            check(row)
            user.found(row.user_id, row.key_lasts)
        place = PlaceRef(
            row.user_id, concert_id, line.room_id, row.number, row.place_id,
            row.joined_at.replace(microsecond=0),
        )  # fmt: skip
        # Known before the next snapshot, so that admission checks this line at its next tick.
        self.snapshot.note_joined(line, place)
        stored = StoredPlace(
            row.place_id, row.state, None, row.admitted_at, row.claimed_at, row.expires_at
        )
        status = status_of(place, line, stored)
        issued = IssuedStatus(token=self._signer.sign(place), **asdict(status))
        # With users ahead, the tick of admission, ten times a second, is soon enough.
        if status.state == "waiting" and not (status.ahead or line.paused or line.scheduled):
            self.wake(line.room_id)
        return issued, row.outcome == "new"

    async def status(self, place: PlaceRef) -> Status:
        """Returns the status of a place: from the snapshot, without I/O, while it waits.

        The first time, this process reads the place: the database may have been restored without
        it. If the database is away, a place that the line has issued counts as waiting.

        Raises:
            CredentialInvalid: the token names a place that doesn't exist.
        """
        known = self.waiting_status(place)
        if known is not None:
            return known
        line = self.snapshot.lines.get(place.room_id)
        waits = line is not None and line.is_waiting(place.number)
        try:
            stored = await self._reading.submit(place)
        except (Overloaded, Unavailable):
            if line is None or not waits:
                raise
            return waiting_status(place, line)
        if stored.place_id is None and await self.is_pruned(place):
            stored = pruned_place(place.place_id)
        if stored.place_id != place.place_id:
            raise CredentialInvalid
        line = line or await self.snapshot.line_of(place.concert_id)
        line.note_found(place)
        return status_of(place, line, stored)

    def waiting_status(self, place: PlaceRef) -> Status | None:
        """Returns the status of a place that this process knows to wait, else ``None``."""
        line = self.snapshot.lines.get(place.room_id)
        if line is None or not line.is_waiting(place.number) or not line.has_found(place):
            return None
        return waiting_status(place, line)

    def claim_seconds(self, place: PlaceRef) -> int:
        """Returns the claim window of the line of a place whose ``status`` was read before."""
        return self.snapshot.lines[place.room_id].claim_seconds

    async def is_pruned(self, place: PlaceRef) -> bool:
        """Returns whether a place that isn't stored has been pruned."""
        for refreshed in (False, True):
            line = self.snapshot.lines.get(place.room_id)
            if line is not None and place.number <= line.pruned_to:
                return True
            if not refreshed:
                await self.snapshot.refresh()
        return False

    async def check_live(self, place: PlaceRef) -> None:
        """Rejects a finished place.

        Raises:
            TokenFinished: it is finished.
            CredentialInvalid: the token names a place that doesn't exist.
        """
        status = await self.status(place)
        if status.state == "finished":
            raise TokenFinished(reason=status.reason)

    async def enter(self, place: PlaceRef) -> None:
        """Checks that a place may act, and claims it at its first admitted call.

        Raises:
            NotAdmitted, TokenFinished, CredentialInvalid: it may not act.
        """
        check(await self._entering.submit(EnterItem(place.room_id, place.number, place.place_id)))

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
        outcome = await queries.configure(
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

    async def document(self, concert_id: UUID) -> QueueDocument:
        """Returns the public state of a line, from the snapshot.

        Raises:
            NotFound: no such concert.
        """
        line = await self.snapshot.line_of(concert_id)
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
        """Pauses or resumes admission; admitted users go on.

        Raises:
            NotFound: no such concert.
        """
        room_id = await queries.pause(self._pool, concert_id=concert_id, paused=paused)
        if room_id is None:
            raise NotFound
        await self.snapshot.refresh()
        self.wake(room_id)

    async def statistics(self, concert_id: UUID) -> LineStatistics:
        """Returns the statistics of a concert's line.

        Raises:
            NotFound: no such concert.
        """
        await self.snapshot.line_of(concert_id)
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
        row = await queries.settings_of_room(self._pool, concert_id=concert_id)
        if row is None:
            raise NotFound
        settings = RoomSettings(
            policy=msgspec.json.decode(row.policy, type=Policy),
            session_seconds=row.session_seconds,
            claim_seconds=row.claim_seconds,
            opens_at=row.opens_at,
            closes_at=row.closes_at,
            order=row.line_order,
        )
        return StoredSettings(settings, row.policy_version)

    def _joining_lane(self, line: Line) -> Lane[JoinItem, JoinRow]:
        """Returns the lane of one room, which keeps the order of arrival inside this process."""
        joined = JOINED.labels(str(line.concert_id))

        async def join(items: Sequence[JoinItem]) -> list[JoinRow | Again]:
            rows = await queries.join(self._pool, items, room_id=line.room_id)
            joined.inc(sum(row.outcome == "new" for row in rows))
            return with_again(rows)

        return self._lanes.open("join", join, in_flight=1)

    async def _enter(self, items: Sequence[EnterItem]) -> list[EnterRow]:
        return await queries.enter(self._pool, items)

    async def _read(self, places: Sequence[PlaceRef]) -> list[StoredPlace]:
        items = [PlaceItem(place.room_id, place.number) for place in places]
        return [stored_place(row) for row in await queries.places(self._pool, items)]
