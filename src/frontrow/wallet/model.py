"""Balances and transfers, as their owner sees them. Money is in the currency's minor unit."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec


class Balance(msgspec.Struct, frozen=True):
    """What a user has to pay with."""

    user_id: UUID
    balance: int
    currency: str


class Charge(msgspec.Struct, frozen=True):
    """Money that came in, and the balance after it."""

    charge_id: UUID
    user_id: UUID
    amount: int
    balance: int
    created_at: datetime


class Transfer(msgspec.Struct, frozen=True):
    """One row of the ledger: a charge or refund came in, a payment went out."""

    transfer_id: UUID
    kind: Literal["charge", "payment", "refund"]
    amount: int
    balance: int
    reference: UUID | None
    created_at: datetime


class Transfers(msgspec.Struct, frozen=True):
    """A page of transfers, newest first; ``next`` is the ``after`` of the next page."""

    transfers: list[Transfer]
    next: str | None
