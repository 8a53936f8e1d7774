"""The typed queries of payments, refunds, cancellations and sales."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from frontrow.db.outcomes import PlaceRefusal
from frontrow.db.queries import Database, Item, Row, bind
from frontrow.errors import FinishReason
from frontrow.payments.model import Cancellation, RefundReason, ShowAtStake
from frontrow.reservations.model import ReservationState


class PayItem(Item, frozen=True):
    """A reservation that the user of a place pays."""

    room_id: int
    number: int
    place_id: UUID
    user_id: UUID
    concert_id: UUID
    payment_id: UUID
    reservation_id: UUID
    amount: int


class PayRow(Row, frozen=True):
    """The outcome of a payment; ``expected`` is the price of the reservation."""

    accepted: ClassVar = frozenset({"paid", "replayed", "existing"})

    outcome: (
        Literal[
            "paid",
            "replayed",
            "existing",
            "again",
            "amount_mismatch",
            "hold_expired",
            "idempotency_key_reused",
            "insufficient_balance",
            "not_allowed",
            "not_found",
            "reservation_closed",
            "show_closed",
        ]
        | PlaceRefusal
    )
    reason: FinishReason | None
    state: ReservationState | None
    expected: int
    payment_id: UUID
    show_id: UUID
    seats: list[int] | None
    tickets: list[UUID] | None
    balance: int
    paid_at: datetime

    @property
    def shortfall(self) -> int:
        """The amount that the wallet lacks."""
        return self.expected - self.balance


class PaymentRow(Row, frozen=True):
    """A payment, with its refund if there is one."""

    payment_id: UUID
    reservation_id: UUID
    user_id: UUID
    amount: int
    balance: int
    state: Literal["paid", "refunded"]
    show_id: UUID
    seats: list[int]
    paid_at: datetime
    tickets: list[UUID]
    refund_id: UUID | None
    refund_balance: int
    refunded_at: datetime
    refund_reason: RefundReason


class RefundItem(Item, frozen=True):
    """A payment to be refunded; ``user_id`` is its buyer, or ``None`` for the operator."""

    refund_id: UUID
    payment_id: UUID
    user_id: UUID | None


class RefundRow(PaymentRow, frozen=True):
    """The outcome of a refund, and the payment unless it is refused."""

    accepted: ClassVar = frozenset({"refunded", "replayed", "existing"})

    outcome: Literal[
        "refunded",
        "replayed",
        "existing",
        "again",
        "already_checked_in",
        "idempotency_key_reused",
        "not_found",
        "refund_closed",
    ]
    checked_in_at: datetime | None
    gate: str | None


class CancelStepRow(Row, frozen=True):
    """The refunds of one step; ``busy``: another process works on this show."""

    state: Literal["running", "finished", "busy"]
    payments: int
    amount: int


class SalesRow(Row, frozen=True):
    """The seats of a concert by state, and its revenue."""

    seats_total: int
    sold: int
    revenue: int
    held: int


class PaymentQueries(Protocol):
    """The statements of ``queries.sql``."""

    async def pay(self, database: Database, items: Sequence[PayItem]) -> list[PayRow]: ...

    async def refund(self, database: Database, items: Sequence[RefundItem]) -> list[RefundRow]: ...

    async def cancel_show(self, database: Database, *, show_id: UUID) -> bool: ...

    async def cancel_step(
        self, database: Database, *, show_id: UUID, limit: int
    ) -> CancelStepRow: ...

    async def cancellation(self, database: Database, *, show_id: UUID) -> Cancellation | None: ...

    async def running_cancellations(self, database: Database) -> list[UUID]: ...

    async def show_at_stake(self, database: Database, *, show_id: UUID) -> ShowAtStake | None: ...

    async def fold_stock(self, database: Database, *, limit: int) -> int: ...

    async def payments_of_user(
        self, database: Database, *, user_id: UUID, after: UUID | None, limit: int
    ) -> list[PaymentRow]: ...

    async def payment_of_user(
        self, database: Database, *, payment_id: UUID, user_id: UUID
    ) -> PaymentRow | None: ...

    async def sales_of_concert(self, database: Database, *, concert_id: UUID) -> SalesRow: ...

    async def expired_holds(self, database: Database, *, concert_id: UUID) -> int: ...


queries = bind(PaymentQueries)
