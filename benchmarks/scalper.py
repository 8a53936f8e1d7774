"""A scalper with 1,000 guests against 10,000 fans: ``python -m benchmarks.scalper``.

Each sale runs on Frontrow's services and a real database, with the clock of its functions replaced
by a simulated one: joining, admission, holds, their ends and limits, and payments are the real
rules. The people are a model. Prints a table: the share of the seats that the scalper gets.
"""

import argparse
import asyncio
import random
import shutil
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid5

import asyncpg
import uvloop

from benchmarks.crowd import PRICE, Hall
from frontrow.concerts.model import NewConcert, NewShow
from frontrow.db.cluster import APP
from frontrow.db.migrate import migrate
from frontrow.db.server import EmbeddedServer
from frontrow.errors import DomainError, RateLimited
from frontrow.ids import PlaceRef
from frontrow.reservations.model import Reservation, Wish
from frontrow.services import Services, open_services
from frontrow.settings import Settings
from frontrow.waiting_room.policy import MaxActivePolicy
from frontrow.waiting_room.settings import RoomSettings

STEP_SECONDS = 15
HOLD_SECONDS = 300
CAP = 500
SEATS_EACH = 4
SCALPER = 0x0A00_0001
"""The network of the scalper: one IPv4 address."""
SOLVING_SECONDS = 0.23
"""Of one core, for the proof of work of one guest (docs/guides/identity.md)."""
FAN_COMES, FAN_PAYS = 0.9, 0.9
CLOCK = """
    CREATE SCHEMA simulated;
    CREATE TABLE simulated.clock (ahead interval NOT NULL);
    INSERT INTO simulated.clock VALUES ('0');
    CREATE FUNCTION simulated.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
        SELECT pg_catalog.clock_timestamp() + (SELECT ahead FROM simulated.clock)
    $$;
    GRANT USAGE ON SCHEMA simulated TO {role};
    GRANT SELECT ON simulated.clock TO {role};
    ALTER ROLE {role} SET search_path = simulated, pg_catalog, public;
"""
# Without the rule, the ended holds of the scalper's guests are made to look old.
FORGET = """
    UPDATE reservation SET created_at = created_at - '1 day'::interval,
        held_until = held_until - '1 day'::interval, closed_at = closed_at - '1 day'::interval
    WHERE state IN ('released', 'expired') AND held_until > now() - '12 hours'::interval
"""


class Size(NamedTuple):
    """The people and seats of a sale."""

    guests: int
    fans: int
    seats: int
    minutes: int


FULL, QUICK = Size(1_000, 10_000, 2_000, 45), Size(50, 500, 100, 20)


class Defence(NamedTuple):
    """What is in force in a sale."""

    name: str
    proof_of_work: bool = False
    address_limits: bool = False
    no_renewal: bool = False
    draw: bool = False
    accounts_only: bool = False


DEFENCES = (
    Defence("none"),
    Defence("proof of work", proof_of_work=True),
    Defence("limits by address", address_limits=True),
    Defence("no renewal of holds", no_renewal=True),
    Defence("these three: the default", True, True, True),
    Defence("the default and a draw", True, True, True, draw=True),
    Defence("accounts only", True, True, True, accounts_only=True),
)


class Person:
    """A fan, or a guest account of the scalper."""

    def __init__(self, user_id: UUID, joins: float, network: int, *, script: bool) -> None:
        self.user_id = user_id
        self.joins = joins
        self.network = network
        self.script = script
        self.place: PlaceRef | None = None
        self.held: Reservation | None = None
        self.acts_at: float | None = None
        """When the person holds or pays next; ``None``: not admitted."""
        self.is_done = False


class Sale:
    """One simulated sale.

    Args:
        services: on the database of the sale.
        owner: a connection that sets the clock.
        defence: what is in force.
        size: people and seats.
        pays: whether the scalper pays at once; otherwise it holds for as long as it can.
    """

    def __init__(
        self,
        services: Services,
        owner: asyncpg.Connection,
        defence: Defence,
        size: Size,
        *,
        pays: bool,
    ) -> None:
        self._services = services
        self._owner = owner
        self._defence = defence
        self._size = size
        self._pays = pays
        self._random = random.Random(1)  # noqa: S311 - the same sale each time
        self._now = 0.0
        self._hall: Hall
        self._people: dict[UUID, Person] = {}
        self.bought = {True: 0, False: 0}
        """Seats by whether the scalper bought them."""
        self.blocked: list[int] = []
        """Seats that the scalper holds unpaid, at each step."""

    async def run(self) -> None:
        """Runs the sale until it is sold out, or its time has passed."""
        self._hall = await self._put_on_sale()
        crowd = self._crowd()
        self._people = {person.user_id: person for person in crowd}
        while self._now < self._size.minutes * 60 and sum(self.bought.values()) < self._size.seats:
            self._now += STEP_SECONDS
            await self._owner.execute(
                "UPDATE simulated.clock SET ahead = ahead + make_interval(secs => $1)",
                float(STEP_SECONDS),
            )
            due = [one for one in crowd if one.place is None and one.joins <= self._now]
            await self._all(self._join(person) for person in due if not person.is_done)
            await self._admit()
            acting = [p for p in crowd if p.acts_at is not None and p.acts_at <= self._now]
            self._random.shuffle(acting)
            # Scripts are faster.
            acting.sort(key=lambda person: not person.script)
            await self._all(self._act(person) for person in acting)
            self.blocked.append(sum(len(p.held.seats) for p in crowd if p.script and p.held))

    async def _put_on_sale(self) -> Hall:
        starts_at = datetime.now(UTC) + timedelta(days=30)
        show = NewShow(starts_at=starts_at, price=PRICE, seats=self._size.seats)
        room = RoomSettings(policy=MaxActivePolicy(CAP * self._size.seats // FULL.seats))
        made, _ = await self._services.concerts.create(
            NewConcert(title="A sale", hold_seconds=HOLD_SECONDS, shows=[show]), room, None
        )
        if self._defence.accounts_only:
            await self._owner.execute("UPDATE concert SET guests = false")
        await self._services.rooms.snapshot.refresh()
        line = self._services.rooms.snapshot.by_concert[made.concert_id]
        shows = (await self._services.catalogue.shows(made.concert_id, fresh=True)).shows
        return Hall(made.concert_id, line, shows)

    def _crowd(self) -> list[Person]:
        """Half of the fans come in the first half minute, the others within ten minutes."""
        people = []
        for number in range(self._size.guests):
            at = SOLVING_SECONDS * number if self._defence.proof_of_work else 0.0
            guest = UUID(int=self._random.getrandbits(128), version=4)
            people.append(Person(guest, at, SCALPER, script=True))
        for number in range(self._size.fans):
            at = self._random.uniform(0, 30 if number % 2 else 600)
            fan = uuid5(UUID(int=0), str(number))
            people.append(Person(fan, at, SCALPER + 1 + number, script=False))
        if self._defence.draw:
            self._random.shuffle(people)  # all have joined before the opening
            for person in people:
                person.joins = 0.0
        return sorted(people, key=lambda person: person.joins)

    async def _join(self, person: Person) -> None:
        try:
            status, _ = await self._services.rooms.join(person.user_id, self._hall.concert_id)
        except DomainError:
            person.is_done = True
            return
        person.place = await self._services.signer.read(status.token.encode())

    async def _admit(self) -> None:
        """Ends what is due and admits; the admitted decide when they act."""
        if not self._defence.no_renewal:
            await self._owner.execute(FORGET)
        await self._services.reservations.expire()
        admitted = await self._services.rooms.admit(self._hall.line)
        while admitted.admitted and admitted.more:
            admitted = await self._services.rooms.admit(self._hall.line)
        rows = await self._owner.fetch("SELECT user_id FROM place WHERE state = 'admitted'")
        inside = {row["user_id"] for row in rows}
        for user_id, person in self._people.items():
            if user_id not in inside:
                if person.acts_at is not None and not person.is_done:  # the session has ended
                    person.place, person.acts_at = None, None
                    person.held = None
                    person.is_done = not person.script
            elif person.acts_at is None and not person.is_done:
                comes = person.script or self._random.random() < FAN_COMES
                delay = 0.0 if person.script else self._random.uniform(15, 90)
                person.acts_at = self._now + (delay if comes else 1e9)

    async def _act(self, person: Person) -> None:
        """Holds seats, or pays for them."""
        if person.place is None:
            return
        if person.held is None:
            await self._hold(person, person.place)
        elif person.script and not self._pays:
            person.held, person.acts_at = None, self._now  # it has ended: again
            await self._hold(person, person.place)
        else:
            await self._pay(person, person.place, person.held)

    async def _hold(self, person: Person, place: PlaceRef) -> None:
        count = SEATS_EACH if person.script else self._random.choice((1, 2, 2, 2, 3, 4))
        network = person.network if self._defence.address_limits else None
        wish = Wish(count, together=False)
        try:
            person.held, _ = await self._services.reservations.hold(
                place, self._hall.shows[0], wish, None, network
            )
        except RateLimited:
            person.acts_at = self._now + STEP_SECONDS
        except DomainError:  # too few seats are left: a fan gives up, a script tries again
            person.acts_at = self._now + STEP_SECONDS
            if not person.script:
                await self._leave(person, place)
        else:
            person.acts_at = self._now + self._wait(person)

    def _wait(self, person: Person) -> float:
        """Returns after how many seconds a hold is paid, or, of a script that doesn't pay, ends."""
        if person.script:
            return STEP_SECONDS if self._pays else HOLD_SECONDS
        return self._random.uniform(60, 150) if self._random.random() < FAN_PAYS else 1e9

    async def _pay(self, person: Person, place: PlaceRef, held: Reservation) -> None:
        try:
            await self._services.ledger.charge(place, held.amount, None)
            await self._services.payments.pay(place, held.reservation_id, held.amount, None)
        except DomainError:
            await self._leave(person, place)
            return
        self.bought[person.script] += len(held.seats)
        person.held, person.acts_at, person.is_done = None, None, True

    async def _leave(self, person: Person, place: PlaceRef) -> None:
        person.is_done, person.acts_at, person.held = True, None, None
        try:
            await self._services.reservations.leave(place)
        except DomainError:
            return

    @staticmethod
    async def _all(calls: Iterable[Awaitable[None]]) -> None:
        await asyncio.gather(*calls)


async def simulate(defence: Defence, size: Size, *, pays: bool) -> Sale:
    """Returns a sale that has run, on a database of its own."""
    folder = Path(tempfile.mkdtemp(prefix="frontrow-benchmark-"))
    try:
        with EmbeddedServer(folder) as server:
            await migrate(server.owner_url, app_role=APP)
            owner = await asyncpg.connect(server.owner_url)
            await owner.execute(CLOCK.format(role=APP))
            unpaid = 20 if defence.no_renewal else 1_000_000
            settings = Settings(
                database_url=server.app_url, unpaid_holds=unpaid, deadline_seconds=120
            )
            async with open_services(settings) as services:
                sale = Sale(services, owner, defence, size, pays=pays)
                await sale.run()
            await owner.close()
            return sale
    finally:
        shutil.rmtree(folder)


async def measure(size: Size) -> None:
    """Prints the table, row by row."""
    print("| defence | bought by a scalper who pays at once | blocked by one who doesn't | sold |")
    print("| --- | --- | --- | --- |", flush=True)
    for defence in DEFENCES:
        buys = await simulate(defence, size, pays=True)
        blocks = await simulate(defence, size, pays=False)
        blocked = statistics.mean(blocks.blocked) / size.seats
        print(
            f"| {defence.name} | {buys.bought[True] / size.seats:.0%} | {blocked:.0%}"
            f" | {blocks.bought[False] / size.seats:.0%} |",
            flush=True,
        )


def main() -> int:
    """Runs the simulation."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scalper", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, to check that it works")
    uvloop.run(measure(QUICK if parser.parse_args().quick else FULL))
    return 0


if __name__ == "__main__":
    sys.exit(main())
