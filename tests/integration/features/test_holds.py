"""Holding seats: every outcome for one caller."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from frontrow.errors import (
    CredentialInvalid,
    IdempotencyKeyReused,
    NotAdmitted,
    NotAllowed,
    NotFound,
    SeatLimit,
    SeatTaken,
    ShowClosed,
    TokenFinished,
)
from frontrow.reservations.model import ReservedSeat
from frontrow.services import Services
from testkit.database import Database
from tests.buyers import (
    Owner,
    admit_all,
    buyer,
    digest,
    join,
    make_concert,
    pass_time,
    refused,
)
from tests.integration.features.holding import hold, join_again, taken


async def test_seats_are_held(services: Services, owner: Owner) -> None:
    """The user has the seats for the hold's time, and the call claims the place."""
    made = await make_concert(services, hold_seconds=300)
    place = await buyer(services, made.concert_id)
    reservation = await hold(services, place, made, [8, 7])
    show = made.shows[0]
    assert (reservation.concert_id, reservation.show_id) == (made.concert_id, show.show_id)
    assert (reservation.date, reservation.starts_at) == (show.date, show.starts_at)
    assert reservation.seats == [ReservedSeat(7, None, 50_000), ReservedSeat(8, None, 50_000)]
    assert (reservation.amount, reservation.currency) == (100_000, "KRW")
    assert (reservation.state, reservation.payment_id) == ("held", None)
    assert reservation.held_until == reservation.created_at + timedelta(seconds=300)
    assert await services.reservations.get(reservation.reservation_id, place.user_id) == reservation
    assert await taken(owner) == dict.fromkeys((7, 8), str(reservation.reservation_id))
    status = await services.rooms.status(place)
    assert status.claimed_at == reservation.created_at


async def test_same_key_returns_the_same_hold(services: Services, database: Database) -> None:
    """The same key and request: the first answer, and no other effect."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    first = await hold(services, place, made, [7, 8], "key")
    before = await digest(database)
    again = await services.reservations.hold(place, made.shows[0], [8, 7], "key")
    assert again == (first, True)
    assert await digest(database) == before


async def test_concurrent_requests_with_one_key_hold_once(services: Services, owner: Owner) -> None:
    """Ten requests with one key in one batch: one hold, one answer."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    answers = await asyncio.gather(
        *[services.reservations.hold(place, made.shows[0], [7, 8], "key") for _ in range(10)]
    )
    assert [answer for answer, _ in answers] == [answers[0][0]] * 10
    assert sorted(replayed for _, replayed in answers) == [False] + [True] * 9
    assert await owner.fetchval("SELECT count(*) FROM reservation") == 1


async def test_replay_after_payment_and_end(services: Services, database: Database) -> None:
    """The first answer, unchanged: with the token that the payment finished, and the next one."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 100_000)
    first = await hold(services, place, made, [7, 8], "key")
    await services.payments.pay(place, first.reservation_id, 100_000, None)
    before = await digest(database)
    assert await services.reservations.hold(place, made.shows[0], [7, 8], "key") == (first, True)
    assert await digest(database) == before
    again = await join_again(services, place)
    assert await services.reservations.hold(again, made.shows[0], [7, 8], "key") == (first, True)


async def test_replay_after_release(services: Services) -> None:
    """A key that made a hold stays used after the hold has ended."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    first = await hold(services, place, made, [7], "key")
    await services.reservations.release(first.reservation_id, place.user_id, place)
    assert await services.reservations.hold(place, made.shows[0], [7], "key") == (first, True)
    found = await services.reservations.get(first.reservation_id, place.user_id)
    assert found.state == "released"


async def test_key_of_another_request_is_refused(services: Services, database: Database) -> None:
    """Other seats, fewer, or of another show."""
    made = await make_concert(services, shows=2)
    place = await buyer(services, made.concert_id)
    await hold(services, place, made, [7, 8], "key")
    for show, seats in ((0, [7]), (0, [7, 9]), (0, [7, 8, 9]), (1, [7, 8])):
        async with refused(database, IdempotencyKeyReused):
            await services.reservations.hold(place, made.shows[show], seats, "key")


async def test_keys_belong_to_users(services: Services) -> None:
    """Two users may use the same key."""
    made = await make_concert(services)
    holds = [
        await hold(services, await buyer(services, made.concert_id), made, [seat], "key")
        for seat in (1, 2)
    ]
    assert holds[0].reservation_id != holds[1].reservation_id


async def test_refused_key_can_be_used_again(services: Services) -> None:
    """After a refusal the same key is accepted, also for another request."""
    made = await make_concert(services)
    one, two = [await buyer(services, made.concert_id) for _ in range(2)]
    first = await hold(services, one, made, [1])
    with pytest.raises(SeatTaken):
        await services.reservations.hold(two, made.shows[0], [1], "key")
    await services.reservations.release(first.reservation_id, one.user_id, None)
    await hold(services, two, made, [1], "key")


async def test_waiting_user_cannot_hold(services: Services, database: Database) -> None:
    """A waiting token is refused."""
    made = await make_concert(services)
    place = await join(services, made.concert_id)
    async with refused(database, NotAdmitted):
        await services.reservations.hold(place, made.shows[0], [1], None)


async def test_finished_token_is_refused_with_its_reason(
    services: Services, database: Database
) -> None:
    """Each way to end a place has its reason."""
    made = await make_concert(services, claim_seconds=60)
    paid = await buyer(services, made.concert_id, 50_000)
    reservation = await hold(services, paid, made, [1])
    await services.payments.pay(paid, reservation.reservation_id, 50_000, None)
    left = await buyer(services, made.concert_id)
    await services.reservations.leave(left)
    late = await buyer(services, made.concert_id)
    await pass_time(database, 60)
    for place, reason in ((paid, "paid"), (left, "left"), (late, "expired")):
        async with refused(database, TokenFinished, reason=reason):
            await services.reservations.hold(place, made.shows[0], [2], None)


async def test_forged_token_is_refused(services: Services, database: Database) -> None:
    """A token of another place at the same number, or of a missing one."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    for other in ({"place_id": uuid4()}, {"number": 99}, {"room_id": 99}):
        async with refused(database, CredentialInvalid):
            await services.reservations.hold(
                msgspec.structs.replace(place, **other), made.shows[0], [1], None
            )


async def test_unknown_show_or_seat(services: Services, database: Database) -> None:
    """An unknown show, or an unknown seat beside a known one."""
    made = await make_concert(services, seats=50)
    place = await buyer(services, made.concert_id)
    await services.rooms.enter(place)
    nowhere = msgspec.structs.replace(made.shows[0], show_id=uuid4())
    for show, seats in ((nowhere, [1]), (made.shows[0], [51]), (made.shows[0], [50, 51])):
        async with refused(database, NotFound):
            await services.reservations.hold(place, show, seats, None)


async def test_show_of_another_concert_is_refused(services: Services, database: Database) -> None:
    """A token is valid for its own concert only."""
    made, other = await make_concert(services), await make_concert(services)
    place = await buyer(services, made.concert_id)
    await services.rooms.enter(place)
    async with refused(database, NotAllowed):
        await services.reservations.hold(place, other.shows[0], [1], None)


async def test_closed_show_is_refused(services: Services, database: Database, owner: Owner) -> None:
    """After the end of its sale."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    await services.rooms.enter(place)
    await owner.execute("UPDATE show SET sales_end_at = clock_timestamp()")
    async with refused(database, ShowClosed):
        await services.reservations.hold(place, made.shows[0], [1], None)


async def test_taken_seats_are_named(services: Services, database: Database) -> None:
    """Held by another user, by the same one, or sold: the error has all of them."""
    made = await make_concert(services, max_seats_per_user=10)
    seller = await buyer(services, made.concert_id, 50_000)
    sold = await hold(services, seller, made, [3])
    await services.payments.pay(seller, sold.reservation_id, 50_000, None)
    other = await buyer(services, made.concert_id)
    await hold(services, other, made, [5, 4])
    place = await buyer(services, made.concert_id)
    await hold(services, place, made, [6])
    for seats, which in (([3], [3]), ([6], [6]), ([7, 6, 5, 3, 1], [3, 5, 6])):
        async with refused(database, SeatTaken, seats=which):
            await services.reservations.hold(place, made.shows[0], seats, None)


async def test_all_or_nothing(services: Services, owner: Owner) -> None:
    """If one seat is taken, no seat is held."""
    made = await make_concert(services)
    one, two = [await buyer(services, made.concert_id) for _ in range(2)]
    first = await hold(services, one, made, [2])
    with pytest.raises(SeatTaken):
        await services.reservations.hold(two, made.shows[0], [1, 2, 3], None)
    assert await taken(owner) == {2: str(first.reservation_id)}
    assert await owner.fetchval("SELECT count(*) FROM reservation") == 1


async def test_seat_limit_per_user(services: Services, database: Database) -> None:
    """It counts held and owned seats, over all places of the user and shows of the concert."""
    made = await make_concert(services, shows=2, max_seats_per_user=4)
    place = await buyer(services, made.concert_id, 1_000_000)
    async with refused(database, SeatLimit, limit=4):
        await services.reservations.hold(place, made.shows[0], [1, 2, 3, 4, 5], None)
    owned = await hold(services, place, made, [1, 2])
    await services.payments.pay(place, owned.reservation_id, 100_000, None)
    again = await join_again(services, place)
    await services.rooms.enter(again)
    async with refused(database, SeatLimit, limit=4):
        await services.reservations.hold(again, made.shows[1], [1, 2, 3], None)
    held, _ = await services.reservations.hold(again, made.shows[1], [1], None)
    async with refused(database, SeatLimit, limit=4):
        await services.reservations.hold(again, made.shows[0], [3, 4], None)
    last = await hold(services, again, made, [3])
    async with refused(database, SeatLimit, limit=4):
        await services.reservations.hold(again, made.shows[0], [4], None)
    await services.reservations.release(last.reservation_id, again.user_id, again)
    await hold(services, again, made, [4])
    assert held.state == "held"


async def test_ended_holds_do_not_count(services: Services, database: Database) -> None:
    """Only active holds count, whether or not the end of the others was recorded."""
    made = await make_concert(services, max_seats_per_user=2, hold_seconds=60)
    place = await buyer(services, made.concert_id)
    await hold(services, place, made, [1, 2])
    await pass_time(database, 60)
    await hold(services, place, made, [3, 4])


async def test_seat_limit_is_per_concert(services: Services) -> None:
    """Seats of another concert don't count."""
    made, other = [await make_concert(services, max_seats_per_user=1) for _ in range(2)]
    place = await buyer(services, made.concert_id)
    await hold(services, place, made, [1])
    there = await join(services, other.concert_id, place.user_id)
    await admit_all(services, other.concert_id)
    await hold(services, there, other, [1])


async def test_seat_limit_within_one_batch(services: Services) -> None:
    """Concurrent requests of one user are counted one after the other."""
    made = await make_concert(services, max_seats_per_user=4)
    place = await buyer(services, made.concert_id)
    answers = await asyncio.gather(
        *[services.reservations.hold(place, made.shows[0], [n], None) for n in range(1, 10)],
        return_exceptions=True,
    )
    assert [isinstance(answer, SeatLimit) for answer in answers] == [False] * 4 + [True] * 5
