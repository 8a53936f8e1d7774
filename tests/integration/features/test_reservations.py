"""Holding seats: every outcome, all or nothing, and the end of a hold."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from frontrow.errors import (
    CredentialInvalid,
    HoldExpired,
    IdempotencyKeyReused,
    NotAdmitted,
    NotAllowed,
    NotFound,
    ReservationClosed,
    SeatLimit,
    SeatTaken,
    ShowClosed,
    TokenFinished,
)
from frontrow.ids import PlaceRef
from frontrow.reservations.model import Reservation, ReservedSeat
from frontrow.services import Services
from frontrow.waiting_room.policy import MaxActivePolicy
from tests.buyers import (
    Made,
    Owner,
    admit_all,
    buyer,
    digest,
    join,
    make_concert,
    pass_time,
    refused,
)
from tests.conftest import Database


async def hold(
    services: Services, place: PlaceRef, made: Made, seats: Sequence[int], key: str | None = None
) -> Reservation:
    """A new hold of the first show's seats."""
    reservation, replayed = await services.reservations.hold(place, made.shows[0], seats, key)
    assert not replayed
    return reservation


async def taken(owner: Owner) -> dict[int, str]:
    """Which seats somebody has now, and by which reservation."""
    rows = await owner.fetch(
        "SELECT number, reservation_id FROM seat WHERE held_until > clock_timestamp() ORDER BY 1"
    )
    return {row["number"]: str(row["reservation_id"]) for row in rows}


async def come_back(services: Services, place: PlaceRef) -> PlaceRef:
    """The same user's next place in the same line, admitted."""
    again = await join(services, place.concert_id, place.user_id)
    await admit_all(services, place.concert_id)
    return again


# Outcomes of a hold ------------------------------------------------------------------------------


async def test_held(services: Services, owner: Owner) -> None:
    """The seats are this user's for the hold's time, and the token is claimed by it."""
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


async def test_replayed(services: Services, database: Database) -> None:
    """The same key and request: the first answer; nothing else happens."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    first = await hold(services, place, made, [7, 8], "key")
    before = await digest(database)
    again = await services.reservations.hold(place, made.shows[0], [8, 7], "key")
    assert again == (first, True)
    assert await digest(database) == before


async def test_replayed_at_once(services: Services, owner: Owner) -> None:
    """Ten times the same key in one batch: one hold, one answer."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    answers = await asyncio.gather(
        *[services.reservations.hold(place, made.shows[0], [7, 8], "key") for _ in range(10)]
    )
    assert [answer for answer, _ in answers] == [answers[0][0]] * 10
    assert sorted(replayed for _, replayed in answers) == [False] + [True] * 9
    assert await owner.fetchval("SELECT count(*) FROM reservation") == 1


async def test_replayed_after_payment_and_end(services: Services, database: Database) -> None:
    """The first answer, as it was: with the token that the payment finished, and the next one."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 100_000)
    first = await hold(services, place, made, [7, 8], "key")
    await services.paying.pay(place, first.reservation_id, 100_000, None)
    before = await digest(database)
    assert await services.reservations.hold(place, made.shows[0], [7, 8], "key") == (first, True)
    assert await digest(database) == before
    again = await come_back(services, place)
    assert await services.reservations.hold(again, made.shows[0], [7, 8], "key") == (first, True)


async def test_replayed_after_release(services: Services) -> None:
    """A key that has held is used up, though the hold is over."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    first = await hold(services, place, made, [7], "key")
    await services.reservations.release(first.reservation_id, place.user_id, place)
    assert await services.reservations.hold(place, made.shows[0], [7], "key") == (first, True)
    found = await services.reservations.get(first.reservation_id, place.user_id)
    assert found.state == "released"


async def test_key_reused(services: Services, database: Database) -> None:
    """Another request with the same key: other seats, fewer, or of another show."""
    made = await make_concert(services, shows=2)
    place = await buyer(services, made.concert_id)
    await hold(services, place, made, [7, 8], "key")
    for show, seats in ((0, [7]), (0, [7, 9]), (0, [7, 8, 9]), (1, [7, 8])):
        async with refused(database, IdempotencyKeyReused):
            await services.reservations.hold(place, made.shows[show], seats, "key")


async def test_a_key_is_its_users(services: Services) -> None:
    """Two users may use the same key."""
    made = await make_concert(services)
    holds = [
        await hold(services, await buyer(services, made.concert_id), made, [seat], "key")
        for seat in (1, 2)
    ]
    assert holds[0].reservation_id != holds[1].reservation_id


async def test_a_refusal_is_not_remembered(services: Services) -> None:
    """After a refusal the same key may be tried again, also for something else."""
    made = await make_concert(services)
    one, two = [await buyer(services, made.concert_id) for _ in range(2)]
    first = await hold(services, one, made, [1])
    with pytest.raises(SeatTaken):
        await services.reservations.hold(two, made.shows[0], [1], "key")
    await services.reservations.release(first.reservation_id, one.user_id, None)
    await hold(services, two, made, [1], "key")


async def test_not_admitted(services: Services, database: Database) -> None:
    """Who waits holds nothing."""
    made = await make_concert(services)
    place = await join(services, made.concert_id)
    async with refused(database, NotAdmitted):
        await services.reservations.hold(place, made.shows[0], [1], None)


async def test_token_finished(services: Services, database: Database) -> None:
    """Each way to end a token is told as the reason."""
    made = await make_concert(services, claim_seconds=60)
    paid = await buyer(services, made.concert_id, 50_000)
    reservation = await hold(services, paid, made, [1])
    await services.paying.pay(paid, reservation.reservation_id, 50_000, None)
    left = await buyer(services, made.concert_id)
    await services.reservations.leave(left)
    late = await buyer(services, made.concert_id)
    await pass_time(database, 60)
    for place, reason in ((paid, "paid"), (left, "left"), (late, "expired")):
        async with refused(database, TokenFinished, reason=reason):
            await services.reservations.hold(place, made.shows[0], [2], None)


async def test_forged(services: Services, database: Database) -> None:
    """A token that names another place at the same number, or none."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    for other in ({"place_id": uuid4()}, {"number": 99}, {"room_id": 99}):
        async with refused(database, CredentialInvalid):
            await services.reservations.hold(
                msgspec.structs.replace(place, **other), made.shows[0], [1], None
            )


async def test_not_found(services: Services, database: Database) -> None:
    """A show that isn't there, or a seat that it doesn't have, beside one that it has."""
    made = await make_concert(services, seats=50)
    place = await buyer(services, made.concert_id)
    await services.rooms.enter(place)
    nowhere = msgspec.structs.replace(made.shows[0], show_id=uuid4())
    for show, seats in ((nowhere, [1]), (made.shows[0], [51]), (made.shows[0], [50, 51])):
        async with refused(database, NotFound):
            await services.reservations.hold(place, show, seats, None)


async def test_show_of_another_concert(services: Services, database: Database) -> None:
    """A token serves its own concert only."""
    made, other = await make_concert(services), await make_concert(services)
    place = await buyer(services, made.concert_id)
    await services.rooms.enter(place)
    async with refused(database, NotAllowed):
        await services.reservations.hold(place, other.shows[0], [1], None)


async def test_show_closed(services: Services, database: Database, owner: Owner) -> None:
    """Once its sale has ended."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    await services.rooms.enter(place)
    await owner.execute("UPDATE show SET sales_end_at = clock_timestamp()")
    async with refused(database, ShowClosed):
        await services.reservations.hold(place, made.shows[0], [1], None)


async def test_seat_taken(services: Services, database: Database) -> None:
    """Held by another, by oneself, or sold: all of them are named."""
    made = await make_concert(services, max_seats_per_user=10)
    seller = await buyer(services, made.concert_id, 50_000)
    sold = await hold(services, seller, made, [3])
    await services.paying.pay(seller, sold.reservation_id, 50_000, None)
    other = await buyer(services, made.concert_id)
    await hold(services, other, made, [5, 4])
    place = await buyer(services, made.concert_id)
    await hold(services, place, made, [6])
    for seats, which in (([3], [3]), ([6], [6]), ([7, 6, 5, 3, 1], [3, 5, 6])):
        async with refused(database, SeatTaken, seats=which):
            await services.reservations.hold(place, made.shows[0], seats, None)


async def test_all_or_nothing(services: Services, owner: Owner) -> None:
    """One seat that can't be had: none is."""
    made = await make_concert(services)
    one, two = [await buyer(services, made.concert_id) for _ in range(2)]
    first = await hold(services, one, made, [2])
    with pytest.raises(SeatTaken):
        await services.reservations.hold(two, made.shows[0], [1, 2, 3], None)
    assert await taken(owner) == {2: str(first.reservation_id)}
    assert await owner.fetchval("SELECT count(*) FROM reservation") == 1


async def test_seat_limit(services: Services, database: Database) -> None:
    """It counts what is held and owned, over all of the user's places and shows of the concert."""
    made = await make_concert(services, shows=2, max_seats_per_user=4)
    place = await buyer(services, made.concert_id, 1_000_000)
    async with refused(database, SeatLimit, limit=4):
        await services.reservations.hold(place, made.shows[0], [1, 2, 3, 4, 5], None)
    owned = await hold(services, place, made, [1, 2])
    await services.paying.pay(place, owned.reservation_id, 100_000, None)
    again = await come_back(services, place)
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


async def test_ended_holds_dont_count(services: Services, database: Database) -> None:
    """The limit is of live holds, whether or not the end of the others was written down."""
    made = await make_concert(services, max_seats_per_user=2, hold_seconds=60)
    place = await buyer(services, made.concert_id)
    await hold(services, place, made, [1, 2])
    await pass_time(database, 60)
    await hold(services, place, made, [3, 4])


async def test_the_limit_is_of_one_concert(services: Services) -> None:
    """Seats of another concert don't count."""
    made, other = [await make_concert(services, max_seats_per_user=1) for _ in range(2)]
    place = await buyer(services, made.concert_id)
    await hold(services, place, made, [1])
    there = await join(services, other.concert_id, place.user_id)
    await admit_all(services, other.concert_id)
    await hold(services, there, other, [1])


async def test_limit_within_one_batch(services: Services) -> None:
    """Requests of one user at the same moment are counted one after the other."""
    made = await make_concert(services, max_seats_per_user=4)
    place = await buyer(services, made.concert_id)
    answers = await asyncio.gather(
        *[services.reservations.hold(place, made.shows[0], [n], None) for n in range(1, 10)],
        return_exceptions=True,
    )
    assert [isinstance(answer, SeatLimit) for answer in answers] == [False] * 4 + [True] * 5


# Many at once ------------------------------------------------------------------------------------


async def test_one_seat_many_buyers(services: Services, owner: Owner) -> None:
    """One wins, who came first; all the others are told which seat it was."""
    made = await make_concert(services)
    places = [await buyer(services, made.concert_id) for _ in range(20)]
    answers = await asyncio.gather(
        *[services.reservations.hold(place, made.shows[0], [7], None) for place in places],
        return_exceptions=True,
    )
    assert isinstance(answers[0], tuple)
    for answer in answers[1:]:
        assert isinstance(answer, SeatTaken)
        assert answer.fields == {"seats": [7]}
    assert await taken(owner) == {7: str(answers[0][0].reservation_id)}


@pytest.mark.parametrize("links", [3, 10])
async def test_a_chain_of_overlapping_holds(services: Services, owner: Owner, links: int) -> None:
    """{1,2}, {2,3}, {3,4}, … at once: who meets a refused one isn't refused for that."""
    made = await make_concert(services)
    places = [await buyer(services, made.concert_id) for _ in range(links)]
    answers = await asyncio.gather(
        *[
            services.reservations.hold(place, made.shows[0], [at, at + 1], None)
            for at, place in enumerate(places, 1)
        ],
        return_exceptions=True,
    )
    for at, answer in enumerate(answers, 1):
        if at % 2:
            assert isinstance(answer, tuple)
        else:
            assert isinstance(answer, SeatTaken)
    seats = links + links % 2
    assert list(await taken(owner)) == list(range(1, seats + 1))


async def test_nobody_is_refused_a_seat_that_stays_free(services: Services, owner: Owner) -> None:
    """Any overlapping wishes at once: each refusal names seats that somebody has in the end."""
    made = await make_concert(services, seats=12, max_seats_per_user=12)
    places = [await buyer(services, made.concert_id) for _ in range(15)]
    chance = random.Random(2026)  # noqa: S311 - a test's
    for _ in range(12):
        wishes = [chance.sample(range(1, 13), chance.randint(1, 4)) for _ in places]
        answers = await asyncio.gather(
            *[
                services.reservations.hold(place, made.shows[0], seats, None)
                for place, seats in zip(places, wishes, strict=True)
            ],
            return_exceptions=True,
        )
        had = await taken(owner)
        won: list[int] = []
        for answer, wish in zip(answers, wishes, strict=True):
            if isinstance(answer, tuple):
                won += wish
            else:
                assert isinstance(answer, SeatTaken)
                named = answer.fields["seats"]
                assert isinstance(named, list)
                assert named
                assert set(named) <= set(wish) & set(had)
        assert sorted(won) == list(had)
        await asyncio.gather(
            *[
                services.reservations.release(answer[0].reservation_id, place.user_id, place)
                for answer, place in zip(answers, places, strict=True)
                if isinstance(answer, tuple)
            ]
        )
        assert await taken(owner) == {}


# The end of a hold -------------------------------------------------------------------------------


async def test_an_ended_hold_frees_its_seats(
    services: Services, database: Database, owner: Owner
) -> None:
    """By the clock alone: the seat can be taken over, and the old hold can't be paid."""
    made = await make_concert(services, hold_seconds=60)
    late = await buyer(services, made.concert_id, 50_000)
    old = await hold(services, late, made, [1])
    await pass_time(database, 60)
    found = await services.reservations.get(old.reservation_id, late.user_id)
    assert found.state == "expired"
    quick = await buyer(services, made.concert_id)
    new = await hold(services, quick, made, [1])
    query = "SELECT state FROM reservation WHERE reservation_id = $1"
    assert await owner.fetchval(query, old.reservation_id) == "held"  # nobody has touched it
    async with refused(database, HoldExpired):
        await services.paying.pay(late, old.reservation_id, 50_000, None)
    await pass_time(database, 60)
    async with refused(database, HoldExpired):
        await services.paying.pay(late, old.reservation_id, 50_000, None)
    assert await owner.fetchval("SELECT reservation_id FROM seat WHERE number = 1") == (
        new.reservation_id
    )


async def test_expire(services: Services, database: Database, owner: Owner) -> None:
    """It is written down which holds have ended: those, once, and nothing else."""
    made = await make_concert(services, hold_seconds=60)
    place = await buyer(services, made.concert_id)
    old = [await hold(services, place, made, [seat]) for seat in (1, 2)]
    await pass_time(database, 59)
    live = await hold(services, place, made, [3])
    assert await services.reservations.expire() == 0
    await pass_time(database, 1)
    assert await services.reservations.expire() == 2
    assert await services.reservations.expire() == 0
    rows = await owner.fetch("SELECT reservation_id, state FROM reservation")
    assert {row["reservation_id"]: row["state"] for row in rows} == {
        old[0].reservation_id: "expired",
        old[1].reservation_id: "expired",
        live.reservation_id: "held",
    }
    await hold(services, await buyer(services, made.concert_id), made, [1, 2])


async def test_expire_passes_over_what_is_locked(
    services: Services, database: Database, owner: Owner
) -> None:
    """A hold that somebody is just paying or releasing holds nobody up."""
    made = await make_concert(services, hold_seconds=60)
    place = await buyer(services, made.concert_id)
    locked = await hold(services, place, made, [1])
    await hold(services, place, made, [2])
    await pass_time(database, 60)
    async with owner.transaction():
        await owner.execute(
            "SELECT FROM reservation WHERE reservation_id = $1 FOR UPDATE", locked.reservation_id
        )
        assert await services.reservations.expire() == 1
    assert await services.reservations.expire() == 1


# Releasing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_token", [True, False])
async def test_release(
    services: Services, database: Database, owner: Owner, *, by_token: bool
) -> None:
    """With the token or the key: the seats are free at once, and a second time is fine."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    reservation = await hold(services, place, made, [1, 2])
    kept = await hold(services, place, made, [3])
    token = place if by_token else None
    await services.reservations.release(reservation.reservation_id, place.user_id, token)
    assert await taken(owner) == {3: str(kept.reservation_id)}
    found = await services.reservations.get(reservation.reservation_id, place.user_id)
    assert found == msgspec.structs.replace(reservation, state="released")
    before = await digest(database)
    await services.reservations.release(reservation.reservation_id, place.user_id, token)
    assert await digest(database) == before
    await hold(services, await buyer(services, made.concert_id), made, [1, 2])


async def test_release_twice_at_once(services: Services) -> None:
    """Both are told that it is released."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    reservation = await hold(services, place, made, [1])
    await asyncio.gather(
        *[
            services.reservations.release(reservation.reservation_id, place.user_id, token)
            for token in (place, None, place)
        ]
    )


async def test_release_of_an_ended_hold(
    services: Services, database: Database, owner: Owner
) -> None:
    """It is written down as expired, and leaves the seat to who has it now."""
    made = await make_concert(services, hold_seconds=60)
    late = await buyer(services, made.concert_id)
    old = await hold(services, late, made, [1, 2])
    await pass_time(database, 60)
    new = await hold(services, await buyer(services, made.concert_id), made, [1])
    await services.reservations.release(old.reservation_id, late.user_id, late)
    assert await taken(owner) == {1: str(new.reservation_id)}
    found = await services.reservations.get(old.reservation_id, late.user_id)
    assert found.state == "expired"


async def test_release_of_a_paid_one(services: Services, database: Database) -> None:
    """What is paid stays."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 50_000)
    reservation = await hold(services, place, made, [1])
    await services.paying.pay(place, reservation.reservation_id, 50_000, None)
    async with refused(database, ReservationClosed, state="paid"):
        await services.reservations.release(reservation.reservation_id, place.user_id, None)


async def test_release_of_what_is_not_ones_own(services: Services, database: Database) -> None:
    """Another user's, or none at all: there is nothing."""
    made = await make_concert(services)
    place, other = [await buyer(services, made.concert_id) for _ in range(2)]
    reservation = await hold(services, place, made, [1])
    for reservation_id, who, token in (
        (reservation.reservation_id, other.user_id, None),
        (reservation.reservation_id, other.user_id, other),
        (uuid4(), place.user_id, place),
    ):
        async with refused(database, NotFound):
            await services.reservations.release(reservation_id, who, token)


async def test_release_with_a_token_that_does_not_serve(
    services: Services, database: Database
) -> None:
    """Another concert's, a finished or a forged one; with the key it works."""
    made, elsewhere = await make_concert(services), await make_concert(services)
    place = await buyer(services, made.concert_id)
    reservation = await hold(services, place, made, [1])
    there = await join(services, elsewhere.concert_id, place.user_id)
    await admit_all(services, elsewhere.concert_id)
    gone = await join(services, elsewhere.concert_id)
    await services.reservations.leave(gone)
    forged = msgspec.structs.replace(place, place_id=uuid4())

    async def release(token: PlaceRef | None) -> None:
        await services.reservations.release(reservation.reservation_id, place.user_id, token)

    async with refused(database, NotAllowed):
        await release(there)
    async with refused(database, TokenFinished, reason="left"):
        await release(gone)
    async with refused(database, CredentialInvalid):
        await release(forged)
    await release(None)


async def test_leaving_lets_go_only_ones_own(services: Services, owner: Owner) -> None:
    """The other holds of the line stay."""
    made = await make_concert(services)
    one, two = [await buyer(services, made.concert_id) for _ in range(2)]
    await hold(services, one, made, [1, 2])
    await hold(services, one, made, [3])
    kept = await hold(services, two, made, [4])
    await services.reservations.leave(one)
    assert await taken(owner) == {4: str(kept.reservation_id)}
    states = await owner.fetch("SELECT state FROM reservation ORDER BY seats")
    assert [row["state"] for row in states] == ["released", "released", "held"]


async def test_leaving_lets_an_ended_hold_expire(services: Services, database: Database) -> None:
    """A hold whose time was over isn't called released."""
    made = await make_concert(services, hold_seconds=60)
    place = await buyer(services, made.concert_id)
    reservation = await hold(services, place, made, [1])
    await pass_time(database, 60)
    await services.reservations.leave(place)
    found = await services.reservations.get(reservation.reservation_id, place.user_id)
    assert found.state == "expired"


# Following ---------------------------------------------------------------------------------------


async def test_another_users_reservation_is_not_there(
    services: Services, database: Database
) -> None:
    """Neither to be read nor to be waited for."""
    made = await make_concert(services)
    place, other = [await buyer(services, made.concert_id) for _ in range(2)]
    reservation = await hold(services, place, made, [1])
    async with refused(database, NotFound):
        await services.reservations.get(reservation.reservation_id, other.user_id)
    async with refused(database, NotFound):
        await services.reservations.wait(reservation.reservation_id, other.user_id, 5)


async def test_wait_until_it_is_over(services: Services) -> None:
    """The answer comes once the hold is released, long before the time is up."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    reservation = await hold(services, place, made, [1])
    waiting = asyncio.create_task(
        services.reservations.wait(reservation.reservation_id, place.user_id, 30)
    )
    await asyncio.sleep(0)
    await services.reservations.release(reservation.reservation_id, place.user_id, place)
    async with asyncio.timeout(5):
        assert (await waiting).state == "released"
        again = await services.reservations.wait(reservation.reservation_id, place.user_id, 30)
        assert again.state == "released"


async def test_wait_until_it_expires(services: Services, database: Database) -> None:
    """Nothing has to run for a hold to be over."""
    made = await make_concert(services, hold_seconds=60)
    place = await buyer(services, made.concert_id)
    reservation = await hold(services, place, made, [1])
    await pass_time(database, 59.9)
    async with asyncio.timeout(5):
        over = await services.reservations.wait(reservation.reservation_id, place.user_id, 30)
    assert over.state == "expired"


async def test_wait_until_the_time_is_up(services: Services) -> None:
    """Then the answer is what it is; without a time, at once."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    reservation = await hold(services, place, made, [1])
    for seconds in (0.0, 0.1):
        found = await services.reservations.wait(reservation.reservation_id, place.user_id, seconds)
        assert found.state == "held"


async def test_wait_ends_when_the_server_drains(services: Services) -> None:
    """Those who wait are answered at once."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    reservation = await hold(services, place, made, [1])
    waiting = asyncio.create_task(
        services.reservations.wait(reservation.reservation_id, place.user_id, 30)
    )
    await asyncio.sleep(0)
    services.stopping.set()
    async with asyncio.timeout(5):
        assert (await waiting).state == "held"


async def test_reservations_of_a_user(services: Services) -> None:
    """The newest that are held or paid, of all concerts."""
    made = await make_concert(services, policy=MaxActivePolicy(max_active=10))
    place = await buyer(services, made.concert_id)
    holds = [await hold(services, place, made, [seat]) for seat in (1, 2, 3)]
    await services.reservations.release(holds[1].reservation_id, place.user_id, place)
    assert await services.reservations.of_user(place.user_id, 10) == [holds[2], holds[0]]
    assert await services.reservations.of_user(place.user_id, 1) == [holds[2]]
    assert await services.reservations.of_user(uuid4(), 10) == []
