"""The draw of a line: its rule, and what everybody may see of it.

All values are SHA-256 sums in lower-case hexadecimal, of ASCII text, so that any ``sha256sum`` can
check them:

- entry of a place: of its id, the ``jti`` of its token, as text;
- digest: of all entries by number, each followed by a line feed;
- key of a number: of ``seed:digest:number``;
- commitment: of the seed.

The entrants are served in the order of their keys. The commitment is public before anybody can
know the digest, so the seed can't be chosen to suit it.
"""

import asyncio
from array import array
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta
from msgspec.structs import replace

from frontrow.db.queries import load
from frontrow.errors import NotFound, Overloaded
from frontrow.waiting_room.snapshot import Line, Snapshot

_queries = load("frontrow.waiting_room")

PAGES_AT_ONCE = 2
"""Most pages of entrants read at a time by one process: anybody may ask, for 10,000 rows each, and
the connections are those of the sale."""

Sum = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="A SHA-256 sum, hexadecimal.")]


class Draw(msgspec.Struct, frozen=True, kw_only=True):
    """A draw. What is known only once the line has been drawn is null before."""

    concert_id: UUID
    commitment: Annotated[Sum, Meta(description="Of the seed; public since committed_at.")]
    committed_at: Annotated[datetime, Meta(description="When the draw was set up.")]
    opens_at: Annotated[datetime | None, Meta(description="When it is drawn.")]
    drawn_at: datetime | None
    entrants: Annotated[int | None, Meta(description="The numbers 1 to this were drawn.")]
    digest: Annotated[Sum | None, Meta(description="Of all entries.")]
    seed: Annotated[str | None, Meta(description="What the commitment was made of.")]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entrant of a draw, without the user."""

    number: int
    entry: Annotated[Sum, Meta(description="Of the place's id, which its token names as jti.")]
    position: Annotated[int, Meta(description="The place in serving order that was drawn.")]


class Entries(msgspec.Struct, frozen=True):
    """A page of entrants, by number."""

    entries: list[Entry]
    next: Annotated[int | None, Meta(description="The `after` of the next page.")]


class Draws:
    """Shows the draws of this installation. That they happen is ``WaitingRooms.draw``.

    Anybody may ask: a draw that is over is read once, one that is to come by one reader at a time.
    """

    def __init__(self, pool: asyncpg.Pool, snapshot: Snapshot) -> None:
        self._pool = pool
        self._snapshot = snapshot
        self._over: dict[UUID, Draw] = {}
        self._reading: dict[UUID, asyncio.Task[Draw | None]] = {}
        self._free_pages = PAGES_AT_ONCE

    async def draw(self, concert_id: UUID) -> Draw:
        """A concert's draw.

        Raises:
            NotFound: no such concert, or its line has none.
        """
        line = await self._line_of(concert_id)
        over = self._over.get(concert_id)
        if over is not None:
            # Of a draw that is over, only when the line opens can be changed.
            return over if over.opens_at == line.opens_at else replace(over, opens_at=line.opens_at)
        reading = self._reading.get(concert_id)
        if reading is None:
            reading = self._reading[concert_id] = asyncio.create_task(self._read(concert_id))
        # Who goes away leaves it to those who ask for the same.
        draw = await asyncio.shield(reading)
        if draw is None:
            raise NotFound
        return draw

    async def _read(self, concert_id: UUID) -> Draw | None:
        try:
            row = await _queries.draw_of(self._pool, concert_id=concert_id)
        finally:
            del self._reading[concert_id]
        if row is None:
            return None
        draw = Draw(concert_id=concert_id, **row)
        if draw.drawn_at is not None:
            self._over[concert_id] = draw
        return draw

    async def _line_of(self, concert_id: UUID) -> Line:
        """The line of a concert, also of one that was made a moment ago."""
        if concert_id not in self._snapshot.by_concert:
            await self._snapshot.refresh()
        line = self._snapshot.by_concert.get(concert_id)
        if line is None:
            raise NotFound
        return line

    async def entries(self, concert_id: UUID, *, after: int, limit: int) -> Entries:
        """The entrants of a drawn line with the numbers behind ``after``.

        Raises:
            NotFound: no such concert, or its line has not been drawn, or its entrants are no
                longer kept.
            Overloaded: as many pages as there may be are read already.
        """
        line = self._snapshot.by_concert.get(concert_id)
        if line is not None and not line.drawn:
            # Another process may have drawn it, and shown that, a moment ago.
            await self._snapshot.refresh()
        if line is None or line.positions is None or line.pruned_to:
            raise NotFound
        positions = line.positions
        if self._free_pages == 0:
            raise Overloaded
        self._free_pages -= 1
        try:
            rows = await _queries.entries(
                self._pool, room_id=line.room_id, after=after, entrants=len(positions), limit=limit
            )
        finally:
            self._free_pages += 1
        page = [Entry(row["number"], row["entry"], positions[row["number"] - 1]) for row in rows]
        last = page[-1].number if page else after
        if not page and last < len(positions):
            raise NotFound  # dropped since the line was last looked at
        return Entries(page, last if last < len(positions) else None)


def entry_of(place_id: UUID) -> str:
    """The entry of a place."""
    return _sum(str(place_id))


def commitment_of(seed: str) -> str:
    """The commitment to a seed."""
    return _sum(seed)


def digest_of(entries: Iterable[str]) -> str:
    """The digest of all entries, given by number from 1 on."""
    digest = sha256()
    for entry in entries:
        digest.update(f"{entry}\n".encode())
    return digest.hexdigest()


def positions_of(seed: str, digest: str, entrants: int) -> "array[int]":
    """The positions of the numbers 1.., in their order."""
    prefix = sha256(f"{seed}:{digest}:".encode())

    def key(number: int) -> bytes:
        whole = prefix.copy()
        whole.update(b"%d" % number)
        return whole.digest()

    positions = array("i", bytes(4 * entrants))
    for position, number in enumerate(sorted(range(1, entrants + 1), key=key), 1):
        positions[number - 1] = position
    return positions


def _sum(text: str) -> str:
    return sha256(text.encode()).hexdigest()
