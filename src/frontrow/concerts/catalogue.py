"""Reads what is on sale: concerts and dates. Readers of the same thing share one query."""

import time
from collections.abc import Sequence
from datetime import date
from uuid import UUID

import asyncpg

from frontrow.concerts.model import Concert, Dates, DateStock, Sale, Show, ShowStock
from frontrow.db.queries import load
from frontrow.errors import NotFound, ShowAmbiguous
from frontrow.group_commit import Lanes

_queries = load("frontrow.concerts")

_SHOWS_REMEMBERED_SECONDS = 1.0


class Catalogue:
    """What is on sale, for those who look."""

    def __init__(self, pool: asyncpg.Pool, lanes: Lanes) -> None:
        self._pool = pool
        self._stocks = lanes.open("stock", self._read_stocks)
        # Shows are only ever added, so what is remembered can be incomplete but never wrong.
        self._runs: dict[UUID, _Run] = {}

    async def concerts(self) -> list[Concert]:
        """Every concert."""
        return [Concert(**row) for row in await _queries.all_concerts(self._pool)]

    async def shows(self, concert_id: UUID, *, fresh: bool = False) -> "_Run":
        """The shows of a concert; none for an unknown one."""
        run = self._runs.get(concert_id)
        now = time.monotonic()
        if run is None or fresh or run.read_at + _SHOWS_REMEMBERED_SECONDS < now:
            if run is not None:
                run.read_at = now  # the others needn't read it as well
            rows = await _queries.shows_of(self._pool, concert_id=concert_id)
            run = self._runs[concert_id] = _Run([Show(**row) for row in rows])
        return run

    async def show(self, concert_id: UUID, day: date | None, show_id: UUID | None) -> Show:
        """The one show that a caller means, by its day, its id, or both.

        Raises:
            NotFound: there is none.
            ShowAmbiguous: the day has several.
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
        """Refuses a concert that isn't there.

        Raises:
            NotFound: no such concert.
        """
        run = await self.shows(concert_id)
        if not run.shows and not (await self.shows(concert_id, fresh=True)).shows:
            raise NotFound

    async def concert_of(self, show_id: UUID) -> UUID | None:
        """The concert that a show belongs to; none for an unknown show."""
        concert_id: UUID | None = await _queries.concert_of_show(self._pool, show_id=show_id)
        return concert_id

    async def dates(self, concert_id: UUID, *, all_dates: bool = False) -> Dates:
        """The days of a concert; without ``all_dates`` only shows where a seat can be had.

        Raises:
            NotFound: no such concert.
        """
        shows = (await self.shows(concert_id)).shows
        if not shows:
            raise NotFound
        stocks = await self._stocks.submit(tuple(show.show_id for show in shows))
        days: dict[date, list[ShowStock]] = {}
        for show, (available, sale) in zip(shows, stocks, strict=True):
            if all_dates or available > 0:
                days.setdefault(show.date, []).append(
                    ShowStock(show.show_id, show.starts_at, show.seats_total, available, sale)
                )
        return Dates([DateStock(day, stock) for day, stock in sorted(days.items())])

    async def _read_stocks(
        self, wanted: Sequence[tuple[UUID, ...]]
    ) -> list[list[tuple[int, Sale]]]:
        distinct = list(dict.fromkeys(show_id for ids in wanted for show_id in ids))
        rows = await _queries.stock_of_shows(self._pool, show_ids=distinct)
        stock = {
            show_id: (row["available"], row["sale"])
            for show_id, row in zip(distinct, rows, strict=True)
        }
        return [[stock[show_id] for show_id in ids] for ids in wanted]


class _Run:
    """The shows of one concert as they were read, in order of time, and by day and id."""

    def __init__(self, shows: list[Show]) -> None:
        self.read_at = time.monotonic()
        self.shows = shows
        self._by_day: dict[date, list[Show]] = {}
        self._by_id = {show.show_id: show for show in shows}
        for show in shows:
            self._by_day.setdefault(show.date, []).append(show)

    def find(self, day: date | None, show_id: UUID | None) -> list[Show]:
        """The shows of a day, with an id, or both."""
        if show_id is None:
            return self._by_day.get(day, []) if day is not None else self.shows
        show = self._by_id.get(show_id)
        return [] if show is None or day not in (None, show.date) else [show]
