"""Purchases: payments, tickets, the remaining stock."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from frontrow.errors import (
    NotFound,
)
from frontrow.services import Services
from testkit.database import Database
from tests.buyers import (
    Owner,
    admit_all,
    digest,
    join,
    make_concert,
    refused,
)
from tests.integration.features.buying import PRICE, purchase
from tests.integration.features.holding import hold


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
        payment, _ = await services.payments.pay(again, reservation.reservation_id, PRICE, None)
        paid.append(payment)
    await purchase(services, made, [5])
    find = services.payments.payments
    one = await find(place.user_id, limit=3, after=None)
    assert (one.payments, one.next) == (paid[:0:-1], str(paid[1].payment_id))
    two = await find(place.user_id, limit=3, after=paid[1].payment_id)
    assert (two.payments, two.next) == (paid[:1], None)
    assert (await find(place.user_id, limit=4, after=None)).next is None
    assert (await find(place.user_id, limit=3, after=uuid4())).payments == []
    assert (await find(uuid4(), limit=3, after=None)).payments == []
    async with refused(database, NotFound):
        await services.payments.payment(uuid4(), first.payment_id)
    async with refused(database, NotFound):
        await services.payments.payment(place.user_id, uuid4())


async def test_tickets_of_a_user(services: Services, database: Database) -> None:
    """One for each seat, with its show; other users don't see them."""
    made = await make_concert(services, shows=2)
    place, payment = await purchase(services, made, [8, 7])
    tickets = await services.tickets.of_user(place.user_id, limit=10)
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
    assert (first.state, first.checked_in_at, first.void_at) == ("valid", None, None)
    assert [ticket.code for ticket in tickets] == [one.code for one in payment.tickets]
    read = await services.tickets.signer.read(str(first.code))
    assert read[1:] == (first.ticket_id, first.show_id, first.number)
    assert await services.tickets.of_user(place.user_id, limit=1) == [first]
    assert await services.tickets.ticket(place.user_id, first.ticket_id) == first
    assert await services.tickets.of_user(uuid4(), limit=10) == []
    async with refused(database, NotFound):
        await services.tickets.ticket(uuid4(), first.ticket_id)
    async with refused(database, NotFound):
        await services.tickets.ticket(place.user_id, uuid4())


async def test_folding_keeps_the_stock(services: Services, owner: Owner) -> None:
    """A sale counts at once, and the same after it is folded in."""
    made = await make_concert(services, shows=2, seats=50)
    for seats in ([1, 2], [3]):
        await purchase(services, made, seats)
    line = services.rooms.snapshot.by_concert[made.concert_id]

    async def counted() -> tuple[list[int], int]:
        dates = await services.catalogue.dates(made.concert_id)
        await services.rooms.snapshot.refresh_counts()
        return [day.shows[0].seats_available for day in dates.dates], line.seats_available

    assert await counted() == ([47, 50], 97)
    assert await services.payments.fold_stock() == 2
    assert await services.payments.fold_stock() == 0
    assert await counted() == ([47, 50], 97)
    rows = await owner.fetch("SELECT show_id, sold, revenue FROM stock")
    assert {row["show_id"]: (row["sold"], row["revenue"]) for row in rows} == {
        made.shows[0].show_id: (3, 3 * PRICE),
        made.shows[1].show_id: (0, 0),
    }


async def test_concurrent_folding_counts_once(services: Services, owner: Owner) -> None:
    """Two processes fold each sale once."""
    made = await make_concert(services)
    for seat in range(1, 6):
        await purchase(services, made, [seat])
    folded = await asyncio.gather(*[services.payments.fold_stock() for _ in range(4)])
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
async def test_states_have_their_times(
    services: Services, database: Database, owner: Owner, change: str
) -> None:
    """Safeguard: constraints reject a half-finished purchase."""
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
async def test_seat_is_owned_once(services: Services, owner: Owner, copy: str) -> None:
    """Safeguard: no second valid ticket for a seat, no second payment of a reservation."""
    made = await make_concert(services)
    await purchase(services, made, [1])
    with pytest.raises(asyncpg.UniqueViolationError):
        await owner.execute(copy)
