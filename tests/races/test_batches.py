"""Races between batches: the same rows in opposite orders, and connections lost under load."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import asyncpg
import pytest

from frontrow.db.faults import classify
from frontrow.errors import Fault, RecentlyReleased, SeatTaken
from frontrow.ids import PlaceRef
from frontrow.services import Services
from testkit.database import Database
from tests.buyers import make_concert
from tests.races.conftest import Pair, two_services
from tests.races.crowds import crowd
from tests.races.rivals import fetch, rivals

WIDTH = 8
ROUNDS = 400
PRICE = 50_000


async def deadlocks(database: Database) -> int:
    """Returns the number of deadlocks in this database; exact once all others have left it."""
    rows = await fetch(
        database, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    return int(rows[0][0])


async def test_batches_in_opposite_orders_never_deadlock(database: Database) -> None:
    """3,200 batches over the same rows, forwards and backwards: no deadlock, nothing lost."""
    async with two_services(database) as (one, other):
        made = await make_concert(one, seats=WIDTH, price=PRICE)
        places = await crowd(one, made.concert_id, WIDTH)
        seats = dict(zip(places, range(1, WIDTH + 1), strict=True))
        show = made.shows[0]
        held = 0

        async def hold_and_release(services: Services, place: PlaceRef, seat: int) -> None:
            nonlocal held
            try:
                made, _ = await services.reservations.hold(place, show, [seat], None)
            except (SeatTaken, RecentlyReleased):
                return
            held += 1
            await services.reservations.release(made.reservation_id, place.user_id, place)

        async def charge(services: Services, order: Sequence[PlaceRef]) -> None:
            for _ in range(ROUNDS):
                await asyncio.gather(*(services.ledger.charge(place, 1, None) for place in order))

        async def hold(services: Services, order: Sequence[PlaceRef], shift: int) -> None:
            async with database.by_owner() as owner:
                for turn in range(ROUNDS):
                    await asyncio.gather(
                        *(
                            hold_and_release(
                                services, place, (seats[place] + shift * turn) % WIDTH + 1
                            )
                            for place in order
                        )
                    )
                    # So that their users may hold the same seats again.
                    await owner.execute("DELETE FROM reservation WHERE state = 'released'")

        async def join(services: Services, order: Sequence[PlaceRef]) -> None:
            for _ in range(ROUNDS):
                await asyncio.gather(
                    *(services.rooms.join(place.user_id, made.concert_id) for place in order)
                )

        backwards = places[::-1]
        await asyncio.gather(
            charge(one, places), charge(other, backwards),
            hold(one, places, 1), hold(other, backwards, -1),
            join(one, places), join(other, backwards),
        )  # fmt: skip

        assert held > ROUNDS
        balances = [(await one.ledger.balance(place.user_id)).balance for place in places]
        assert balances == [2 * ROUNDS] * WIDTH
    assert await deadlocks(database) == 0


async def test_control_updates_in_opposite_orders_deadlock(database: Database) -> None:
    """Control: transactions that update rows in request order deadlock; the counter shows it."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE purse (number int PRIMARY KEY, balance int)")
        await sides.one.execute("INSERT INTO purse VALUES (1, 0), (2, 0)")
        # PostgreSQL checks for a deadlock once per wait, so the session that closes the circle must
        # find it.
        await sides.one.execute("SET deadlock_timeout = '10ms'")
        await sides.other.execute("SET deadlock_timeout = '5min'")
        charge = "UPDATE purse SET balance = balance + 1 WHERE number = $1"
        await sides.other.execute("BEGIN")
        await sides.other.execute(charge, 2)
        await sides.one.execute("BEGIN")
        await sides.one.execute(charge, 1)
        with pytest.raises(asyncpg.DeadlockDetectedError):
            async with sides.other_waits(charge, 1):
                await sides.one.execute(charge, 2)
    assert await deadlocks(database) == 1


KILL = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
          WHERE datname = current_database() AND usename = 'frontrow_app'"""
BUYERS = 200
KILLS = 25


async def test_batches_resent_after_lost_connections_apply_once(
    pair: Pair, database: Database
) -> None:
    """All connections are cut 25 times while 200 users buy: each call is applied exactly once."""
    made = await make_concert(pair[0], seats=BUYERS, price=PRICE)
    await pair[1].rooms.snapshot.refresh()
    answered = 0
    cut = 0
    progress = asyncio.Condition()

    async def counted(call: Awaitable[Any]) -> Any:
        nonlocal answered
        answer = await call
        async with progress:
            answered += 1
            progress.notify_all()
        return answer

    async def buy(seat: int) -> None:
        services, other = pair if seat % 2 else pair[::-1]
        guest = await counted(other.users.add_guest())
        status, _ = await counted(services.rooms.join(guest.user_id, made.concert_id))
        place = services.signer.verify(status.token.encode())
        await called(place)
        for _ in range(3):
            await counted(other.ledger.charge(place, PRICE, None))
        held, _ = await counted(services.reservations.hold(place, made.shows[0], [seat], None))
        payment, _ = await counted(other.payments.pay(place, held.reservation_id, PRICE, None))
        assert payment.balance == 2 * PRICE

    async def called(place: PlaceRef) -> None:
        while (await pair[0].rooms.status(place)).state == "waiting":
            await _through(pair[0].rooms.snapshot.refresh)
            line = pair[0].rooms.snapshot.by_concert[made.concert_id]
            await _through(partial(pair[0].rooms.admit, line))

    def reached(calls: int) -> bool:
        return answered >= calls

    async def killer() -> None:
        nonlocal cut
        connection = await asyncpg.connect(database.owner_url)
        step = 7 * BUYERS // (KILLS + 1)
        try:
            for turn in range(1, KILLS + 1):
                async with progress:
                    await progress.wait_for(partial(reached, turn * step))
                cut += await connection.fetchval(KILL)
        finally:
            await connection.close()

    async with asyncio.timeout(60):
        await asyncio.gather(killer(), *(buy(seat) for seat in range(1, BUYERS + 1)))

    assert answered == 7 * BUYERS
    assert cut >= KILLS
    rows = await fetch(
        database,
        """SELECT (SELECT count(*) FROM app_user), (SELECT count(*) FROM place),
                  (SELECT count(*) FROM reservation), (SELECT count(*) FROM payment),
                  (SELECT count(*) FROM ticket),
                  (SELECT count(*) FROM transfer WHERE kind = 'charge'),
                  (SELECT count(*) FROM transfer WHERE kind = 'payment')""",
    )
    assert list(rows[0]) == [*[BUYERS] * 5, 3 * BUYERS, BUYERS]


async def _through(call: Callable[[], Awaitable[object]]) -> None:
    """Retries a call that has no lane; in production the loop of the upkeep retries it."""
    try:
        await call()
    except Exception as error:
        if classify(error) is not Fault.LOST:
            raise


async def test_control_resending_without_an_id_applies_twice(database: Database) -> None:
    """Control: a write without an id, resent because its answer was lost, is applied twice."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE entry (amount int)")
        charge = "BEGIN; INSERT INTO entry VALUES (40); COMMIT; SELECT pg_sleep(60)"
        first = asyncio.create_task(sides.other.execute(charge))
        pid = sides.other.get_server_pid()
        await sides.until("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $1", pid)
        assert await sides.one.fetchval("SELECT pg_terminate_backend($1)", pid)
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError)):
            await first
        await sides.one.execute("INSERT INTO entry VALUES (40)")
        assert await sides.one.fetchval("SELECT sum(amount) FROM entry") == 80
