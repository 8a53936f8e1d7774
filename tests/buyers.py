"""Concerts and buyers for tests, created through the services; and a clock to advance."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pytest
from pydantic import SecretStr

from frontrow.concerts.model import NewConcert, NewShow, Show
from frontrow.errors import DomainError
from frontrow.ids import PlaceRef
from frontrow.services import Services, open_services
from frontrow.settings import Settings
from frontrow.waiting_room.policy import OpenPolicy, Policy
from frontrow.waiting_room.settings import LineOrder, RoomSettings
from testkit.database import Database, digest_by

OPEN = OpenPolicy()
Owner: TypeAlias = asyncpg.Connection
"""A connection as the owner of the schema, to read and to change rows."""

# Every stored time, by table, in the documented lock order. What a show is called by (starts_at,
# date) stays: it decides nothing.
_TIMES = {
    "waiting_room": ("opens_at", "closes_at", "paced_until"),
    "place": (
        "joined_at",
        "admitted_at",
        "claimed_at",
        "session_until",
        "expires_at",
        "finished_at",
    ),
    "show": ("sales_end_at", "cancelled_at"),
    "cancellation": ("started_at", "finished_at"),
    "reservation": ("created_at", "held_until", "closed_at"),
    "seat": ("held_until",),
    "seat_change": ("changed_at",),
    "transfer": ("created_at",),
    "payment": ("paid_at", "refunded_at"),
    "ticket": ("checked_in_at", "void_at"),
    "admission": ("admitted_at",),
    "policy_change": ("changed_at",),
    "draw": ("committed_at", "drawn_at"),
    "room_load": ("stepped_at",),
    "line_pace": ("looked_at", "published_at"),
    "forecast": ("made_at",),
    "concert": ("created_at", "refundable_until"),
    "app_user": ("created_at",),
    "erasure": ("erased_at", "unlinked_at"),
    "signing_key": ("created_at", "signs_at", "retired_at"),
    "user_key": ("created_at", "revoked_at", "expires_at"),
    "used_challenge": ("expires_at",),
}


@dataclass(frozen=True)
class ConcertOnSale:
    """A concert on sale, with its shows in order of time."""

    concert_id: UUID
    shows: list[Show]


@asynccontextmanager
async def services_on(database: Database, **settings: Any) -> AsyncIterator[Services]:
    """Yields the services of one process on a test's database, without upkeep."""
    chosen = Settings(database_url=SecretStr(database.app_url), **settings)
    async with open_services(chosen) as services:
        yield services


async def make_concert(
    services: Services,
    *,
    policy: Policy = OPEN,
    shows: int = 1,
    seats: int = 50,
    price: int = 50_000,
    hold_seconds: int = 300,
    session_seconds: int = 600,
    claim_seconds: int = 120,
    max_seats_per_user: int = 4,
    opens_at: datetime | None = None,
    closes_at: datetime | None = None,
    order: LineOrder = "arrival",
    refundable_until: datetime | None = None,
) -> ConcertOnSale:
    """Puts a concert on sale: one show a day from 30 days from now, all seats at one price."""
    first = (datetime.now(UTC) + timedelta(days=30)).replace(hour=10, minute=0)
    new = NewConcert(
        title="The Test",
        hold_seconds=hold_seconds,
        max_seats_per_user=max_seats_per_user,
        refundable_until=refundable_until,
        shows=[
            NewShow(starts_at=first + timedelta(days=day), price=price, seats=seats)
            for day in range(shows)
        ],
    )
    room = RoomSettings(
        policy=policy,
        session_seconds=session_seconds,
        claim_seconds=claim_seconds,
        opens_at=opens_at,
        closes_at=closes_at,
        order=order,
    )
    created, _ = await services.concerts.create(new, room, None)
    await services.rooms.snapshot.refresh()
    run = await services.catalogue.shows(created.concert_id, fresh=True)
    return ConcertOnSale(created.concert_id, run.shows)


async def join(services: Services, concert_id: UUID, user_id: UUID | None = None) -> PlaceRef:
    """Joins a line as ``user``, or as a new guest; returns the place that the token names."""
    if user_id is None:
        user_id = (await services.users.add_guest()).user_id
    status, _ = await services.rooms.join(user_id, concert_id)
    return services.signer.verify(status.token.encode())


async def admit_all(services: Services, concert_id: UUID) -> int:
    """Admits every user whom the policy allows now. Returns their count."""
    snapshot = services.rooms.snapshot
    await snapshot.refresh()
    total = 0
    line = snapshot.by_concert[concert_id]
    await services.rooms.close(line)
    while called := (await services.rooms.admit(line)).admitted:
        total += called
    await snapshot.refresh()
    return total


async def buyer(services: Services, concert_id: UUID, balance: int = 0) -> PlaceRef:
    """Returns a new guest who has been admitted; with a charged ``balance``, also claimed."""
    place = await join(services, concert_id)
    await admit_all(services, concert_id)
    if balance:
        await services.ledger.charge(place, balance, None)
    return place


async def pass_time(database: Database, seconds: float) -> None:
    """Makes all times in the database ``seconds`` older, in one transaction."""
    async with database.by_owner() as owner, owner.transaction():
        await owner.execute(f"LOCK TABLE {', '.join(_TIMES)} IN EXCLUSIVE MODE")
        # The guard of the ledger forbids changes of its rows; only this clock may change them.
        await owner.execute("ALTER TABLE transfer DISABLE TRIGGER transfer_append_only")
        for table, columns in _TIMES.items():
            shifts = ", ".join(
                f"{column} = {column} - make_interval(secs => $1)" for column in columns
            )
            await owner.execute(f"UPDATE {table} SET {shifts}", seconds)  # noqa: S608 - names above
        await owner.execute("ALTER TABLE transfer ENABLE TRIGGER transfer_append_only")
        # For readers of the seat changes, the moved end of a hold is a change.
        await owner.execute(
            "INSERT INTO seat_change (show_id, numbers, changed_at)"
            " SELECT show_id, array_agg(number), clock_timestamp() FROM seat"
            " WHERE held_until IS NOT NULL GROUP BY show_id"
        )


async def digest(database: Database) -> dict[str, str | None]:
    """Returns a digest of each table in the database: equal digests, equal rows.

    A wallet without a transfer equals no wallet and is left out; so are statistics, which change
    with time.
    """
    async with database.by_owner() as owner:
        return await digest_by(owner)


@asynccontextmanager
async def refused(
    database: Database, kind: type[DomainError], **fields: object
) -> AsyncIterator[None]:
    """Expects this error with these fields in the block, and an unchanged database."""
    before = await digest(database)
    with pytest.raises(kind) as caught:
        yield
    assert type(caught.value) is kind
    assert caught.value.fields == fields
    assert await digest(database) == before
