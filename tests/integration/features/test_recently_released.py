"""Seats that a user released or let expire: only other users may hold them at once."""

from collections.abc import Awaitable
from time import monotonic

import pytest

from frontrow.errors import RecentlyReleased, SeatsUnavailable
from frontrow.ids import PlaceRef
from frontrow.reservations.model import Reservation, Wish
from frontrow.services import Services
from testkit.database import Database
from tests.buyers import ConcertOnSale, buyer, make_concert, pass_time, services_on
from tests.integration.features.holding import hold, join_again

HOLD_SECONDS = 60


async def released(
    services: Services, place: PlaceRef, made: ConcertOnSale, seats: list[int]
) -> None:
    """Holds seats and releases them."""
    held = await hold(services, place, made, seats)
    await services.reservations.release(held.reservation_id, place.user_id, place)


async def refused(call: Awaitable[object]) -> tuple[list[int], int]:
    """Returns the seats that a refusal names, and its seconds."""
    with pytest.raises(RecentlyReleased) as error:
        await call
    seats, seconds = error.value.fields["seats"], error.value.fields["retry_after_seconds"]
    assert isinstance(seats, list)
    assert isinstance(seconds, int)
    return seats, seconds


async def best(services: Services, place: PlaceRef, made: ConcertOnSale, count: int) -> Reservation:
    """Holds the best seats of the first show."""
    held, _ = await services.reservations.hold(place, made.shows[0], Wish(count), None)
    return held


def numbers(reservation: Reservation) -> list[int]:
    """Returns the numbers of a reservation's seats."""
    return [seat.number for seat in reservation.seats]


async def test_released_seats_cannot_be_held_again_by_their_user(database: Database) -> None:
    """For one hold's length; the refusal names them. Others may hold them at once."""
    async with services_on(database) as services:
        made = await make_concert(services, hold_seconds=HOLD_SECONDS)
        place, other = [await buyer(services, made.concert_id) for _ in range(2)]
        started = monotonic()
        await released(services, place, made, [1, 2])
        seats, seconds = await refused(hold(services, place, made, [2, 3]))
        assert seats == [2]
        assert HOLD_SECONDS - (monotonic() - started) - 1 < seconds <= HOLD_SECONDS
        await hold(services, other, made, [2])
        await hold(services, place, made, [3])
        await pass_time(database, HOLD_SECONDS)
        await hold(services, place, made, [1])


async def test_expired_seats_cannot_be_held_again_by_their_user(database: Database) -> None:
    """From the end of the hold on, whether or not it is recorded, also with another place."""
    async with services_on(database) as services:
        made = await make_concert(services, hold_seconds=HOLD_SECONDS)
        place = await buyer(services, made.concert_id)
        await hold(services, place, made, [1])
        await pass_time(database, HOLD_SECONDS + 20)
        seats, seconds = await refused(hold(services, place, made, [1]))
        assert (seats, seconds <= HOLD_SECONDS - 20) == ([1], True)
        assert await services.reservations.expire() == 1
        assert (await refused(hold(services, place, made, [1])))[1] <= HOLD_SECONDS - 20
        await services.reservations.leave(place)
        place = await join_again(services, place)
        await refused(hold(services, place, made, [1]))
        await pass_time(database, HOLD_SECONDS - 20)
        await hold(services, place, made, [1])


async def test_seats_released_by_leaving_cannot_be_held_again(database: Database) -> None:
    """Leaving the line releases its holds: joining again gains nothing."""
    async with services_on(database) as services:
        made = await make_concert(services)
        place = await buyer(services, made.concert_id)
        await hold(services, place, made, [1])
        await services.reservations.leave(place)
        await refused(hold(services, await join_again(services, place), made, [1]))


async def test_seats_released_by_a_payment_can_be_held_again(database: Database) -> None:
    """The payment of one hold releases the others: that wasn't the user's choice."""
    async with services_on(database) as services:
        made = await make_concert(services)
        place = await buyer(services, made.concert_id, 50_000)
        paid = await hold(services, place, made, [1])
        await hold(services, place, made, [2])
        await services.payments.pay(place, paid.reservation_id, 50_000, None)
        await hold(services, await join_again(services, place), made, [2])


async def test_other_shows_are_unaffected(database: Database) -> None:
    """The same number in another show of the concert is another seat."""
    async with services_on(database) as services:
        made = await make_concert(services, shows=2)
        place = await buyer(services, made.concert_id)
        await released(services, place, made, [1])
        await services.reservations.hold(place, made.shows[1], [1], None)


async def test_best_seats_exclude_recently_released_ones(database: Database) -> None:
    """Each user's own released seats are left out of the choice, in one batch too."""
    async with services_on(database) as services:
        made = await make_concert(services, seats=4)
        place, other = [await buyer(services, made.concert_id) for _ in range(2)]
        first = await best(services, place, made, 2)
        await services.reservations.release(first.reservation_id, place.user_id, place)
        mine = await best(services, place, made, 2)
        assert set(numbers(mine)).isdisjoint(numbers(first))
        assert numbers(await best(services, other, made, 2)) == numbers(first)


async def test_too_few_other_seats_are_unavailable(database: Database) -> None:
    """The refusal counts the seats that this user may hold."""
    async with services_on(database) as services:
        made = await make_concert(services, seats=4)
        place = await buyer(services, made.concert_id)
        await released(services, place, made, [1, 2, 3])
        with pytest.raises(SeatsUnavailable) as error:
            await best(services, place, made, 2)
        assert error.value.fields == {"available": 1, "together": 1}
        assert numbers(await best(services, place, made, 1)) == [4]
