"""Gives purchases back: the money to the wallet, the seats to the sale, the tickets void."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg

from frontrow import metrics
from frontrow.db.queries import load
from frontrow.errors import AlreadyCheckedIn, DomainError, outcome_error
from frontrow.group_commit import AGAIN, Again, Lanes
from frontrow.ids import OPERATOR, write_id
from frontrow.payments.model import Payment

_queries = load("frontrow.payments")


class _Refund(NamedTuple):
    refund_id: UUID
    payment_id: UUID
    user_id: UUID | None


class Refunds:
    """Refunds of single payments.

    Args:
        tell: makes the payment out of a row.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        lanes: Lanes,
        *,
        tell: Callable[[asyncpg.Record], Awaitable[Payment]],
    ) -> None:
        self._pool = pool
        self._tell = tell
        self._refunding = lanes.open("refund", self._refund)

    async def refund(
        self, payment_id: UUID, user_id: UUID | None, idempotency_key: str | None
    ) -> tuple[Payment, str]:
        """Refunds a payment, in one transaction, all of it.

        The money is in the wallet, the seats are free, the tickets void.

        Args:
            payment_id: which.
            user_id: who asks, and whose it must be; ``None``: the operator, for anybody.
            idempotency_key: makes asking again safe; so does asking again without one.

        Returns:
            The refunded payment, and ``refunded``, ``replayed`` (refunded before with this key) or
            ``existing`` (refunded before otherwise).

        Raises:
            NotFound: there is no such payment, or it is another user's.
            RefundClosed: a buyer asks, and the concert doesn't allow it, or no longer.
            AlreadyCheckedIn: somebody was let in with a ticket of it.
            IdempotencyKeyReused: the key refunded another payment.
        """
        refund_id = write_id(user_id or OPERATOR, "refund", idempotency_key)
        row = await self._refunding.submit(_Refund(refund_id, payment_id, user_id))
        outcome = row["outcome"]
        if outcome not in ("refunded", "replayed", "existing"):
            raise _refusal(row)
        return await self._tell(row), outcome

    async def _refund(self, asks: Sequence[_Refund]) -> list[asyncpg.Record | Again]:
        rows = await _queries.refund(
            self._pool,
            refund_ids=[ask.refund_id for ask in asks],
            payment_ids=[ask.payment_id for ask in asks],
            user_ids=[ask.user_id for ask in asks],
        )
        for row in rows:
            if row["outcome"] == "refunded":
                metrics.count_refunds(row["refund_reason"], 1, row["amount"])
        return [AGAIN if row["outcome"] == "again" else row for row in rows]


def _refusal(row: asyncpg.Record) -> DomainError:
    """The error that an outcome of the database stands for."""
    if row["outcome"] == AlreadyCheckedIn.code:
        return AlreadyCheckedIn(checked_in_at=row["checked_in_at"], gate=row["gate"])
    return outcome_error(row["outcome"], None)
