"""Concerts and shows: creating, changing, reading."""

import asyncio
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from frontrow.concerts.model import ConcertChange, NewConcert, NewSection, NewShow
from frontrow.db.migrate import MIGRATIONS
from frontrow.errors import (
    IdempotencyKeyReused,
    InvalidRequest,
    NotFound,
    SetupError,
    ShowAmbiguous,
    ShowClosed,
)
from frontrow.services import Services
from frontrow.waiting_room.policy import OpenPolicy, RatePolicy
from frontrow.waiting_room.settings import RoomSettings
from testkit.database import Database
from tests.buyers import (
    Owner,
    buyer,
    digest,
    make_concert,
    refused,
    services_on,
)
from tests.integration.features.seat_map_reader import look

START = datetime(2030, 5, 1, 15, 30, tzinfo=UTC)
ROOM = RoomSettings(policy=OpenPolicy())
ROWS_MIGRATION = MIGRATIONS / "0004_rows.sql"


def concert(*shows: NewShow, **changes: Any) -> NewConcert:
    """Returns a concert with one show, unless fields are given."""
    return NewConcert(
        title="The Test", shows=list(shows) or [NewShow(starts_at=START, price=50_000)], **changes
    )


# Creating ----------------------------------------------------------------------------------------


async def test_create(services: Services, owner: Owner) -> None:
    """Creates a concert with its line, shows by the venue's calendar, and 50 seats each."""
    shows = [NewShow(starts_at=START + timedelta(days=day), price=50_000) for day in range(2)]
    created, existed = await services.concerts.create(
        concert(*shows, artist="A", venue="V", hold_seconds=60, max_seats_per_user=2), ROOM, None
    )
    assert not existed
    # 15:30 in UTC is half past midnight of the next day in Seoul.
    assert [show.date for show in created.shows] == [date(2030, 5, 2), date(2030, 5, 3)]
    (shown,) = await services.catalogue.concerts()
    assert msgspec.to_builtins(shown) == {
        "concert_id": str(created.concert_id),
        "title": "The Test",
        "artist": "A",
        "venue": "V",
        "timezone": "Asia/Seoul",
        "currency": "KRW",
        "max_seats_per_user": 2,
        "first_date": "2030-05-02",
        "last_date": "2030-05-03",
        "price_from": 50_000,
        "refundable_until": None,
        "guests": True,
        "sale": "open",
        "rank": (date(2030, 5, 2) - date(1970, 1, 1)).days,
    }
    assert await owner.fetchval("SELECT count(*) FROM seat") == 100
    assert await owner.fetchval("SELECT count(*) FROM stock") == 2
    room = await owner.fetchrow("SELECT * FROM waiting_room")
    assert (room["concert_id"], room["issued"], room["serving"]) == (created.concert_id, 0, 0)
    assert (room["session_seconds"], room["claim_seconds"], room["paused"]) == (600, 120, False)
    assert await owner.fetchval("SELECT policy FROM policy_change") == '{"kind": "open"}'
    row = await owner.fetchrow("SELECT hold_seconds, max_seats_per_user FROM concert")
    assert tuple(row) == (60, 2)


async def test_replay_creates_nothing(services: Services, database: Database) -> None:
    """A replay returns the first answer and creates nothing."""
    new = concert(NewShow(starts_at=START, price=1), NewShow(starts_at=START, price=2))
    first, existed = await services.concerts.create(new, ROOM, "key")
    assert not existed
    before = await digest(database)
    assert await services.concerts.create(new, ROOM, "key") == (first, True)
    assert await digest(database) == before
    other, existed = await services.concerts.create(new, ROOM, "another key")
    assert (existed, other.concert_id != first.concert_id) == (False, True)
    third, existed = await services.concerts.create(new, ROOM, None)
    assert (existed, third.concert_id not in (first.concert_id, other.concert_id)) == (False, True)


async def test_concurrent_replays_create_once(services: Services, owner: Owner) -> None:
    """Concurrent requests create one concert and get one answer."""
    made = await asyncio.gather(
        *[services.concerts.create(concert(), ROOM, "key") for _ in range(5)]
    )
    assert len({answer.concert_id for answer, _ in made}) == 1
    assert await owner.fetchval("SELECT count(*) FROM concert") == 1
    assert await owner.fetchval("SELECT count(*) FROM seat") == 50


@pytest.mark.parametrize(
    ("change", "room"),
    [
        ({"title": "Another"}, {}),
        ({"hold_seconds": 299}, {}),
        ({"shows": [NewShow(starts_at=START, price=50_001)]}, {}),
        ({}, {"session_seconds": 601}),
        ({}, {"policy": RatePolicy(admit=1, every_seconds=1)}),
    ],
)
async def test_key_of_another_concert_is_refused(
    services: Services, database: Database, change: dict[str, Any], room: dict[str, Any]
) -> None:
    """A key belongs to one request."""
    await services.concerts.create(concert(), ROOM, "key")
    other = msgspec.structs.replace(concert(), **change)
    async with refused(database, IdempotencyKeyReused):
        await services.concerts.create(other, msgspec.structs.replace(ROOM, **room), "key")


@pytest.mark.parametrize(
    "zone",
    [
        *("", "Seoul", "Asia", "asia/seoul", "../etc/passwd", "/etc/passwd", "a\x00b"),
        *("localtime", "posixrules", "Factory", "right/Asia/Seoul", "posix/Asia/Seoul"),
    ],
)
async def test_unknown_time_zone_is_refused(
    services: Services, database: Database, zone: str
) -> None:
    """A time zone is a name of the tz database, which browsers know; system files have more."""
    detail = f"there is no time zone {zone!r}"
    async with refused(
        database, InvalidRequest, errors=[{"pointer": "/timezone", "detail": detail}]
    ):
        await services.concerts.create(concert(timezone=zone), ROOM, None)


@pytest.mark.parametrize("zone", ["Asia/Saigon", "ROK", "Etc/GMT+9", "UTC"])
async def test_alias_of_a_time_zone_is_valid(services: Services, zone: str) -> None:
    """Old and short names of the tz database are valid."""
    made, _ = await services.concerts.create(concert(timezone=zone), ROOM, None)
    listed = {each.concert_id: each.timezone for each in await services.catalogue.concerts()}
    assert listed[made.concert_id] == zone


async def test_other_currency_is_refused(services: Services, database: Database) -> None:
    """Prices must be in the currency of the installation."""
    detail = "this installation sells in KRW"
    async with refused(
        database, InvalidRequest, errors=[{"pointer": "/currency", "detail": detail}]
    ):
        await services.concerts.create(concert(currency="EUR"), ROOM, None)


async def test_first_process_sets_the_currency(services: Services, database: Database) -> None:
    """A process with another currency doesn't start."""
    assert services.concerts.currency == "KRW"
    with pytest.raises(SetupError, match="sells in KRW, not in EUR"):
        async with services_on(database, currency="EUR"):
            pass


async def test_sections(services: Services) -> None:
    """Seat numbers run 1..n through the sections in order."""
    sections = [NewSection("VIP", 150_000, 2), NewSection("R", 50_000, 3), NewSection("VIP", 9, 1)]
    created, _ = await services.concerts.create(
        concert(NewShow(starts_at=START, sections=sections)), ROOM, None
    )
    show = await services.catalogue.show(created.concert_id, None, created.shows[0].show_id)
    assert show.seats_total == 6
    assert (await look(services, show))["seats"] == [
        {"number": number, "section": section, "price": price, "state": "available"}
        for number, section, price in [
            (1, "VIP", 150_000),
            (2, "VIP", 150_000),
            (3, "R", 50_000),
            (4, "R", 50_000),
            (5, "R", 50_000),
            (6, "VIP", 9),
        ]
    ]
    assert (await services.catalogue.concerts())[0].price_from == 9


async def test_rows(services: Services, owner: Owner) -> None:
    """A section's numbers run row by row; without rows it is one row."""
    sections = [
        NewSection("Stalls", 90, rows=2, seats_per_row=3),
        NewSection("Box", 70, 4),
        NewSection("Circle", 40, rows=1, seats_per_row=2, seats=2),
    ]
    shows = [NewShow(starts_at=START, sections=sections), NewShow(starts_at=START, price=5)]
    created, _ = await services.concerts.create(concert(*shows), ROOM, None)
    written = await owner.fetch(
        """SELECT ordinal, name, price, first_number, last_number, seats_per_row FROM show_section
        WHERE show_id = $1 ORDER BY ordinal""",
        created.shows[0].show_id,
    )
    assert [tuple(row) for row in written] == [
        (1, "Stalls", 90, 1, 6, 3),
        (2, "Box", 70, 7, 10, 4),
        (3, "Circle", 40, 11, 12, 2),
    ]
    plain = await owner.fetchrow(
        "SELECT * FROM show_section WHERE show_id = $1", created.shows[1].show_id
    )
    assert tuple(plain)[1:7] == (1, None, 5, 1, 50, 50)
    seats = await owner.fetch(
        "SELECT section, price, array_agg(number ORDER BY number) FROM seat WHERE show_id = $1"
        " GROUP BY 1, 2 ORDER BY 3",
        created.shows[0].show_id,
    )
    assert [tuple(row) for row in seats] == [
        ("Stalls", 90, [1, 2, 3, 4, 5, 6]),
        ("Box", 70, [7, 8, 9, 10]),
        ("Circle", 40, [11, 12]),
    ]


async def test_migration_gives_existing_shows_sections(services: Services, owner: Owner) -> None:
    """The migration gives existing shows the sections of a new show without rows."""
    sections = [NewSection("R", 90, 3), NewSection("S", 90, 4), NewSection("R", 90, 2)]
    shows = [NewShow(starts_at=START, sections=sections), NewShow(starts_at=START, price=5)]
    await services.concerts.create(concert(*shows), ROOM, None)
    made = await owner.fetch("SELECT * FROM show_section ORDER BY show_id, ordinal")
    await owner.execute("DELETE FROM show_section")
    backfill = re.search(r"INSERT INTO show_section.*?;", ROWS_MIGRATION.read_text(), re.DOTALL)
    assert backfill is not None
    await owner.execute(backfill[0])
    assert await owner.fetch("SELECT * FROM show_section ORDER BY show_id, ordinal") == made


async def test_fifty_thousand_seats(services: Services) -> None:
    """A stadium is created by one request, and its map is one response."""
    created, _ = await services.concerts.create(
        concert(NewShow(starts_at=START, price=1, seats=50_000)), ROOM, None
    )
    show = await services.catalogue.show(created.concert_id, created.shows[0].date, None)
    seats = await look(services, show)
    assert seats["seats_available"] == 50_000
    assert [seat["number"] for seat in seats["seats"]] == list(range(1, 50_001))


async def test_add_shows(services: Services, database: Database) -> None:
    """Shows are added to a concert once for each key."""
    made = await make_concert(services, shows=1)
    added = [NewShow(starts_at=START, price=1), NewShow(starts_at=START, price=2)]
    first, existed = await services.concerts.add_shows(made.concert_id, added, "key")
    assert (first.concert_id, len(first.shows), existed) == (made.concert_id, 2, False)
    before = await digest(database)
    assert await services.concerts.add_shows(made.concert_id, added, "key") == (first, True)
    assert await digest(database) == before
    run = await services.catalogue.shows(made.concert_id, fresh=True)
    assert {show.show_id for show in run.shows} == {
        made.shows[0].show_id,
        *[show.show_id for show in first.shows],
    }
    async with refused(database, IdempotencyKeyReused):
        await services.concerts.add_shows(made.concert_id, added[:1], "key")
    other = await make_concert(services)
    async with refused(database, IdempotencyKeyReused):
        await services.concerts.add_shows(other.concert_id, added, "key")
    async with refused(database, NotFound):
        await services.concerts.add_shows(uuid4(), added, None)


async def test_concurrent_requests_with_one_key_add_once(services: Services, owner: Owner) -> None:
    """Of two different requests with one key, one adds its shows."""
    made = await make_concert(services)
    asked = [[NewShow(starts_at=START, price=1, seats=5_000)] * shows for shows in (1, 2)]
    found = await asyncio.gather(
        *[services.concerts.add_shows(made.concert_id, shows, "key") for shows in asked],
        return_exceptions=True,
    )
    assert Counter(type(one) for one in found) == {tuple: 1, IdempotencyKeyReused: 1}
    (done,) = (len(one[0].shows) for one in found if isinstance(one, tuple))
    assert await owner.fetchval("SELECT count(*) FROM show") == 1 + done


async def test_key_is_scoped_to_its_operation(services: Services) -> None:
    """A key is scoped to its operation."""
    created, _ = await services.concerts.create(concert(), ROOM, "key")
    _, existed = await services.concerts.add_shows(
        created.concert_id, [NewShow(starts_at=START, price=1)], "key"
    )
    assert not existed


async def test_change(services: Services, database: Database, owner: Owner) -> None:
    """Given fields change, omitted ones stay, and active holds keep their time."""
    made = await make_concert(services, hold_seconds=300)
    place = await buyer(services, made.concert_id)
    held, _ = await services.reservations.hold(place, made.shows[0], [1], None)
    await services.concerts.change(made.concert_id, ConcertChange(hold_seconds=10))
    query = "SELECT title, hold_seconds, max_seats_per_user FROM concert"
    assert tuple(await owner.fetchrow(query)) == ("The Test", 10, 4)
    await services.concerts.change(
        made.concert_id, ConcertChange(title="New", max_seats_per_user=2)
    )
    assert tuple(await owner.fetchrow(query)) == ("New", 10, 2)
    before = await digest(database)
    await services.concerts.change(made.concert_id, ConcertChange())
    assert await digest(database) == before
    assert await services.reservations.get(held.reservation_id, place.user_id) == held
    short, _ = await services.reservations.hold(place, made.shows[0], [2], None)
    assert short.held_until == short.created_at + timedelta(seconds=10)
    async with refused(database, NotFound):
        await services.concerts.change(uuid4(), ConcertChange(title="New"))


# Reading -----------------------------------------------------------------------------------------


async def test_dates(services: Services, owner: Owner) -> None:
    """The days with free seats, or all days."""
    made = await make_concert(services, shows=3, seats=2)
    place = await buyer(services, made.concert_id, 100_000)
    await services.reservations.hold(place, made.shows[0], [1, 2], None)
    await services.reservations.hold(place, made.shows[1], [2], None)
    await owner.execute(
        "UPDATE show SET sales_end_at = clock_timestamp() WHERE show_id = $1",
        made.shows[2].show_id,
    )
    free = await services.catalogue.dates(made.concert_id)
    assert [(day.date, [s.seats_available for s in day.shows]) for day in free.dates] == [
        (made.shows[1].date, [1])
    ]
    every = await services.catalogue.dates(made.concert_id, all_dates=True)
    assert [(day.date, [s.seats_available for s in day.shows]) for day in every.dates] == [
        (made.shows[0].date, [0]),
        (made.shows[1].date, [1]),
        (made.shows[2].date, [0]),
    ]
    assert [day.shows[0].sale for day in every.dates] == ["open", "open", "ended"]
    (first,) = every.dates[0].shows
    assert (first.show_id, first.starts_at) == (made.shows[0].show_id, made.shows[0].starts_at)
    assert first.seats_total == 2


async def test_concurrent_readers_share_a_query(services: Services) -> None:
    """Concurrent readers share a query, each for its own concert."""
    made = [await make_concert(services, shows=shows) for shows in (1, 2, 3)]
    found = await asyncio.gather(
        *[services.catalogue.dates(one.concert_id) for one in made for _ in range(5)]
    )
    assert [len(dates.dates) for dates in found] == [1] * 5 + [2] * 5 + [3] * 5


async def test_show_is_found_by_day_or_id(services: Services) -> None:
    """By its day, its id, or both; a day with several shows is ambiguous."""
    created, _ = await services.concerts.create(
        concert(*[NewShow(starts_at=START + timedelta(hours=h), price=1) for h in (0, 2, 24)]),
        ROOM,
        None,
    )
    concert_id = created.concert_id
    early, late, next_day = created.shows
    find = services.catalogue.show
    assert (await find(concert_id, next_day.date, None)).show_id == next_day.show_id
    assert (await find(concert_id, None, late.show_id)).show_id == late.show_id
    assert (await find(concert_id, late.date, late.show_id)).show_id == late.show_id
    with pytest.raises(ShowAmbiguous) as caught:
        await find(concert_id, early.date, None)
    assert caught.value.fields == {"shows": [early.show_id, late.show_id]}
    for day, show_id in [
        (date(2030, 1, 1), None),
        (None, uuid4()),
        (next_day.date, late.show_id),
    ]:
        with pytest.raises(NotFound):
            await find(concert_id, day, show_id)
    other = await make_concert(services)
    with pytest.raises(NotFound):
        await find(concert_id, None, other.shows[0].show_id)


async def test_show_of_another_process_is_found(services: Services, database: Database) -> None:
    """A show that isn't cached is read again before the refusal."""
    made = await make_concert(services)
    async with services_on(database) as other:
        await other.catalogue.shows(made.concert_id)
        added, _ = await services.concerts.add_shows(
            made.concert_id, [NewShow(starts_at=START, price=1)], None
        )
        new = added.shows[0]
        assert (await other.catalogue.show(made.concert_id, new.date, None)).show_id == new.show_id


async def test_an_unknown_concert_has_no_dates(services: Services, database: Database) -> None:
    """It is not found."""
    async with refused(database, NotFound):
        await services.catalogue.dates(uuid4())


async def test_order_of_concerts(services: Services) -> None:
    """Concerts on sale by their next date; then ended ones, the latest first."""
    made = {}
    for title, *starts in (
        ("over", -40),
        ("later", 9),
        ("runs", -50, -45, 8),
        ("cancelled", 5),
        ("just over", -2, -1),
        ("next", 7, 11),
    ):
        shows = [NewShow(starts_at=datetime.now(UTC) + timedelta(days=d), price=1) for d in starts]
        new = msgspec.structs.replace(concert(*shows), title=title)
        made[title], _ = await services.concerts.create(new, ROOM, None)
    (show,) = made["cancelled"].shows
    await services.cancellations.cancel(show.show_id)
    listed = await services.catalogue.concerts()
    assert [(each.title, each.sale) for each in listed] == [
        ("next", "open"),
        ("runs", "open"),
        ("later", "open"),
        ("just over", "ended"),
        ("over", "ended"),
        ("cancelled", "cancelled"),
    ]


async def test_no_concerts(services: Services) -> None:
    """Without concerts the list is empty."""
    assert await services.catalogue.concerts() == []


# The end of a sale -------------------------------------------------------------------------------


async def test_end_of_a_sale(services: Services, database: Database) -> None:
    """Afterwards no seat is free or can be held; holds can be paid; the end can be moved."""
    made = await make_concert(services, seats=5)
    show, place = made.shows[0], await buyer(services, made.concert_id, 100_000)
    held, _ = await services.reservations.hold(place, show, [1], None)
    past = datetime.now(UTC) - timedelta(seconds=1)
    ended = await services.concerts.end_sale(show.show_id, past)
    assert (ended.starts_at, ended.sales_end_at) == (show.starts_at, past)
    late = await buyer(services, made.concert_id, 1)
    async with refused(database, ShowClosed):
        await services.reservations.hold(late, show, [2], None)
    assert (await services.catalogue.dates(made.concert_id)).dates == []
    await services.rooms.snapshot.refresh_counts()
    line = services.rooms.snapshot.by_concert[made.concert_id]
    assert (line.seats_available, line.state, line.sale) == (0, "sold_out", "ended")
    payment, _ = await services.payments.pay(place, held.reservation_id, held.amount, None)
    assert payment.seats == [1]
    again = await services.concerts.end_sale(show.show_id, None)
    assert again.sales_end_at == show.starts_at
    (day,) = (await services.catalogue.dates(made.concert_id)).dates
    assert [stock.seats_available for stock in day.shows] == [4]
    assert (await services.reservations.hold(late, show, [2], None))[0].state == "held"


async def test_end_of_sale_of_an_unknown_show(services: Services, database: Database) -> None:
    """It is not found."""
    async with refused(database, NotFound):
        await services.concerts.end_sale(uuid4(), None)
