"""Wallets and the ledger: the only writer of balances, besides the purchase in payments/."""

import re
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from frontrow.db.outcomes import check
from frontrow.errors import InvalidRequest
from frontrow.group_commit import Again, Lanes, with_again
from frontrow.ids import PlaceRef, write_id
from frontrow.wallet.model import Balance, Charge, Transfer, Transfers
from frontrow.wallet.queries import ChargeItem, ChargeRow, queries

_AFTER_EVERY_ENTRY = 2**31 - 1
_ENTRY = re.compile("[0-9]{1,9}")


class Ledger:
    """Charges wallets and reads them. Amounts are in the currency's minor unit."""

    def __init__(self, pool: asyncpg.Pool, lanes: Lanes, *, currency: str) -> None:
        self._pool = pool
        self._currency = currency
        self._charging = lanes.open("charge", self._charge)
        self._reading = lanes.open("balance_read", self._read)

    async def charge(
        self, place: PlaceRef, amount: int, idempotency_key: str | None
    ) -> tuple[Charge, bool]:
        """Charges the wallet of an admitted user.

        Returns:
            The charge, and whether it is the replay of an earlier one with this key.

        Raises:
            NotAdmitted, TokenFinished, CredentialInvalid: the place may not act.
            IdempotencyKeyReused: the key belongs to another charge.
        """
        transfer_id = write_id(place.user_id, "charge", idempotency_key)
        row = await self._charging.submit(
            ChargeItem(
                place.room_id, place.number, place.place_id, place.user_id, transfer_id, amount
            )
        )
        check(row)
        charge = Charge(transfer_id, place.user_id, amount, row.balance, row.created_at)
        return charge, row.outcome == "replayed"

    async def balance(self, user_id: UUID) -> Balance:
        """Returns a user's balance."""
        return Balance(user_id, await self._reading.submit(user_id), self._currency)

    async def transfers(self, user_id: UUID, *, limit: int, after: str | None) -> Transfers:
        """Returns a page of a user's transfers, newest first.

        Args:
            user_id: the user.
            limit: the largest number of transfers in the page.
            after: ``next`` of the page before.

        Raises:
            InvalidRequest: ``after`` isn't the ``next`` of a page.
        """
        if after is not None and not _ENTRY.fullmatch(after):
            raise InvalidRequest.at("after", "take it from the page before")
        rows = await queries.transfers(
            self._pool,
            user_id=user_id,
            before=int(after) if after else _AFTER_EVERY_ENTRY,
            limit=limit + 1,
        )
        page = [
            Transfer(
                row.transfer_id, row.kind, row.amount, row.balance, row.reference, row.created_at
            )
            for row in rows[:limit]
        ]
        return Transfers(page, str(rows[limit - 1].entry) if len(rows) > limit else None)

    async def _charge(self, items: Sequence[ChargeItem]) -> list[ChargeRow | Again]:
        return with_again(await queries.charge(self._pool, items))

    async def _read(self, user_ids: Sequence[UUID]) -> list[int]:
        return await queries.balances(self._pool, user_ids=user_ids)
