"""Every kind of event for buyers, driven through the services of one process."""

import asyncio
from datetime import UTC, datetime, timedelta

from frontrow.ids import PlaceRef
from frontrow.payments.check_in import Scan
from frontrow.services import Services
from frontrow.waiting_room.policy import MaxActivePolicy, RatePolicy
from frontrow.waiting_room.settings import RoomSettings
from testkit.database import Database
from tests.buyers import ConcertOnSale, admit_all, join, make_concert, pass_time, services_on


async def trade(database: Database) -> None:
    """Fills a fresh database: a line with a cap, one with a rate, a drawn one, refunds.

    Their waiting rooms are 1 to 4, in this order; room 5 is that of a show which is cancelled.
    """
    async with services_on(database) as services:
        await services.erasures.erase((await services.users.add_guest()).user_id)
        await _trade_capped(services, database)
        await _trade_paced(services, database)
        await _trade_drawn(services, database)
        await _trade_refunded(services)
        await _trade_cancelled(services)


async def trade_concurrently(services: Services, buyers: int) -> None:
    """Many concurrent users of one capped line: half buy, the others leave or release."""
    made = await make_concert(
        services, policy=MaxActivePolicy(max_active=8), seats=buyers, hold_seconds=1
    )
    fates = (_buy, _release, _buy, _leave)
    people = (fates[n % 4](services, made, n + 1) for n in range(buyers))
    await asyncio.gather(*people)


async def _wait_until_admitted(services: Services, made: ConcertOnSale) -> PlaceRef:
    place = await join(services, made.concert_id)
    while (await services.rooms.status(place)).state == "waiting":
        await admit_all(services, made.concert_id)
    return place


async def _buy(services: Services, made: ConcertOnSale, seat: int) -> None:
    place = await _wait_until_admitted(services, made)
    await services.ledger.charge(place, 50_000, None)
    held, _ = await services.reservations.hold(place, made.shows[0], [seat], None)
    await services.payments.pay(place, held.reservation_id, 50_000, None)


async def _release(services: Services, made: ConcertOnSale, seat: int) -> None:
    place = await _wait_until_admitted(services, made)
    held, _ = await services.reservations.hold(place, made.shows[0], [seat], None)
    await services.reservations.release(held.reservation_id, place.user_id, place)
    await services.reservations.leave(place)


async def _leave(services: Services, made: ConcertOnSale, seat: int) -> None:
    """Every second of these leaves at once, the others with a seat held."""
    if seat % 8 == 0:
        await services.reservations.leave(await join(services, made.concert_id))
        return
    place = await _wait_until_admitted(services, made)
    await services.reservations.hold(place, made.shows[0], [seat], None)
    await services.reservations.leave(place)


async def _trade_capped(services: Services, database: Database) -> None:
    """Buys, releases, leaves while waiting and admitted, expires, joins again, changes the cap."""
    made = await make_concert(
        services, policy=MaxActivePolicy(max_active=2), shows=2, hold_seconds=60
    )
    line, show = made.concert_id, made.shows[0]
    holds, ledger = services.reservations, services.ledger
    first, second, third, fourth, fifth, sixth, _ = [await join(services, line) for _ in range(7)]
    assert await admit_all(services, line) == 2
    await holds.leave(third)
    await ledger.charge(first, 300_000, "all I have")
    bought, _ = await holds.hold(first, show, [1, 2], None)
    await holds.hold(first, made.shows[1], [3], None)
    paid, _ = await services.payments.pay(first, bought.reservation_id, 100_000, None)
    for ticket in paid.tickets:
        await services.check_ins.check_in(Scan(str(ticket.code)), None)
    unwanted, _ = await holds.hold(second, show, [4], None)
    await holds.release(unwanted.reservation_id, second.user_id, second)
    await holds.leave(second)
    assert await admit_all(services, line) == 2
    await ledger.charge(fifth, 50_000, None)
    await holds.hold(fourth, show, [5], None)
    await pass_time(database, 700)
    assert await holds.expire() == 1
    assert await admit_all(services, line) == 2
    await join(services, line, fourth.user_id)
    await holds.hold(sixth, show, [5], None)
    await services.rooms.configure(line, RoomSettings(policy=MaxActivePolicy(max_active=3)))
    assert await admit_all(services, line) == 1
    await join(services, line)


async def _trade_paced(services: Services, database: Database) -> None:
    """Two of three are admitted, five seconds apart, and buy; one sale is folded into the stock."""
    made = await make_concert(services, policy=RatePolicy(admit=2, every_seconds=10))
    buyers = [await join(services, made.concert_id) for _ in range(3)]
    for seat, place in enumerate(buyers[:2], start=1):
        assert await admit_all(services, made.concert_id) == 1
        await services.ledger.charge(place, 50_000, None)
        held, _ = await services.reservations.hold(place, made.shows[0], [seat], None)
        await services.payments.pay(place, held.reservation_id, 50_000, None)
        if seat == 1:
            await services.payments.fold_stock()
            await pass_time(database, 5)


async def _trade_drawn(services: Services, database: Database) -> None:
    """Twelve are drawn, of whom one has left, and one joins later; three are admitted.

    As many that two seeds never give the same order by chance.
    """
    opens_at = datetime.now(UTC) + timedelta(seconds=3)
    made = await make_concert(
        services, policy=MaxActivePolicy(max_active=3), opens_at=opens_at, order="draw"
    )
    line = services.rooms.snapshot.by_concert[made.concert_id]
    entrants = [await join(services, made.concert_id) for _ in range(12)]
    await services.reservations.leave(entrants[2])
    await pass_time(database, 3)
    await join(services, made.concert_id)
    assert await services.rooms.draw(line)
    assert await admit_all(services, made.concert_id) == 3


async def _trade_refunded(services: Services) -> None:
    """A user buys two seats and refunds them; another buys one of them; both stay."""
    made = await make_concert(services)
    for seats in ([1, 2], [1]):
        place = await _wait_until_admitted(services, made)
        await services.ledger.charge(place, 50_000 * len(seats), None)
        held, _ = await services.reservations.hold(place, made.shows[0], seats, None)
        payment, _ = await services.payments.pay(place, held.reservation_id, held.amount, None)
        if len(seats) > 1:
            await services.refunds.refund(payment.payment_id, None, None)


async def _trade_cancelled(services: Services) -> None:
    """A show is cancelled while a user has a ticket and another one a hold."""
    made = await make_concert(services)
    await _buy(services, made, 1)
    holder = await _wait_until_admitted(services, made)
    await services.reservations.hold(holder, made.shows[0], [2, 3], None)
    await services.cancellations.cancel(made.shows[0].show_id)
    assert await services.cancellations.step(made.shows[0].show_id) == "finished"
