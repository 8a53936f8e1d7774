"""Holding the best seats: which seats are chosen, and what is refused."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from frontrow.concerts.model import NewConcert, NewSection, NewShow
from frontrow.errors import (
    DomainError,
    IdempotencyKeyReused,
    NotAdmitted,
    NotAllowed,
    NotFound,
    SeatLimit,
    SeatsUnavailable,
    ShowClosed,
    TokenFinished,
)
from frontrow.ids import PlaceRef
from frontrow.reservations.model import Reservation, ReservedSeat, Wish
from frontrow.services import Services
from frontrow.waiting_room.settings import RoomSettings
from testkit.database import Database
from tests.buyers import (
    OPEN,
    ConcertOnSale,
    Owner,
    buyer,
    digest,
    join,
    make_concert,
    pass_time,
    refused,
)
from tests.integration.features.holding import hold, taken

STALLS = NewSection("Stalls", 90, rows=2, seats_per_row=6)
CIRCLE = NewSection("Circle", 40, rows=2, seats_per_row=4)


async def house(services: Services, *sections: NewSection) -> ConcertOnSale:
    """A concert with one show of these sections: stalls 1–6, 7–12; circle 13–16, 17–20."""
    show = NewShow(
        starts_at=datetime.now(UTC) + timedelta(days=30),
        sections=list(sections) or [STALLS, CIRCLE],
    )
    new = NewConcert(title="The Test", max_seats_per_user=100, shows=[show])
    created, _ = await services.concerts.create(new, RoomSettings(policy=OPEN), None)
    await services.rooms.snapshot.refresh()
    run = await services.catalogue.shows(created.concert_id, fresh=True)
    return ConcertOnSale(created.concert_id, run.shows)


async def best(
    services: Services, place: PlaceRef, made: ConcertOnSale, count: int, **request: Any
) -> Reservation:
    """Makes a new hold of the best seats."""
    reservation, replayed = await services.reservations.hold(
        place, made.shows[0], Wish(count, **request), None
    )
    assert not replayed
    return reservation


async def numbers(services: Services, made: ConcertOnSale, count: int, **request: Any) -> list[int]:
    """Returns the numbers of the best seats, held by a new guest."""
    place = await buyer(services, made.concert_id)
    return [seat.number for seat in (await best(services, place, made, count, **request)).seats]


async def test_best_seats_are_held(services: Services, owner: Owner) -> None:
    """A hold like any other, with the seats that the database chose."""
    made = await house(services)
    place = await buyer(services, made.concert_id)
    reservation = await best(services, place, made, 2)
    assert reservation.seats == [ReservedSeat(3, "Stalls", 90), ReservedSeat(4, "Stalls", 90)]
    assert (reservation.amount, reservation.state) == (180, "held")
    assert await services.reservations.get(reservation.reservation_id, place.user_id) == reservation
    assert await taken(owner) == dict.fromkeys((3, 4), str(reservation.reservation_id))
    claimed_at = (await services.rooms.status(place)).claimed_at
    assert claimed_at is not None
    assert claimed_at <= reservation.created_at
    await services.ledger.charge(place, 180, None)
    paid, _ = await services.payments.pay(place, reservation.reservation_id, 180, None)
    assert paid.seats == [3, 4]


async def test_front_rows_from_the_middle_outwards(services: Services) -> None:
    """Row by row, in each from the middle outwards; then the next section."""
    made = await house(services)
    found = [await numbers(services, made, 2) for _ in range(10)]
    stalls = [[3, 4], [1, 2], [5, 6], [9, 10], [7, 8], [11, 12]]
    # The middle of a row of four would leave a lone seat on either side.
    assert found == [*stalls, [13, 14], [15, 16], [17, 18], [19, 20]]


async def test_lone_seats_are_avoided(services: Services) -> None:
    """Three seats in a row of six or four leave no lone seat as long as that can be avoided."""
    made = await house(services)
    assert await numbers(services, made, 3) == [1, 2, 3]
    assert await numbers(services, made, 1) == [4]
    # Two are left in the first row, four in each of the circle: two of six is the first that fits.
    assert await numbers(services, made, 1) == [9]
    assert await numbers(services, made, 2) == [5, 6]


async def test_section_restricts_the_choice(services: Services) -> None:
    """Only seats of that section, whatever is free in front; sections of one name are one."""
    made = await house(services, STALLS, CIRCLE, STALLS)
    assert await numbers(services, made, 4, section="Circle") == [13, 14, 15, 16]
    assert await numbers(services, made, 4, section="Circle") == [17, 18, 19, 20]
    for first in (1, 7, 21, 27):
        assert await numbers(services, made, 6, section="Stalls") == list(range(first, first + 6))


async def test_adjacent_seats_if_possible(services: Services) -> None:
    """Adjacent seats if there are some; otherwise, if allowed, the best single ones."""
    made = await house(services, NewSection("Box", 9, 7))
    place = await buyer(services, made.concert_id)
    await hold(services, place, made, [2, 5, 6])
    assert await numbers(services, made, 2, together=False) == [3, 4]
    assert await numbers(services, made, 2, together=False) == [1, 7]


async def test_show_without_sections(services: Services) -> None:
    """It is one row; seats that were released or have expired are available again."""
    made = await make_concert(services, seats=5, max_seats_per_user=5)
    place = await buyer(services, made.concert_id)
    held = await best(services, place, made, 1)
    assert [seat.number for seat in held.seats] == [3]
    await services.reservations.release(held.reservation_id, place.user_id, place)
    assert await numbers(services, made, 5) == [1, 2, 3, 4, 5]


async def test_ended_holds_are_available(services: Services, database: Database) -> None:
    """The seats of an ended hold can be chosen before its end is recorded."""
    made = await make_concert(services, seats=4, hold_seconds=10)
    assert await numbers(services, made, 4) == [1, 2, 3, 4]
    await pass_time(database, 10)
    assert await numbers(services, made, 4) == [1, 2, 3, 4]


async def test_too_few_seats_are_refused(services: Services, database: Database) -> None:
    """Fewer than requested, or not adjacent: the error has the count, also after a release."""
    made = await house(services, NewSection("Box", 9, 7), CIRCLE)
    other = await buyer(services, made.concert_id)
    held = await hold(services, other, made, [2, 4, 6])
    place = await buyer(services, made.concert_id, 1)
    async with refused(database, SeatsUnavailable, available=4, together=1):
        await best(services, place, made, 2, section="Box")
    async with refused(database, SeatsUnavailable, available=12, together=4):
        await best(services, place, made, 13)
    async with refused(database, SeatsUnavailable, available=12, together=4):
        await best(services, place, made, 13, together=False)
    await services.reservations.release(held.reservation_id, other.user_id, other)
    assert await numbers(services, made, 7, section="Box") == [1, 2, 3, 4, 5, 6, 7]
    async with refused(database, SeatsUnavailable, available=0, together=0):
        await best(services, place, made, 1, section="Box")


async def test_refusals_are_those_of_named_seats(services: Services, database: Database) -> None:
    """Best seats are refused for the same reasons as named seats."""
    made = await house(services)
    other = await make_concert(services)
    place = await buyer(services, made.concert_id, 1)
    waiting = await join(services, made.concert_id)
    asked: list[tuple[type[DomainError], dict[str, Any], PlaceRef, ConcertOnSale, Wish]] = [
        (NotFound, {}, place, made, Wish(1, "Balcony")),
        (NotAllowed, {}, place, other, Wish(1)),
        (NotAdmitted, {}, waiting, made, Wish(1)),
    ]
    for kind, fields, holder, what, request in asked:
        async with refused(database, kind, **fields):
            await services.reservations.hold(holder, what.shows[0], request, None)
    plain = await buyer(services, other.concert_id, 1)
    async with refused(database, SeatLimit, limit=4):
        await best(services, plain, other, 5)
    async with refused(database, NotFound):
        await best(services, plain, other, 1, section="Stalls")
    await services.reservations.leave(place)
    async with refused(database, TokenFinished, reason="left"):
        await best(services, place, made, 1)


async def test_closed_show_is_refused(services: Services, database: Database) -> None:
    """After the end of the sale."""
    made = await make_concert(services, session_seconds=86_400)
    place = await buyer(services, made.concert_id, 1)
    await services.concerts.end_sale(made.shows[0].show_id, datetime.now(UTC) - timedelta(days=1))
    async with refused(database, ShowClosed):
        await best(services, place, made, 1)


async def test_same_key_returns_the_same_seats(services: Services, database: Database) -> None:
    """Also after the token has finished; with another request the key is refused."""
    made = await house(services)
    place = await buyer(services, made.concert_id, 180)
    show = made.shows[0]
    first, _ = await services.reservations.hold(place, show, Wish(2), "key")
    before = await digest(database)
    assert await services.reservations.hold(place, show, Wish(2), "key") == (first, True)
    assert await digest(database) == before
    for request in (Wish(1), Wish(2, "Stalls"), Wish(2, together=False)):
        async with refused(database, IdempotencyKeyReused):
            await services.reservations.hold(place, show, request, "key")
    async with refused(database, IdempotencyKeyReused):
        await services.reservations.hold(place, show, [3, 4], "key")
    await services.payments.pay(place, first.reservation_id, 180, None)
    assert await services.reservations.hold(place, show, Wish(2), "key") == (first, True)


async def test_concurrent_requests_with_one_key_hold_once(services: Services, owner: Owner) -> None:
    """Ten requests with one key in one batch: one hold, one answer."""
    made = await house(services)
    place = await buyer(services, made.concert_id)
    answers = await asyncio.gather(
        *[services.reservations.hold(place, made.shows[0], Wish(2), "key") for _ in range(10)]
    )
    assert [answer for answer, _ in answers] == [answers[0][0]] * 10
    assert await owner.fetchval("SELECT count(*) FROM reservation") == 1


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_batch_is_served_in_order(services: Services, owner: Owner, count: int) -> None:
    """A batch is served in order of arrival; the refused requests get the true count."""
    made = await house(services, NewSection("Box", 9, rows=5, seats_per_row=6))
    places = [await buyer(services, made.concert_id) for _ in range(30 // count + 5)]
    answers = await asyncio.gather(
        *[services.reservations.hold(place, made.shows[0], Wish(count), None) for place in places],
        return_exceptions=True,
    )
    won = [answer for answer in answers if isinstance(answer, tuple)]
    assert len(won) == 30 // count
    assert [isinstance(answer, tuple) for answer in answers] == [True] * len(won) + [False] * 5
    for lost in answers[len(won) :]:
        assert isinstance(lost, SeatsUnavailable)
        assert lost.fields == {"available": 0, "together": 0}
    assert len(await taken(owner)) == 30
