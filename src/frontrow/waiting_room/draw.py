"""The draw of a line: its rule, and the public documents about it.

All values are SHA-256 sums in lower-case hexadecimal, of ASCII text, so that any ``sha256sum`` can
check them:

- entry of a place: of its id, the ``jti`` of its token, as text;
- digest: of all entries by number, each followed by a line feed;
- key of a number: of ``seed:digest:number``;
- commitment: of the seed.

The entrants are served in the order of their keys. The commitment is public before the digest can
be known, so the seed can't be chosen to produce a certain order.
"""

import asyncio
from array import array
from collections.abc import Iterable
from hashlib import sha256
from uuid import UUID

import asyncpg
from msgspec.structs import replace

from frontrow.errors import NotFound, Overloaded
from frontrow.waiting_room.model import Draw, Entries, Entry
from frontrow.waiting_room.queries import queries
from frontrow.waiting_room.snapshot import Snapshot

PAGES_AT_ONCE = 2
"""Most pages of entrants that one process reads at a time: the call is public, a page has up to
10,000 rows, and the sale needs the connections."""


class Draws:
    """Reads the draws of this installation for the public; ``WaitingRooms.draw`` draws.

    A completed draw is read once, a pending one by one reader at a time.
    """

    def __init__(self, pool: asyncpg.Pool, snapshot: Snapshot) -> None:
        self._pool = pool
        self._snapshot = snapshot
        self._completed: dict[UUID, Draw] = {}
        self._reading: dict[UUID, asyncio.Task[Draw | None]] = {}
        self._free_pages = PAGES_AT_ONCE

    async def draw(self, concert_id: UUID) -> Draw:
        """Returns a concert's draw.

        Raises:
            NotFound: no such concert, or its line has no draw.
        """
        line = await self._snapshot.line_of(concert_id)
        completed = self._completed.get(concert_id)
        if completed is not None:
            # Of a completed draw, only the opening of the line can be changed.
            if completed.opens_at == line.opens_at:
                return completed
            return replace(completed, opens_at=line.opens_at)
        reading = self._reading.get(concert_id)
        if reading is None:
            reading = self._reading[concert_id] = asyncio.create_task(self._read(concert_id))
        # A cancelled caller doesn't cancel the read that others share.
        draw = await asyncio.shield(reading)
        if draw is None:
            raise NotFound
        return draw

    async def _read(self, concert_id: UUID) -> Draw | None:
        try:
            draw = await queries.draw_of_concert(self._pool, concert_id=concert_id)
        finally:
            del self._reading[concert_id]
        if draw is not None and draw.drawn_at is not None:
            self._completed[concert_id] = draw
        return draw

    async def entries(self, concert_id: UUID, *, after: int, limit: int) -> Entries:
        """Returns a page of the entrants of a drawn line, with numbers behind ``after``.

        Raises:
            NotFound: no such concert, its line has not been drawn, or its entrants are pruned.
            Overloaded: ``PAGES_AT_ONCE`` pages are being read.
        """
        line = self._snapshot.by_concert.get(concert_id)
        if line is not None and not line.drawn:
            # Another process may just have drawn it and published the result.
            await self._snapshot.refresh()
        if line is None or line.positions is None or line.pruned_to:
            raise NotFound
        positions = line.positions
        if self._free_pages == 0:
            raise Overloaded
        self._free_pages -= 1
        try:
            rows = await queries.entries(
                self._pool, room_id=line.room_id, after=after, entrants=len(positions), limit=limit
            )
        finally:
            self._free_pages += 1
        page = [Entry(row.number, row.entry, positions[row.number - 1]) for row in rows]
        last = page[-1].number if page else after
        if not page and last < len(positions):
            raise NotFound  # pruned since the last snapshot
        return Entries(page, last if last < len(positions) else None)


def entry_of(place_id: UUID) -> str:
    """Returns the entry of a place."""
    return _sum(str(place_id))


def commitment_of(seed: str) -> str:
    """Returns the commitment to a seed."""
    return _sum(seed)


def digest_of(entries: Iterable[str]) -> str:
    """Returns the digest of all entries, in order of number from 1 on."""
    digest = sha256()
    for entry in entries:
        digest.update(f"{entry}\n".encode())
    return digest.hexdigest()


def positions_of(seed: str, digest: str, entrants: int) -> "array[int]":
    """Returns the positions of the numbers from 1 on, in order of number."""
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
