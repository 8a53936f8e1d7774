"""Holds that are released or expire unpaid: a user may have a limited number in a time."""

import math
from time import monotonic
from typing import Any

from frontrow.errors import RateLimited
from frontrow.ids import PlaceRef
from frontrow.reservations.model import Wish
from frontrow.services import Services
from testkit.database import Database
from tests.buyers import ConcertOnSale, Owner, buyer, make_concert, pass_time, services_on
from tests.integration.features.holding import hold, join_again

FEW: dict[str, Any] = {"unpaid_holds": 3, "unpaid_holds_seconds": 100}


async def hold_and_release(
    services: Services, place: PlaceRef, made: ConcertOnSale, times: int, *, seat: int = 1
) -> None:
    """Holds a seat and releases it, from ``seat`` on another one each time."""
    for turn in range(times):
        held = await hold(services, place, made, [seat + turn])
        await services.reservations.release(held.reservation_id, place.user_id, place)


async def barred(services: Services, place: PlaceRef, made: ConcertOnSale) -> int:
    """Returns for how many seconds no hold can be made, for named and for best seats."""
    started = monotonic()
    seconds: list[int] = []
    for asking in (
        services.reservations.hold(place, made.shows[0], [1], None),
        services.reservations.hold(place, made.shows[0], Wish(1), None),
    ):
        try:
            await asking
        except RateLimited as error:
            seconds.append(error.retry_after_seconds)
    assert len(seconds) == 2
    assert 0 <= seconds[0] - seconds[1] <= math.ceil(monotonic() - started)
    return seconds[1]


def until_old(seconds: int, started: float) -> int:
    """Returns the least remainder of some seconds, allowing for a slow machine."""
    return math.floor(seconds - (monotonic() - started))


async def test_unpaid_holds_are_limited(database: Database) -> None:
    """After the limit no hold can be made until the first of them is old enough."""
    async with services_on(database, **FEW) as services:
        made = await make_concert(services, shows=2)
        place = await buyer(services, made.concert_id)
        started = monotonic()
        await hold_and_release(services, place, made, 1)
        await pass_time(database, 30)
        await hold_and_release(services, place, made, 2, seat=2)
        assert until_old(70, started) <= await barred(services, place, made) <= 70
        await pass_time(database, 40)
        assert until_old(30, started) <= await barred(services, place, made) <= 30
        await pass_time(database, 30)
        await hold(services, place, made, [4])


async def test_limit_is_per_user_and_concert(database: Database) -> None:
    """Other users and concerts are unaffected; another place of the user is."""
    async with services_on(database, **FEW) as services:
        made, other = await make_concert(services), await make_concert(services)
        place = await buyer(services, made.concert_id)
        await hold_and_release(services, place, made, 3)
        await hold(services, await buyer(services, made.concert_id), made, [1])
        elsewhere = await join_again(
            services,
            PlaceRef(place.user_id, other.concert_id, 0, 0, place.place_id, place.issued_at),
        )
        await hold(services, elsewhere, other, [1])
        await services.reservations.leave(place)
        await barred(services, await join_again(services, place), made)


async def test_expired_holds_count_at_once(database: Database, owner: Owner) -> None:
    """Also before their end is recorded; paid ones never count."""
    async with services_on(database, **FEW) as services:
        made = await make_concert(services, hold_seconds=5, max_seats_per_user=100)
        place = await buyer(services, made.concert_id, 50_000)
        paid = await hold(services, place, made, [50])
        await services.payments.pay(place, paid.reservation_id, 50_000, None)
        place = await join_again(services, place)
        started = monotonic()
        for seat in (1, 2, 3):
            await hold(services, place, made, [seat])
        await pass_time(database, 5)
        assert await owner.fetchval("SELECT count(*) FROM reservation WHERE state = 'held'") == 3
        assert until_old(100, started) <= await barred(services, place, made) <= 100
        assert await services.reservations.expire() == 3
        assert until_old(100, started) <= await barred(services, place, made) <= 100


async def test_holds_ended_by_others_do_not_count(database: Database) -> None:
    """Holds that end with their show, or by a payment, don't count."""
    async with services_on(database, **FEW) as services:
        made = await make_concert(services, shows=2, max_seats_per_user=100)
        place = await buyer(services, made.concert_id, 50_000)
        for seat in (1, 2, 3):
            await services.reservations.hold(place, made.shows[1], [seat], None)
        await services.cancellations.cancel(made.shows[1].show_id)
        paid = await hold(services, place, made, [1])
        for seat in (2, 3, 4):
            await hold(services, place, made, [seat])
        await services.payments.pay(place, paid.reservation_id, 50_000, None)
        place = await join_again(services, place)
        started = monotonic()
        await hold_and_release(services, place, made, 3, seat=5)
        assert until_old(100, started) <= await barred(services, place, made) <= 100


async def test_hold_that_expired_before_the_cancellation_counts(database: Database) -> None:
    """It counts: the user let it expire."""
    async with services_on(database, **FEW) as services:
        made = await make_concert(services, shows=2, hold_seconds=5, max_seats_per_user=100)
        place = await buyer(services, made.concert_id)
        for seat in (1, 2, 3):
            await services.reservations.hold(place, made.shows[1], [seat], None)
        await pass_time(database, 5)
        await services.cancellations.cancel(made.shows[1].show_id)
        await barred(services, place, made)


async def test_replay_is_not_counted(database: Database) -> None:
    """A retry is no further hold."""
    async with services_on(database, **FEW) as services:
        made = await make_concert(services)
        place = await buyer(services, made.concert_id)
        first = await hold(services, place, made, [2], "key")
        await services.reservations.release(first.reservation_id, place.user_id, place)
        await hold_and_release(services, place, made, 2, seat=3)
        await barred(services, place, made)
        assert await services.reservations.hold(place, made.shows[0], [2], "key") == (first, True)
