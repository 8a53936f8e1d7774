"""Races of a refund: requested twice, against the next buyer of the seat, and against the gate."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

from frontrow.errors import AlreadyCheckedIn, SeatTaken, TicketVoid
from frontrow.payments.check_in import Scan
from frontrow.services import Services
from testkit.database import Database
from tests.buyers import make_concert
from tests.races.crowds import after, answers, crowd, granted, refused
from tests.races.rivals import fetch, rivals

Pair = tuple[Services, Services]

PRICE = 50_000


async def test_concurrent_refunds_of_one_payment_refund_once(
    pair: Pair, database: Database
) -> None:
    """The buyer and the operator, in two processes, ten times each: one refund, one answer."""
    until = datetime.now(UTC) + timedelta(hours=1)
    made = await make_concert(pair[0], price=PRICE, refundable_until=until)
    (place,) = await crowd(pair[0], made.concert_id, 1, balance=PRICE)
    held, _ = await pair[0].reservations.hold(place, made.shows[0], [7], None)
    payment, _ = await pair[0].payments.pay(place, held.reservation_id, PRICE, None)
    found = await asyncio.gather(
        *(
            pair[turn % 2].refunds.refund(
                payment.payment_id, place.user_id if turn % 2 else None, None
            )
            for turn in range(20)
        )
    )
    assert [refunded for refunded, _ in found] == [found[0][0]] * 20
    assert Counter(how for _, how in found) == {"refunded": 1, "existing": 19}
    rows = await fetch(database, "SELECT amount FROM transfer WHERE kind = 'refund'")
    assert [tuple(row) for row in rows] == [(PRICE,)]
    assert (await pair[1].ledger.balance(place.user_id)).balance == PRICE


async def test_control_reading_before_refunding_refunds_twice(database: Database) -> None:
    """Control: reading that a payment isn't refunded, and then refunding it, refunds it twice."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE purse (balance int); CREATE TABLE sale (back bool)")
        await sides.one.execute("INSERT INTO purse VALUES (0); INSERT INTO sale VALUES (false)")
        ask = "SELECT NOT back FROM sale"
        credit = "UPDATE purse SET balance = balance + 40 RETURNING balance"
        async with sides.one.transaction():
            assert await sides.one.fetchval(ask)
            assert await sides.one.fetchval(credit) == 40
            assert await sides.other.fetchval(ask)
            async with sides.other_waits(credit) as crediting:
                await sides.one.execute("UPDATE sale SET back = true; COMMIT; BEGIN")
                assert await crediting == 80


async def test_refund_against_the_next_buyers(pair: Pair, database: Database) -> None:
    """Of twenty users who ask for a seat during its refund at most one gets it, and keeps it."""
    seats = 12
    made = await make_concert(pair[0], seats=seats, price=PRICE, max_seats_per_user=seats)
    owners = await crowd(pair[0], made.concert_id, seats, balance=PRICE)
    payments = []
    for seat, place in enumerate(owners, 1):
        held, _ = await pair[0].reservations.hold(place, made.shows[0], [seat], None)
        payments.append((await pair[0].payments.pay(place, held.reservation_id, PRICE, None))[0])
    rivals_of_all = await crowd(pair[0], made.concert_id, 20)
    for seat, payment in enumerate(payments, 1):
        found = await answers(
            [
                *(
                    pair[turn % 2].reservations.hold(place, made.shows[0], [seat], None)
                    for turn, place in enumerate(rivals_of_all)
                ),
                pair[seat % 2].refunds.refund(payment.payment_id, None, None),
                *(
                    pair[turn % 2].reservations.hold(place, made.shows[0], [seat], None)
                    for turn, place in enumerate(rivals_of_all)
                ),
            ]
        )
        assert len(granted(found)) in (1, 2)  # the refund, and perhaps a hold
        assert {type(error) for error in refused(found)} == {SeatTaken}
    rows = await fetch(
        database,
        """SELECT count(*) FROM seat AS s JOIN reservation AS r USING (reservation_id)
        WHERE r.state <> 'held'""",
    )
    assert rows[0][0] == 0


async def test_refund_against_the_gate(pair: Pair, database: Database) -> None:
    """A ticket is scanned and refunded concurrently, 120 times: one of both succeeds."""
    trials = 120
    made = await make_concert(pair[0], seats=trials, price=PRICE)
    places = await crowd(pair[0], made.concert_id, trials, balance=PRICE)
    let_in = 0
    for turn, place in enumerate(places):
        held, _ = await pair[0].reservations.hold(place, made.shows[0], [turn + 1], None)
        payment, _ = await pair[0].payments.pay(place, held.reservation_id, PRICE, None)
        scan = pair[0].check_ins.check_in(Scan(str(payment.tickets[0].code), None), None)
        refund = pair[1].refunds.refund(payment.payment_id, None, None)
        late = turn // 2 % 12
        scanned, refunded = await answers(
            [after(late if turn % 2 else 0, scan), after(0 if turn % 2 else late, refund)]
        )
        balance = (await pair[0].ledger.balance(place.user_id)).balance
        if isinstance(scanned, TicketVoid):
            assert scanned.fields == {"reason": "refunded"}
            assert isinstance(refunded, tuple)
            assert balance == PRICE
        else:
            assert isinstance(scanned, tuple)
            assert isinstance(refunded, AlreadyCheckedIn)
            assert refunded.fields["checked_in_at"] == scanned[0].checked_in_at
            assert refunded.fields["gate"] is None
            assert balance == 0
            let_in += 1
    rows = await fetch(database, "SELECT count(*) FROM ticket WHERE checked_in_at IS NOT NULL")
    assert rows[0][0] == let_in
    assert 0 < let_in < trials


async def test_control_reading_first_checks_in_and_refunds(database: Database) -> None:
    """Control: reading that a ticket is unused, and then refunding it, refunds a used one."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE pass (used bool, void bool)")
        await sides.one.execute("INSERT INTO pass VALUES (false, false)")
        look = "SELECT NOT used FROM pass"
        refund = "UPDATE pass SET void = true RETURNING used"
        async with sides.one.transaction():
            await sides.one.execute("UPDATE pass SET used = true")
            assert await sides.other.fetchval(look)
            async with sides.other_waits(refund) as refunding:
                await sides.one.execute("COMMIT; BEGIN")
                assert await refunding
