"""Creates concerts and shows, and changes them."""

import functools
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any, Protocol
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from frontrow.concerts.model import (
    ConcertChange,
    CreatedConcert,
    CreatedShow,
    NewConcert,
    NewShow,
    ShowSale,
)
from frontrow.concerts.queries import queries
from frontrow.concerts.search import folded, searched
from frontrow.db.queries import Database
from frontrow.errors import (
    DomainError,
    IdempotencyKeyReused,
    InvalidRequest,
    NotFound,
    ShowClosed,
    WrongUse,
)
from frontrow.ids import OPERATOR, request_hash, write_id


class NewRoom(Protocol):
    """The settings of a new concert's waiting room."""

    def columns(self) -> dict[str, Any]:
        """Returns the settings as the database's parameters."""

    def refusal(self, flaw: str, at: str) -> DomainError:
        """Returns the error for settings that the database refused, at ``at``."""


class Concerts:
    """Creates and changes concerts. An installation has one currency, for balances and prices.

    Args:
        pool: connections to the database.
        currency: the currency.
        has_issuer: whether users can sign in at an issuer.
        changed: called after each change of what is on sale.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        currency: str,
        has_issuer: bool = False,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._pool = pool
        self._changed = changed
        self._has_issuer = has_issuer
        self.currency = currency

    async def create(
        self, new: NewConcert, room: NewRoom, idempotency_key: str | None
    ) -> tuple[CreatedConcert, bool]:
        """Creates a concert, its waiting room, shows and seats: all or nothing.

        Args:
            new: the concert.
            room: its waiting room.
            idempotency_key: the operator's.

        Returns:
            The concert and its shows, and whether this is the replay of an earlier request.

        Raises:
            InvalidRequest: an unknown time zone, another currency than the installation's, or
                times or an order that are invalid for a new waiting room.
            IdempotencyKeyReused: the key belongs to another concert.
        """
        if new.currency != self.currency:
            raise InvalidRequest.at("/currency", f"this installation sells in {self.currency}")
        self._check_guests(new.guests)
        zone = _zone(new.timezone)
        concert_id = write_id(OPERATOR, "concert", idempotency_key)
        columns = room.columns()
        asked = request_hash((new, columns))
        async with self._pool.acquire() as connection, connection.transaction():
            existed = (
                await queries.timezone_of_concert(connection, concert_id=concert_id) is not None
            )
            stored = await queries.create_concert(
                connection,
                concert_id=concert_id,
                request_hash=asked,
                title=new.title,
                artist=new.artist,
                venue=new.venue,
                timezone=new.timezone,
                currency=new.currency,
                hold_seconds=new.hold_seconds,
                max_seats_per_user=new.max_seats_per_user,
                refundable_until=new.refundable_until,
                guests=new.guests is not False,
                description=new.description or None,
                poster_url=new.poster_url or None,
                age_limit=new.age_limit or None,
                search=searched(new.title, new.artist, new.venue),
                seed=secrets.token_hex(32),
                **columns,
            )
            if stored.request_hash != asked:
                raise IdempotencyKeyReused
            if stored.flaw is not None:
                raise room.refusal(stored.flaw, "/waiting_room")
            shows = await _add(
                connection, concert_id, concert_id, new.shows, zone=zone, asked=asked
            )
        self._changed()
        return CreatedConcert(concert_id, shows), existed

    async def add_shows(
        self, concert_id: UUID, shows: Sequence[NewShow], idempotency_key: str | None
    ) -> tuple[CreatedConcert, bool]:
        """Adds shows to a concert: all or nothing.

        Returns:
            The concert and the added shows, and whether this is the replay of an earlier request.

        Raises:
            NotFound: no such concert.
            IdempotencyKeyReused: the key belongs to other shows.
        """
        namespace = write_id(OPERATOR, "shows", idempotency_key)
        asked = request_hash((concert_id, shows))
        async with self._pool.acquire() as connection, connection.transaction():
            timezone = await queries.timezone_of_concert(connection, concert_id=concert_id)
            if timezone is None:
                raise NotFound
            first = _show_id(namespace, 0)
            stored = await queries.request_hash_of_show(connection, show_id=first)
            if stored not in (None, asked):
                raise IdempotencyKeyReused
            zone = ZoneInfo(timezone)
            added = await _add(connection, concert_id, namespace, shows, zone=zone, asked=asked)
            # A concurrent request with this key may have added other shows.
            if await queries.request_hash_of_show(connection, show_id=first) != asked:
                raise IdempotencyKeyReused
        self._changed()
        return CreatedConcert(concert_id, added), stored is not None

    async def change(self, concert_id: UUID, change: ConcertChange) -> None:
        """Changes a concert; active holds keep their time.

        Raises:
            NotFound: no such concert.
            InvalidRequest: it would be without guests on a server without an issuer.
        """
        self._check_guests(change.guests)
        given = {
            field: None if value is msgspec.UNSET else value
            for field, value in msgspec.structs.asdict(change).items()
        }
        title = given["title"]
        changed = await queries.change_concert(
            self._pool,
            concert_id=concert_id,
            search_title=None if title is None else folded(title),
            changes_refundable_until=change.refundable_until is not msgspec.UNSET,
            changes_description=change.description is not msgspec.UNSET,
            changes_poster_url=change.poster_url is not msgspec.UNSET,
            changes_age_limit=change.age_limit is not msgspec.UNSET,
            **given,
        )
        if changed is None:
            raise NotFound
        self._changed()

    def _check_guests(self, guests: bool | msgspec.UnsetType) -> None:
        if guests is False and not self._has_issuer:
            raise InvalidRequest.at("/guests", "this server has no issuer to sign in at")

    async def end_sale(self, show_id: UUID, sales_end_at: datetime | None) -> ShowSale:
        """Sets when the sale of a show ends; ``None``: at its start.

        After this returns, no process holds a seat after that time. Active holds may still be paid.

        Raises:
            NotFound: no such show.
            ShowClosed: it is cancelled.
        """
        row = await queries.end_sale(self._pool, show_id=show_id, sales_end_at=sales_end_at)
        if row is None:
            raise NotFound
        if row.cancelled_at is not None:
            raise ShowClosed
        self._changed()
        return ShowSale(row.show_id, row.starts_at, row.sales_end_at)


async def _add(
    connection: asyncpg.Connection,
    concert_id: UUID,
    namespace: UUID,
    shows: Sequence[NewShow],
    *,
    zone: ZoneInfo,
    asked: int,
) -> list[CreatedShow]:
    """Adds shows with ids derived from ``namespace``, so that a replay adds nothing."""
    created = []
    for index, show in enumerate(shows):
        day = show.starts_at.astimezone(zone).date()
        show_id = _show_id(namespace, index)
        await queries.add_show(
            connection,
            show.blocks,
            concert_id=concert_id,
            show_id=show_id,
            request_hash=asked,
            starts_at=show.starts_at,
            date=day,
            sales_end_at=show.sales_end_at or show.starts_at,
        )
        created.append(CreatedShow(show_id, day))
    await queries.list_concert(connection, concert_id=concert_id)
    return created


def _show_id(namespace: UUID, index: int) -> UUID:
    return uuid5(namespace, f"show:{index}")


def _zone(name: str) -> ZoneInfo:
    if name not in _zones():
        raise InvalidRequest.at("/timezone", f"there is no time zone {name!r}")
    return ZoneInfo(name)


@functools.cache
def _zones() -> frozenset[str]:
    """Returns the names of the IANA time zone database.

    The files of a system have more ("localtime", "posix/Asia/Seoul"), which browsers don't know.
    "Factory" is the zone of a clock that has not been set.
    """
    names = files("tzdata").joinpath("zones").read_text("utf-8").split()
    return frozenset(names) - {"Factory"}


async def claim_currency(database: Database, currency: str) -> str:
    """Returns the installation's currency, which the first call sets."""
    await queries.claim_currency(database, currency=currency)
    return await queries.currency(database)


async def agree_on_currency(database: Database, currency: str) -> None:
    """Sets the installation's currency, unless it has one.

    Raises:
        WrongUse: it has another one.
    """
    claimed = await claim_currency(database, currency)
    if claimed != currency:
        raise WrongUse(
            f"FRONTROW_CURRENCY: this installation sells in {claimed}, not in {currency}"
        )
