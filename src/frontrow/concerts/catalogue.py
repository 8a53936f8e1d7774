"""Reads what is on sale: concerts, dates, seats. Readers of the same thing share one query."""

import time
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID
from zlib import crc32

import asyncpg
import msgspec

from frontrow.concerts.model import Concert, Dates, DateStock, Seat, SeatMap, Show, ShowStock
from frontrow.db.queries import load
from frontrow.errors import NotFound, ShowAmbiguous
from frontrow.group_commit import Lanes

_queries = load("frontrow.concerts")
_encoder = msgspec.json.Encoder()

_SHOWS_REMEMBERED_SECONDS = 1.0


class Document(NamedTuple):
    """An answer that many readers share: JSON, with the entity tag that names this version."""

    body: bytes
    etag: bytes


class Catalogue:
    """What is on sale, for those who look."""

    def __init__(self, pool: asyncpg.Pool, lanes: Lanes) -> None:
        self._pool = pool
        self._maps = lanes.open("seat_map", self._read_maps)
        self._stocks = lanes.open("stock", self._read_stocks)
        # Shows are only ever added, so what is remembered can be incomplete but never wrong.
        self._runs: dict[UUID, _Run] = {}

    async def concerts(self) -> list[Concert]:
        """Every concert."""
        return [Concert(**row) for row in await _queries.all_concerts(self._pool)]

    async def shows(self, concert_id: UUID, *, fresh: bool = False) -> "_Run":
        """The shows of a concert; none for an unknown one."""
        run = self._runs.get(concert_id)
        if run is None or fresh or run.read_at + _SHOWS_REMEMBERED_SECONDS < time.monotonic():
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
        for show, (available, closed) in zip(shows, stocks, strict=True):
            if all_dates or (available > 0 and not closed):
                days.setdefault(show.date, []).append(
                    ShowStock(show.show_id, show.starts_at, show.seats_total, available)
                )
        return Dates([DateStock(day, stock) for day, stock in sorted(days.items())])

    async def seat_map(self, show: Show, *, only_available: bool = False) -> Document:
        """The seats of a show, as JSON (``SeatMap``)."""
        return await self._maps.submit((show.show_id, show, only_available))

    async def _read_stocks(
        self, wanted: Sequence[tuple[UUID, ...]]
    ) -> list[list[tuple[int, bool]]]:
        distinct = list(dict.fromkeys(show_id for ids in wanted for show_id in ids))
        rows = await _queries.stock_of_shows(self._pool, show_ids=distinct)
        stock = {
            show_id: (row["available"], row["closed"])
            for show_id, row in zip(distinct, rows, strict=True)
        }
        return [[stock[show_id] for show_id in ids] for ids in wanted]

    async def _read_maps(self, wanted: Sequence[tuple[UUID, Show, bool]]) -> list[Document]:
        shows = {show_id: show for show_id, show, _ in wanted}
        rows = await _queries.seats_of_shows(self._pool, show_ids=list(shows))
        columns = {row["show_id"]: row for row in rows}
        documents: dict[tuple[UUID, bool], Document] = {}
        for show_id, show, only_available in wanted:
            if (show_id, only_available) not in documents:
                documents[show_id, only_available] = _document(
                    show, columns[show_id], only_available
                )
        return [documents[show_id, only_available] for show_id, _, only_available in wanted]


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


def _document(show: Show, columns: asyncpg.Record, only_available: bool) -> Document:
    seats = [
        Seat(*seat)
        for seat in zip(
            columns["numbers"], columns["sections"], columns["prices"], columns["states"],
            strict=True,
        )
        if seat[3] == "available" or not only_available
    ]  # fmt: skip
    available = columns["states"].count("available")
    body = _encoder.encode(SeatMap(show.show_id, show.date, show.starts_at, available, seats))
    return Document(body, f'"{crc32(body):08x}-{len(body):x}"'.encode())
