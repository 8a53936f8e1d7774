"""``payment_pay``: the purchase in one transaction, or a refusal that changes nothing."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.unit.sql.sale import PRICE, Place, Sale


async def pay(
    sale: Sale, place: Place, reservation: UUID, amount: int = PRICE, **changes: Any
) -> asyncpg.Record:
    """Pays a reservation."""
    given: dict[str, Any] = {
        **place.key,
        "users": [place.user_id],
        "concerts": [sale.concert_id],
        "payments": [uuid4()],
        "reservations": [reservation],
        "amounts": [amount],
    }
    return await sale.call_one("payment_pay", **given | changes)


@pytest.fixture
async def place(sale: Sale) -> Place:
    """An admitted user with twice the price of a seat."""
    place = await sale.place("claimed")
    await sale.wallet(place.user_id, 2 * PRICE)
    return place


async def assert_nothing_paid(sale: Sale, place: Place, balance: int = 2 * PRICE) -> None:
    """Asserts that a refusal has changed nothing."""
    assert await sale.balance(place.user_id) == balance
    assert await sale.fetchval("SELECT count(*) FROM payment") == 0
    assert await sale.fetchval("SELECT count(*) FROM ticket") == 0


async def test_payment_moves_money_and_assigns_the_seat(sale: Sale, place: Place) -> None:
    """Debit, transfer, payment, ticket, seat and the end of the token."""
    row = await pay(sale, place, await sale.hold(place, [4]))
    assert (row["outcome"], row["balance"], row["seats"]) == ("paid", PRICE, [4])
    assert len(row["tickets"]) == 1
    assert await sale.balance(place.user_id) == PRICE
    assert await sale.column("SELECT kind::text FROM transfer ORDER BY entry") == [
        "charge",
        "payment",
    ]
    assert await sale.fetchval("SELECT held_until::text FROM seat WHERE number = 4") == "infinity"
    assert await sale.fetchval("SELECT reason::text FROM place") == "paid"
    assert await sale.column("SELECT state::text FROM reservation") == ["paid"]


async def test_payment_releases_the_other_holds_of_the_token(sale: Sale, place: Place) -> None:
    """Only the paid seat stays taken."""
    paid = await sale.hold(place, [4])
    await sale.hold(place, [5])
    assert (await pay(sale, place, paid))["outcome"] == "paid"
    assert await sale.taken() == [4]


async def test_same_payment_id_is_replayed(sale: Sale, place: Place) -> None:
    """Also with the finished token; money moves once."""
    reservation, payment = await sale.hold(place, [4]), uuid4()
    await pay(sale, place, reservation, payments=[payment])
    row = await pay(sale, place, reservation, payments=[payment])
    assert (row["outcome"], row["payment_id"], row["balance"]) == ("replayed", payment, PRICE)
    assert await sale.balance(place.user_id) == PRICE


async def test_paid_reservation_is_existing(sale: Sale, place: Place) -> None:
    """Another id for the same reservation and amount returns the first payment."""
    reservation, payment = await sale.hold(place, [4]), uuid4()
    await pay(sale, place, reservation, payments=[payment])
    row = await pay(sale, place, reservation)
    assert (row["outcome"], row["payment_id"]) == ("existing", payment)
    assert await sale.fetchval("SELECT count(*) FROM payment") == 1


async def test_same_payment_id_with_another_request_is_refused(sale: Sale, place: Place) -> None:
    """The first payment stays."""
    payment = uuid4()
    await pay(sale, place, await sale.hold(place, [4]), payments=[payment])
    row = await pay(sale, place, uuid4(), payments=[payment])
    assert row["outcome"] == "idempotency_key_reused"


async def test_expired_hold_cannot_be_paid(sale: Sale, place: Place) -> None:
    """Without upkeep: the condition on the time decides."""
    row = await pay(sale, place, await sale.hold(place, [4], seconds=-1))
    assert row["outcome"] == "hold_expired"
    await assert_nothing_paid(sale, place)


async def test_hold_whose_seat_was_taken_over_cannot_be_paid(sale: Sale, place: Place) -> None:
    """Every seat must still be the reservation's."""
    reservation = await sale.hold(place, [4])
    await sale.hold(await sale.place("claimed"), [4])
    assert (await pay(sale, place, reservation))["outcome"] == "hold_expired"
    await assert_nothing_paid(sale, place)


@pytest.mark.parametrize("state", ["released", "refunded"])
async def test_closed_reservation_is_refused_with_its_state(
    sale: Sale, place: Place, state: str
) -> None:
    """It is no longer held."""
    row = await pay(sale, place, await sale.hold(place, [4], state=state))
    assert (row["outcome"], row["state"]) == ("reservation_closed", state)
    await assert_nothing_paid(sale, place)


async def test_other_amount_is_refused(sale: Sale, place: Place) -> None:
    """The refusal carries the expected amount."""
    row = await pay(sale, place, await sale.hold(place, [4]), PRICE + 1)
    assert (row["outcome"], row["expected"]) == ("amount_mismatch", PRICE)
    await assert_nothing_paid(sale, place)


async def test_insufficient_balance_is_refused(sale: Sale) -> None:
    """The refusal carries the balance; the hold stays."""
    place = await sale.place("claimed")
    await sale.wallet(place.user_id, PRICE - 1)
    row = await pay(sale, place, await sale.hold(place, [4]))
    assert (row["outcome"], row["balance"]) == ("insufficient_balance", PRICE - 1)
    await assert_nothing_paid(sale, place, PRICE - 1)
    assert await sale.taken() == [4]


async def test_reservation_of_another_user_is_not_found(sale: Sale, place: Place) -> None:
    """Nothing changes."""
    reservation = await sale.hold(await sale.place("claimed"), [4])
    assert (await pay(sale, place, reservation))["outcome"] == "not_found"
    await assert_nothing_paid(sale, place)


async def test_reservation_of_another_concert_is_not_allowed(sale: Sale, place: Place) -> None:
    """A token pays for its own concert only."""
    reservation, concert = await sale.hold(place, [4]), uuid4()
    await sale.add_concert(concert)
    await sale.execute("UPDATE reservation SET concert_id = $1", concert)
    assert (await pay(sale, place, reservation))["outcome"] == "not_allowed"
    await assert_nothing_paid(sale, place)


async def test_cancelled_show_is_closed(sale: Sale, place: Place) -> None:
    """A hold from before the cancellation can't be paid."""
    reservation = await sale.hold(place, [4])
    await sale.execute("UPDATE show SET cancelled_at = now(), sales_end_at = now()")
    assert (await pay(sale, place, reservation))["outcome"] == "show_closed"
    await assert_nothing_paid(sale, place)


@pytest.mark.parametrize(
    ("state", "outcome", "reason"),
    [
        ("waiting", "not_admitted", None),
        ("overdue", "token_finished", "expired"),
        ("left", "token_finished", "left"),
    ],
)
async def test_place_that_may_not_act_is_refused(
    sale: Sale, state: str, outcome: str, reason: str | None
) -> None:
    """No money moves."""
    place = await sale.place(state)
    await sale.wallet(place.user_id, PRICE)
    row = await pay(sale, place, await sale.hold(place, [4]))
    assert (row["outcome"], row["reason"]) == (outcome, reason)
    await assert_nothing_paid(sale, place, PRICE)


async def test_place_of_another_token_is_invalid(sale: Sale, place: Place) -> None:
    """No money moves."""
    row = await pay(sale, place, await sale.hold(place, [4]), places=[uuid4()])
    assert row["outcome"] == "credential_invalid"
    await assert_nothing_paid(sale, place)


async def test_second_payment_of_a_user_in_a_batch_is_run_again(sale: Sale, place: Place) -> None:
    """At most one payment per user and batch."""
    reservations = [await sale.hold(place, [4]), await sale.hold(place, [5])]
    rows = await sale.call(
        "payment_pay",
        **{name: values * 2 for name, values in place.key.items()},
        users=[place.user_id] * 2,
        concerts=[sale.concert_id] * 2,
        payments=[uuid4(), uuid4()],
        reservations=reservations,
        amounts=[PRICE, PRICE],
    )
    assert [row["outcome"] for row in rows] == ["paid", "again"]
