"""Payments: every refusal, which changes nothing."""

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


async def test_key_of_another_payment_is_refused(services: Services, database: Database) -> None:
    """A used key pays no other reservation, nor another amount."""
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


async def test_forged_token_is_refused(services: Services, database: Database) -> None:
    """A token of another place pays nothing."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, PRICE)
    reservation = await hold(services, place, made, [1])
    for other in ({"place_id": uuid4()}, {"number": 99}):
        async with refused(database, CredentialInvalid):
            await services.payments.pay(
                msgspec.structs.replace(place, **other), reservation.reservation_id, PRICE, None
            )


async def test_finished_token_is_refused(services: Services, database: Database) -> None:
    """After leaving, after expiry, and after a payment."""
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


async def test_waiting_token_is_refused(services: Services, database: Database) -> None:
    """A user who is in line again has to wait, also for an earlier reservation."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, PRICE)
    reservation = await hold(services, place, made, [1])
    await services.reservations.leave(place)
    again = await join(services, made.concert_id, place.user_id)
    async with refused(database, NotAdmitted):
        await services.payments.pay(again, reservation.reservation_id, PRICE, None)


async def test_reservation_not_found(services: Services, database: Database) -> None:
    """An unknown one, or another user's hold or purchase."""
    made = await make_concert(services)
    _, payment = await purchase(services, made, [2])
    other = await buyer(services, made.concert_id, PRICE)
    theirs = await hold(services, other, made, [1])
    place = await buyer(services, made.concert_id, PRICE)
    for reservation_id in (uuid4(), theirs.reservation_id, payment.reservation_id):
        async with refused(database, NotFound):
            await services.payments.pay(place, reservation_id, PRICE, None)


async def test_token_of_another_concert_is_refused(services: Services, database: Database) -> None:
    """A user's hold in another concert is paid with the token of that concert."""
    made, other = [await make_concert(services) for _ in range(2)]
    place = await buyer(services, made.concert_id, PRICE)
    reservation = await hold(services, place, made, [1])
    there = await join(services, other.concert_id, place.user_id)
    await admit_all(services, other.concert_id)
    await services.rooms.enter(there)
    async with refused(database, NotAllowed):
        await services.payments.pay(there, reservation.reservation_id, PRICE, None)


async def test_closed_reservation_is_refused(services: Services, database: Database) -> None:
    """Released, or paid with another amount: the error has its state."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 2 * PRICE)
    released = await hold(services, place, made, [1])
    await services.reservations.release(released.reservation_id, place.user_id, place)
    async with refused(database, ReservationClosed, state="released"):
        await services.payments.pay(place, released.reservation_id, PRICE, None)
    paid = await hold(services, place, made, [2])
    await services.payments.pay(place, paid.reservation_id, PRICE, None)
    again = await join(services, made.concert_id, place.user_id)
    await admit_all(services, made.concert_id)
    await services.rooms.enter(again)
    async with refused(database, ReservationClosed, state="paid"):
        await services.payments.pay(again, paid.reservation_id, PRICE + 1, None)


@pytest.mark.parametrize("written_down", [False, True])
async def test_expired_hold_cannot_be_paid(
    services: Services, database: Database, *, written_down: bool
) -> None:
    """By the clock, whether or not the end was recorded."""
    made = await make_concert(services, hold_seconds=60)
    place = await buyer(services, made.concert_id, PRICE)
    reservation = await hold(services, place, made, [1])
    await pass_time(database, 60)
    if written_down:
        assert await services.reservations.expire() == 1
    async with refused(database, HoldExpired):
        await services.payments.pay(place, reservation.reservation_id, PRICE, None)


async def test_seat_of_another_hold_is_not_paid(
    services: Services, database: Database, owner: Owner
) -> None:
    """Safeguard: if a seat isn't this hold's any more, the payment is refused."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 2 * PRICE)
    reservation = await hold(services, place, made, [1, 2])
    await owner.execute("UPDATE seat SET reservation_id = $1 WHERE number = 2", uuid4())
    async with refused(database, HoldExpired):
        await services.payments.pay(place, reservation.reservation_id, 2 * PRICE, None)


@pytest.mark.parametrize("amount", [1, PRICE - 1, PRICE + 1, 1_000_000_000])
async def test_wrong_amount_is_refused(services: Services, database: Database, amount: int) -> None:
    """The hold stays, and the error has the right amount, which then pays."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 2 * PRICE)
    reservation = await hold(services, place, made, [1])
    async with refused(database, AmountMismatch, expected=PRICE):
        await services.payments.pay(place, reservation.reservation_id, amount, "key")
    _, how = await services.payments.pay(place, reservation.reservation_id, PRICE, "key")
    assert how == "paid"


@pytest.mark.parametrize("balance", [0, 1, PRICE - 1])
async def test_insufficient_balance_is_refused(
    services: Services, database: Database, balance: int
) -> None:
    """The hold stays, and the error has the missing amount; after a charge the key pays."""
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


async def test_refused_payment_does_not_affect_its_batch(services: Services) -> None:
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
