"""The typed queries of places, admission, settings and draws."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from frontrow.db.outcomes import PlaceRefusal
from frontrow.db.queries import Database, Item, Row, bind
from frontrow.errors import FinishReason
from frontrow.waiting_room.model import Draw, PlaceState
from frontrow.waiting_room.settings import LineOrder


class JoinItem(Item, frozen=True):
    """A user who joins a line, by id or by the hash of a user key, and the id of the new place."""

    user_id: UUID | None
    key_hash: bytes | None
    place_id: UUID


class JoinRow(Row, frozen=True):
    """The outcome of joining, and the user's place."""

    accepted: ClassVar = frozenset({"new", "live"})

    outcome: Literal[
        "new", "live", "again", "room_closed", "sign_in_required", "credential_invalid", "not_found"
    ]  # fmt: skip
    user_id: UUID
    key_lasts: float | None
    place_id: UUID
    number: int
    state: PlaceState
    joined_at: datetime
    admitted_at: datetime | None
    claimed_at: datetime | None
    expires_at: datetime | None


class EnterItem(Item, frozen=True):
    """A place whose call is checked."""

    room_id: int
    number: int
    place_id: UUID


class EnterRow(Row, frozen=True):
    """Whether a place may act."""

    accepted: ClassVar = frozenset({"admitted"})

    outcome: Literal["admitted"] | PlaceRefusal
    reason: FinishReason | None


class AdmitRow(Row, frozen=True):
    """The result of one call of admission."""

    accepted: ClassVar = frozenset({"done", "stale_policy"})

    outcome: Literal["done", "stale_policy", "not_found"]
    admitted: int
    expired: int
    active: int
    more: bool


class WorkRow(Row, frozen=True):
    """A line that may admit now, and at most how many places."""

    room_id: int
    slots: int


class AdmitItem(Item, frozen=True):
    """A line to admit, and the bounds of its policy."""

    room_id: int
    policy_version: int
    cap: int | None
    rate: int | None
    rate_seconds: float | None


class AdmitUnlockedRow(Row, frozen=True):
    """The result of admission in one of many lines."""

    accepted: ClassVar = frozenset({"done", "stale_policy", "locked"})

    outcome: Literal["done", "stale_policy", "not_found", "locked"]
    admitted: int
    expired: int
    active: int
    more: bool


class AdaptItem(Item, frozen=True):
    """A line with an adaptive policy."""

    room_id: int
    policy_version: int


class SettingsRow(Row, frozen=True):
    """A line's settings; ``policy`` is JSON."""

    policy: str
    session_seconds: int
    claim_seconds: int
    opens_at: datetime | None
    closes_at: datetime | None
    line_order: LineOrder
    policy_version: int


class PlaceItem(Item, frozen=True):
    """A place to read."""

    room_id: int
    number: int


class PlaceRow(Row, frozen=True):
    """A place; ``place_id`` and ``state`` are null where there is none."""

    place_id: UUID | None
    state: PlaceState | None
    reason: FinishReason | None
    admitted_at: datetime | None
    claimed_at: datetime | None
    expires_at: datetime | None
    overdue: bool | None


class EntryRow(Row, frozen=True):
    """An entrant of a draw."""

    number: int
    entry: str


class WaitingRoomQueries(Protocol):
    """The statements of ``queries.sql``."""

    async def join(
        self, database: Database, items: Sequence[JoinItem], *, room_id: int
    ) -> list[JoinRow]: ...

    async def enter(self, database: Database, items: Sequence[EnterItem]) -> list[EnterRow]: ...

    async def admit(
        self,
        database: Database,
        *,
        room_id: int,
        policy_version: int,
        cap: int | None,
        rate: int | None,
        rate_seconds: float | None,
        tidy: bool,
    ) -> AdmitRow | None: ...

    async def admission_work(
        self, database: Database, *, rooms: Sequence[int], every: bool
    ) -> list[WorkRow]: ...

    async def admit_unlocked(
        self, database: Database, items: Sequence[AdmitItem]
    ) -> list[AdmitUnlockedRow]: ...

    async def close(
        self, database: Database, *, room_id: int, after: int, limit: int
    ) -> int | None: ...

    async def adapt(
        self,
        database: Database,
        *,
        room_id: int,
        policy_version: int,
        calls: Sequence[int],
        bounds_ms: Sequence[float],
        step_seconds: float,
    ) -> int | None: ...

    async def adapt_unlocked(
        self,
        database: Database,
        items: Sequence[AdaptItem],
        *,
        calls: Sequence[int],
        bounds_ms: Sequence[float],
        step_seconds: float,
    ) -> list[int]: ...

    async def configure(
        self,
        database: Database,
        *,
        concert_id: UUID,
        policy: str,
        session_seconds: int,
        claim_seconds: int,
        opens_at: datetime | None,
        closes_at: datetime | None,
        line_order: LineOrder,
        seed: str,
        known_versions: Sequence[int] | None,
    ) -> str: ...

    async def settings_of_room(
        self, database: Database, *, concert_id: UUID
    ) -> SettingsRow | None: ...

    async def pause(self, database: Database, *, concert_id: UUID, paused: bool) -> int | None: ...

    async def places(self, database: Database, items: Sequence[PlaceItem]) -> list[PlaceRow]: ...

    async def close_entries(self, database: Database, *, room_id: int) -> bool: ...

    async def lift_statement_timeout(self, database: Database) -> None: ...

    async def draw(self, database: Database, *, room_id: int) -> int | None: ...

    async def draw_of_concert(self, database: Database, *, concert_id: UUID) -> Draw | None: ...

    async def entries(
        self, database: Database, *, room_id: int, after: int, entrants: int, limit: int
    ) -> list[EntryRow]: ...


queries = bind(WaitingRoomQueries)
