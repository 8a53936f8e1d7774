"""Reads concerts, shows and dates; concurrent reads of the same data share one query."""

import time
from collections.abc import Sequence
from datetime import date
from uuid import UUID

import asyncpg

from frontrow.concerts.model import (
    ConcertDetails,
    Dates,
    DateStock,
    ListedShow,
    RankedConcert,
    Show,
    ShowStock,
)
from frontrow.concerts.queries import StockRow, queries
from frontrow.concerts.search import folded
from frontrow.errors import NotFound, ShowAmbiguous
from frontrow.group_commit import Lanes

_SHOWS_CACHED_SECONDS = 1.0
_LISTED_AT_ONCE = 500


class Catalogue:
    """Reads concerts, shows and dates."""

    def __init__(self, pool: asyncpg.Pool, lanes: Lanes) -> None:
        self._pool = pool
        self._stocks = lanes.open("stock", self._read_stocks)
        # Shows are only added, so a cached list can be incomplete but never wrong.
        self._runs: dict[UUID, _Run] = {}

    async def concerts(
        self,
        *,
        text: str | None = None,
        first: date | None = None,
        last: date | None = None,
        after: tuple[int, UUID] = (0, UUID(int=0)),
        most: int | None = None,
    ) -> list[RankedConcert]:
        """Returns concerts in the order of the list: on sale by their next date, then ended ones.

        Args:
            text: only those with this text in their title, artist or venue, in any case.
            first: only those with a show on this day or later.
            last: only those with a show on this day or earlier; with ``first``, in between.
            after: only those behind this position: its rank and concert.
            most: the maximum number.
        """
        return await queries.listed_concerts(
            self._pool,
            text=folded(text) if text else None,
            from_date=first,
            to_date=last,
            after_rank=after[0],
            after_id=after[1],
            most=most,
        )

    async def details(self, concert_id: UUID) -> ConcertDetails:
        """Returns a concert with its description.

        Raises:
            NotFound: no such concert.
        """
        found = await queries.concert_details(self._pool, concert_id=concert_id)
        if found is None:
            raise NotFound
        return found

    async def listed_shows(self, concert_id: UUID) -> list[ListedShow]:
        """Returns the shows of a concert, in order of time, with their free seats."""
        shows = await queries.shows_of_concert(self._pool, concert_id=concert_id)
        stocks = await self._stocks.submit(tuple(show.show_id for show in shows))
        return [
            ListedShow(
                show.show_id,
                show.date,
                show.starts_at,
                show.seats_total,
                stock.available,
                stock.sale,
            )
            for show, stock in zip(shows, stocks, strict=True)
        ]

    async def list_due(self) -> None:
        """Moves the concerts in the list of which the sale of a show has ended."""
        while await queries.list_due_concerts(self._pool, most=_LISTED_AT_ONCE) == _LISTED_AT_ONCE:
            pass

    async def shows(self, concert_id: UUID, *, fresh: bool = False) -> "_Run":
        """Returns the shows of a concert; none for an unknown one."""
        run = self._runs.get(concert_id)
        now = time.monotonic()
        if run is None or fresh or run.read_at + _SHOWS_CACHED_SECONDS < now:
            if run is not None:
                run.read_at = now  # concurrent calls don't read it too
            shows = await queries.shows_of_concert(self._pool, concert_id=concert_id)
            run = self._runs[concert_id] = _Run(shows)
        return run

    async def show(self, concert_id: UUID, day: date | None, show_id: UUID | None) -> Show:
        """Returns one show by its day, its id, or both.

        Raises:
            NotFound: there is no such show.
            ShowAmbiguous: the day has several shows.
        """
        found = (await self.shows(concert_id)).find(day, show_id)
        if not found:
            found = (await self.shows(concert_id, fresh=True)).find(day, show_id)
        if not found:
            raise NotFound
        if len(found) > 1:
            raise ShowAmbiguous(shows=[show.show_id for show in found])
        return found[0]

    async def check_concert(self, concert_id: UUID) -> None:
        """Checks that a concert exists.

        Raises:
            NotFound: no such concert.
        """
        run = await self.shows(concert_id)
        if not run.shows and not (await self.shows(concert_id, fresh=True)).shows:
            raise NotFound

    async def concert_of(self, show_id: UUID) -> UUID | None:
        """Returns the concert of a show; ``None`` for an unknown show."""
        return await queries.concert_of_show(self._pool, show_id=show_id)

    async def dates(self, concert_id: UUID, *, all_dates: bool = False) -> Dates:
        """Returns the days of a concert; without ``all_dates`` only shows with free seats.

        Raises:
            NotFound: no such concert.
        """
        shows = (await self.shows(concert_id)).shows
        if not shows:
            raise NotFound
        stocks = await self._stocks.submit(tuple(show.show_id for show in shows))
        days: dict[date, list[ShowStock]] = {}
        for show, stock in zip(shows, stocks, strict=True):
            if all_dates or stock.available > 0:
                days.setdefault(show.date, []).append(
                    ShowStock(
                        show.show_id, show.starts_at, show.seats_total, stock.available, stock.sale
                    )
                )
        return Dates([DateStock(day, of_day) for day, of_day in sorted(days.items())])

    async def _read_stocks(self, asked: Sequence[tuple[UUID, ...]]) -> list[list[StockRow]]:
        distinct = list(dict.fromkeys(show_id for ids in asked for show_id in ids))
        rows = await queries.stock_of_shows(self._pool, show_ids=distinct)
        stock = dict(zip(distinct, rows, strict=True))
        return [[stock[show_id] for show_id in ids] for ids in asked]


class _Run:
    """The shows of one concert as read, in order of time, and by day and id."""

    def __init__(self, shows: list[Show]) -> None:
        self.read_at = time.monotonic()
        self.shows = shows
        self._by_day: dict[date, list[Show]] = {}
        self._by_id = {show.show_id: show for show in shows}
        for show in shows:
            self._by_day.setdefault(show.date, []).append(show)

    def find(self, day: date | None, show_id: UUID | None) -> list[Show]:
        """Returns the shows of a day, with an id, or both."""
        if show_id is None:
            return self._by_day.get(day, []) if day is not None else self.shows
        show = self._by_id.get(show_id)
        return [] if show is None or day not in (None, show.date) else [show]
