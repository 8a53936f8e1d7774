"""A crowd in one concert, created through the database functions in large batches."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple, TypeAlias
from uuid import UUID, uuid4

from frontrow.concerts.model import NewConcert, NewShow, Show
from frontrow.ids import PlaceRef
from frontrow.services import Services
from frontrow.waiting_room.line import Line
from frontrow.waiting_room.policy import OpenPolicy
from frontrow.waiting_room.queries import JoinItem
from frontrow.waiting_room.queries import queries as line_queries
from frontrow.waiting_room.settings import RoomSettings
from frontrow.wallet.queries import ChargeItem
from frontrow.wallet.queries import queries as wallet

PRICE = 50_000
BATCH = 2_000


class Hall(NamedTuple):
    """A concert with its line and its shows, all seats free."""

    concert_id: UUID
    line: Line
    shows: Sequence[Show]


HoldFields: TypeAlias = tuple[int, int, UUID, UUID, UUID, UUID, int, UUID]


def hold_fields(place: PlaceRef, show_id: UUID, reservation_id: UUID) -> HoldFields:
    """The fields that holds of named and of best seats begin with."""
    at = place.room_id, place.number, place.place_id
    return *at, place.user_id, place.concert_id, reservation_id, 0, show_id


async def put_on_sale(services: Services, *, shows: int, seats: int) -> Hall:
    """Puts a concert on sale with ``shows`` shows of equal size and an open line."""
    first = datetime.now(UTC) + timedelta(days=30)
    return await open_hall(
        services,
        [
            NewShow(starts_at=first + timedelta(days=day), price=PRICE, seats=seats)
            for day in range(shows)
        ],
    )


async def open_hall(services: Services, shows: list[NewShow]) -> Hall:
    """Puts a concert with these shows and an open line on sale."""
    room = RoomSettings(policy=OpenPolicy(), session_seconds=86_400, claim_seconds=3_600)
    new = NewConcert(title="Benchmark", hold_seconds=3_600, shows=shows)
    made, _ = await services.concerts.create(new, room, None)
    await services.rooms.snapshot.refresh()
    return Hall(
        made.concert_id,
        services.rooms.snapshot.by_concert[made.concert_id],
        (await services.catalogue.shows(made.concert_id, fresh=True)).shows,
    )


async def queue_up(services: Services, hall: Hall, people: int) -> list[PlaceRef]:
    """Creates ``people`` new users with a waiting place each."""
    places: list[PlaceRef] = []
    while len(places) < people:
        count = min(BATCH, people - len(places))
        items = [JoinItem(uuid4(), None, uuid4()) for _ in range(count)]
        rows = await line_queries.join(services.pool, items, room_id=hall.line.room_id)
        places += [
            PlaceRef(
                row.user_id, hall.concert_id, hall.line.room_id, row.number, row.place_id,
                row.joined_at,
            )
            for row in rows
        ]  # fmt: skip
    return places


async def let_in(services: Services, hall: Hall, people: int) -> list[PlaceRef]:
    """Creates admitted users in their sessions, each with the money for one seat."""
    places = await queue_up(services, hall, people)
    if not isinstance(hall.line.policy, OpenPolicy):
        raise TypeError
    while (await services.rooms.admit(hall.line)).more:
        pass
    rest = iter(places)
    while some := list(islice(rest, BATCH)):
        await wallet.charge(
            services.pool,
            [ChargeItem(p.room_id, p.number, p.place_id, p.user_id, uuid4(), PRICE) for p in some],
        )
    return places
