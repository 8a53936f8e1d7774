"""The end of a hold: by the clock, by its owner; and waiting for it."""

import asyncio
from uuid import uuid4

import msgspec
import pytest

from frontrow.errors import (
    CredentialInvalid,
    HoldExpired,
    NotAllowed,
    NotFound,
    ReservationClosed,
    TokenFinished,
)
from frontrow.ids import PlaceRef
from frontrow.services import Services
from frontrow.waiting_room.policy import MaxActivePolicy
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
from tests.integration.features.holding import hold, taken


async def test_ended_hold_frees_its_seats(
    services: Services, database: Database, owner: Owner
) -> None:
    """By the clock alone: the seat can be held again, and the ended hold can't be paid."""
    made = await make_concert(services, hold_seconds=60)
    late = await buyer(services, made.concert_id, 50_000)
    old = await hold(services, late, made, [1])
    await pass_time(database, 60)
    found = await services.reservations.get(old.reservation_id, late.user_id)
    assert found.state == "expired"
    quick = await buyer(services, made.concert_id)
    new = await hold(services, quick, made, [1])
    query = "SELECT state FROM reservation WHERE reservation_id = $1"
    assert await owner.fetchval(query, old.reservation_id) == "held"  # no upkeep has run
    async with refused(database, HoldExpired):
        await services.payments.pay(late, old.reservation_id, 50_000, None)
    await pass_time(database, 60)
    async with refused(database, HoldExpired):
        await services.payments.pay(late, old.reservation_id, 50_000, None)
    assert await owner.fetchval("SELECT reservation_id FROM seat WHERE number = 1") == (
        new.reservation_id
    )


async def test_end_of_holds_is_recorded(
    services: Services, database: Database, owner: Owner
) -> None:
    """The ends of exactly the ended holds are recorded, once."""
    made = await make_concert(services, hold_seconds=60)
    place = await buyer(services, made.concert_id)
    old = [await hold(services, place, made, [seat]) for seat in (1, 2)]
    await pass_time(database, 30)
    live = await hold(services, place, made, [3])
    assert await services.reservations.expire() == 0
    await pass_time(database, 30)
    assert await services.reservations.expire() == 2
    assert await services.reservations.expire() == 0
    rows = await owner.fetch("SELECT reservation_id, state FROM reservation")
    assert {row["reservation_id"]: row["state"] for row in rows} == {
        old[0].reservation_id: "expired",
        old[1].reservation_id: "expired",
        live.reservation_id: "held",
    }
    await hold(services, await buyer(services, made.concert_id), made, [1, 2])


async def test_locked_holds_are_skipped(
    services: Services, database: Database, owner: Owner
) -> None:
    """A hold that is being paid or released does not block the sweep."""
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


@pytest.mark.parametrize("by_token", [True, False])
async def test_hold_is_released(
    services: Services, database: Database, owner: Owner, *, by_token: bool
) -> None:
    """With the token or the key: the seats are available at once; a second release succeeds too."""
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


async def test_concurrent_releases(services: Services) -> None:
    """Both get the answer that it is released."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    reservation = await hold(services, place, made, [1])
    await asyncio.gather(
        *[
            services.reservations.release(reservation.reservation_id, place.user_id, token)
            for token in (place, None, place)
        ]
    )


async def test_ended_hold_is_released_as_expired(
    services: Services, database: Database, owner: Owner
) -> None:
    """It is recorded as expired, and its seat stays with the present holder."""
    made = await make_concert(services, hold_seconds=60)
    late = await buyer(services, made.concert_id)
    old = await hold(services, late, made, [1, 2])
    await pass_time(database, 60)
    new = await hold(services, await buyer(services, made.concert_id), made, [1])
    await services.reservations.release(old.reservation_id, late.user_id, late)
    assert await taken(owner) == {1: str(new.reservation_id)}
    found = await services.reservations.get(old.reservation_id, late.user_id)
    assert found.state == "expired"


async def test_paid_reservation_cannot_be_released(services: Services, database: Database) -> None:
    """A paid reservation stays paid."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 50_000)
    reservation = await hold(services, place, made, [1])
    await services.payments.pay(place, reservation.reservation_id, 50_000, None)
    async with refused(database, ReservationClosed, state="paid"):
        await services.reservations.release(reservation.reservation_id, place.user_id, None)


async def test_foreign_hold_cannot_be_released(services: Services, database: Database) -> None:
    """Another user's or an unknown reservation is not found."""
    made = await make_concert(services)
    place, other = [await buyer(services, made.concert_id) for _ in range(2)]
    reservation = await hold(services, place, made, [1])
    for reservation_id, user, token in (
        (reservation.reservation_id, other.user_id, None),
        (reservation.reservation_id, other.user_id, other),
        (uuid4(), place.user_id, place),
    ):
        async with refused(database, NotFound):
            await services.reservations.release(reservation_id, user, token)


async def test_release_with_an_unsuitable_token(services: Services, database: Database) -> None:
    """Another concert's, a finished or a forged one is refused; with the key it works."""
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


async def test_leaving_releases_only_own_holds(services: Services, owner: Owner) -> None:
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


async def test_leaving_expires_an_ended_hold(services: Services, database: Database) -> None:
    """A hold that has ended is not recorded as released."""
    made = await make_concert(services, hold_seconds=60)
    place = await buyer(services, made.concert_id)
    reservation = await hold(services, place, made, [1])
    await pass_time(database, 60)
    await services.reservations.leave(place)
    found = await services.reservations.get(reservation.reservation_id, place.user_id)
    assert found.state == "expired"


async def test_reservation_of_another_user_is_not_found(
    services: Services, database: Database
) -> None:
    """Neither to read nor to wait for."""
    made = await make_concert(services)
    place, other = [await buyer(services, made.concert_id) for _ in range(2)]
    reservation = await hold(services, place, made, [1])
    async with refused(database, NotFound):
        await services.reservations.get(reservation.reservation_id, other.user_id)
    async with refused(database, NotFound):
        await services.reservations.wait(reservation.reservation_id, other.user_id, 5)


async def test_wait_until_released(services: Services) -> None:
    """The answer arrives once the hold is released, long before the time limit."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    reservation = await hold(services, place, made, [1])
    waiting = asyncio.create_task(
        services.reservations.wait(reservation.reservation_id, place.user_id, 30)
    )
    await asyncio.sleep(0)
    await services.reservations.release(reservation.reservation_id, place.user_id, place)
    async with asyncio.timeout(60):
        assert (await waiting).state == "released"
        again = await services.reservations.wait(reservation.reservation_id, place.user_id, 30)
        assert again.state == "released"


async def test_wait_until_expired(services: Services, database: Database) -> None:
    """A hold ends without any upkeep."""
    made = await make_concert(services, hold_seconds=60)
    place = await buyer(services, made.concert_id)
    reservation = await hold(services, place, made, [1])
    await pass_time(database, 59.9)
    async with asyncio.timeout(60):
        over = await services.reservations.wait(reservation.reservation_id, place.user_id, 30)
    assert over.state == "expired"


async def test_wait_until_the_time_limit(services: Services) -> None:
    """Then the answer has the current state; without a time limit, at once."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    reservation = await hold(services, place, made, [1])
    for seconds in (0.0, 0.1):
        found = await services.reservations.wait(reservation.reservation_id, place.user_id, seconds)
        assert found.state == "held"


async def test_wait_ends_when_the_server_drains(services: Services) -> None:
    """Waiting clients are answered at once."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    reservation = await hold(services, place, made, [1])
    waiting = asyncio.create_task(
        services.reservations.wait(reservation.reservation_id, place.user_id, 30)
    )
    await asyncio.sleep(0)
    services.stopping.set()
    async with asyncio.timeout(60):
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
