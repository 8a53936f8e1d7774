"""Races for the best seats: all callers want the same seats."""

import asyncio
import random
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from frontrow.concerts.model import NewConcert, NewSection, NewShow
from frontrow.errors import SeatsUnavailable, SeatTaken
from frontrow.reservations.model import Wish
from frontrow.services import Services
from frontrow.waiting_room.settings import RoomSettings
from testkit.database import Database
from tests.buyers import OPEN, ConcertOnSale, services_on
from tests.races.crowds import answers, crowd, granted, refused
from tests.races.rivals import fetch, rivals

Pair = tuple[Services, Services]

CALLERS = 200
READ_FREE = "SELECT min(number) FROM chair WHERE holder IS NULL"
TAKE = "UPDATE chair SET holder = $1 WHERE number = $2 RETURNING number"


async def hall(services: Services, *, rows: int, seats_per_row: int) -> ConcertOnSale:
    """Creates a concert with one show whose seats are in rows."""
    section = NewSection("Floor", 90, rows=rows, seats_per_row=seats_per_row)
    show = NewShow(starts_at=datetime.now(UTC) + timedelta(days=30), sections=[section])
    new = NewConcert(title="The Test", shows=[show])
    created, _ = await services.concerts.create(new, RoomSettings(policy=OPEN), None)
    await services.rooms.snapshot.refresh()
    run = await services.catalogue.shows(created.concert_id, fresh=True)
    return ConcertOnSale(created.concert_id, run.shows)


@pytest.mark.parametrize("processes", [2, 8])
async def test_each_caller_gets_another_pair(database: Database, processes: int) -> None:
    """200 callers of several processes get 200 pairs, front rows first, without a gap."""
    async with AsyncExitStack() as opened:
        services = [
            await opened.enter_async_context(services_on(database)) for _ in range(processes)
        ]
        made = await hall(services[0], rows=50, seats_per_row=10)
        places = await crowd(services[0], made.concert_id, CALLERS)

        found = await answers(
            services[turn % processes].reservations.hold(place, made.shows[0], Wish(2), None)
            for turn, place in enumerate(places)
        )

    pairs = [[seat.number for seat in held.seats] for held, _ in granted(found)]
    assert len(pairs) == CALLERS
    assert all(second == first + 1 for first, second in pairs)
    # The first forty rows are full, and no seat behind them is taken.
    assert sorted(number for two in pairs for number in two) == list(range(1, 2 * CALLERS + 1))


async def test_lone_seats_only_where_the_count_forces_them(pair: Pair, database: Database) -> None:
    """Groups of three in rows of eight leave two seats in each row, and never a lone seat."""
    made = await hall(pair[0], rows=30, seats_per_row=8)
    places = await crowd(pair[0], made.concert_id, 70)

    found = await answers(
        pair[turn % 2].reservations.hold(place, made.shows[0], Wish(3), None)
        for turn, place in enumerate(places)
    )

    assert len(granted(found)) == 60
    for lost in refused(found):
        assert isinstance(lost, SeatsUnavailable)
        assert lost.fields == {"available": 60, "together": 2}
    free = await fetch(database, "SELECT number FROM seat WHERE held_until IS NULL ORDER BY 1")
    left = [row["number"] for row in free]
    assert all(second == first + 1 for first, second in zip(left[::2], left[1::2], strict=True))


async def test_best_seats_against_named_seats(pair: Pair, database: Database) -> None:
    """Half of the callers name seats in the front: no seat is held twice, all others are served."""
    made = await hall(pair[0], rows=20, seats_per_row=20)
    places = await crowd(pair[0], made.concert_id, CALLERS)
    asked = [
        pair[turn % 2].reservations.hold(place, made.shows[0], Wish(2), None)
        if turn % 4 < 2
        else pair[turn % 2].reservations.hold(
            place,
            made.shows[0],
            [random.randint(1, 200)],  # noqa: S311 - any seat
            None,
        )
        for turn, place in enumerate(places)
    ]

    found = await answers(asked)

    assert {type(lost) for lost in refused(found)} <= {SeatTaken}
    assert len([held for held, _ in granted(found) if len(held.seats) == 2]) == CALLERS // 2
    held = [
        (seat.number, reservation.reservation_id)
        for reservation, _ in granted(found)
        for seat in reservation.seats
    ]
    assert len({number for number, _ in held}) == len(held)
    rows = await fetch(database, "SELECT number, reservation_id FROM seat WHERE held_until > now()")
    assert sorted(held) == sorted((row["number"], row["reservation_id"]) for row in rows)


async def test_chosen_seat_taken_meanwhile_is_replaced(pair: Pair, database: Database) -> None:
    """A caller whose chosen seat is taken meanwhile gets the next seat, not a refusal."""
    made = await hall(pair[0], rows=1, seats_per_row=5)
    place, _ = await crowd(pair[0], made.concert_id, 2)
    async with rivals(database) as sides:
        async with sides.one.transaction():
            await sides.one.execute(
                """UPDATE seat SET reservation_id = gen_random_uuid(), held_until = 'infinity'
                WHERE show_id = $1 AND number = 3""",
                made.shows[0].show_id,
            )
            choosing = asyncio.create_task(
                pair[0].reservations.hold(place, made.shows[0], Wish(1), None)
            )
            await sides.until("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
            assert not choosing.done()
        held, _ = await choosing
        assert [seat.number for seat in held.seats] == [2]
        # The rival has no reservation, which the audit would report.
        await sides.one.execute(
            "UPDATE seat SET reservation_id = NULL, held_until = NULL WHERE number = 3"
        )


async def test_control_choosing_without_a_lock_gives_one_seat_twice(database: Database) -> None:
    """Control: callers that read the first free seat and then take it take the same seat."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE chair (number int PRIMARY KEY, holder text)")
        await sides.one.execute("INSERT INTO chair VALUES (1), (2)")
        choices = [await sides.one.fetchval(READ_FREE), await sides.other.fetchval(READ_FREE)]
        given = [
            await sides.one.fetchval(TAKE, "one", choices[0]),
            await sides.other.fetchval(TAKE, "other", choices[1]),
        ]
        assert given == [1, 1]
