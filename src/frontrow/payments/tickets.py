"""Tickets as their owners see them."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import asyncpg

from frontrow.db.queries import load
from frontrow.errors import NotFound
from frontrow.payments.model import Ticket
from frontrow.payments.ticket_signing import TicketSigner

_queries = load("frontrow.payments", "ticket_queries.sql")


class Tickets:
    """What users own, with the codes that let them in."""

    def __init__(self, pool: asyncpg.Pool, signer: TicketSigner) -> None:
        self._pool = pool
        self.signer = signer

    async def of_user(self, user_id: UUID, *, limit: int) -> list[Ticket]:
        """A user's tickets, the next show first."""
        return await self._tickets(
            await _queries.tickets_of_user(self._pool, user_id=user_id, limit=limit)
        )

    async def ticket(self, user_id: UUID, ticket_id: UUID) -> Ticket:
        """One ticket of a user.

        Raises:
            NotFound: the user has none with this id.
        """
        row = await _queries.ticket_of_user(self._pool, user_id=user_id, ticket_id=ticket_id)
        if row is None:
            raise NotFound
        (ticket,) = await self._tickets([row])
        return ticket

    async def _tickets(self, rows: Sequence[asyncpg.Record]) -> list[Ticket]:
        valid = [row for row in rows if row["void_at"] is None]
        codes = await self.signer.codes(
            [(row["ticket_id"], row["show_id"], row["number"]) for row in valid]
        )
        code_of = {row["ticket_id"]: code for row, code in zip(valid, codes, strict=True)}
        return [
            Ticket(**row, state=_state(row), code=code_of.get(row["ticket_id"])) for row in rows
        ]


def _state(row: asyncpg.Record) -> Literal["valid", "used", "void"]:
    if row["void_at"] is not None:
        return "void"
    return "valid" if row["checked_in_at"] is None else "used"
