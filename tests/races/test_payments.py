"""Races for money: repeated payments, a balance spent twice, a hold paid and released."""

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import product

import pytest

from frontrow.errors import InsufficientBalance, ReservationClosed
from frontrow.services import Services
from testkit.database import Database
from tests.buyers import buyer, join, make_concert
from tests.races.crowds import after, answers, crowd, granted, refused
from tests.races.rivals import fetch, rivals

Pair = tuple[Services, Services]

PRICE = 50_000
TIMES = 20


@pytest.mark.parametrize(
    "key_of",
    [
        pytest.param(lambda _: "k", id="same key"),
        pytest.param(lambda turn: f"k{turn}", id="different keys"),
        pytest.param(lambda _: None, id="no key"),
        pytest.param(lambda turn: (None, "k", f"k{turn}")[turn % 3], id="mixture"),
    ],
)
async def test_payment_sent_twenty_times_debits_once(
    pair: Pair, database: Database, key_of: Callable[[int], str | None]
) -> None:
    """One payment sent 20 times over two processes: one debit, the same answer each time."""
    made = await make_concert(pair[0], price=PRICE)
    place = await buyer(pair[0], made.concert_id, 3 * PRICE)
    held, _ = await pair[0].reservations.hold(place, made.shows[0], [7, 8], None)

    found = await asyncio.gather(
        *(
            pair[turn % 2].payments.pay(place, held.reservation_id, 2 * PRICE, key_of(turn))
            for turn in range(TIMES)
        )
    )

    payments = [payment for payment, _ in found]
    assert payments == [payments[0]] * TIMES
    assert payments[0].balance == PRICE
    assert payments[0].seats == [7, 8]
    assert Counter(outcome for _, outcome in found)["paid"] == 1
    rows = await fetch(database, "SELECT transfer_id, amount FROM transfer WHERE kind = 'payment'")
    assert [tuple(row) for row in rows] == [(payments[0].payment_id, 2 * PRICE)]
    assert len(await fetch(database, "SELECT FROM payment")) == 1
    assert (await pair[1].ledger.balance(place.user_id)).balance == PRICE


async def test_four_payments_of_one_hold_sell_once(pair: Pair, database: Database) -> None:
    """Four concurrent payments of one reservation, whatever their keys: one sale, one answer.

    No key, a shared key or a key of its own: all 81 combinations, split over two processes in every
    way.
    """
    mixtures = list(product((None, "k", "own"), repeat=4))
    halves = list(product((0, 1), repeat=4))
    made = await make_concert(pair[0], seats=len(mixtures), price=PRICE)
    places = await crowd(pair[0], made.concert_id, len(mixtures), balance=4 * PRICE)
    held = await asyncio.gather(
        *(
            pair[0].reservations.hold(place, made.shows[0], [seat], None)
            for seat, place in enumerate(places, 1)
        )
    )

    for turn, (keys, place, (reservation, _)) in enumerate(
        zip(mixtures, places, held, strict=True)
    ):
        found = await asyncio.gather(
            *(
                pair[side].payments.pay(
                    place, reservation.reservation_id, PRICE, f"{key}{at}" if key == "own" else key
                )
                for at, (key, side) in enumerate(zip(keys, halves[turn % len(halves)], strict=True))
            )
        )
        assert [payment for payment, _ in found] == [found[0][0]] * 4
        assert [how for _, how in found].count("paid") == 1

    rows = await fetch(
        database,
        """SELECT count(*), count(DISTINCT reservation_id), (
            SELECT count(*) FROM transfer WHERE kind = 'payment'
        ), (SELECT count(*) FROM ticket), (SELECT count(*) FROM wallet WHERE balance = $1)
        FROM payment""",
        3 * PRICE,
    )
    assert tuple(rows[0]) == (len(mixtures),) * 5


async def test_control_reading_before_paying_debits_twice(database: Database) -> None:
    """Control: reading that a reservation is unpaid, and then paying, pays twice."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE purse (balance int); CREATE TABLE bill (what text)")
        await sides.one.execute("INSERT INTO purse VALUES (100)")
        ask = "SELECT count(*) FROM bill"
        debit = "UPDATE purse SET balance = balance - 40 RETURNING balance"
        async with sides.one.transaction():
            assert await sides.one.fetchval(ask) == 0
            assert await sides.one.fetchval(debit) == 60
            assert await sides.other.fetchval(ask) == 0
            async with sides.other_waits(debit) as debiting:
                await sides.one.execute("INSERT INTO bill VALUES ('seat 7'); COMMIT; BEGIN")
                assert await debiting == 20
            await sides.other.execute("INSERT INTO bill VALUES ('seat 7')")


async def test_balance_for_one_payment_pays_one_of_two(pair: Pair, database: Database) -> None:
    """A balance for one seat, holds in two concerts: of two payments exactly one succeeds."""
    made = [await make_concert(pair[0], price=PRICE) for _ in range(2)]
    buyers = 40
    mine = await crowd(pair[0], made[0].concert_id, buyers, balance=PRICE + 1)
    theirs = await asyncio.gather(
        *(join(pair[0], made[1].concert_id, place.user_id) for place in mine)
    )
    line = pair[0].rooms.snapshot.by_concert[made[1].concert_id]
    assert (await pair[0].rooms.admit(line)).admitted == buyers
    both = list(zip(mine, theirs, strict=True))
    held = await asyncio.gather(
        *(
            pair[0].reservations.hold(place, concert.shows[0], [turn + 1], None)
            for turn, places in enumerate(both)
            for place, concert in zip(places, made, strict=True)
        )
    )

    # Both in one process for every fourth user, otherwise one payment in each.
    found = await answers(
        pair[turn % 2 if turn // 2 % 4 else 0].payments.pay(
            both[turn // 2][turn % 2], reservation.reservation_id, PRICE, None
        )
        for turn, (reservation, _) in enumerate(held)
    )

    for turn in range(buyers):
        two = found[2 * turn : 2 * turn + 2]
        (won,) = granted(two)
        assert won[0].balance == 1
        (lost,) = refused(two)
        assert isinstance(lost, InsufficientBalance)
        assert lost.fields == {"balance": 1, "amount": PRICE, "shortfall": PRICE - 1}
    rows = await fetch(database, "SELECT balance, entries FROM wallet")
    assert [tuple(row) for row in rows] == [(1, 2)] * buyers


async def test_control_reading_the_balance_first_overdraws(database: Database) -> None:
    """Control: reading the balance, and then debiting it, debits more than the wallet has."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE purse (balance int)")
        await sides.one.execute("INSERT INTO purse VALUES (50)")
        enough = "SELECT balance >= 40 FROM purse"
        debit = "UPDATE purse SET balance = balance - 40 RETURNING balance"
        async with sides.one.transaction():
            assert await sides.one.fetchval(enough)
            assert await sides.other.fetchval(enough)
            assert await sides.one.fetchval(debit) == 10
            async with sides.other_waits(debit) as debiting:
                await sides.one.execute("COMMIT; BEGIN")
                assert await debiting == -30


async def test_hold_paid_and_released_ends_in_one_state(pair: Pair, database: Database) -> None:
    """A hold is paid and released concurrently, 120 times: it is paid or released, never both."""
    trials = 120
    made = await make_concert(pair[0], seats=trials, price=PRICE)
    places = await crowd(pair[0], made.concert_id, trials, balance=PRICE)
    held = await asyncio.gather(
        *(
            pair[0].reservations.hold(place, made.shows[0], [seat], None)
            for seat, place in enumerate(places, 1)
        )
    )

    paid: list[object] = []
    released: list[object] = []
    for turn, (place, (reservation, _)) in enumerate(zip(places, held, strict=True)):
        late = turn // 2 % 12
        payment, refusal = await answers(
            [
                after(
                    late if turn % 2 else 0,
                    pair[turn // 2 % 2].payments.pay(
                        place, reservation.reservation_id, PRICE, None
                    ),
                ),
                after(
                    0 if turn % 2 else late,
                    pair[1].reservations.release(reservation.reservation_id, place.user_id, None),
                ),
            ]
        )
        paid.append(payment)
        released.append(refusal)

    states = await fetch(
        database,
        """SELECT r.state::text, coalesce(s.held_until = 'infinity', false) AS sold,
                  s.reservation_id IS NULL AS free
           FROM reservation AS r JOIN seat AS s ON s.number = r.seats[1] ORDER BY s.number""",
    )
    for payment, refusal, row in zip(paid, released, states, strict=True):
        if refusal is None:
            assert isinstance(payment, ReservationClosed)
            assert payment.fields == {"state": "released"}
            assert tuple(row) == ("released", False, True)
        else:
            assert isinstance(refusal, ReservationClosed)
            assert refusal.fields == {"state": "paid"}
            assert isinstance(payment, tuple)
            assert tuple(row) == ("paid", True, False)
    rows = await fetch(database, "SELECT count(*) FROM wallet WHERE balance = 0")
    assert rows[0][0] == len(granted(paid))
    assert 0 < len(granted(paid)) < trials


async def test_control_reading_before_releasing_frees_a_sold_seat(database: Database) -> None:
    """Control: reading that a hold is releasable, and then freeing its seat, frees a sold one."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE chair (holder text, sold boolean)")
        await sides.one.execute("INSERT INTO chair VALUES ('one', false)")
        look = "SELECT NOT sold FROM chair WHERE holder = 'one'"
        free = "UPDATE chair SET holder = NULL RETURNING sold"
        async with sides.one.transaction():
            await sides.one.execute("UPDATE chair SET sold = true")
            assert await sides.other.fetchval(look)
            async with sides.other_waits(free) as freeing:
                await sides.one.execute("COMMIT; BEGIN")
                assert await freeing
