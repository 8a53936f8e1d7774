"""The export of a line: every place as it was served, for an audit.

Reads lines and places in one snapshot; writes nothing.
"""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from frontrow.errors import FinishReason, NotFound
from frontrow.waiting_room.model import PlaceState
from frontrow.waiting_room.reports.line_export_queries import queries


class ServedPlace(msgspec.Struct, frozen=True):
    """A place in a line, as it was served."""

    number: Annotated[int, Meta(description="The place's number: in order of joining, gapless.")]
    position: Annotated[
        int | None, Meta(description="The position in serving order; null before a draw.")
    ]
    state: Annotated[PlaceState, Meta(description="waiting → admitted → finished.")]
    reason: Annotated[FinishReason | None, Meta(description="Why a finished place is finished.")]
    joined_at: Annotated[datetime, Meta(description="When the user joined.")]
    admitted_at: Annotated[datetime | None, Meta(description="When the place was admitted.")]
    finished_at: Annotated[datetime | None, Meta(description="When the place finished.")]


class LineExport(msgspec.Struct, frozen=True):
    """A whole line, at one moment."""

    places: Annotated[list[ServedPlace], Meta(description="Every place, in order of number.")]


class ExportFormat(NamedTuple):
    """The text before, between and after the places of an export."""

    csv: bool
    head: str
    separator: str
    tail: str


JSON = ExportFormat(csv=False, head='{"places":[', separator=",", tail="]}")
"""A ``LineExport``."""
CSV = ExportFormat(
    csv=True, head=",".join(ServedPlace.__struct_fields__) + "\r\n", separator="", tail=""
)
"""A header line, then a line for each ``ServedPlace``; null is an empty cell (RFC 4180)."""


async def export_line(
    pool: asyncpg.Pool,
    concert_id: UUID,
    export_format: ExportFormat,
    *,
    connect_seconds: float,
    reader_seconds: float,
) -> AsyncGenerator[bytes, None]:
    """Yields a line as it is now, in pages (``db.queries.PAGE_ROWS``).

    The transaction stays open while the pages are read, and its snapshot keeps dead rows from being
    vacuumed: the caller limits the time, and closes this generator.

    Args:
        pool: lends one connection until the end.
        concert_id: the concert.
        export_format: the format of the pages together.
        connect_seconds: longest wait for the connection.
        reader_seconds: longest wait for the reader of a page.

    Raises:
        NotFound: no such concert.
        TimeoutError: no connection was free in time.
    """
    async with (
        pool.acquire(timeout=connect_seconds) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await queries.allow_slow_reader(connection, limit_ms=f"{reader_seconds * 1000:.0f}")
        line = await queries.line_to_export(connection, concert_id=concert_id)
        if line is None:
            raise NotFound
        before = export_format.head
        async for places in queries.places(
            connection,
            csv=export_format.csv,
            drawing=line.drawing,
            entrants=line.entrants,
            now=line.now,
            room_id=line.room_id,
        ):
            yield (before + export_format.separator.join(places)).encode()
            before = export_format.separator
    if end := (export_format.head if before is export_format.head else "") + export_format.tail:
        yield end.encode()
