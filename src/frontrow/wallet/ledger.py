"""Wallets and the ledger: the only writer of balances, beside the purchase in payments/."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg

from frontrow.db.queries import load
from frontrow.errors import InvalidRequest, outcome_error
from frontrow.group_commit import AGAIN, Again, Lanes
from frontrow.ids import PlaceRef, place_arrays, write_id
from frontrow.wallet.model import Balance, Charge, Transfer, Transfers

_queries = load("frontrow.wallet")

_AFTER_EVERY_ENTRY = 2**31 - 1
_ENTRY = re.compile("[0-9]{1,9}")


class _Charge(NamedTuple):
    place: PlaceRef
    transfer_id: UUID
    amount: int


class Ledger:
    """Charges wallets and tells what is in them. Amounts are in the currency's minor unit."""

    def __init__(self, pool: asyncpg.Pool, lanes: Lanes, *, currency: str) -> None:
        self._pool = pool
        self._currency = currency
        self._charging = lanes.open("charge", self._charge)
        self._reading = lanes.open("balance_read", self._read)

    async def charge(
        self, place: PlaceRef, amount: int, idempotency_key: str | None
    ) -> tuple[Charge, bool]:
        """Puts money into the wallet of an admitted user.

        Returns:
            The charge as it was made, and whether it had been made before with this key.

        Raises:
            NotAdmitted, TokenFinished, CredentialInvalid: the place may not act.
            IdempotencyKeyReused: the key made another charge.
        """
        transfer_id = write_id(place.user_id, "charge", idempotency_key)
        row = await self._charging.submit(_Charge(place, transfer_id, amount))
        outcome = row["outcome"]
        if outcome not in ("charged", "replayed"):
            raise outcome_error(outcome, row["reason"])
        charge = Charge(transfer_id, place.user_id, amount, row["balance"], row["created_at"])
        return charge, outcome == "replayed"

    async def balance(self, user_id: UUID) -> Balance:
        """What a user has."""
        return Balance(user_id, await self._reading.submit(user_id), self._currency)

    async def transfers(self, user_id: UUID, *, limit: int, after: str | None) -> Transfers:
        """A page of a user's transfers, newest first.

        Args:
            user_id: whose.
            limit: most of them.
            after: ``next`` of the page before.

        Raises:
            InvalidRequest: ``after`` is none of ours.
        """
        if after is not None and not _ENTRY.fullmatch(after):
            raise InvalidRequest.at("after", "take it from the page before")
        rows = await _queries.transfers(
            self._pool,
            user_id=user_id,
            before=int(after) if after else _AFTER_EVERY_ENTRY,
            limit=limit + 1,
        )
        page = [
            Transfer(
                row["transfer_id"], row["kind"], row["amount"], row["balance"], row["reference"],
                row["created_at"],
            )
            for row in rows[:limit]
        ]  # fmt: skip
        more = str(rows[limit - 1]["entry"]) if len(rows) > limit else None
        return Transfers(page, more)

    async def _charge(self, asks: Sequence[_Charge]) -> list[asyncpg.Record | Again]:
        rows = await _queries.charge(
            self._pool,
            **place_arrays([ask.place for ask in asks]),
            user_ids=[ask.place.user_id for ask in asks],
            transfer_ids=[ask.transfer_id for ask in asks],
            amounts=[ask.amount for ask in asks],
        )
        return [AGAIN if row["outcome"] == "again" else row for row in rows]

    async def _read(self, user_ids: Sequence[UUID]) -> list[int]:
        rows = await _queries.balances(self._pool, user_ids=user_ids)
        return [row["balance"] for row in rows]
