"""``payment_refund`` and the functions that cancel a show: money and seats return together."""

from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.unit.sql.sale import PRICE, Sale


async def refund(
    sale: Sale, payment: UUID, user: UUID | None = None, *, refund_id: UUID | None = None
) -> asyncpg.Record:
    """Refunds a payment; for the operator without a user."""
    return await sale.call_one(
        "payment_refund", refunds=[refund_id or uuid4()], payments=[payment], users=[user]
    )


async def check_in(sale: Sale) -> None:
    """Marks all tickets as checked in."""
    await sale.execute(
        "UPDATE ticket SET checked_in_at = now(), check_in_id = gen_random_uuid(), gate = 'North'"
    )


async def test_refund_returns_money_and_seats(sale: Sale) -> None:
    """The balance, the seats, the tickets and the reservation."""
    user = uuid4()
    row = await refund(sale, await sale.purchase(user, [4, 5]))
    assert (row["outcome"], row["refund_balance"]) == ("refunded", 2 * PRICE)
    assert row["refund_reason"] == "operator"
    assert await sale.balance(user) == 2 * PRICE
    assert await sale.taken() == []
    assert await sale.fetchval("SELECT count(*) FROM ticket WHERE void_at IS NULL") == 0
    assert await sale.column("SELECT state::text FROM reservation") == ["refunded"]


async def test_buyer_refunds_while_the_concert_allows_it(sale: Sale) -> None:
    """Until ``refundable_until``."""
    user = uuid4()
    row = await refund(sale, await sale.purchase(user, [4]), user)
    assert (row["outcome"], row["refund_reason"]) == ("refunded", "buyer")


@pytest.mark.parametrize("until", ["NULL", "now() - '1 second'::interval"])
async def test_buyer_is_refused_without_or_after_the_time(sale: Sale, until: str) -> None:
    """The operator may still refund."""
    user = uuid4()
    payment = await sale.purchase(user, [4])
    await sale.execute(f"UPDATE concert SET refundable_until = {until}")  # noqa: S608 - from the test
    assert (await refund(sale, payment, user))["outcome"] == "refund_closed"
    assert await sale.balance(user) == 0
    assert (await refund(sale, payment))["outcome"] == "refunded"


async def test_same_refund_id_is_replayed(sale: Sale) -> None:
    """Money returns once."""
    user, refund_id = uuid4(), uuid4()
    payment = await sale.purchase(user, [4])
    await refund(sale, payment, refund_id=refund_id)
    assert (await refund(sale, payment, refund_id=refund_id))["outcome"] == "replayed"
    assert await sale.balance(user) == PRICE


async def test_refunded_payment_is_existing(sale: Sale) -> None:
    """Another id returns the first refund."""
    user, refund_id = uuid4(), uuid4()
    payment = await sale.purchase(user, [4])
    await refund(sale, payment, refund_id=refund_id)
    row = await refund(sale, payment)
    assert (row["outcome"], row["refund_id"]) == ("existing", refund_id)
    assert await sale.balance(user) == PRICE


async def test_same_refund_id_for_another_payment_is_refused(sale: Sale) -> None:
    """The other payment stays paid."""
    refund_id, other = uuid4(), uuid4()
    await refund(sale, await sale.purchase(uuid4(), [4]), refund_id=refund_id)
    row = await refund(sale, await sale.purchase(other, [5]), refund_id=refund_id)
    assert row["outcome"] == "idempotency_key_reused"
    assert await sale.balance(other) == 0


async def test_same_payment_twice_in_a_batch_is_run_again(sale: Sale) -> None:
    """Money returns once."""
    user = uuid4()
    payment = await sale.purchase(user, [4])
    rows = await sale.call(
        "payment_refund", refunds=[uuid4(), uuid4()], payments=[payment] * 2, users=[None, None]
    )
    assert [row["outcome"] for row in rows] == ["refunded", "again"]
    assert await sale.balance(user) == PRICE


async def test_payment_of_another_user_is_not_found(sale: Sale) -> None:
    """So is a payment that does not exist."""
    payment = await sale.purchase(uuid4(), [4])
    assert (await refund(sale, payment, uuid4()))["outcome"] == "not_found"
    assert (await refund(sale, uuid4()))["outcome"] == "not_found"


async def test_checked_in_ticket_blocks_the_refund(sale: Sale) -> None:
    """The refusal carries the time and the gate."""
    payment = await sale.purchase(uuid4(), [4])
    await check_in(sale)
    row = await refund(sale, payment)
    assert (row["outcome"], row["gate"]) == ("already_checked_in", "North")
    assert row["checked_in_at"] is not None


async def test_cancelled_show_refunds_checked_in_tickets_too(sale: Sale) -> None:
    """At any time, for the reason of the cancellation."""
    user = uuid4()
    payment = await sale.purchase(user, [4])
    await check_in(sale)
    assert await sale.fetchval("SELECT payment_cancel_show($1)", sale.show_id)
    row = await refund(sale, payment)
    assert (row["outcome"], row["refund_reason"]) == ("refunded", "show_cancelled")
    assert await sale.balance(user) == PRICE


async def test_cancellation_releases_the_holds(sale: Sale) -> None:
    """A second call changes nothing."""
    await sale.hold(await sale.place("claimed"), [1])
    assert await sale.fetchval("SELECT payment_cancel_show($1)", sale.show_id)
    assert await sale.taken() == []
    assert await sale.column("SELECT state::text FROM reservation") == ["released"]
    assert await sale.fetchval("SELECT payment_cancel_show($1)", sale.show_id)


async def test_cancellation_of_an_unknown_show_is_false(sale: Sale) -> None:
    """There is nothing to cancel."""
    assert await sale.fetchval("SELECT payment_cancel_show($1)", uuid4()) is False


async def test_cancellation_refunds_step_by_step(sale: Sale) -> None:
    """Each step takes payments of at most its number of tickets."""
    users = [uuid4(), uuid4()]
    for user, seats in zip(users, ([1, 2], [3]), strict=True):
        await sale.purchase(user, seats)
    await sale.execute("SELECT payment_cancel_show($1)", sale.show_id)
    states = [
        (await sale.call_one("payment_cancel_step", show=sale.show_id, limit=2))["state"]
        for _ in range(3)
    ]
    assert states[-1] == "finished"
    assert [await sale.balance(user) for user in users] == [2 * PRICE, PRICE]
    assert await sale.taken() == []


async def test_step_of_a_show_that_is_not_cancelled_does_nothing(sale: Sale) -> None:
    """Its state is null."""
    row = await sale.call_one("payment_cancel_step", show=sale.show_id, limit=2)
    assert (row["state"], row["payments"]) == (None, 0)
