"""Payments: one effect and one answer, however often they are sent."""

import asyncio
from uuid import RFC_4122

import msgspec
import pytest

from frontrow.errors import (
    InsufficientBalance,
    TokenFinished,
)
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
)
from tests.integration.features.buying import PRICE, purchases
from tests.integration.features.holding import hold


async def test_hold_is_paid(services: Services, owner: Owner) -> None:
    """Money, seats, tickets and the token change in one transaction."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 3 * PRICE)
    reservation = await hold(services, place, made, [8, 7])
    services.admission_signal._rooms.clear()
    payment, how = await services.payments.pay(place, reservation.reservation_id, 2 * PRICE, None)
    assert how == "paid"
    assert services.admission_signal._rooms == {place.room_id}
    assert (payment.reservation_id, payment.user_id) == (reservation.reservation_id, place.user_id)
    assert (payment.amount, payment.currency, payment.balance) == (2 * PRICE, "KRW", PRICE)
    assert (payment.state, payment.seats) == ("paid", [7, 8])
    assert [ticket.number for ticket in payment.tickets] == [7, 8]
    assert await services.payments.payment(place.user_id, payment.payment_id) == payment

    transfer = await owner.fetchrow("SELECT * FROM transfer WHERE kind = 'payment'")
    sales = await owner.fetchval("SELECT account_id FROM house_account WHERE name = 'sales'")
    assert transfer["transfer_id"] == transfer["reference"] == payment.payment_id
    assert (transfer["debit_account"], transfer["credit_account"]) == (place.user_id, sales)
    assert (transfer["amount"], transfer["balance"], transfer["entry"]) == (2 * PRICE, PRICE, 2)
    seats = await owner.fetch("SELECT * FROM seat WHERE reservation_id IS NOT NULL ORDER BY number")
    assert [(row["number"], row["reservation_id"]) for row in seats] == [
        (7, reservation.reservation_id),
        (8, reservation.reservation_id),
    ]
    assert await owner.fetchval("SELECT count(*) FROM seat WHERE held_until = 'infinity'") == 2
    row = await owner.fetchrow("SELECT * FROM place WHERE number = $1", place.number)
    assert (row["state"], row["reason"], row["finished_at"]) == (
        "finished",
        "paid",
        payment.paid_at,
    )
    assert transfer["created_at"] == payment.paid_at
    found = await services.reservations.get(reservation.reservation_id, place.user_id)
    assert found == msgspec.structs.replace(
        reservation, state="paid", payment_id=payment.payment_id
    )


async def test_ids_of_a_purchase_are_in_order_of_time(services: Services) -> None:
    """So that indexes grow at their end, however many users and tickets there are already."""
    guest = await services.users.add_guest()
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, PRICE)
    reservation = await hold(services, place, made, [7])
    payment, _ = await services.payments.pay(place, reservation.reservation_id, PRICE, None)
    (ticket,) = payment.tickets
    ids = guest.user_id, reservation.reservation_id, payment.payment_id, ticket.ticket_id
    assert [(one.version, one.variant) for one in ids] == [(7, RFC_4122)] * 4
    milliseconds = payment.paid_at.timestamp() * 1000
    assert abs((ticket.ticket_id.int >> 80) - milliseconds) <= 1
    assert [one.int >> 80 for one in ids] == sorted(one.int >> 80 for one in ids)


async def test_other_holds_are_released(
    services: Services, database: Database, owner: Owner
) -> None:
    """Of the same token only; an ended one is recorded as expired."""
    made = await make_concert(services, hold_seconds=60)
    place = await buyer(services, made.concert_id, PRICE)
    ended = await hold(services, place, made, [1])
    await pass_time(database, 60)
    wanted = await hold(services, place, made, [2])
    other = await hold(services, place, made, [3])
    theirs = await hold(services, await buyer(services, made.concert_id), made, [4])
    await services.payments.pay(place, wanted.reservation_id, PRICE, None)
    rows = await owner.fetch("SELECT reservation_id, state FROM reservation")
    assert {row["reservation_id"]: row["state"] for row in rows} == {
        ended.reservation_id: "expired",
        wanted.reservation_id: "paid",
        other.reservation_id: "released",
        theirs.reservation_id: "held",
    }
    free = await owner.fetchval("SELECT count(*) FROM seat WHERE reservation_id IS NULL")
    assert free == 48
    await hold(services, await buyer(services, made.concert_id), made, [1, 3])


async def test_same_key_returns_the_same_payment(services: Services, database: Database) -> None:
    """With the token that the payment has finished: the first answer."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, PRICE)
    reservation = await hold(services, place, made, [1])
    first, how = await services.payments.pay(place, reservation.reservation_id, PRICE, "key")
    assert how == "paid"
    before = await digest(database)
    again = await services.payments.pay(place, reservation.reservation_id, PRICE, "key")
    assert again == (first, "replayed")
    assert await digest(database) == before


@pytest.mark.parametrize("key", [None, "another key"])
async def test_existing_payment_is_returned(
    services: Services, database: Database, key: str | None
) -> None:
    """The same reservation and amount without a key or with another one: the same payment."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 2 * PRICE)
    reservation = await hold(services, place, made, [1])
    first, _ = await services.payments.pay(place, reservation.reservation_id, PRICE, "key")
    before = await digest(database)
    assert await services.payments.pay(place, reservation.reservation_id, PRICE, key) == (
        first,
        "existing",
    )
    assert await digest(database) == before
    # Also with the user's next token, though the balance has changed since.
    again = await join(services, made.concert_id, place.user_id)
    await admit_all(services, made.concert_id)
    await services.ledger.charge(again, 1, None)
    assert await services.payments.pay(again, reservation.reservation_id, PRICE, key) == (
        first,
        "existing",
    )


@pytest.mark.parametrize("key", [None, "key"])
async def test_concurrent_payments_of_one_hold(
    services: Services, owner: Owner, key: str | None
) -> None:
    """Twenty in one batch: one payment, twenty equal answers."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 20 * PRICE)
    reservation = await hold(services, place, made, [1])
    answers = await asyncio.gather(
        *[services.payments.pay(place, reservation.reservation_id, PRICE, key) for _ in range(20)]
    )
    assert [payment for payment, _ in answers] == [answers[0][0]] * 20
    again = "existing" if key is None else "replayed"
    assert [how for _, how in answers] == ["paid"] + [again] * 19
    assert await owner.fetchval("SELECT count(*) FROM payment") == 1
    assert await owner.fetchval("SELECT balance FROM wallet") == 19 * PRICE


async def test_balance_for_one_of_two_payments(services: Services, owner: Owner) -> None:
    """One user in two lines, with money for one: one is paid, the other has the missing amount."""
    made, other = [await make_concert(services) for _ in range(2)]
    place = await buyer(services, made.concert_id, PRICE)
    there = await join(services, other.concert_id, place.user_id)
    await admit_all(services, other.concert_id)
    holds = [await hold(services, *where, [1]) for where in ((place, made), (there, other))]
    answers = await asyncio.gather(
        *[
            services.payments.pay(who, held.reservation_id, PRICE, None)
            for who, held in zip((place, there), holds, strict=True)
        ],
        return_exceptions=True,
    )
    assert isinstance(answers[0], tuple)
    assert isinstance(answers[1], InsufficientBalance)
    assert answers[1].fields == {"balance": 0, "amount": PRICE, "shortfall": PRICE}
    assert await owner.fetchval("SELECT balance FROM wallet") == 0
    assert (await services.rooms.status(there)).state == "admitted"


async def test_two_holds_of_one_token(services: Services, owner: Owner) -> None:
    """A token pays once: the second payment finds it finished."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 2 * PRICE)
    holds = [await hold(services, place, made, [seat]) for seat in (1, 2)]
    answers = await asyncio.gather(
        *[services.payments.pay(place, one.reservation_id, PRICE, None) for one in holds],
        return_exceptions=True,
    )
    assert isinstance(answers[0], tuple)
    assert isinstance(answers[1], TokenFinished)
    assert answers[1].fields == {"reason": "paid"}
    states = await owner.fetch("SELECT state FROM reservation ORDER BY seats")
    assert [row["state"] for row in states] == ["paid", "released"]


async def test_many_buyers_in_one_batch(services: Services, owner: Owner) -> None:
    """Fifty buyers pay in one batch: fifty sales, and the sum of the money is right."""
    made = await make_concert(services)
    paid = await purchases(services, made, 50)
    assert [payment.seats for payment in paid] == [[seat] for seat in range(1, 51)]
    assert await owner.fetchval("SELECT sum(balance) FROM wallet") == 0
    assert await owner.fetchval("SELECT sum(amount) FROM sold_delta") == 50 * PRICE
    assert await owner.fetchval("SELECT count(*) FROM ticket") == 50
    assert (await services.catalogue.dates(made.concert_id)).dates == []
