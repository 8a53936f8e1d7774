"""Three invented demo concerts, one for each basic admission policy."""

from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from frontrow.concerts.model import NewConcert, NewSection, NewShow
from frontrow.concerts.service import Concerts, claim_currency
from frontrow.db.pool import open_pool
from frontrow.errors import IdempotencyKeyReused
from frontrow.waiting_room.policy import MaxActivePolicy, OpenPolicy, RatePolicy
from frontrow.waiting_room.settings import RoomSettings

_CONNECT_TIMEOUT_SECONDS = 10.0
_ZONE = ZoneInfo("Asia/Seoul")


class _Demo(NamedTuple):
    """A concert, its waiting room, and the idempotency key that creates it once."""

    idempotency_key: str
    concert: NewConcert
    room: RoomSettings


async def seed(database_url: str, *, currency: str = "KRW") -> None:
    """Creates the demo concerts; existing ones stay as they are.

    Args:
        database_url: a migrated database.
        currency: the currency of a new installation; an existing one keeps its own.

    Raises:
        OSError, asyncpg.PostgresError: the database can't be reached or isn't migrated.
    """
    pool = await open_pool(
        database_url, connections=1, connect_timeout_seconds=_CONNECT_TIMEOUT_SECONDS
    )
    async with pool:
        concerts = Concerts(pool, currency=await claim_currency(pool, currency))
        for demo in _demos(datetime.now(UTC).astimezone(_ZONE).date(), concerts.currency):
            try:
                await concerts.create(demo.concert, demo.room, demo.idempotency_key)
            except IdempotencyKeyReused:
                # Created on an earlier day, with other dates.
                continue


def _demos(today: date, currency: str) -> list[_Demo]:
    """Returns the demo concerts, in the weeks after ``today``."""
    return [
        _Demo(
            "demo:open",
            NewConcert(
                title="Lanterns on the Han",
                artist="Moonrise Quartet",
                venue="Yeouido Riverside Stage, Seoul",
                currency=currency,
                shows=[
                    NewShow(starts_at=_evening(today, days, 19), price=50_000)
                    for days in (14, 15, 21, 22)
                ],
            ),
            RoomSettings(policy=OpenPolicy()),
        ),
        _Demo(
            "demo:max_active",
            NewConcert(
                title="Small Room, Loud Songs",
                artist="Paper Tigers Club",
                venue="Basement 27, Mangwon",
                currency=currency,
                hold_seconds=120,
                max_seats_per_user=2,
                shows=[
                    NewShow(starts_at=_evening(today, days, 20), price=33_000)
                    for days in (10, 17, 24)
                ],
            ),
            RoomSettings(policy=MaxActivePolicy(max_active=2), claim_seconds=30),
        ),
        _Demo(
            "demo:rate",
            NewConcert(
                title="Northern Sky: The Homecoming",
                artist="HARU & the Long Winter",
                venue="Jamsil Grand Hall, Seoul",
                currency=currency,
                shows=[
                    NewShow(starts_at=_evening(today, days, hour), sections=_sections())
                    for days, hour in ((28, 18), (29, 14), (29, 19), (30, 17))
                ],
            ),
            RoomSettings(policy=RatePolicy(admit=5, every_seconds=10)),
        ),
    ]


def _evening(today: date, days: int, hour: int) -> datetime:
    return datetime.combine(today + timedelta(days=days), time(hour), _ZONE)


def _sections() -> list[NewSection]:
    return [
        NewSection(name="Floor", price=143_000, rows=4, seats_per_row=10),
        NewSection(name="Balcony R", price=121_000, rows=5, seats_per_row=12),
        NewSection(name="Balcony S", price=99_000, rows=5, seats_per_row=12),
    ]
