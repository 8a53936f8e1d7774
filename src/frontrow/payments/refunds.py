"""Refunds single payments: money to the wallet, seats back on sale, tickets void."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import asyncpg
import msgspec

from frontrow import metrics
from frontrow.db.outcomes import check
from frontrow.errors import AlreadyCheckedIn, NotFound
from frontrow.group_commit import Again, Lanes, with_again
from frontrow.ids import OPERATOR, write_id
from frontrow.payments.model import Payment
from frontrow.payments.queries import PaymentRow, RefundItem, RefundRow, queries
from frontrow.payments.ticket_queries import queries as tickets


class Refunds:
    """Refunds single payments.

    Args:
        to_payment: returns the payment of a row.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        lanes: Lanes,
        *,
        to_payment: Callable[[PaymentRow], Awaitable[Payment]],
    ) -> None:
        self._pool = pool
        self._to_payment = to_payment
        self._refunding = lanes.open("refund", self._refund)

    async def refund(
        self, payment_id: UUID, user_id: UUID | None, idempotency_key: str | None
    ) -> tuple[Payment, str]:
        """Refunds a whole payment in one transaction.

        Then the money is in the wallet, the seats are available and the tickets are void.

        Args:
            payment_id: the payment.
            user_id: the user who requests it and must own the payment; ``None`` for the operator,
                who may refund any.
            idempotency_key: makes a retry safe; a retry without a key is safe too.

        Returns:
            The refunded payment, and ``refunded``, ``replayed`` (an earlier refund with this key)
            or ``existing`` (another earlier refund).

        Raises:
            NotFound: there is no such payment, or it is another user's.
            RefundClosed: the buyer requests it, and the concert doesn't or no longer allows
                refunds.
            AlreadyCheckedIn: a ticket of it is checked in.
            IdempotencyKeyReused: the key belongs to the refund of another payment.
        """
        refund_id = write_id(user_id or OPERATOR, "refund", idempotency_key)
        row = await self._refunding.submit(RefundItem(refund_id, payment_id, user_id))
        if row.outcome == AlreadyCheckedIn.code:
            used = await tickets.used_ticket_of_payment(self._pool, payment_id=payment_id)
            raise AlreadyCheckedIn(**msgspec.structs.asdict(used)) if used else NotFound
        check(row)
        return await self._to_payment(row), row.outcome

    async def _refund(self, items: Sequence[RefundItem]) -> list[RefundRow | Again]:
        rows = await queries.refund(self._pool, items)
        for row in rows:
            if row.outcome == "refunded":
                metrics.count_refunds(row.refund_reason, 1, row.amount)
        return with_again(rows)
