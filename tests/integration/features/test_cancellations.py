"""A cancelled show: at once its sale ends, and then every buyer is refunded, once."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from frontrow.errors import NotFound, RefundClosed, ShowClosed
from frontrow.payments import cancellations
from frontrow.payments.model import Cancellation
from frontrow.services import Services
from frontrow.upkeep.refunds import refund_cancelled
from testkit.database import Database
from tests.buyers import ConcertOnSale, Owner, buyer, digest, make_concert, refused
from tests.integration.features.buying import PRICE, purchase, purchases
from tests.integration.features.holding import hold, join_again, taken


def first(made: ConcertOnSale) -> UUID:
    """Returns the first show of a concert."""
    return made.shows[0].show_id


async def test_cancelled_show_is_refunded(services: Services, owner: Owner) -> None:
    """From the call on it is neither held nor paid; each step refunds some, until all are."""
    made = await make_concert(services, shows=2)
    _, payment = await purchase(services, made, [7, 8])
    await purchase(services, made, [1])
    _, given_back = await purchase(services, made, [2])
    await services.refunds.refund(given_back.payment_id, None, None)
    place = await buyer(services, made.concert_id, PRICE)
    held = await hold(services, place, made, [9])

    begun = await services.cancellations.cancel(first(made))
    assert begun == Cancellation(
        show_id=first(made),
        state="cancelling",
        payments_total=2,
        payments_refunded=0,
        seats_freed=0,
        amount_refunded=0,
        started_at=begun.started_at,
        finished_at=None,
    )
    assert await services.cancellations.cancel(first(made)) == begun
    reservation = await services.reservations.get(held.reservation_id, place.user_id)
    assert reservation.state == "released"
    with pytest.raises(ShowClosed):
        await hold(services, place, made, [9])
    with pytest.raises(ShowClosed):
        await services.payments.pay(place, held.reservation_id, PRICE, None)
    assert await services.cancellations.running() == [first(made)]

    assert await services.cancellations.step(first(made)) == "finished"
    done = await services.cancellations.progress(first(made))
    assert (done.state, done.payments_refunded, done.seats_freed) == ("cancelled", 2, 3)
    assert done.amount_refunded == 3 * PRICE
    assert done.finished_at is not None
    assert await services.cancellations.step(first(made)) == "finished"
    assert await services.cancellations.running() == []
    assert await taken(owner) == {}
    refunded = await services.payments.payment(payment.user_id, payment.payment_id)
    assert refunded.refund is not None
    assert (refunded.refund.reason, refunded.refund.amount) == ("show_cancelled", 2 * PRICE)
    tickets = await services.tickets.of_user(payment.user_id, limit=9)
    assert {(one.state, one.void_reason) for one in tickets} == {("void", "show_cancelled")}
    earlier = await services.payments.payment(given_back.user_id, given_back.payment_id)
    assert earlier.refund is not None
    assert earlier.refund.reason == "operator"
    assert await owner.fetchval("SELECT sum(balance) FROM wallet") == 5 * PRICE


async def test_cancelled_show_is_not_offered(services: Services) -> None:
    """Dates, stock, statistics and the line agree: only the other show is left."""
    made = await make_concert(services, shows=2)
    await purchase(services, made, [7, 8])
    other = made.shows[1]
    await services.cancellations.cancel(first(made))
    dates = await services.catalogue.dates(made.concert_id)
    assert [day.date for day in dates.dates] == [other.date]
    every = await services.catalogue.dates(made.concert_id, all_dates=True)
    assert [day.shows[0].seats_available for day in every.dates] == [0, 50]
    assert [day.shows[0].sale for day in every.dates] == ["cancelled", "open"]
    (listed,) = await services.catalogue.concerts()
    assert listed.sale == "open"
    assert (listed.first_date, listed.last_date) == (other.date, other.date)
    for _ in range(2):
        sales = await services.payments.sales(made.concert_id)
        assert (sales.seats.total, sales.seats.available, sales.seats.sold) == (50, 50, 0)
        await services.rooms.snapshot.refresh_counts()
        line = services.rooms.snapshot.by_concert[made.concert_id]
        assert (line.seats_available, line.sale) == (50, "open")
        await services.cancellations.step(first(made))
    assert sales.revenue == 0
    await services.cancellations.cancel(other.show_id)
    await services.rooms.snapshot.refresh_counts()
    assert (line.state, line.sale) == ("sold_out", "cancelled")
    (listed,) = await services.catalogue.concerts()
    assert (listed.first_date, listed.sale) == (None, "cancelled")


async def test_refunds_in_steps(
    services: Services, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many buyers, few in each step: the progress grows, and the last step completes it."""
    monkeypatch.setattr(cancellations, "_STEP_TICKETS", 7)
    made = await make_concert(services)
    await purchases(services, made, 35)
    await services.cancellations.cancel(first(made))
    seen = []
    while await services.cancellations.step(first(made)) == "running":
        seen.append((await services.cancellations.progress(first(made))).payments_refunded)
    assert seen == [7, 14, 21, 28, 35]
    rows = await owner.fetch("SELECT balance, entries FROM wallet")
    assert [tuple(row) for row in rows] == [(PRICE, 3)] * 35
    assert await owner.fetchval("SELECT count(*) FROM seat WHERE held_until IS NOT NULL") == 0


async def test_several_purchases_of_one_user_are_refunded(services: Services) -> None:
    """All in one step, with one transfer of the wallet after the other."""
    made = await make_concert(services)
    place, _ = await purchase(services, made, [1, 9])
    for seat in (2, 3):
        again = await join_again(services, place)
        await services.ledger.charge(again, PRICE, None)
        held = await hold(services, again, made, [seat])
        await services.payments.pay(again, held.reservation_id, PRICE, None)
    await services.cancellations.cancel(first(made))
    await refund_cancelled(services)
    done = await services.cancellations.progress(first(made))
    assert (done.payments_refunded, done.seats_freed) == (3, 4)
    assert (await services.ledger.balance(place.user_id)).balance == 4 * PRICE


async def test_single_refund_during_a_cancellation(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every refund of a cancelled show is allowed, checked in or not, and is made only once."""
    monkeypatch.setattr(cancellations, "_STEP_TICKETS", 2)
    made = await make_concert(services)
    payments = await purchases(services, made, 5)
    await services.cancellations.cancel(first(made))
    last = payments[-1]
    refunded, how = await services.refunds.refund(last.payment_id, last.user_id, None)
    assert how == "refunded"
    assert refunded.refund is not None
    assert refunded.refund.reason == "show_cancelled"
    assert (await services.cancellations.progress(first(made))).payments_refunded == 1
    await refund_cancelled(services)
    done = await services.cancellations.progress(first(made))
    assert (done.state, done.payments_refunded) == ("cancelled", 5)
    assert (await services.refunds.refund(last.payment_id, None, None)) == (refunded, "existing")


async def test_failing_show_does_not_stop_others(services: Services, owner: Owner) -> None:
    """One show can't be refunded; the next one is, and the failure is reported."""
    broken, well = await make_concert(services), await make_concert(services)
    for made in (broken, well):
        await purchase(services, made, [1])
        await services.cancellations.cancel(first(made))
    await owner.execute(
        "UPDATE cancellation SET payments_total = 0 WHERE show_id = $1", first(broken)
    )
    with pytest.raises(asyncpg.CheckViolationError):
        await refund_cancelled(services)
    assert (await services.cancellations.progress(first(well))).state == "cancelled"
    assert await services.cancellations.running() == [first(broken)]


async def test_checked_in_tickets_are_refunded(services: Services, owner: Owner) -> None:
    """A cancelled show was not performed, so that checked-in tickets are refunded too."""
    made = await make_concert(services)
    place, payment = await purchase(services, made, [1])
    await owner.execute("UPDATE ticket SET checked_in_at = now(), check_in_id = gen_random_uuid()")
    await services.cancellations.cancel(first(made))
    await refund_cancelled(services)
    assert (await services.payments.payment(place.user_id, payment.payment_id)).state == "refunded"


async def test_other_shows_are_unaffected(services: Services) -> None:
    """Also other shows of the concert; their buyers keep their seats."""
    made = await make_concert(services, shows=2, refundable_until=None)
    place = await buyer(services, made.concert_id, PRICE)
    held, _ = await services.reservations.hold(place, made.shows[1], [7], None)
    await services.cancellations.cancel(first(made))
    payment, how = await services.payments.pay(place, held.reservation_id, PRICE, None)
    assert how == "paid"
    await refund_cancelled(services)
    with pytest.raises(RefundClosed):
        await services.refunds.refund(payment.payment_id, place.user_id, None)


async def test_unsold_show_is_cancelled_at_once(services: Services) -> None:
    """It stays closed, whatever end of sale the operator sets."""
    made = await make_concert(services)
    done = await services.cancellations.cancel(first(made))
    assert (done.state, done.payments_total, done.finished_at) == ("cancelled", 0, done.started_at)
    with pytest.raises(ShowClosed):
        await services.concerts.end_sale(first(made), datetime.now(UTC) + timedelta(hours=1))


async def test_unknown_show_cannot_be_cancelled(services: Services, database: Database) -> None:
    """An unknown show is not found; a show that isn't cancelled has no progress."""
    made = await make_concert(services)
    for asking in (services.cancellations.cancel, services.cancellations.at_stake):
        async with refused(database, NotFound):
            await asking(uuid4())
    async with refused(database, NotFound):
        await services.cancellations.progress(first(made))


async def test_cancellation_preview(services: Services, database: Database) -> None:
    """Before a cancellation the operator gets its extent; reading it changes nothing."""
    made = await make_concert(services)
    await purchase(services, made, [7, 8])
    await services.payments.fold_stock()
    await purchase(services, made, [9])
    before = await digest(database)
    stake = await services.cancellations.at_stake(first(made))
    assert (stake.title, stake.seats_sold, stake.revenue) == ("The Test", 3, 3 * PRICE)
    assert stake.line().startswith("The Test, 20")
    assert stake.line().endswith(" 19:00")
    assert await digest(database) == before
