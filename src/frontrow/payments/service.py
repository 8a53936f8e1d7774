"""The purchase: pays reservations and reads payments."""

from collections.abc import Callable, Sequence
from time import perf_counter
from uuid import UUID

import asyncpg

from frontrow.db.outcomes import check
from frontrow.errors import NotFound
from frontrow.group_commit import Again, Lanes, with_again
from frontrow.ids import PlaceRef, write_id
from frontrow.metrics import count_finished
from frontrow.payments.model import PaidTicket, Payment, PaymentPage, Refund, Sales, SeatCounts
from frontrow.payments.queries import PayItem, PaymentRow, PayRow, queries
from frontrow.payments.ticket_signing import SignedSeat, TicketSigner

_FOLD_BATCH = 10_000


class Payments:
    """Pays reservations and reads payments.

    Args:
        signer: signs the codes of the tickets.
        wake: called with a room in which a payment has freed a slot.
        note: called with the seconds that each payment took.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        lanes: Lanes,
        signer: TicketSigner,
        *,
        currency: str,
        wake: Callable[[int], None] = lambda _: None,
        note: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._pool = pool
        self._signer = signer
        self._currency = currency
        self._wake = wake
        self._note = note
        self._paying = lanes.open("pay", self._pay)

    async def pay(
        self, place: PlaceRef, reservation_id: UUID, amount: int, idempotency_key: str | None
    ) -> tuple[Payment, str]:
        """Pays a reservation in one transaction: money, ledger, seats, tickets, end of the token.

        Args:
            place: the place that holds it.
            reservation_id: the reservation.
            amount: the amount that the user expects to pay, in the currency's minor unit.
            idempotency_key: makes a retry safe; a retry without a key is safe too.

        Returns:
            The payment, and ``paid``, ``replayed`` (an earlier payment with this key, as it was)
            or ``existing`` (another earlier payment, as it is now: perhaps refunded).

        Raises:
            NotFound, NotAllowed, ShowClosed, ReservationClosed, HoldExpired: the reservation can't
                be paid.
            AmountMismatch, InsufficientBalance: the amount is wrong, or the balance is too small;
                the hold stays.
            NotAdmitted, TokenFinished, CredentialInvalid: the place may not act.
            IdempotencyKeyReused: the key belongs to another payment.
        """
        payment_id = write_id(place.user_id, "payment", idempotency_key)
        item = PayItem(
            place.room_id, place.number, place.place_id, place.user_id, place.concert_id,
            payment_id, reservation_id, amount,
        )  # fmt: skip
        started = perf_counter()
        try:
            row = await self._paying.submit(item)
        finally:
            self._note(perf_counter() - started)
        check(row)
        if row.outcome == "existing" and row.state == "refunded":
            return await self.payment(place.user_id, row.payment_id), row.outcome
        if row.outcome == "paid":
            self._wake(place.room_id)
        payment = Payment(
            payment_id=row.payment_id,
            reservation_id=reservation_id,
            user_id=place.user_id,
            amount=amount,
            currency=self._currency,
            balance=row.balance,
            state="paid",
            seats=row.seats or [],
            tickets=await self._tickets(row),
            paid_at=row.paid_at,
            refund=None,
        )
        return payment, row.outcome

    async def payments(self, user_id: UUID, *, limit: int, after: UUID | None) -> PaymentPage:
        """Returns a page of a user's payments, newest first.

        ``after`` is ``next`` of the page before.
        """
        rows = await queries.payments_of_user(
            self._pool, user_id=user_id, after=after, limit=limit + 1
        )
        page = [await self.to_payment(row) for row in rows[:limit]]
        return PaymentPage(page, str(page[-1].payment_id) if len(rows) > limit else None)

    async def payment(self, user_id: UUID, payment_id: UUID) -> Payment:
        """Returns one payment of a user.

        Raises:
            NotFound: the user has none with this id.
        """
        row = await queries.payment_of_user(self._pool, user_id=user_id, payment_id=payment_id)
        if row is None:
            raise NotFound
        return await self.to_payment(row)

    async def sales(self, concert_id: UUID) -> Sales:
        """Returns the sales of a concert so far."""
        row = await queries.sales_of_concert(self._pool, concert_id=concert_id)
        return Sales(
            seats=SeatCounts(
                total=row.seats_total,
                available=row.seats_total - row.sold - row.held,
                held=row.held,
                sold=row.sold,
            ),
            revenue=row.revenue,
            holds_expired=await queries.expired_holds(self._pool, concert_id=concert_id),
        )

    async def fold_stock(self) -> int:
        """Folds a batch of sold seats into the counters. Safe in every process."""
        return await queries.fold_stock(self._pool, limit=_FOLD_BATCH)

    async def to_payment(self, row: PaymentRow) -> Payment:
        """Returns a payment from its row."""
        return Payment(
            payment_id=row.payment_id,
            reservation_id=row.reservation_id,
            user_id=row.user_id,
            amount=row.amount,
            currency=self._currency,
            balance=row.balance,
            state=row.state,
            seats=row.seats,
            tickets=await self._tickets(row, void=row.state == "refunded"),
            paid_at=row.paid_at,
            refund=_refund(row),
        )

    async def _pay(self, items: Sequence[PayItem]) -> list[PayRow | Again]:
        rows = await queries.pay(self._pool, items)
        paid = [i.concert_id for i, r in zip(items, rows, strict=True) if r.outcome == "paid"]
        count_finished(paid, "paid")
        return with_again(rows)

    async def _tickets(self, row: PayRow | PaymentRow, *, void: bool = False) -> list[PaidTicket]:
        """Returns the tickets of a payment; void ones have no codes."""
        seats = _signed_seats(row)
        codes: Sequence[str | None] = [None] * len(seats)
        if not void:
            codes = await self._signer.codes(seats)
        return [
            PaidTicket(ticket_id, number, code)
            for (ticket_id, _, number), code in zip(seats, codes, strict=True)
        ]


def _signed_seats(row: PayRow | PaymentRow) -> list[SignedSeat]:
    """Returns the content of the codes of a payment's tickets; empty without a payment."""
    numbered = zip(row.tickets or (), row.seats or (), strict=True)
    return [(ticket_id, row.show_id, number) for ticket_id, number in numbered]


def _refund(row: PaymentRow) -> Refund | None:
    if row.refund_id is None:
        return None
    return Refund(
        refund_id=row.refund_id,
        amount=row.amount,
        balance=row.refund_balance,
        refunded_at=row.refunded_at,
        reason=row.refund_reason,
    )
