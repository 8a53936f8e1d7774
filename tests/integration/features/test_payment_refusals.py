"""The purchase: every refusal, which changes nothing."""

import asyncio
from uuid import uuid4

import msgspec
import pytest

from frontrow.errors import (
    AmountMismatch,
    CredentialInvalid,
    HoldExpired,
    IdempotencyKeyReused,
    InsufficientBalance,
    NotAdmitted,
    NotAllowed,
    NotFound,
    ReservationClosed,
    TokenFinished,
)
from frontrow.services import Services
from testkit.database import Database
from tests.buyers import (
    Owner,
    admit_all,
    buyer,
    join,
    make_concert,
    pass_time,
    refused,
)
from tests.integration.features.buying import PRICE, purchase
from tests.integration.features.holding import hold


async def test_key_reused(services: Services, database: Database) -> None:
    """A key that has paid one thing pays no other, nor for another amount."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 2 * PRICE)
    reservation = await hold(services, place, made, [1])
    await services.payments.pay(place, reservation.reservation_id, PRICE, "key")
    again = await join(services, made.concert_id, place.user_id)
    await admit_all(services, made.concert_id)
    second = await hold(services, again, made, [2])
    for reservation_id, amount in (
        (second.reservation_id, PRICE),
        (reservation.reservation_id, PRICE + 1),
    ):
        async with refused(database, IdempotencyKeyReused):
            await services.payments.pay(again, reservation_id, amount, "key")


async def test_forged(services: Services, database: Database) -> None:
    """A token that names another place pays nothing."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, PRICE)
    reservation = await hold(services, place, made, [1])
    for other in ({"place_id": uuid4()}, {"number": 99}):
        async with refused(database, CredentialInvalid):
            await services.payments.pay(
                msgspec.structs.replace(place, **other), reservation.reservation_id, PRICE, None
            )


async def test_token_finished(services: Services, database: Database) -> None:
    """Whoever left or came too late pays nothing, nor does a token that has bought."""
    made = await make_concert(services, session_seconds=60, hold_seconds=60)
    left = await buyer(services, made.concert_id, PRICE)
    gone = await hold(services, left, made, [1])
    await services.reservations.leave(left)
    async with refused(database, TokenFinished, reason="left"):
        await services.payments.pay(left, gone.reservation_id, PRICE, None)
    place, payment = await purchase(services, made, [2])
    async with refused(database, TokenFinished, reason="paid"):
        await services.payments.pay(place, uuid4(), PRICE, None)
    async with refused(database, TokenFinished, reason="paid"):
        await services.payments.pay(place, payment.reservation_id, PRICE + 1, None)
    late = await buyer(services, made.concert_id, PRICE)
    missed = await hold(services, late, made, [3])
    await pass_time(database, 61)
    async with refused(database, TokenFinished, reason="expired"):
        await services.payments.pay(late, missed.reservation_id, PRICE, None)


async def test_not_admitted(services: Services, database: Database) -> None:
    """Who waits again has to wait, also for a reservation of before."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, PRICE)
    reservation = await hold(services, place, made, [1])
    await services.reservations.leave(place)
    again = await join(services, made.concert_id, place.user_id)
    async with refused(database, NotAdmitted):
        await services.payments.pay(again, reservation.reservation_id, PRICE, None)


async def test_not_found(services: Services, database: Database) -> None:
    """Nothing, or somebody else's hold or purchase."""
    made = await make_concert(services)
    _, payment = await purchase(services, made, [2])
    other = await buyer(services, made.concert_id, PRICE)
    theirs = await hold(services, other, made, [1])
    place = await buyer(services, made.concert_id, PRICE)
    for reservation_id in (uuid4(), theirs.reservation_id, payment.reservation_id):
        async with refused(database, NotFound):
            await services.payments.pay(place, reservation_id, PRICE, None)


async def test_not_allowed(services: Services, database: Database) -> None:
    """One's own hold in another concert is paid with that one's token."""
    made, other = [await make_concert(services) for _ in range(2)]
    place = await buyer(services, made.concert_id, PRICE)
    reservation = await hold(services, place, made, [1])
    there = await join(services, other.concert_id, place.user_id)
    await admit_all(services, other.concert_id)
    await services.rooms.enter(there)
    async with refused(database, NotAllowed):
        await services.payments.pay(there, reservation.reservation_id, PRICE, None)


async def test_reservation_closed(services: Services, database: Database) -> None:
    """Released, or paid with another amount: its state is told."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 2 * PRICE)
    released = await hold(services, place, made, [1])
    await services.reservations.release(released.reservation_id, place.user_id, place)
    async with refused(database, ReservationClosed, state="released"):
        await services.payments.pay(place, released.reservation_id, PRICE, None)
    paid = await hold(services, place, made, [1])
    await services.payments.pay(place, paid.reservation_id, PRICE, None)
    again = await join(services, made.concert_id, place.user_id)
    await admit_all(services, made.concert_id)
    await services.rooms.enter(again)
    async with refused(database, ReservationClosed, state="paid"):
        await services.payments.pay(again, paid.reservation_id, PRICE + 1, None)


@pytest.mark.parametrize("written_down", [False, True])
async def test_hold_expired(services: Services, database: Database, *, written_down: bool) -> None:
    """By the clock, whether or not the end was written down."""
    made = await make_concert(services, hold_seconds=60)
    place = await buyer(services, made.concert_id, PRICE)
    reservation = await hold(services, place, made, [1])
    await pass_time(database, 60)
    if written_down:
        assert await services.reservations.expire() == 1
    async with refused(database, HoldExpired):
        await services.payments.pay(place, reservation.reservation_id, PRICE, None)


async def test_a_seat_that_is_somebody_elses(
    services: Services, database: Database, owner: Owner
) -> None:
    """The backstop: where a seat isn't this hold's any more, nothing is paid, in time or not."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 2 * PRICE)
    reservation = await hold(services, place, made, [1, 2])
    await owner.execute("UPDATE seat SET reservation_id = $1 WHERE number = 2", uuid4())
    async with refused(database, HoldExpired):
        await services.payments.pay(place, reservation.reservation_id, 2 * PRICE, None)


@pytest.mark.parametrize("amount", [1, PRICE - 1, PRICE + 1, 1_000_000_000])
async def test_amount_mismatch(services: Services, database: Database, amount: int) -> None:
    """The hold stays, and what is right is told; then the right amount pays."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 2 * PRICE)
    reservation = await hold(services, place, made, [1])
    async with refused(database, AmountMismatch, expected=PRICE):
        await services.payments.pay(place, reservation.reservation_id, amount, "key")
    _, how = await services.payments.pay(place, reservation.reservation_id, PRICE, "key")
    assert how == "paid"


@pytest.mark.parametrize("balance", [0, 1, PRICE - 1])
async def test_insufficient_balance(services: Services, database: Database, balance: int) -> None:
    """The hold stays, and what is missing is told; then one charges and pays with the same key."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, balance)
    reservation = await hold(services, place, made, [1])
    async with refused(
        database, InsufficientBalance, balance=balance, amount=PRICE, shortfall=PRICE - balance
    ):
        await services.payments.pay(place, reservation.reservation_id, PRICE, "key")
    assert await services.reservations.get(reservation.reservation_id, place.user_id) == reservation
    await services.ledger.charge(place, PRICE - balance, None)
    payment, how = await services.payments.pay(place, reservation.reservation_id, PRICE, "key")
    assert (how, payment.balance) == ("paid", 0)


async def test_one_bad_payment_spoils_no_other(services: Services) -> None:
    """Each call of a batch has its own answer."""
    made = await make_concert(services)
    rich, poor = [await buyer(services, made.concert_id, money) for money in (PRICE, 1)]
    holds = [await hold(services, place, made, [seat]) for seat, place in ((1, rich), (2, poor))]
    answers = await asyncio.gather(
        services.payments.pay(poor, holds[1].reservation_id, PRICE, None),
        services.payments.pay(rich, holds[0].reservation_id, PRICE, None),
        services.payments.pay(poor, uuid4(), PRICE, None),
        return_exceptions=True,
    )
    kinds = [type(answer) for answer in answers]
    assert kinds == [InsufficientBalance, tuple, NotFound]
