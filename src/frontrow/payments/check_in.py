"""Check-in: a ticket is let in once, ever, however many gates scan it at the same moment."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from frontrow.db.queries import load
from frontrow.errors import (
    AlreadyCheckedIn,
    DomainError,
    NotFound,
    TicketVoid,
    WrongShow,
    outcome_error,
)
from frontrow.group_commit import AGAIN, Again, Lanes
from frontrow.ids import OPERATOR, write_id
from frontrow.metrics import CHECK_INS
from frontrow.payments.model import Row, SeatInRow
from frontrow.payments.ticket_signing import TicketSigner, Unchecked

_queries = load("frontrow.payments", "ticket_queries.sql")


class CheckIn(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket that was let in."""

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
    gate: Annotated[str | None, Meta(description="Where, as the gate said.")]


class Scan(NamedTuple):
    """What a gate has scanned: a code, where, and what the gate is for, as far as it says."""

    code: str
    gate: str | None = None
    show_id: UUID | None = None
    concert_id: UUID | None = None


class _Item(NamedTuple):
    code: Unchecked
    check_in_id: UUID
    scan: Scan


class CheckIns:
    """Lets tickets in."""

    def __init__(self, pool: asyncpg.Pool, lanes: Lanes, signer: TicketSigner) -> None:
        self._pool = pool
        self._signer = signer
        self._checking = lanes.open("check_in", self._check_in)

    async def check_in(self, scan: Scan, idempotency_key: str | None) -> tuple[CheckIn, bool]:
        """Lets a ticket in.

        Returns:
            The check-in, and whether it had been done before with this key.

        Raises:
            NotFound: the code is forged, cut, altered, or signed with a key that isn't accepted.
            WrongShow: the ticket is for another show or concert than the gate.
            TicketVoid: it is no longer a ticket.
            AlreadyCheckedIn: it was let in before.
            IdempotencyKeyReused: the key let another ticket in, or this one elsewhere.
        """
        try:
            code = await self._signer.read(scan.code)
        except NotFound:
            CHECK_INS.labels(NotFound.code).inc()
            raise
        check_in_id = write_id(OPERATOR, "check_in", idempotency_key)
        row = await self._checking.submit(_Item(code, check_in_id, scan))
        if row is None:
            raise NotFound
        if row["outcome"] not in ("checked_in", "replayed"):
            raise _refusal(row)
        checked = CheckIn(**{name: row[name] for name in CheckIn.__struct_fields__})
        return checked, row["outcome"] == "replayed"

    async def _check_in(self, items: Sequence[_Item]) -> list[asyncpg.Record | Again | None]:
        """Each item's row; ``None`` for a code that isn't genuine."""
        genuine = await self._signer.genuine([item.code for item in items])
        asked = [item for item, is_genuine in zip(items, genuine, strict=True) if is_genuine]
        rows = iter(await self._let_in(asked) if asked else [])
        found = [next(rows) if is_genuine else None for is_genuine in genuine]
        outcomes = Counter(NotFound.code if row is None else row["outcome"] for row in found)
        del outcomes["again"]
        for outcome, times in outcomes.items():
            CHECK_INS.labels(outcome).inc(times)
        return [AGAIN if row is not None and row["outcome"] == "again" else row for row in found]

    async def _let_in(self, items: Sequence[_Item]) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await _queries.check_in(
            self._pool,
            ticket_ids=[item.code.said.ticket_id for item in items],
            key_ids=[item.code.said.key_id for item in items],
            check_in_ids=[item.check_in_id for item in items],
            gates=[item.scan.gate for item in items],
            for_shows=[item.scan.show_id for item in items],
            for_concerts=[item.scan.concert_id for item in items],
        )
        return rows


def _refusal(row: asyncpg.Record) -> DomainError:
    """The error that an outcome of the database stands for."""
    match row["outcome"]:
        case "wrong_show":
            return WrongShow(show_id=row["show_id"], concert_id=row["concert_id"])
        case "ticket_void":
            return TicketVoid(reason=row["void_reason"])
        case "already_checked_in":
            return AlreadyCheckedIn(checked_in_at=row["checked_in_at"], gate=row["gate"])
        case outcome:
            return outcome_error(outcome, None)
