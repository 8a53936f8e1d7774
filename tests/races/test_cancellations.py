"""Races of a cancelled show: against payments, and between two processes that refund."""

import asyncio
import contextlib
from uuid import UUID

import pytest

from frontrow.errors import NotFound, ShowClosed
from frontrow.payments import cancellations
from frontrow.services import Services
from frontrow.upkeep.refunds import refund_cancelled
from testkit.database import Database
from tests.buyers import make_concert
from tests.races.crowds import after, answers, crowd, granted, refused
from tests.races.rivals import fetch, rivals

Pair = tuple[Services, Services]

PRICE = 50_000


async def finish(pair: Pair, show_id: UUID) -> None:
    """Refunds in both processes until every buyer is refunded."""
    while (await pair[0].cancellations.progress(show_id)).state == "cancelling":
        await asyncio.gather(*(refund_cancelled(services) for services in pair))


async def test_cancelled_show_refunds_every_concurrent_payment(
    pair: Pair, database: Database
) -> None:
    """Shows are cancelled while their seats are held and paid: every sold seat is refunded."""
    shows, people = 8, 20
    made = await make_concert(pair[0], shows=shows, seats=people, price=PRICE)
    paid = closed = 0
    for turn, show in enumerate(made.shows):
        places = await crowd(pair[0], made.concert_id, people, balance=PRICE)
        payers = places[: people // 2]
        held = await asyncio.gather(
            *(
                pair[0].reservations.hold(place, show, [seat], None)
                for seat, place in enumerate(payers, 1)
            )
        )
        calls = [
            *(
                pair[at % 2].payments.pay(place, reservation.reservation_id, PRICE, None)
                for at, (place, (reservation, _)) in enumerate(zip(payers, held, strict=True))
            ),
            *(
                pair[at % 2].reservations.hold(place, show, [people // 2 + at], None)
                for at, place in enumerate(places[people // 2 :], 1)
            ),
        ]
        slow = [after(turn * (at % 5), call) for at, call in enumerate(calls)]
        found, _ = await asyncio.gather(
            answers(slow), after(4 * turn, pair[turn % 2].cancellations.cancel(show.show_id))
        )
        assert {type(error) for error in refused(found)} <= {ShowClosed}
        sold = len(granted(found[: len(payers)]))
        begun = await pair[0].cancellations.progress(show.show_id)
        assert begun.payments_total == sold
        await finish(pair, show.show_id)
        paid, closed = paid + sold, closed + len(refused(found))
    rows = await fetch(
        database,
        """SELECT (SELECT count(*) FROM wallet WHERE balance <> $1),
            (SELECT count(*) FROM seat WHERE held_until IS NOT NULL),
            (SELECT count(*) FROM reservation WHERE state = 'held'),
            (SELECT count(*) FROM transfer WHERE kind = 'refund')""",
        PRICE,
    )
    assert tuple(rows[0]) == (0, 0, 0, paid)
    assert paid > 0
    assert closed > 0


async def test_control_closing_without_a_lock_sells_after_the_refunds(database: Database) -> None:
    """Control: a sale that read the show before it was closed commits after all refunds."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE night (open bool); CREATE TABLE sale (seat int)")
        await sides.one.execute("INSERT INTO night VALUES (true)")
        async with sides.other.transaction():
            assert await sides.other.fetchval("SELECT open FROM night")
            await sides.one.execute("UPDATE night SET open = false")
            assert await sides.one.fetchval("SELECT count(*) FROM sale") == 0  # no buyer to refund
            await sides.other.execute("INSERT INTO sale VALUES (7)")
        sold = await sides.one.fetchval("SELECT count(*) FROM sale, night WHERE NOT open")
        assert sold == 1


async def test_concurrent_refunds_refund_each_buyer_once(
    pair: Pair, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes, a command and some buyers refund concurrently: each buyer is refunded once."""
    monkeypatch.setattr(cancellations, "_STEP_TICKETS", 5)
    people = 60
    made = await make_concert(pair[0], seats=people, price=PRICE)
    show = made.shows[0]
    places = await crowd(pair[0], made.concert_id, people, balance=PRICE)
    payments = []
    for seat, place in enumerate(places, 1):
        held, _ = await pair[0].reservations.hold(place, show, [seat], None)
        payments.append((await pair[0].payments.pay(place, held.reservation_id, PRICE, None))[0])
    seen: list[int] = []
    command = cancellations.cancel_show(
        database.app_url, show.show_id, progress=lambda refunded, _: seen.append(refunded)
    )
    await asyncio.gather(
        command,
        *(pair[at % 2].cancellations.cancel(show.show_id) for at in range(4)),
        *(
            pair[at % 2].refunds.refund(payment.payment_id, None, None)
            for at, payment in enumerate(payments[::10])
        ),
        finish_soon(pair, show.show_id),
    )
    done = await pair[0].cancellations.progress(show.show_id)
    assert done.state == "cancelled"
    assert done.payments_refunded == done.payments_total
    assert seen == sorted(seen)
    rows = await fetch(
        database,
        """SELECT balance, entries, (
            SELECT count(*) FROM transfer AS t WHERE t.user_id = w.user_id AND kind = 'refund'
        ) FROM wallet AS w""",
    )
    assert [tuple(row) for row in rows] == [(PRICE, 3, 1)] * people


async def finish_soon(pair: Pair, show_id: UUID) -> None:
    """Refunds in both processes once the show is cancelled."""
    while True:
        with contextlib.suppress(NotFound):
            return await finish(pair, show_id)
        await asyncio.sleep(0.001)


async def test_control_refunding_without_a_lock_refunds_twice(database: Database) -> None:
    """Control: two processes that read the next rows without a lock refund the same row twice."""
    async with rivals(database) as sides:
        await sides.one.execute(
            "CREATE TABLE due (seat int, done bool); CREATE TABLE book (seat int)"
        )
        await sides.one.execute("INSERT INTO due VALUES (7, false)")
        take = "SELECT seat FROM due WHERE NOT done LIMIT 1"
        for_both = [await sides.one.fetchval(take), await sides.other.fetchval(take)]
        for one, seat in zip((sides.one, sides.other), for_both, strict=True):
            await one.execute("INSERT INTO book VALUES ($1)", seat)
            await one.execute("UPDATE due SET done = true WHERE seat = $1", seat)
        assert await sides.one.fetchval("SELECT count(*) FROM book WHERE seat = 7") == 2
