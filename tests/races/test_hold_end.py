"""Races at the end of a hold: its owner pays while another user waits for the seat."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from frontrow.concerts.model import Show
from frontrow.errors import HoldExpired, SeatTaken
from frontrow.ids import PlaceRef
from frontrow.services import Services
from testkit.database import Database
from tests.buyers import make_concert
from tests.races.crowds import crowd
from tests.races.rivals import fetch, rivals

Pair = tuple[Services, Services]

PRICE = 50_000
CHAINS = 4
TRIALS = 75
STEP = timedelta(microseconds=400)


class Trial:
    """A hold that is about to end, with its owner and a user waiting for the seat."""

    def __init__(self, pair: Pair, show: Show, seat: int, owner: PlaceRef, rival: PlaceRef) -> None:
        self._pair = pair
        self._show = show
        self._seat = seat
        self._owner = owner
        self._rival = rival
        self._paid: bool | None = None

    async def run(self, shortener: Any, left: timedelta) -> bool:
        """Sets the hold to end ``left`` from now, starts both; returns whether it was paid."""
        held, _ = await self._pair[0].reservations.hold(self._owner, self._show, [self._seat], None)
        until = await _shorten(shortener, held.reservation_id, left)
        taking = asyncio.create_task(self._take())
        try:
            payment, _ = await self._pair[0].payments.pay(
                self._owner, held.reservation_id, PRICE, None
            )
        except HoldExpired:
            self._paid = False
        else:
            self._paid = True
            assert payment.paid_at < until
        taken_at = await taking
        assert (taken_at is None) == self._paid
        assert taken_at is None or taken_at >= until
        return self._paid

    async def _take(self) -> datetime | None:
        """Asks for the seat until it is held, or known to be sold to the other user."""
        while True:
            sold = self._paid
            try:
                held, _ = await self._pair[1].reservations.hold(
                    self._rival, self._show, [self._seat], None
                )
            except SeatTaken:
                if sold:
                    return None
            else:
                return held.created_at


async def _shorten(connection: Any, reservation_id: UUID, left: timedelta) -> datetime:
    """Sets a hold to end ``left`` from now, in both tables that store it. Returns that time."""
    until: datetime = await connection.fetchval(
        """WITH at AS MATERIALIZED (SELECT clock_timestamp() + $2 AS until),
           shortened AS (
               UPDATE reservation SET held_until = at.until FROM at WHERE reservation_id = $1
           )
           UPDATE seat SET held_until = at.until FROM at WHERE reservation_id = $1
           RETURNING at.until""",
        reservation_id,
        left,
    )
    return until


async def test_payment_at_the_end_of_the_hold(pair: Pair, database: Database) -> None:
    """300 payments within 1 ms of the end: each is in time, or the waiting user gets the seat."""
    trials = CHAINS * TRIALS
    made = await make_concert(pair[0], seats=trials, price=PRICE)
    owners = await crowd(pair[0], made.concert_id, trials, balance=PRICE)
    rivals_ = await crowd(pair[0], made.concert_id, trials)
    waiting = [
        Trial(pair, made.shows[0], seat, *both)
        for seat, both in enumerate(zip(owners, rivals_, strict=True), 1)
    ]

    async def chain(trials: list[Trial]) -> list[bool]:
        """Each trial moves the end closer, or further away if the last payment was too late."""
        connection = await asyncpg.connect(database.owner_url)
        left, found = timedelta(milliseconds=5), []
        try:
            for trial in trials:
                found.append(await trial.run(connection, left))
                left = max(left - STEP, STEP) if found[-1] else left + STEP
        finally:
            await connection.close()
        return found

    chains = await asyncio.gather(*(chain(waiting[n::CHAINS]) for n in range(CHAINS)))

    paid = sum(map(sum, chains))
    assert trials // 10 < paid < trials * 9 // 10  # the boundary was reached many times
    rows = await fetch(
        database,
        """SELECT count(*) FILTER (WHERE y.paid_at < r.held_until) AS in_time, count(*) AS all
           FROM payment AS y JOIN reservation AS r USING (reservation_id)""",
    )
    assert tuple(rows[0]) == (paid, paid)
    rows = await fetch(database, "SELECT count(*) FROM seat WHERE held_until = 'infinity'")
    assert rows[0][0] == paid


async def test_control_checking_the_hold_first_sells_a_lost_seat(database: Database) -> None:
    """Control: reading that the hold is in time, and then buying, buys another user's seat."""
    async with rivals(database) as sides:
        await sides.one.execute("CREATE TABLE chair (holder text, sold_to text, until timestamptz)")
        await sides.one.execute(
            "INSERT INTO chair VALUES ('other', NULL, clock_timestamp() + interval '200 ms')"
        )
        in_time = "SELECT until > clock_timestamp() FROM chair"
        assert await sides.other.fetchval(in_time)
        await sides.until("SELECT until <= clock_timestamp() FROM chair")
        async with sides.one.transaction():
            await sides.one.execute("UPDATE chair SET holder = 'one', until = until + '5 min'")
            buy = "UPDATE chair SET sold_to = 'other' RETURNING holder"
            async with sides.other_waits(buy) as buying:
                await sides.one.execute("COMMIT; BEGIN")
                assert await buying == "one"
