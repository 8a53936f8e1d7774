"""Balances and transfers, as their owner sees them. Money is in the currency's minor unit."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec


class Balance(msgspec.Struct, frozen=True):
    """The balance of a user."""

    user_id: UUID
    balance: int
    currency: str


class Charge(msgspec.Struct, frozen=True):
    """A charge, and the balance after it."""

    charge_id: UUID
    user_id: UUID
    amount: int
    balance: int
    created_at: datetime


class Transfer(msgspec.Struct, frozen=True):
    """One row of the ledger: a charge or refund increases the balance, a payment reduces it."""

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
