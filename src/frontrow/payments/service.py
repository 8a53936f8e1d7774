"""Pays reservations, and tells what was bought."""

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple
from uuid import UUID

import asyncpg

from frontrow.db.queries import load
from frontrow.errors import (
    AmountMismatch,
    DomainError,
    InsufficientBalance,
    NotFound,
    ReservationClosed,
    outcome_error,
)
from frontrow.group_commit import AGAIN, Again, Lanes
from frontrow.ids import PlaceRef, place_arrays, write_id
from frontrow.metrics import count_finished
from frontrow.payments.model import PaidTicket, Payment, Payments, Refund, Sales, SeatCounts
from frontrow.payments.ticket_signing import SignedSeat, TicketSigner

_queries = load("frontrow.payments")

_FOLD_BATCH = 10_000


class _Pay(NamedTuple):
    place: PlaceRef
    payment_id: UUID
    reservation_id: UUID
    amount: int


class _Paid(NamedTuple):
    """What came of an item: its row, and the signing of all codes of its batch."""

    row: asyncpg.Record
    signing: asyncio.Task[list[str]]


class Paying:
    """The purchase.

    Args:
        signer: makes the codes of the tickets.
        wake: told the room where a slot has come free.
        note: told how long each payment took, in seconds.
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
        """Pays a reservation, in one transaction.

        Money moves, the ledger is written, the seats are owned, the token ends.

        Args:
            place: whose.
            reservation_id: what is paid.
            amount: what the user thinks it costs, in the currency's minor unit.
            idempotency_key: makes asking again safe; so does asking again without one.

        Returns:
            The payment, and ``paid``, ``replayed`` (made before with this key: as it was made) or
            ``existing`` (made before otherwise: as it stands, refunded perhaps).

        Raises:
            NotFound, NotAllowed, ShowClosed, ReservationClosed, HoldExpired: there is nothing to
                pay.
            AmountMismatch, InsufficientBalance: the money doesn't fit; the hold stays.
            NotAdmitted, TokenFinished, CredentialInvalid: the place may not act.
            IdempotencyKeyReused: the key paid something else.
        """
        payment_id = write_id(place.user_id, "payment", idempotency_key)
        started = perf_counter()
        try:
            paid = await self._paying.submit(_Pay(place, payment_id, reservation_id, amount))
        finally:
            self._note(perf_counter() - started)
        row = paid.row
        outcome = row["outcome"]
        if outcome not in ("paid", "replayed", "existing"):
            raise _refusal(row, amount)
        if outcome == "existing" and row["state"] == "refunded":
            return await self.payment(place.user_id, row["payment_id"]), outcome
        if outcome == "paid":
            self._wake(place.room_id)
        await asyncio.shield(paid.signing)  # its whole batch waits for it
        payment = Payment(
            payment_id=row["payment_id"],
            reservation_id=reservation_id,
            user_id=place.user_id,
            amount=amount,
            currency=self._currency,
            balance=row["balance"],
            state="paid",
            seats=row["seats"],
            tickets=await self._tickets(row),
            paid_at=row["paid_at"],
            refund=None,
        )
        return payment, outcome

    async def payments(self, user_id: UUID, *, limit: int, after: UUID | None) -> Payments:
        """A page of a user's payments, newest first; ``after`` is ``next`` of the page before."""
        rows = await _queries.payments_of_user(
            self._pool, user_id=user_id, after=after, limit=limit + 1
        )
        page = [await self.tell(row) for row in rows[:limit]]
        return Payments(page, str(page[-1].payment_id) if len(rows) > limit else None)

    async def payment(self, user_id: UUID, payment_id: UUID) -> Payment:
        """One payment of a user.

        Raises:
            NotFound: the user has none with this id.
        """
        row = await _queries.payment_of_user(self._pool, user_id=user_id, payment_id=payment_id)
        if row is None:
            raise NotFound
        return await self.tell(row)

    async def sales(self, concert_id: UUID) -> Sales:
        """What a concert has sold so far."""
        row = await _queries.sales_of_concert(self._pool, concert_id=concert_id)
        return Sales(
            seats=SeatCounts(
                total=row["seats_total"],
                available=row["seats_total"] - row["sold"] - row["held"],
                held=row["held"],
                sold=row["sold"],
            ),
            revenue=row["revenue"],
            holds_expired=await _queries.expired_holds(self._pool, concert_id=concert_id),
        )

    async def fold_stock(self) -> int:
        """Tidies the count of sold seats, a batch of it. Safe in every process."""
        folded: int = await _queries.fold_stock(self._pool, limit=_FOLD_BATCH)
        return folded

    async def _pay(self, asks: Sequence[_Pay]) -> list[_Paid | Again]:
        rows = await _queries.pay(
            self._pool,
            **place_arrays([ask.place for ask in asks]),
            user_ids=[ask.place.user_id for ask in asks],
            concert_ids=[ask.place.concert_id for ask in asks],
            payment_ids=[ask.payment_id for ask in asks],
            reservation_ids=[ask.reservation_id for ask in asks],
            amounts=[ask.amount for ask in asks],
        )
        paid = zip(asks, rows, strict=True)
        count_finished((a.place.concert_id for a, r in paid if r["outcome"] == "paid"), "paid")
        # All together, so that each payment finds its codes signed; and beside the next batch.
        seats = [seat for row in rows for seat in _signed_seats(row)]
        signing = asyncio.create_task(self._signer.codes(seats))
        return [AGAIN if row["outcome"] == "again" else _Paid(row, signing) for row in rows]

    async def tell(self, row: asyncpg.Record) -> Payment:
        """A payment as a row of the database has it."""
        return Payment(
            payment_id=row["payment_id"],
            reservation_id=row["reservation_id"],
            user_id=row["user_id"],
            amount=row["amount"],
            currency=self._currency,
            balance=row["balance"],
            state=row["state"],
            seats=row["seats"],
            tickets=await self._tickets(row, void=row["state"] == "refunded"),
            paid_at=row["paid_at"],
            refund=_refund(row),
        )

    async def _tickets(self, row: asyncpg.Record, *, void: bool = False) -> list[PaidTicket]:
        """The tickets of a payment; void ones, of one that was refunded, have no codes."""
        seats = _signed_seats(row)
        codes: Sequence[str | None] = [None] * len(seats)
        if not void:
            codes = await self._signer.codes(seats)
        return [
            PaidTicket(ticket_id, number, code)
            for (ticket_id, _, number), code in zip(seats, codes, strict=True)
        ]


def _signed_seats(row: asyncpg.Record) -> list[SignedSeat]:
    """What the tickets of a payment are for; none where there is none."""
    numbered = zip(row["tickets"] or (), row["seats"] or (), strict=True)
    return [(ticket_id, row["show_id"], number) for ticket_id, number in numbered]


def _refund(row: asyncpg.Record) -> Refund | None:
    if row["refund_id"] is None:
        return None
    return Refund(
        refund_id=row["refund_id"],
        amount=row["amount"],
        balance=row["refund_balance"],
        refunded_at=row["refunded_at"],
        reason=row["refund_reason"],
    )


def _refusal(row: asyncpg.Record, amount: int) -> DomainError:
    """The error that an outcome of the database stands for."""
    match row["outcome"]:
        case "insufficient_balance":
            return InsufficientBalance(
                balance=row["balance"], amount=amount, shortfall=amount - row["balance"]
            )
        case "amount_mismatch":
            return AmountMismatch(expected=row["expected"])
        case "reservation_closed":
            return ReservationClosed(state=row["state"])
        case outcome:
            return outcome_error(outcome, row["reason"])
