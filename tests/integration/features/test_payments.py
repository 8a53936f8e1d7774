"""The purchase: every outcome, one effect, and what it gives."""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import asyncpg
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
from frontrow.ids import PlaceRef
from frontrow.payments.model import Payment
from frontrow.reservations.model import Reservation
from frontrow.services import Services
from tests.buyers import (
    Made,
    Owner,
    admit_all,
    buyer,
    digest,
    join,
    make_concert,
    pass_time,
    refused,
)
from tests.conftest import Database

PRICE = 50_000


async def hold(
    services: Services, place: PlaceRef, made: Made, seats: Sequence[int]
) -> Reservation:
    """A hold of the first show's seats."""
    reservation, _ = await services.reservations.hold(place, made.shows[0], seats, None)
    return reservation


async def purchase(
    services: Services, made: Made, seats: Sequence[int]
) -> tuple[PlaceRef, Payment]:
    """A new guest buys seats."""
    place = await buyer(services, made.concert_id, PRICE * len(seats))
    reservation = await hold(services, place, made, seats)
    payment, _ = await services.paying.pay(
        place, reservation.reservation_id, reservation.amount, None
    )
    return place, payment


# Paying ------------------------------------------------------------------------------------------


async def test_paid(services: Services, owner: Owner) -> None:
    """Money, seats, tickets and the token change hands at one moment."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 3 * PRICE)
    reservation = await hold(services, place, made, [8, 7])
    services.bell._rooms.clear()
    payment, how = await services.paying.pay(place, reservation.reservation_id, 2 * PRICE, None)
    assert how == "paid"
    assert services.bell._rooms == {place.room_id}
    assert (payment.reservation_id, payment.user_id) == (reservation.reservation_id, place.user_id)
    assert (payment.amount, payment.currency, payment.balance) == (2 * PRICE, "KRW", PRICE)
    assert (payment.state, payment.seats) == ("paid", [7, 8])
    assert [ticket.number for ticket in payment.tickets] == [7, 8]
    assert await services.paying.payment(place.user_id, payment.payment_id) == payment

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


async def test_other_holds_are_released(
    services: Services, database: Database, owner: Owner
) -> None:
    """Of the same token, and of nobody else's; what had ended is called expired."""
    made = await make_concert(services, hold_seconds=60)
    place = await buyer(services, made.concert_id, PRICE)
    ended = await hold(services, place, made, [1])
    await pass_time(database, 60)
    wanted = await hold(services, place, made, [2])
    other = await hold(services, place, made, [3])
    theirs = await hold(services, await buyer(services, made.concert_id), made, [4])
    await services.paying.pay(place, wanted.reservation_id, PRICE, None)
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


async def test_replayed(services: Services, database: Database) -> None:
    """The same key again, with the token that the payment has finished: the first answer."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, PRICE)
    reservation = await hold(services, place, made, [1])
    first, how = await services.paying.pay(place, reservation.reservation_id, PRICE, "key")
    assert how == "paid"
    before = await digest(database)
    again = await services.paying.pay(place, reservation.reservation_id, PRICE, "key")
    assert again == (first, "replayed")
    assert await digest(database) == before


@pytest.mark.parametrize("key", [None, "another key"])
async def test_existing(services: Services, database: Database, key: str | None) -> None:
    """The same reservation and amount with no key or another one: the same payment."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 2 * PRICE)
    reservation = await hold(services, place, made, [1])
    first, _ = await services.paying.pay(place, reservation.reservation_id, PRICE, "key")
    before = await digest(database)
    assert await services.paying.pay(place, reservation.reservation_id, PRICE, key) == (
        first,
        "existing",
    )
    assert await digest(database) == before
    # Also with the user's next token, though money has moved since.
    again = await join(services, made.concert_id, place.user_id)
    await admit_all(services, made.concert_id)
    await services.ledger.charge(again, 1, None)
    assert await services.paying.pay(again, reservation.reservation_id, PRICE, key) == (
        first,
        "existing",
    )


@pytest.mark.parametrize("key", [None, "key"])
async def test_the_same_payment_at_once(services: Services, owner: Owner, key: str | None) -> None:
    """Twenty times in one batch: one payment, twenty equal answers."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 20 * PRICE)
    reservation = await hold(services, place, made, [1])
    answers = await asyncio.gather(
        *[services.paying.pay(place, reservation.reservation_id, PRICE, key) for _ in range(20)]
    )
    assert [payment for payment, _ in answers] == [answers[0][0]] * 20
    again = "existing" if key is None else "replayed"
    assert [how for _, how in answers] == ["paid"] + [again] * 19
    assert await owner.fetchval("SELECT count(*) FROM payment") == 1
    assert await owner.fetchval("SELECT balance FROM wallet") == 19 * PRICE


async def test_two_payments_of_one_balance(services: Services, owner: Owner) -> None:
    """One user in two lines, with money for one: one is paid, the other says what is missing."""
    made, other = [await make_concert(services) for _ in range(2)]
    place = await buyer(services, made.concert_id, PRICE)
    there = await join(services, other.concert_id, place.user_id)
    await admit_all(services, other.concert_id)
    holds = [await hold(services, *where, [1]) for where in ((place, made), (there, other))]
    answers = await asyncio.gather(
        *[
            services.paying.pay(who, held.reservation_id, PRICE, None)
            for who, held in zip((place, there), holds, strict=True)
        ],
        return_exceptions=True,
    )
    assert isinstance(answers[0], tuple)
    assert isinstance(answers[1], InsufficientBalance)
    assert answers[1].fields == {"balance": 0, "amount": PRICE, "shortfall": PRICE}
    assert await owner.fetchval("SELECT balance FROM wallet") == 0
    assert (await services.rooms.status(there)).state == "admitted"


async def test_two_holds_of_one_token_at_once(services: Services, owner: Owner) -> None:
    """A token buys once: the payment that comes second finds it finished."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 2 * PRICE)
    holds = [await hold(services, place, made, [seat]) for seat in (1, 2)]
    answers = await asyncio.gather(
        *[services.paying.pay(place, one.reservation_id, PRICE, None) for one in holds],
        return_exceptions=True,
    )
    assert isinstance(answers[0], tuple)
    assert isinstance(answers[1], TokenFinished)
    assert answers[1].fields == {"reason": "paid"}
    states = await owner.fetch("SELECT state FROM reservation ORDER BY seats")
    assert [row["state"] for row in states] == ["paid", "released"]


async def test_many_buyers_at_once(services: Services, owner: Owner) -> None:
    """Fifty buyers pay in one batch: fifty sales, all the money there."""
    made = await make_concert(services)
    places = [await join(services, made.concert_id) for _ in range(50)]
    await admit_all(services, made.concert_id)
    await asyncio.gather(*[services.ledger.charge(place, PRICE, None) for place in places])
    holds = await asyncio.gather(
        *[hold(services, place, made, [seat]) for seat, place in enumerate(places, 1)]
    )
    paid = await asyncio.gather(
        *[
            services.paying.pay(place, held.reservation_id, PRICE, None)
            for place, held in zip(places, holds, strict=True)
        ]
    )
    assert [payment.seats for payment, _ in paid] == [[seat] for seat in range(1, 51)]
    assert await owner.fetchval("SELECT sum(balance) FROM wallet") == 0
    assert await owner.fetchval("SELECT sum(amount) FROM sold_delta") == 50 * PRICE
    assert await owner.fetchval("SELECT count(*) FROM ticket") == 50
    assert (await services.catalogue.dates(made.concert_id)).dates == []


# Refusals ----------------------------------------------------------------------------------------


async def test_key_reused(services: Services, database: Database) -> None:
    """A key that has paid one thing pays no other, nor for another amount."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 2 * PRICE)
    reservation = await hold(services, place, made, [1])
    await services.paying.pay(place, reservation.reservation_id, PRICE, "key")
    again = await join(services, made.concert_id, place.user_id)
    await admit_all(services, made.concert_id)
    second = await hold(services, again, made, [2])
    for reservation_id, amount in (
        (second.reservation_id, PRICE),
        (reservation.reservation_id, PRICE + 1),
    ):
        async with refused(database, IdempotencyKeyReused):
            await services.paying.pay(again, reservation_id, amount, "key")


async def test_forged(services: Services, database: Database) -> None:
    """A token that names another place pays nothing."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, PRICE)
    reservation = await hold(services, place, made, [1])
    for other in ({"place_id": uuid4()}, {"number": 99}):
        async with refused(database, CredentialInvalid):
            await services.paying.pay(
                msgspec.structs.replace(place, **other), reservation.reservation_id, PRICE, None
            )


async def test_token_finished(services: Services, database: Database) -> None:
    """Whoever left or came too late pays nothing, nor does a token that has bought."""
    made = await make_concert(services, session_seconds=60, hold_seconds=60)
    left = await buyer(services, made.concert_id, PRICE)
    gone = await hold(services, left, made, [1])
    await services.reservations.leave(left)
    async with refused(database, TokenFinished, reason="left"):
        await services.paying.pay(left, gone.reservation_id, PRICE, None)
    place, payment = await purchase(services, made, [2])
    async with refused(database, TokenFinished, reason="paid"):
        await services.paying.pay(place, uuid4(), PRICE, None)
    async with refused(database, TokenFinished, reason="paid"):
        await services.paying.pay(place, payment.reservation_id, PRICE + 1, None)
    late = await buyer(services, made.concert_id, PRICE)
    missed = await hold(services, late, made, [3])
    await pass_time(database, 61)
    async with refused(database, TokenFinished, reason="expired"):
        await services.paying.pay(late, missed.reservation_id, PRICE, None)


async def test_not_admitted(services: Services, database: Database) -> None:
    """Who waits again has to wait, also for a reservation of before."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, PRICE)
    reservation = await hold(services, place, made, [1])
    await services.reservations.leave(place)
    again = await join(services, made.concert_id, place.user_id)
    async with refused(database, NotAdmitted):
        await services.paying.pay(again, reservation.reservation_id, PRICE, None)


async def test_not_found(services: Services, database: Database) -> None:
    """Nothing, or somebody else's hold or purchase."""
    made = await make_concert(services)
    _, payment = await purchase(services, made, [2])
    other = await buyer(services, made.concert_id, PRICE)
    theirs = await hold(services, other, made, [1])
    place = await buyer(services, made.concert_id, PRICE)
    for reservation_id in (uuid4(), theirs.reservation_id, payment.reservation_id):
        async with refused(database, NotFound):
            await services.paying.pay(place, reservation_id, PRICE, None)


async def test_not_allowed(services: Services, database: Database) -> None:
    """One's own hold in another concert is paid with that one's token."""
    made, other = [await make_concert(services) for _ in range(2)]
    place = await buyer(services, made.concert_id, PRICE)
    reservation = await hold(services, place, made, [1])
    there = await join(services, other.concert_id, place.user_id)
    await admit_all(services, other.concert_id)
    await services.rooms.enter(there)
    async with refused(database, NotAllowed):
        await services.paying.pay(there, reservation.reservation_id, PRICE, None)


async def test_reservation_closed(services: Services, database: Database) -> None:
    """Released, or paid with another amount: its state is told."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 2 * PRICE)
    released = await hold(services, place, made, [1])
    await services.reservations.release(released.reservation_id, place.user_id, place)
    async with refused(database, ReservationClosed, state="released"):
        await services.paying.pay(place, released.reservation_id, PRICE, None)
    paid = await hold(services, place, made, [1])
    await services.paying.pay(place, paid.reservation_id, PRICE, None)
    again = await join(services, made.concert_id, place.user_id)
    await admit_all(services, made.concert_id)
    await services.rooms.enter(again)
    async with refused(database, ReservationClosed, state="paid"):
        await services.paying.pay(again, paid.reservation_id, PRICE + 1, None)


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
        await services.paying.pay(place, reservation.reservation_id, PRICE, None)


async def test_a_seat_that_is_somebody_elses(
    services: Services, database: Database, owner: Owner
) -> None:
    """The backstop: where a seat isn't this hold's any more, nothing is paid, in time or not."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 2 * PRICE)
    reservation = await hold(services, place, made, [1, 2])
    await owner.execute("UPDATE seat SET reservation_id = $1 WHERE number = 2", uuid4())
    async with refused(database, HoldExpired):
        await services.paying.pay(place, reservation.reservation_id, 2 * PRICE, None)


@pytest.mark.parametrize("amount", [1, PRICE - 1, PRICE + 1, 1_000_000_000])
async def test_amount_mismatch(services: Services, database: Database, amount: int) -> None:
    """The hold stays, and what is right is told; then the right amount pays."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, 2 * PRICE)
    reservation = await hold(services, place, made, [1])
    async with refused(database, AmountMismatch, expected=PRICE):
        await services.paying.pay(place, reservation.reservation_id, amount, "key")
    _, how = await services.paying.pay(place, reservation.reservation_id, PRICE, "key")
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
        await services.paying.pay(place, reservation.reservation_id, PRICE, "key")
    assert await services.reservations.get(reservation.reservation_id, place.user_id) == reservation
    await services.ledger.charge(place, PRICE - balance, None)
    payment, how = await services.paying.pay(place, reservation.reservation_id, PRICE, "key")
    assert (how, payment.balance) == ("paid", 0)


async def test_one_bad_payment_spoils_no_other(services: Services) -> None:
    """Each call of a batch has its own answer."""
    made = await make_concert(services)
    rich, poor = [await buyer(services, made.concert_id, money) for money in (PRICE, 1)]
    holds = [await hold(services, place, made, [seat]) for seat, place in ((1, rich), (2, poor))]
    answers = await asyncio.gather(
        services.paying.pay(poor, holds[1].reservation_id, PRICE, None),
        services.paying.pay(rich, holds[0].reservation_id, PRICE, None),
        services.paying.pay(poor, uuid4(), PRICE, None),
        return_exceptions=True,
    )
    kinds = [type(answer) for answer in answers]
    assert kinds == [InsufficientBalance, tuple, NotFound]


# What was bought ---------------------------------------------------------------------------------


async def test_payments_page_by_page(services: Services, database: Database) -> None:
    """Newest first, each once; another user's is not among them."""
    made = await make_concert(services, seats=10, max_seats_per_user=10)
    place, first = await purchase(services, made, [1])
    paid = [first]
    for seat in (2, 3, 4):
        again = await join(services, made.concert_id, place.user_id)
        await admit_all(services, made.concert_id)
        await services.ledger.charge(again, PRICE, None)
        reservation = await hold(services, again, made, [seat])
        payment, _ = await services.paying.pay(again, reservation.reservation_id, PRICE, None)
        paid.append(payment)
    await purchase(services, made, [5])
    find = services.paying.payments
    one = await find(place.user_id, limit=3, after=None)
    assert (one.payments, one.next) == (paid[:0:-1], str(paid[1].payment_id))
    two = await find(place.user_id, limit=3, after=paid[1].payment_id)
    assert (two.payments, two.next) == (paid[:1], None)
    assert (await find(place.user_id, limit=4, after=None)).next is None
    assert (await find(place.user_id, limit=3, after=uuid4())).payments == []
    assert (await find(uuid4(), limit=3, after=None)).payments == []
    async with refused(database, NotFound):
        await services.paying.payment(uuid4(), first.payment_id)
    async with refused(database, NotFound):
        await services.paying.payment(place.user_id, uuid4())


async def test_tickets(services: Services, database: Database) -> None:
    """One for each seat, with what it is for; nobody else sees them."""
    made = await make_concert(services, shows=2)
    place, payment = await purchase(services, made, [8, 7])
    tickets = await services.paying.tickets(place.user_id, limit=10)
    assert [ticket.ticket_id for ticket in tickets] == [one.ticket_id for one in payment.tickets]
    first = tickets[0]
    show = made.shows[0]
    assert (first.payment_id, first.concert_id) == (payment.payment_id, made.concert_id)
    assert (first.show_id, first.date, first.starts_at) == (
        show.show_id,
        show.date,
        show.starts_at,
    )
    assert (first.number, first.section, first.title, first.venue) == (7, None, "The Test", None)
    assert await services.paying.tickets(place.user_id, limit=1) == [first]
    assert await services.paying.ticket(place.user_id, first.ticket_id) == first
    assert await services.paying.tickets(uuid4(), limit=10) == []
    async with refused(database, NotFound):
        await services.paying.ticket(uuid4(), first.ticket_id)
    async with refused(database, NotFound):
        await services.paying.ticket(place.user_id, uuid4())


async def test_fold_stock(services: Services, owner: Owner) -> None:
    """What was sold is counted at once, and the same once it is tidied."""
    made = await make_concert(services, shows=2, seats=50)
    for seats in ([1, 2], [3]):
        await purchase(services, made, seats)
    line = services.rooms.snapshot.by_concert[made.concert_id]

    async def counted() -> tuple[list[int], int]:
        dates = await services.catalogue.dates(made.concert_id)
        await services.rooms.snapshot.refresh_stock()
        return [day.shows[0].seats_available for day in dates.dates], line.seats_available

    assert await counted() == ([47, 50], 97)
    assert await services.paying.fold_stock() == 2
    assert await services.paying.fold_stock() == 0
    assert await counted() == ([47, 50], 97)
    rows = await owner.fetch("SELECT show_id, sold, revenue FROM stock")
    assert {row["show_id"]: (row["sold"], row["revenue"]) for row in rows} == {
        made.shows[0].show_id: (3, 3 * PRICE),
        made.shows[1].show_id: (0, 0),
    }


async def test_folding_at_once(services: Services, owner: Owner) -> None:
    """Two processes fold each sale once."""
    made = await make_concert(services)
    for seat in range(1, 6):
        await purchase(services, made, [seat])
    folded = await asyncio.gather(*[services.paying.fold_stock() for _ in range(4)])
    assert sum(folded) == 5
    assert await owner.fetchval("SELECT sold FROM stock") == 5


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE reservation SET state = 'held'",
        "UPDATE place SET state = 'admitted'",
        "UPDATE place SET reason = NULL",
        "UPDATE payment SET state = 'refunded'",
        "UPDATE seat SET reservation_id = NULL WHERE number = 1",
    ],
)
async def test_states_are_tied_to_their_times(
    services: Services, database: Database, owner: Owner, change: str
) -> None:
    """The backstop: no statement leaves a half-finished purchase."""
    made = await make_concert(services)
    await purchase(services, made, [1])
    before = await digest(database)
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute(change)
    assert await digest(database) == before


@pytest.mark.parametrize(
    "copy",
    [
        """INSERT INTO ticket
        SELECT gen_random_uuid(), payment_id, user_id, show_id, number FROM ticket""",
        """INSERT INTO payment
        SELECT gen_random_uuid(), reservation_id, user_id, concert_id, show_id, seats, amount,
            balance, state, paid_at FROM payment""",
    ],
)
async def test_a_seat_is_owned_once(services: Services, owner: Owner, copy: str) -> None:
    """The backstop: no second valid ticket for a seat, no second payment of a reservation."""
    made = await make_concert(services)
    await purchase(services, made, [1])
    with pytest.raises(asyncpg.UniqueViolationError):
        await owner.execute(copy)
