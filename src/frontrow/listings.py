"""The concerts as everyone reads them: in pages or one, with the state of their lines.

Each page and each concert is read once a second at most and shared by all calls. A change by this
process is seen at once, and so is the state of a line. An unknown concert costs no read.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, NamedTuple
from uuid import UUID

import msgspec
from async_lru import alru_cache
from msgspec import Meta

from frontrow.concerts.catalogue import Catalogue
from frontrow.concerts.model import Concert, ConcertDetails, ListedShow, RankedConcert
from frontrow.errors import Overloaded
from frontrow.waiting_room.line import Line
from frontrow.waiting_room.model import RoomState
from frontrow.waiting_room.snapshot import Snapshot

LINE_STATE = Meta(description="The state of its waiting room.")
AFTER = r"^[0-9]{1,8}\.[0-9a-f]{32}$(?!\n)"
"""The pattern of ``next`` and ``after``: a position in the list."""
KEPT_PAGES = 200
"""Pages that are remembered for a second."""

_BEGINNING = f"0.{UUID(int=0).hex}"
_KEPT_SECONDS = 1.0
_KEPT_CONCERTS = 1_000
# A search reads the whole list where few concerts match.
_READS_AT_ONCE = 2
_MOST_WAITING = 100


class ListedConcert(Concert, frozen=True):
    """A concert with the state of its waiting room."""

    state: Annotated[RoomState, LINE_STATE]


class ShownConcert(ConcertDetails, frozen=True, eq=False):
    """A concert with its description, its shows, and the state of its waiting room."""

    state: Annotated[RoomState, LINE_STATE]
    shows: list[ListedShow]


class ListQuery(NamedTuple):
    """Which concerts to list.

    Args:
        text: in their title, artist or venue, in any case.
        first: they have a show on this day or later.
        last: they have a show on this day or earlier; with ``first``, in between.
        limit: the maximum size of the page.
        after: ``next`` of the page before.
    """

    text: str | None = None
    first: date | None = None
    last: date | None = None
    limit: int = 50
    after: str | None = None


class ConcertPage(msgspec.Struct, frozen=True, eq=False):
    """A page of the list of concerts: first those on sale, by their next date."""

    concerts: list[ListedConcert]
    next: Annotated[str | None, Meta(description="`after` of the next page; null on the last one.")]


class Listings:
    """The concerts as everyone reads them."""

    def __init__(self, catalogue: Catalogue, snapshot: Snapshot) -> None:
        self._catalogue = catalogue
        self._snapshot = snapshot
        self._reading = asyncio.Semaphore(_READS_AT_ONCE)
        self._waiting = 0
        self._pages = alru_cache(maxsize=KEPT_PAGES, ttl=_KEPT_SECONDS)(self._read_page)
        self._concerts = alru_cache(maxsize=_KEPT_CONCERTS, ttl=_KEPT_SECONDS)(self._read_concert)
        # Concurrent calls share a read.
        self._details = alru_cache(maxsize=_KEPT_CONCERTS, ttl=0)(catalogue.details)

    def changed(self) -> None:
        """Forgets what was read: this process has changed what is on sale."""
        self._pages.cache_clear()
        self._concerts.cache_clear()
        self._details.cache_clear()

    async def page(self, query: ListQuery) -> ConcertPage:
        """Returns a page of the list; while nothing changes, the same object for a second.

        Raises:
            Overloaded: too many other pages are being read.
        """
        kept = await self._pages(query)
        lines = self._snapshot.by_concert
        if any(concert.concert_id not in lines for concert in kept.concerts):
            await self._snapshot.refresh()  # created a moment ago by another process
        return kept.shown(lines)

    async def concert(self, concert_id: UUID) -> ShownConcert:
        """Returns a concert; while nothing changes, the same object for a second.

        Raises:
            NotFound: no such concert.
        """
        line = await self._snapshot.line_of(concert_id)
        return (await self._concerts(concert_id)).shown(line.state)

    async def present(self, concert_id: UUID) -> ListedConcert:
        """Returns a concert as it is now.

        Raises:
            NotFound: no such concert.
        """
        line = await self._snapshot.line_of(concert_id)
        return _listed(await self._details(concert_id), line.state)

    async def _read_concert(self, concert_id: UUID) -> "_KeptConcert":
        details = await self._catalogue.details(concert_id)
        return _KeptConcert(details, await self._catalogue.listed_shows(concert_id))

    async def _read_page(self, query: ListQuery) -> "_KeptPage":
        found = await self._read(query)
        following = None
        if len(found) > query.limit:
            last = found[query.limit - 1]
            following = f"{last.rank}.{last.concert_id.hex}"
        return _KeptPage(found[: query.limit], following)

    async def _read(self, query: ListQuery) -> list[RankedConcert]:
        """Reads a page, and one more concert if there is a next page."""
        if query == ListQuery(limit=query.limit):
            return await self._read_now(query)  # the first page never waits behind searches
        if self._waiting >= _MOST_WAITING:
            raise Overloaded
        self._waiting += 1
        try:
            async with self._reading:
                return await self._read_now(query)
        finally:
            self._waiting -= 1

    async def _read_now(self, query: ListQuery) -> list[RankedConcert]:
        rank, _, concert = (query.after or _BEGINNING).partition(".")
        return await self._catalogue.concerts(
            text=query.text,
            first=query.first,
            last=query.last,
            after=(int(rank), UUID(concert)),
            most=query.limit + 1,
        )


class _KeptPage:
    """A page as read, and as last shown."""

    def __init__(self, concerts: Sequence[Concert], following: str | None) -> None:
        self.concerts = concerts
        self._following = following
        self._states: list[RoomState | None] = []
        self._shown: ConcertPage | None = None

    def shown(self, lines: Mapping[UUID, Line]) -> ConcertPage:
        """Returns the page with the present states of the lines; leaves out unknown lines."""
        found = [lines.get(concert.concert_id) for concert in self.concerts]
        states = [None if line is None else line.state for line in found]
        if self._shown is None or states != self._states:
            self._states = states
            listed = [
                _listed(concert, state)
                for concert, state in zip(self.concerts, states, strict=True)
                if state is not None
            ]
            self._shown = ConcertPage(listed, self._following)
        return self._shown


class _KeptConcert:
    """A concert as read, and as last shown."""

    def __init__(self, details: ConcertDetails, shows: list[ListedShow]) -> None:
        self._details = details
        self._shows = shows
        self._shown: ShownConcert | None = None

    def shown(self, state: RoomState) -> ShownConcert:
        """Returns the concert with the present state of its line."""
        if self._shown is None or self._shown.state != state:
            fields = msgspec.structs.asdict(self._details)
            self._shown = ShownConcert(**fields, state=state, shows=self._shows)
        return self._shown


def _listed(concert: Concert, state: RoomState) -> ListedConcert:
    fields = {field: getattr(concert, field) for field in Concert.__struct_fields__}
    return ListedConcert(**fields, state=state)
