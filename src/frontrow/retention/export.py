"""Gives a user everything that is stored about them, as one JSON document, in pages."""

from collections.abc import AsyncGenerator
from uuid import UUID

import asyncpg
import msgspec

from frontrow.db.queries import load
from frontrow.errors import NotFound
from frontrow.retention.model import (
    ExportedKey,
    ExportedPayment,
    ExportedPlace,
    ExportedReservation,
    ExportedTicket,
)
from frontrow.wallet.model import Transfer

_queries = load("frontrow.retention", "export_queries.sql")
_encode = msgspec.json.Encoder().encode

_PAGE_ROWS = 1_000
# In the order of UserExport: the lists, the queries of their rows, what these are.
_LISTS = (
    ("user_keys", _queries.keys.sql, ExportedKey),
    ("places", _queries.places.sql, ExportedPlace),
    ("reservations", _queries.reservations.sql, ExportedReservation),
    ("transfers", _queries.transfers.sql, Transfer),
    ("payments", _queries.payments.sql, ExportedPayment),
    ("tickets", _queries.tickets.sql, ExportedTicket),
)


async def export_pages(
    connection: asyncpg.Connection, user_id: UUID, *, reader_seconds: float
) -> AsyncGenerator[bytes, None]:
    """Everything stored about a user (``UserExport``), as it is at one moment.

    Args:
        connection: in no transaction.
        user_id: who.
        reader_seconds: longest wait for the reader of a page.

    Raises:
        NotFound: no such user.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await _queries.let_reader_be_slow(connection, limit_ms=f"{reader_seconds * 1000:.0f}")
        account = await _queries.account(connection, user_id=user_id)
        if account is None:
            raise NotFound
        due = _encode(dict(account))[:-1]
        for name, query, kind in _LISTS:
            due += f',"{name}":['.encode()
            between = b""
            rows = await connection.cursor(query, user_id)
            while page := await rows.fetch(_PAGE_ROWS):
                yield due + between + b",".join(_encode(kind(**row)) for row in page)
                due, between = b"", b","
            due += b"]"
        yield due + b"}"


async def export_user(
    pool: asyncpg.Pool, user_id: UUID, *, connect_seconds: float, reader_seconds: float
) -> AsyncGenerator[bytes, None]:
    """The same, on a connection of a pool.

    Raises:
        NotFound: no such user.
        TimeoutError: no connection was free in time.
    """
    async with pool.acquire(timeout=connect_seconds) as connection:
        async for page in export_pages(connection, user_id, reader_seconds=reader_seconds):
            yield page
