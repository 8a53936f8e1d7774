"""Exports all data stored about a user as one JSON document, in pages."""

from collections.abc import AsyncGenerator
from uuid import UUID

import asyncpg
import msgspec

from frontrow.errors import NotFound
from frontrow.retention.export_queries import queries

_encode = msgspec.json.Encoder().encode

# The lists of UserExport, in its order, with the queries of their rows.
_LISTS = (
    ("user_keys", queries.keys),
    ("places", queries.places),
    ("reservations", queries.reservations),
    ("transfers", queries.transfers),
    ("payments", queries.payments),
    ("tickets", queries.tickets),
)


async def export_pages(
    connection: asyncpg.Connection, user_id: UUID, *, reader_seconds: float
) -> AsyncGenerator[bytes, None]:
    """Returns everything stored about a user (``UserExport``), as it is at one moment.

    Args:
        connection: in no transaction.
        user_id: the user.
        reader_seconds: longest wait for the reader of a page.

    Raises:
        NotFound: no such user.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await queries.let_reader_be_slow(connection, limit_ms=f"{reader_seconds * 1000:.0f}")
        account = await queries.account(connection, user_id=user_id)
        if account is None:
            raise NotFound
        due = _encode(account)[:-1]
        for name, pages in _LISTS:
            due += f',"{name}":['.encode()
            between = b""
            async for page in pages(connection, user_id=user_id):
                yield due + between + b",".join(map(_encode, page))
                due, between = b"", b","
            due += b"]"
        yield due + b"}"


async def export_user(
    pool: asyncpg.Pool, user_id: UUID, *, connect_seconds: float, reader_seconds: float
) -> AsyncGenerator[bytes, None]:
    """Returns the same from a connection of a pool.

    Raises:
        NotFound: no such user.
        TimeoutError: no connection was free in time.
    """
    async with pool.acquire(timeout=connect_seconds) as connection:
        async for page in export_pages(connection, user_id, reader_seconds=reader_seconds):
            yield page
