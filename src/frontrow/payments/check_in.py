"""Check-in: a ticket is checked in once, even if several gates scan it at the same time."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from frontrow.db.outcomes import check
from frontrow.errors import NotFound
from frontrow.group_commit import Again, Lanes, with_again
from frontrow.ids import OPERATOR, write_id
from frontrow.metrics import CHECK_INS
from frontrow.payments.model import Row, SeatInRow
from frontrow.payments.ticket_queries import CheckInItem, CheckInRow, queries
from frontrow.payments.ticket_signing import TicketSigner


class CheckIn(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket that is checked in."""

    ticket_id: UUID
    concert_id: UUID
    title: str
    show_id: UUID
    date: date
    starts_at: datetime
    number: int
    section: str | None
    row: Row
    seat: SeatInRow
    checked_in_at: datetime
    gate: Annotated[str | None, Meta(description="The gate of the check-in.")]


class Scan(NamedTuple):
    """A scanned code, with the gate and the show or concert that it admits to, if named."""

    code: str
    gate: str | None = None
    show_id: UUID | None = None
    concert_id: UUID | None = None


class CheckIns:
    """Checks tickets in."""

    def __init__(self, pool: asyncpg.Pool, lanes: Lanes, signer: TicketSigner) -> None:
        self._pool = pool
        self._signer = signer
        self._checking = lanes.open("check_in", self._check_in)

    async def check_in(self, scan: Scan, idempotency_key: str | None) -> tuple[CheckIn, bool]:
        """Checks a ticket in.

        Returns:
            The check-in, and whether it is the replay of an earlier one with this key.

        Raises:
            NotFound: the code is forged, truncated, altered, or signed with a key that isn't
                accepted. Its detail explains a text that isn't a code.
            WrongShow: the ticket is for another show or concert than the gate.
            TicketVoid: the ticket is refunded or its show cancelled.
            AlreadyCheckedIn: the ticket is checked in.
            IdempotencyKeyReused: the key belongs to another ticket, or this one at another gate.
        """
        try:
            code = await self._signer.read(scan.code)
        except NotFound:
            CHECK_INS.labels(NotFound.code).inc()
            raise
        row = await self._checking.submit(
            CheckInItem(
                code.ticket_id, code.key_id, write_id(OPERATOR, "check_in", idempotency_key),
                scan.gate, scan.show_id, scan.concert_id,
            )
        )  # fmt: skip
        check(row)
        checked = CheckIn(**{name: getattr(row, name) for name in CheckIn.__struct_fields__})
        return checked, row.outcome == "replayed"

    async def _check_in(self, items: Sequence[CheckInItem]) -> list[CheckInRow | Again]:
        rows = await queries.check_in(self._pool, items)
        outcomes = Counter(row.outcome for row in rows)
        del outcomes["again"]
        for outcome, times in outcomes.items():
            CHECK_INS.labels(outcome).inc(times)
        return with_again(rows)
