"""Refunds: money, seats and tickets are returned in one transaction, once."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest

from frontrow.concerts.model import ConcertChange
from frontrow.errors import (
    AlreadyCheckedIn,
    IdempotencyKeyReused,
    NotFound,
    RefundClosed,
    SeatTaken,
)
from frontrow.services import Services
from testkit.database import Database
from tests.buyers import ConcertOnSale, Owner, buyer, digest, make_concert, pass_time, refused
from tests.integration.features.buying import PRICE, purchase
from tests.integration.features.holding import hold, join_again, taken


async def refundable(services: Services, seconds: float = 3600) -> ConcertOnSale:
    """A concert that allows refunds to its buyers for a while."""
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    return await make_concert(services, refundable_until=until)


async def test_payment_is_refunded(services: Services, owner: Owner) -> None:
    """The money is back, with a transfer, the seats are available and the tickets void."""
    made = await make_concert(services)
    place, payment = await purchase(services, made, [7, 8])
    refunded, how = await services.refunds.refund(payment.payment_id, None, None)

    assert how == "refunded"
    assert refunded.refund is not None
    assert refunded == msgspec.structs.replace(
        payment,
        state="refunded",
        tickets=[msgspec.structs.replace(ticket, code=None) for ticket in payment.tickets],
        refund=refunded.refund,
    )
    assert (refunded.refund.amount, refunded.refund.balance) == (2 * PRICE, 2 * PRICE)
    assert refunded.refund.reason == "operator"
    assert await services.payments.payment(place.user_id, payment.payment_id) == refunded
    assert (await services.payments.payments(place.user_id, limit=9, after=None)).payments == [
        refunded
    ]

    transfer = await owner.fetchrow("SELECT * FROM transfer WHERE kind = 'refund'")
    sales = await owner.fetchval("SELECT account_id FROM house_account WHERE name = 'sales'")
    assert transfer["transfer_id"] == refunded.refund.refund_id
    assert (transfer["reference"], transfer["amount"]) == (payment.payment_id, 2 * PRICE)
    assert (transfer["debit_account"], transfer["credit_account"]) == (sales, place.user_id)
    assert transfer["created_at"] == refunded.refund.refunded_at
    assert (await services.ledger.balance(place.user_id)).balance == 2 * PRICE
    assert await taken(owner) == {}
    rows = await owner.fetch("SELECT void_at, void_reason FROM ticket")
    assert [tuple(row) for row in rows] == [(transfer["created_at"], "refunded")] * 2
    reservation = await services.reservations.get(payment.reservation_id, place.user_id)
    assert (reservation.state, reservation.payment_id) == ("refunded", payment.payment_id)
    assert await services.reservations.of_user(place.user_id, 9) == [reservation]
    tickets = await services.tickets.of_user(place.user_id, limit=9)
    assert [(t.state, t.void_reason, t.code) for t in tickets] == [("void", "refunded", None)] * 2
    sales_now = await services.payments.sales(made.concert_id)
    assert (sales_now.seats.sold, sales_now.seats.available, sales_now.revenue) == (0, 50, 0)


async def test_refunded_seats_are_sold_again(services: Services) -> None:
    """Another user, or the same one, buys the same seats; the limit counts them again."""
    made = await make_concert(services, max_seats_per_user=2)
    place, payment = await purchase(services, made, [1, 2])
    await services.refunds.refund(payment.payment_id, None, None)
    again = await join_again(services, place)
    reservation = await hold(services, again, made, [1, 2])
    second, how = await services.payments.pay(again, reservation.reservation_id, 2 * PRICE, None)
    assert (how, second.seats, second.balance) == ("paid", [1, 2], 0)
    await services.refunds.refund(second.payment_id, None, None)
    other, third = await purchase(services, made, [2])
    assert third.seats == [2]
    stranger = await buyer(services, made.concert_id)
    with pytest.raises(SeatTaken):
        await hold(services, stranger, made, [2])
    found = await services.reservations.of_user(place.user_id, 9)
    assert [one.state for one in found] == ["refunded", "refunded"]
    valid = await services.tickets.of_user(other.user_id, limit=9)
    assert [(t.number, t.state) for t in valid] == [(2, "valid")]


async def test_repeated_refund(services: Services, database: Database) -> None:
    """With the same key: replayed. With another, or as another user: the existing refund."""
    made = await refundable(services)
    place, payment = await purchase(services, made, [1])
    first, _ = await services.refunds.refund(payment.payment_id, place.user_id, "key")
    assert first.refund is not None
    assert first.refund.reason == "buyer"
    await services.ledger.charge(await join_again(services, place), 1, None)
    before = await digest(database)
    refunds = services.refunds
    assert await refunds.refund(payment.payment_id, place.user_id, "key") == (first, "replayed")
    for user_id, key in ((place.user_id, None), (place.user_id, "other"), (None, "key")):
        assert await refunds.refund(payment.payment_id, user_id, key) == (first, "existing")
    assert await digest(database) == before


async def test_key_refunds_one_payment(services: Services, database: Database) -> None:
    """A key is refused for another payment; equal keys of two users are independent."""
    made = await refundable(services)
    bought = [await purchase(services, made, [seat]) for seat in (1, 2, 3)]
    (one, first), (_, second), (other, third) = bought
    await services.refunds.refund(first.payment_id, None, "key")
    async with refused(database, IdempotencyKeyReused):
        await services.refunds.refund(second.payment_id, None, "key")
    _, how = await services.refunds.refund(first.payment_id, one.user_id, "key")
    assert how == "existing"
    assert (await services.refunds.refund(third.payment_id, other.user_id, "key"))[1] == "refunded"


async def test_one_key_for_two_payments_in_one_batch(services: Services, owner: Owner) -> None:
    """One is refunded, the other refused, and other items are not affected."""
    made = await make_concert(services)
    bought = [(await purchase(services, made, [seat]))[1] for seat in (1, 2, 3)]
    first, second, third = await asyncio.gather(
        *[
            services.refunds.refund(payment.payment_id, None, key)
            for payment, key in zip(bought, ("key", "key", None), strict=True)
        ],
        return_exceptions=True,
    )
    assert isinstance(first, tuple)
    assert first[1] == "refunded"
    assert type(second) is IdempotencyKeyReused
    assert isinstance(third, tuple)
    assert third[1] == "refunded"
    assert await owner.fetchval("SELECT count(*) FROM transfer WHERE kind = 'refund'") == 2


@pytest.mark.parametrize("key", [None, "key"])
async def test_concurrent_refunds_of_one_payment(
    services: Services, owner: Owner, key: str | None
) -> None:
    """Twenty in one batch: one transfer, twenty equal answers."""
    made = await make_concert(services)
    _, payment = await purchase(services, made, [1])
    answers = await asyncio.gather(
        *[services.refunds.refund(payment.payment_id, None, key) for _ in range(20)]
    )
    assert [refunded for refunded, _ in answers] == [answers[0][0]] * 20
    again = "existing" if key is None else "replayed"
    assert [how for _, how in answers] == ["refunded"] + [again] * 19
    assert await owner.fetchval("SELECT balance FROM wallet") == PRICE


async def test_two_refunds_of_one_user_in_one_batch(services: Services, owner: Owner) -> None:
    """Both are made, with one transfer of the wallet after the other."""
    made = await make_concert(services)
    place, first = await purchase(services, made, [1])
    again = await join_again(services, place)
    await services.ledger.charge(again, 3 * PRICE, None)
    held = await hold(services, again, made, [2, 3])
    second, _ = await services.payments.pay(again, held.reservation_id, 2 * PRICE, None)
    answers = await asyncio.gather(
        *[services.refunds.refund(y.payment_id, None, None) for y in (first, second)]
    )
    assert [how for _, how in answers] == ["refunded", "refunded"]
    balances = {payment.refund.balance for payment, _ in answers if payment.refund}
    assert max(balances) == 4 * PRICE
    rows = await owner.fetch("SELECT entry, balance FROM transfer ORDER BY entry")
    assert len(rows) == 6
    assert (rows[-1]["balance"], rows[3]["balance"]) == (4 * PRICE, PRICE)


async def test_batch_with_every_outcome(services: Services) -> None:
    """Each item of a batch has its own answer."""
    made, fixed = await refundable(services), await make_concert(services)
    place, payment = await purchase(services, made, [1])
    stranger, firm = await purchase(services, fixed, [1])
    answers = await asyncio.gather(
        services.refunds.refund(uuid4(), None, None),
        services.refunds.refund(payment.payment_id, stranger.user_id, None),
        services.refunds.refund(firm.payment_id, stranger.user_id, None),
        services.refunds.refund(payment.payment_id, place.user_id, None),
        services.refunds.refund(payment.payment_id, None, None),
        return_exceptions=True,
    )
    kinds = [answer[1] if isinstance(answer, tuple) else type(answer) for answer in answers]
    assert kinds == [NotFound, NotFound, RefundClosed, "refunded", "existing"]


async def test_refund_needs_permission_of_the_concert(
    services: Services, database: Database
) -> None:
    """Never, or until a time; the operator sets it, and may refund regardless."""
    made = await make_concert(services)
    place, payment = await purchase(services, made, [1])
    concerts, refunds = services.concerts, services.refunds

    async def closed() -> None:
        async with refused(database, RefundClosed):
            await refunds.refund(payment.payment_id, place.user_id, None)

    await closed()
    until = datetime.now(UTC) + timedelta(seconds=60)
    await concerts.change(made.concert_id, ConcertChange(refundable_until=until))
    await concerts.change(made.concert_id, ConcertChange(title="New"))
    (listed,) = await services.catalogue.concerts()
    assert listed.refundable_until == until
    await concerts.change(made.concert_id, ConcertChange(refundable_until=None))
    (listed,) = await services.catalogue.concerts()
    assert listed.refundable_until is None
    await closed()
    await concerts.change(made.concert_id, ConcertChange(refundable_until=until))
    await pass_time(database, 61)
    await closed()
    assert (await refunds.refund(payment.payment_id, None, None))[1] == "refunded"


async def test_no_refund_after_the_show_has_begun(
    services: Services, database: Database, owner: Owner
) -> None:
    """Even if the concert allows it for longer."""
    made = await refundable(services)
    place, payment = await purchase(services, made, [1])
    await owner.execute("UPDATE show SET starts_at = now()")
    async with refused(database, RefundClosed):
        await services.refunds.refund(payment.payment_id, place.user_id, None)
    await owner.execute("UPDATE show SET starts_at = now() + interval '1 hour'")
    assert (await services.refunds.refund(payment.payment_id, place.user_id, None))[1] == "refunded"


async def test_no_refund_after_a_check_in(
    services: Services, database: Database, owner: Owner
) -> None:
    """A payment with a checked-in ticket is refunded neither to buyer nor by operator."""
    made = await refundable(services)
    place, payment = await purchase(services, made, [1, 2])
    await owner.execute(
        """UPDATE ticket SET checked_in_at = now(), check_in_id = gen_random_uuid(), gate = 'North'
        WHERE number = 2"""
    )
    ticket_id = payment.tickets[1].ticket_id
    at = await owner.fetchval("SELECT checked_in_at FROM ticket WHERE ticket_id = $1", ticket_id)
    show = made.shows[0]
    used = {
        "checked_in_at": at,
        "gate": "North",
        "ticket_id": ticket_id,
        "number": 2,
        "concert_id": made.concert_id,
        "concert_title": "The Test",
        "show_id": show.show_id,
        "date": show.date,
        "starts_at": show.starts_at,
        "section": None,
        "row": 1,
        "seat": 2,
    }
    for user_id in (place.user_id, None):
        async with refused(database, AlreadyCheckedIn, **used):
            await services.refunds.refund(payment.payment_id, user_id, None)


async def test_paying_a_refunded_reservation_again(services: Services, database: Database) -> None:
    """It is not paid again: a replay has its first answer, without the key the current state."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, PRICE)
    reservation = await hold(services, place, made, [1])
    paid, _ = await services.payments.pay(place, reservation.reservation_id, PRICE, "key")
    refunded, _ = await services.refunds.refund(paid.payment_id, None, None)
    before = await digest(database)
    pay = services.payments.pay
    assert await pay(place, reservation.reservation_id, PRICE, "key") == (paid, "replayed")
    assert await pay(place, reservation.reservation_id, PRICE, None) == (refunded, "existing")
    assert await digest(database) == before


async def test_payment_has_one_refund(services: Services, owner: Owner) -> None:
    """Safeguard: the ledger itself rejects a second refund."""
    made = await make_concert(services)
    _, payment = await purchase(services, made, [1])
    await services.refunds.refund(payment.payment_id, None, None)
    transaction = owner.transaction()
    await transaction.start()
    try:
        with pytest.raises(Exception, match="transfer_refund"):
            await owner.execute(
                """INSERT INTO transfer
                SELECT gen_random_uuid(), user_id, entry + 1, kind, debit_account, credit_account,
                    amount, balance, reference, created_at
                FROM transfer WHERE kind = 'refund'"""
            )
    finally:
        await transaction.rollback()
