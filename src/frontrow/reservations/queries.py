"""The typed queries of reservations."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import ClassVar, Literal, Protocol, TypeAlias
from uuid import UUID

from frontrow.db.outcomes import PlaceRefusal
from frontrow.db.queries import Database, Item, Row, bind
from frontrow.errors import FinishReason
from frontrow.reservations.model import ActiveHold, ReservationState

_Held: TypeAlias = Literal["held", "replayed", "again", "idempotency_key_reused"]
_NoHold: TypeAlias = Literal[
    "not_found", "not_allowed", "sign_in_required", "show_closed", "rate_limited", "seat_limit"
]


class _HoldItem(Item, frozen=True):
    """A hold that an admitted user requests."""

    room_id: int
    number: int
    place_id: UUID
    user_id: UUID
    concert_id: UUID
    reservation_id: UUID
    request_hash: int
    show_id: UUID
    count: int


class HoldItem(_HoldItem, frozen=True):
    """A hold of seats by number; the numbers are a list of their own."""

    network: int | None = None


class BestHoldItem(_HoldItem, frozen=True):
    """A hold of the best seats."""

    section: str | None
    together: bool
    network: int | None = None


class HoldRow(Row, frozen=True):
    """The outcome of a hold, and its seats if there are any."""

    accepted: ClassVar = frozenset({"held", "replayed"})

    outcome: _Held | Literal["seat_taken", "recently_released"] | _NoHold | PlaceRefusal
    reason: FinishReason | None
    taken: list[int] | None
    seat_limit: int | None
    retry_after_seconds: int | None
    seats: list[int]
    amount: int
    prices: list[int]
    sections: list[str | None]
    created_at: datetime
    held_until: datetime
    by_address: bool | None = None
    """Of ``rate_limited``: whether too many seats are held from the client's network."""


class BestHoldRow(Row, frozen=True):
    """The outcome of a hold of the best seats, and these seats if there are any."""

    accepted: ClassVar = frozenset({"held", "replayed"})

    outcome: _Held | Literal["seats_unavailable"] | _NoHold | PlaceRefusal
    reason: FinishReason | None
    available: int | None
    together: int | None
    seat_limit: int | None
    retry_after_seconds: int | None
    seats: list[int]
    amount: int
    prices: list[int]
    sections: list[str | None]
    created_at: datetime
    held_until: datetime
    by_address: bool | None = None


class ReleaseItem(Item, frozen=True):
    """A release; the place is that of the token, if the caller sent one."""

    reservation_id: UUID
    user_id: UUID
    room_id: int | None
    number: int | None
    place_id: UUID | None


class ReleaseRow(Row, frozen=True):
    """The outcome of a release."""

    accepted: ClassVar = frozenset({"released"})

    outcome: Literal[
        "released", "reservation_closed", "not_found", "not_allowed", "token_finished",
        "credential_invalid",
    ]  # fmt: skip
    reason: FinishReason | None
    state: str | None


class LeaveItem(Item, frozen=True):
    """A place whose user leaves."""

    room_id: int
    number: int
    place_id: UUID


class LeaveRow(Row, frozen=True):
    """The outcome of a leave."""

    accepted: ClassVar = frozenset({"left"})

    outcome: Literal["left", "token_finished", "credential_invalid"]
    reason: FinishReason | None


class ReservationItem(Item, frozen=True):
    """A reservation that its owner requests."""

    reservation_id: UUID
    user_id: UUID


class ReservationRow(Row, frozen=True):
    """A reservation, and the item that requested it."""

    item: int
    reservation_id: UUID
    concert_id: UUID
    show_id: UUID
    date: date
    starts_at: datetime
    seats: list[int]
    sections: list[str | None]
    prices: list[int]
    amount: int
    state: ReservationState
    held_until: datetime
    created_at: datetime
    payment_id: UUID | None


class ReservationQueries(Protocol):
    """The statements of ``queries.sql``."""

    async def hold(
        self,
        database: Database,
        items: Sequence[HoldItem],
        *,
        seats: Sequence[int],
        address_seats: Sequence[int | None],
        unpaid_holds: int,
        unpaid_seconds: int,
    ) -> list[HoldRow]: ...

    async def hold_best(
        self,
        database: Database,
        items: Sequence[BestHoldItem],
        *,
        search_from: Sequence[int],
        address_seats: Sequence[int | None],
        unpaid_holds: int,
        unpaid_seconds: int,
    ) -> list[BestHoldRow]: ...

    async def release(
        self, database: Database, items: Sequence[ReleaseItem]
    ) -> list[ReleaseRow]: ...

    async def leave(self, database: Database, items: Sequence[LeaveItem]) -> list[LeaveRow]: ...

    async def expire(self, database: Database, *, limit: int) -> int: ...

    async def reservations(
        self, database: Database, items: Sequence[ReservationItem]
    ) -> list[ReservationRow]: ...

    async def reservations_of_user(
        self, database: Database, *, user_id: UUID, limit: int
    ) -> list[UUID]: ...

    async def active_holds(
        self, database: Database, *, concert_id: UUID, limit: int
    ) -> list[ActiveHold]: ...


queries = bind(ReservationQueries)
