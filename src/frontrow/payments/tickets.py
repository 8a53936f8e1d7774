"""Users' tickets, as the users see them."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import asyncpg
from msgspec.structs import asdict

from frontrow.errors import NotFound
from frontrow.payments.model import Revision, Ticket
from frontrow.payments.ticket_queries import TicketRow, queries
from frontrow.payments.ticket_signing import TicketSigner


class Tickets:
    """Reads users' tickets, with their codes."""

    def __init__(self, pool: asyncpg.Pool, signer: TicketSigner) -> None:
        self._pool = pool
        self.signer = signer

    async def of_user(self, user_id: UUID, *, limit: int) -> list[Ticket]:
        """Returns a user's tickets, the next show first."""
        return await self._tickets(
            await queries.tickets_of_user(self._pool, user_id=user_id, limit=limit)
        )

    async def ticket(self, user_id: UUID, ticket_id: UUID) -> Ticket:
        """Returns one ticket of a user.

        Raises:
            NotFound: the user has none with this id.
        """
        row = await queries.ticket_of_user(self._pool, user_id=user_id, ticket_id=ticket_id)
        if row is None:
            raise NotFound
        (ticket,) = await self._tickets([row])
        return ticket

    async def revision(self, user_id: UUID, ticket_id: UUID) -> Revision:
        """Returns the present revision of a user's ticket.

        Read it before the ticket: if both change in between, the next revision says the same again.

        Raises:
            NotFound: the user has none with this id.
        """
        found = await queries.revision_of_ticket(self._pool, user_id=user_id, ticket_id=ticket_id)
        if found is None:
            raise NotFound
        return found

    async def _tickets(self, rows: Sequence[TicketRow]) -> list[Ticket]:
        valid = [row for row in rows if row.void_at is None]
        codes = await self.signer.codes([(row.ticket_id, row.show_id, row.number) for row in valid])
        code_of = {row.ticket_id: code for row, code in zip(valid, codes, strict=True)}
        return [
            Ticket(**asdict(row), state=_state(row), code=code_of.get(row.ticket_id))
            for row in rows
        ]


def _state(row: TicketRow) -> Literal["valid", "used", "void"]:
    if row.void_at is not None:
        return "void"
    return "valid" if row.checked_in_at is None else "used"
