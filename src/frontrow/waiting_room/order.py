"""The order of a line: every place as it was served, for an audit, and how far that was from fair.

Reads lines and places in one snapshot; writes nothing.
"""

from collections.abc import AsyncGenerator, Iterable
from datetime import datetime
from typing import Annotated, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from frontrow.db.queries import load
from frontrow.errors import FinishReason, NotFound
from frontrow.waiting_room.model import PlaceState

_queries = load("frontrow.waiting_room", "order_queries.sql")


class ServedPlace(msgspec.Struct, frozen=True):
    """A place in a line, as it was served."""

    number: Annotated[int, Meta(description="The place's number: in order of joining, gapless.")]
    position: Annotated[
        int | None, Meta(description="The place in serving order; null before a draw.")
    ]
    state: Annotated[PlaceState, Meta(description="waiting → admitted → finished.")]
    reason: Annotated[FinishReason | None, Meta(description="Why a finished place is finished.")]
    joined_at: Annotated[datetime, Meta(description="When the place was taken.")]
    admitted_at: Annotated[datetime | None, Meta(description="When the line called this place.")]
    finished_at: Annotated[datetime | None, Meta(description="When the place was over.")]


class LineOrder(msgspec.Struct, frozen=True):
    """A whole line, at one moment."""

    places: Annotated[list[ServedPlace], Meta(description="Every place, in order of number.")]


class Form(NamedTuple):
    """How a line is written down: what stands before, between and behind its places."""

    csv: bool
    head: str
    between: str
    tail: str


JSON = Form(csv=False, head='{"places":[', between=",", tail="]}")
"""A ``LineOrder``."""
CSV = Form(csv=True, head=",".join(ServedPlace.__struct_fields__) + "\r\n", between="", tail="")
"""A header line, then a line for each ``ServedPlace``; null is an empty cell (RFC 4180)."""


async def order_pages(
    pool: asyncpg.Pool,
    concert_id: UUID,
    form: Form,
    *,
    connect_seconds: float,
    reader_seconds: float,
) -> AsyncGenerator[bytes, None]:
    """Writes a line down as it is now, in pages of up to 5,000 places.

    The transaction stays open while the pages are taken, and its snapshot keeps dead rows from
    being tidied: whoever takes them bounds the time, and closes this iterator.

    Args:
        pool: gives one connection until the end.
        concert_id: whose line.
        form: what the pages together are.
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
        await _queries.let_reader_be_slow(connection, limit_ms=f"{reader_seconds * 1000:.0f}")
        line = await _queries.line_to_read(connection, concert_id=concert_id)
        if line is None:
            raise NotFound
        await _queries.open_order(connection, csv=form.csv, **line)
        due = form.head
        while rows := await _queries.next_places(connection):
            yield (due + form.between.join([row[0] for row in rows])).encode()
            due = form.between
    if last := (form.head if due is form.head else "") + form.tail:
        yield last.encode()


def kendall_tau_distance(called_at: Iterable[datetime]) -> int:
    """How many pairs of places were called in the other order than they were to be served in.

    The number of discordant pairs of Kendall (1938), "A New Measure of Rank Correlation"; two that
    were called at once are not one. Counted while merging, as Knight (1966), "A Computer Method for
    Calculating Kendall's Tau with Ungrouped Data", does: O(n log n), and O(n) for a line in order.

    Args:
        called_at: when each place was called, in serving order; those never called are left out.
    """
    runs = [[moment] for moment in called_at]
    discordant = 0
    while len(runs) > 1:
        merged = []
        for earlier, later in zip(runs[::2], runs[1::2], strict=False):
            run, pairs = _merge(earlier, later)
            merged.append(run)
            discordant += pairs
        if len(runs) % 2:
            merged.append(runs[-1])
        runs = merged
    return discordant


def _merge(earlier: list[datetime], later: list[datetime]) -> tuple[list[datetime], int]:
    """Merges two sorted runs; and the pairs of one from each in which the later one is smaller."""
    if earlier[-1] <= later[0]:
        return earlier + later, 0
    merged: list[datetime] = []
    pairs = taken = 0
    for moment in later:
        while taken < len(earlier) and earlier[taken] <= moment:
            merged.append(earlier[taken])
            taken += 1
        pairs += len(earlier) - taken
        merged.append(moment)
    return merged + earlier[taken:], pairs
