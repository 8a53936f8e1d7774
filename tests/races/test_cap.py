"""Races for the slots of a line: the cap and the rate, with every kind of visitor concurrently."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import asyncpg

from frontrow.concerts.model import Show
from frontrow.errors import HoldExpired, RecentlyReleased, SeatTaken, TokenFinished
from frontrow.ids import PlaceRef
from frontrow.services import Services
from frontrow.upkeep.jobs import running
from frontrow.waiting_room.policy import MaxActivePolicy, RatePolicy
from testkit.database import Database
from tests.buyers import join, make_concert
from tests.races.rivals import fetch, rivals

Pair = tuple[Services, Services]

PRICE = 50_000
CAP = 8
PEOPLE = 160
LONGEST_SECONDS = 120


class Visitor:
    """A visitor in the line, through either process, whose visit ends in one of several ways."""

    def __init__(self, pair: Pair, show: Show, seat: int, place: PlaceRef) -> None:
        self._pair = pair
        self._show = show
        self._seat = seat
        self._place = place

    def _any(self) -> Services:
        return random.choice(self._pair)  # noqa: S311 - any process

    async def _wait_until_admitted(self) -> None:
        # A client can only poll.
        while (await self._any().rooms.status(self._place)).state == "waiting":  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    async def leave_early(self) -> None:
        """Leaves while waiting, or right after the admission."""
        await self._any().reservations.leave(self._place)

    async def stay_away(self) -> None:
        """Is admitted and never claims: the claim window ends."""
        await self._wait_until_admitted()

    async def claim_and_leave(self) -> None:
        """Claims the place and leaves."""
        await self._wait_until_admitted()
        await self._any().rooms.enter(self._place)
        await self._any().reservations.leave(self._place)

    async def buy(self) -> None:
        """Charges, holds and pays without delay."""
        await self._wait_until_admitted()
        await self._any().ledger.charge(self._place, PRICE, None)
        held, _ = await self._any().reservations.hold(self._place, self._show, [self._seat], None)
        await self._any().payments.pay(self._place, held.reservation_id, PRICE, None)

    async def hold_and_forget(self) -> None:
        """Holds and then does nothing: the hold extends the session, then both end."""
        await self._wait_until_admitted()
        await self._any().reservations.hold(self._place, self._show, [self._seat], None)

    async def hold_at_the_last_moment(self) -> None:
        """Asks for seats until the session ends: a hold just extends it or is too late."""
        await self._wait_until_admitted()
        await self._any().rooms.enter(self._place)
        while True:
            try:
                held, _ = await self._any().reservations.hold(
                    self._place, self._show, [self._seat], None
                )
            except RecentlyReleased:  # for a second
                continue
            await self._any().reservations.release(
                held.reservation_id, self._place.user_id, self._place
            )


WAYS: list[Callable[[Visitor], Awaitable[None]]] = [
    Visitor.leave_early,
    Visitor.stay_away,
    Visitor.claim_and_leave,
    Visitor.buy,
    Visitor.claim_and_leave,
    Visitor.hold_and_forget,
    Visitor.buy,
    Visitor.hold_at_the_last_moment,
]


async def test_cap_holds_for_every_kind_of_visitor(pair: Pair, database: Database) -> None:
    """160 visitors of every kind while two processes admit: never more than 8 occupy slots.

    Checked in three ways: by continuous reads, by the counts that each admission returned, and by
    the times stored with the places.
    """
    made = await make_concert(
        pair[0],
        policy=MaxActivePolicy(max_active=CAP),
        seats=PEOPLE,
        price=PRICE,
        hold_seconds=1,
        session_seconds=1,
        claim_seconds=1,
    )
    await pair[1].rooms.snapshot.refresh()
    done = asyncio.Event()

    async def visit(seat: int) -> str:
        place = await join(pair[seat % 2], made.concert_id)
        try:
            await WAYS[seat % len(WAYS)](Visitor(pair, made.shows[0], seat, place))
        except (TokenFinished, SeatTaken, HoldExpired) as end:
            return type(end).__name__
        return "done"

    async def all_visits() -> list[str]:
        ends = await asyncio.gather(*(visit(seat) for seat in range(1, PEOPLE + 1)))
        await _until_empty(database)
        done.set()
        return ends

    async with running(pair[0]), running(pair[1]), asyncio.timeout(LONGEST_SECONDS):
        most_active, ends = await asyncio.gather(_most_active(database, done), all_visits())

    assert "done" in ends
    assert "TokenFinished" in ends  # some were too late
    assert 1 < most_active <= CAP
    assert await _most_counted(database) == CAP
    assert await _most_by_the_times(database) == CAP
    rows = await fetch(database, "SELECT reason::text, count(*) FROM place GROUP BY reason")
    assert {row["reason"] for row in rows} == {"paid", "left", "expired"}


async def test_cap_holds_at_every_instant_under_payments(pair: Pair, database: Database) -> None:
    """800 visitors buy while two processes admit: no slot is reused before it is free."""
    people = 800
    made = await make_concert(
        pair[0], policy=MaxActivePolicy(max_active=CAP), seats=people, price=PRICE
    )
    await pair[1].rooms.snapshot.refresh()
    places = await asyncio.gather(
        *(join(pair[seat % 2], made.concert_id) for seat in range(people))
    )
    called = {place.number: asyncio.Event() for place in places}
    left = people

    async def buy(services: Services, place: PlaceRef) -> None:
        nonlocal left
        await called[place.number].wait()
        await services.ledger.charge(place, PRICE, None)
        held, _ = await services.reservations.hold(place, made.shows[0], [place.number], None)
        await services.payments.pay(place, held.reservation_id, PRICE, None)
        left -= 1

    async def admit(services: Services) -> None:
        line = services.rooms.snapshot.by_concert[made.concert_id]
        while left:
            await services.rooms.admit(line)
            await services.rooms.snapshot.refresh()
            for number in range(1, line.serving + 1):
                called[number].set()

    async with asyncio.timeout(LONGEST_SECONDS):
        await asyncio.gather(
            *(admit(services) for services in pair),
            *(buy(pair[place.number % 2], place) for place in places),
        )

    assert await _most_counted(database) == CAP
    assert await _most_by_the_times(database) == CAP


async def _most_active(database: Database, done: asyncio.Event) -> int:
    """Returns the most active places that continuous reads have found."""
    connection, most = await asyncpg.connect(database.owner_url), 0
    try:
        while not done.is_set():
            active = await connection.fetchval(
                "SELECT count(*) FROM place WHERE state = 'admitted'"
            )
            most = max(most, active)
    finally:
        await connection.close()
    return most


async def _until_empty(database: Database) -> None:
    async with rivals(database) as sides:
        await sides.until("SELECT count(*) = 0 FROM place WHERE state <> 'finished'")


async def _most_counted(database: Database) -> int:
    """Returns the most active places that an admission counted right after it."""
    rows = await fetch(database, "SELECT max(active) FROM admission")
    return int(rows[0][0])


async def _most_by_the_times(database: Database) -> int:
    """Returns the most places active at one instant by their times; ends before beginnings."""
    rows = await fetch(
        database, "SELECT admitted_at, finished_at FROM place WHERE admitted_at IS NOT NULL"
    )
    events = sorted(
        [(row["admitted_at"], 1) for row in rows] + [(row["finished_at"], -1) for row in rows]
    )
    return max(itertools.accumulate(change for _, change in events))


async def test_control_counting_in_one_statement_exceeds_the_cap(database: Database) -> None:
    """Control: admitting with a count in one statement, without a lock, admits twice as many."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE spot (number int PRIMARY KEY, called boolean)")
        await sides.one.execute("INSERT INTO spot SELECT n, false FROM generate_series(1, 10) AS n")
        call = """UPDATE spot SET called = true WHERE number IN (
                      SELECT number FROM spot WHERE NOT called ORDER BY number
                      LIMIT 2 - (SELECT count(*) FROM spot WHERE called)
                      FOR UPDATE SKIP LOCKED)"""
        async with sides.one.transaction():
            await sides.one.execute(call)
            await sides.other.execute(call)
        assert await sides.one.fetchval("SELECT count(*) FROM spot WHERE called") == 4


async def test_rate_holds_with_two_processes_admitting(pair: Pair, database: Database) -> None:
    """At most 30 a second, 100 visitors, joins throughout: no second has 31 admissions."""
    made = await make_concert(pair[0], policy=RatePolicy(admit=30, every_seconds=1))
    await pair[1].rooms.snapshot.refresh()
    called = "SELECT count(*) = 100 FROM place WHERE admitted_at IS NOT NULL"

    async with running(pair[0]), running(pair[1]), asyncio.timeout(LONGEST_SECONDS):
        await asyncio.gather(*(join(pair[turn % 2], made.concert_id) for turn in range(100)))
        async with rivals(database) as sides:
            await sides.until(called)

    rows = await fetch(database, "SELECT admitted_at FROM place ORDER BY number")
    times = [row["admitted_at"] for row in rows]
    assert times == sorted(times)
    window = timedelta(seconds=1)
    assert max(sum(begin <= at < begin + window for at in times) for begin in times) <= 30
    # The allowed rate is also used up.
    assert times[-1] - times[0] < timedelta(seconds=4.5)
