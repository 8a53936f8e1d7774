"""The throughput of the database calls, without HTTP: ``python -m benchmarks.database``.

Starts an embedded PostgreSQL with the settings of production (fsync on) in a temporary folder and
measures holds and payments with group commit against one transaction per request, joins up to a
million places, twenty thousand requests for fifty seats, and the poll of a waiting token. Prints a
table and writes a JSON file. Exits 1 if a floor is missed (not with ``--quick``).
"""

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg
import msgspec
import psutil
import uvloop

from benchmarks.crowd import PRICE, Hall, hold_fields, let_in, put_on_sale, queue_up
from benchmarks.timing import Figure, drive, machine, tree_seconds
from frontrow.concerts.model import Show
from frontrow.db.cluster import APP
from frontrow.db.migrate import migrate
from frontrow.db.pool import open_pool
from frontrow.db.server import EmbeddedServer
from frontrow.errors import SeatTaken
from frontrow.ids import PlaceRef
from frontrow.payments.queries import PayItem
from frontrow.payments.queries import queries as payments
from frontrow.reservations.model import AddressSeats
from frontrow.reservations.queries import HoldItem, LeaveItem
from frontrow.reservations.queries import queries as reservations
from frontrow.services import Services, open_services
from frontrow.settings import Settings
from frontrow.waiting_room.queries import JoinItem, PlaceItem
from frontrow.waiting_room.queries import queries as line_queries

HOLD_FLOOR = 15.0
PAY_FLOOR = 8.0
POLL_FLOOR = 1.2
JOIN_FLOOR = 0.8
"""The slowest hundred thousand joins, relative to their median."""

POOL = 16
"""Connections for the requests that each have a transaction of their own."""


class Size(NamedTuple):
    """The number of calls of a run."""

    callers: Sequence[int]
    rounds: int
    grouped: int
    single: int
    joins: int
    rush: int
    polls: int


FULL = Size((256, 1_000), 3, 40_000, 8_000, 1_000_000, 20_000, 100_000)
QUICK = Size((256,), 1, 2_000, 500, 20_000, 2_000, 5_000)


class SeatRequest(NamedTuple):
    """A user and the seat that is free for this user."""

    place: PlaceRef
    show: Show
    seat: int


async def holds_and_payments(
    services: Services, pool: asyncpg.Pool, size: Size, postgres: psutil.Process
) -> list[Figure]:
    """Holds and pays distinct seats, grouped and one by one; returns the median round of each."""
    figures = []
    for callers in size.callers:
        rounds = [
            await _one_round(services, pool, size, callers, postgres) for _ in range(size.rounds)
        ]
        best = [
            sorted(same, key=lambda figure: figure.per_second)[len(same) // 2]
            for same in zip(*rounds, strict=True)
        ]
        single_hold, single_pay, hold, pay = best
        for grouped, single in ((hold, single_hold), (pay, single_pay)):
            ratio = round(grouped.per_second / single.per_second, 1)
            figures += [single, msgspec.structs.replace(grouped, ratio=ratio)]
    return figures


async def _one_round(
    services: Services, pool: asyncpg.Pool, size: Size, callers: int, postgres: psutil.Process
) -> list[Figure]:
    """Holds and pays seats of one hall: some with a transaction each, then the others grouped."""
    seats = 500
    people = size.grouped + size.single
    hall = await put_on_sale(services, shows=-(-people // seats), seats=seats)
    places = await let_in(services, hall, people)
    all_seats = [(show, number) for show in hall.shows for number in range(1, seats + 1)]
    random.shuffle(all_seats)
    requests = [SeatRequest(place, *seat) for place, seat in zip(places, all_seats, strict=False)]
    held: dict[UUID, UUID] = {}

    async def hold(request: SeatRequest) -> None:
        reservation, _ = await services.reservations.hold(
            request.place, request.show, [request.seat], None
        )
        held[request.place.place_id] = reservation.reservation_id

    async def pay(request: SeatRequest) -> None:
        await services.payments.pay(request.place, held[request.place.place_id], PRICE, None)

    async def hold_alone(request: SeatRequest) -> None:
        held[request.place.place_id] = await _hold_alone(pool, request)

    async def pay_alone(request: SeatRequest) -> None:
        await _pay_alone(pool, request.place, held[request.place.place_id])

    async def measured(
        what: str,
        requests: Sequence[SeatRequest],
        call: Callable[[SeatRequest], Awaitable[None]],
    ) -> Figure:
        used = tree_seconds(postgres)
        figure = await drive(what, requests, call, callers=callers)
        used = tree_seconds(postgres) - used
        return msgspec.structs.replace(
            figure, database_us_per_call=round(used / figure.calls * 1e6, 1)
        )

    alone, together = requests[: size.single], requests[size.single :]
    return [
        await measured("hold, one transaction each", alone, hold_alone),
        await measured("pay, one transaction each", alone, pay_alone),
        await measured("hold, group commit", together, hold),
        await measured("pay, group commit", together, pay),
    ]


async def _hold_alone(pool: asyncpg.Pool, request: SeatRequest) -> UUID:
    """Calls the same database function with one item."""
    reservation_id = uuid4()
    (row,) = await reservations.hold(
        pool,
        [HoldItem(*hold_fields(request.place, request.show.show_id, reservation_id), 1)],
        seats=[request.seat],
        address_seats=AddressSeats(),
        unpaid_holds=20,
        unpaid_seconds=600,
    )
    _expect(row.outcome, "held")
    return reservation_id


async def _pay_alone(pool: asyncpg.Pool, place: PlaceRef, reservation_id: UUID) -> None:
    """Calls the same database function with one item."""
    item = PayItem(
        place.room_id, place.number, place.place_id, place.user_id, place.concert_id, uuid4(),
        reservation_id, PRICE,
    )  # fmt: skip
    (row,) = await payments.pay(pool, [item])
    _expect(row.outcome, "paid")


def _expect(outcome: str, wanted: str) -> None:
    if outcome != wanted:
        message = f"{outcome}, not {wanted}"
        raise RuntimeError(message)


async def rush(services: Services, size: Size) -> Figure:
    """All callers ask for one of fifty seats concurrently."""
    hall = await put_on_sale(services, shows=1, seats=50)
    places = await let_in(services, hall, size.rush)
    winners = 0

    async def request(place: PlaceRef) -> None:
        nonlocal winners
        try:
            await services.reservations.hold(place, hall.shows[0], [random.randint(1, 50)], None)  # noqa: S311 - any seat
        except SeatTaken:
            return
        winners += 1

    figure = await drive(
        f"{size.rush:,} requests for 50 seats", places, request, callers=size.callers[-1]
    )
    _expect(f"{winners} winners", "50 winners")
    return figure


async def joins(services: Services, hall: Hall, size: Size) -> list[int]:
    """Returns joins per second in ten chunks, in batches as of the lane, from an empty table."""
    chunk = size.joins // 10
    batch = services.settings.batch_items
    rates = []
    for _ in range(10):
        started = time.perf_counter()
        for begin in range(0, chunk, batch):
            count = min(batch, chunk - begin)
            items = [JoinItem(uuid4(), None, uuid4()) for _ in range(count)]
            await line_queries.join(services.pool, items, room_id=hall.line.room_id)
        rates.append(round(chunk / (time.perf_counter() - started)))
    return rates


async def joins_with_tokens(services: Services, size: Size) -> Figure:
    """Joins through the service: the lane and the signed token too."""
    hall = await put_on_sale(services, shows=1, seats=50)
    users = [uuid4() for _ in range(size.grouped)]

    async def join(user_id: UUID) -> None:
        await services.rooms.join(user_id, hall.concert_id)

    return await drive("join, group commit, signed token", users, join, callers=size.callers[-1])


class Poll(msgspec.Struct, frozen=True):
    """The cost for a process of polling a waiting token and of refreshing the snapshot."""

    waiting: int
    left: int
    poll_cpu_us: float
    refresh_cpu_ms: float
    first_refresh_cpu_ms: float
    """The first snapshot of a process reads all places that have left."""


async def poll(services: Services, places: Sequence[PlaceRef], size: Size, *, left: int) -> Poll:
    """Returns the CPU of this process for a poll of a waiting token; the median of nine."""
    snapshot = services.rooms.snapshot
    await snapshot.refresh()
    sample = random.choices(places, k=size.polls)  # noqa: S311 - any of them

    async def polls() -> None:
        for place in sample:
            await services.rooms.status(place)

    async def first() -> None:
        await type(snapshot)(services.pool).refresh()

    return Poll(
        snapshot.lines[places[0].room_id].waiting,
        left,
        round(await _cpu_seconds(polls, 9) / size.polls * 1e6, 2),
        round(await _cpu_seconds(snapshot.refresh, 9) * 1e3, 2),
        round(await _cpu_seconds(first, 1) * 1e3, 2),
    )


async def _cpu_seconds(work: Callable[[], Awaitable[None]], times: int) -> float:
    took = []
    for _ in range(times):
        started = time.process_time()
        await work()
        took.append(time.process_time() - started)
    return statistics.median(took)


async def line_length(services: Services, size: Size) -> tuple[list[int], list[Poll]]:
    """Joins up to a full line; measures the cost of following it, compared with a short one."""
    hall = await put_on_sale(services, shows=1, seats=50)
    rates = await joins(services, hall, size)
    short = await put_on_sale(services, shows=1, seats=50)
    few = await queue_up(services, short, 1_000)
    numbers = random.sample(range(1, size.joins + 1), min(10_000, size.joins))
    rows = await line_queries.places(
        services.pool, [PlaceItem(hall.line.room_id, number) for number in numbers]
    )
    many = [
        PlaceRef(
            uuid4(), hall.concert_id, hall.line.room_id, number, row.place_id,
            hall.shows[0].starts_at,
        )
        for number, row in zip(numbers, rows, strict=True)
        if row.place_id is not None
    ]  # fmt: skip
    polls = [await poll(services, few, size, left=0), await poll(services, many, size, left=0)]
    for begin in range(0, len(many) // 2, 1_000):
        some = many[begin : begin + 1_000]
        await reservations.leave(
            services.pool, [LeaveItem(p.room_id, p.number, p.place_id) for p in some]
        )
    stayed = many[len(many) // 2 :]
    polls.append(await poll(services, stayed, size, left=len(many) - len(stayed)))
    return rates, polls


async def measure(server: EmbeddedServer, size: Size, *, lines: bool) -> dict[str, Any]:
    """Returns all figures, by name; without ``lines`` those of holds and payments only."""
    await migrate(server.owner_url, app_role=APP)
    settings = Settings(database_url=server.app_url)
    rates, polls = await _grow(server, settings, size) if lines else ([], [])
    pool = await open_pool(server.app_url, connections=POOL, connect_timeout_seconds=10)
    async with pool, open_services(settings) as services:
        figures = await holds_and_payments(services, pool, size, psutil.Process(server.pid))
        if lines:
            figures.append(await joins_with_tokens(services, size))
            figures.append(await rush(services, size))
    return {"figures": figures, "joins_per_second": rates, "polls": polls, "machine": machine()}


async def _grow(
    server: EmbeddedServer, settings: Settings, size: Size
) -> tuple[list[int], list[Poll]]:
    owner = await asyncpg.connect(server.owner_url)
    # The table is never analysed while it grows: the worst case for a plan.
    await owner.execute("ALTER TABLE place SET (autovacuum_enabled = off)")
    async with open_services(settings) as services:
        found = await line_length(services, size)
    await owner.execute("ALTER TABLE place RESET (autovacuum_enabled)")
    await owner.close()
    return found


def missed(found: dict[str, Any]) -> list[str]:
    """Returns the floors of the project that these figures miss."""
    wrong = []
    for figure in found["figures"]:
        floor = HOLD_FLOOR if figure.what.startswith("hold") else PAY_FLOOR
        if figure.callers == 1_000 and figure.ratio is not None and figure.ratio < floor:
            wrong.append(f"{figure.what}: {figure.ratio} times one transaction each, not {floor}")
    rates, polls = found["joins_per_second"], found["polls"]
    if not rates:
        return wrong
    if min(rates) < JOIN_FLOOR * statistics.median(rates):
        wrong.append(f"joins slow down: {rates} a second")
    if polls[1].poll_cpu_us > POLL_FLOOR * polls[0].poll_cpu_us:
        wrong.append(f"a poll costs more in a long line: {polls[1].poll_cpu_us} µs")
    return wrong


def table(found: dict[str, Any]) -> str:
    """Returns the figures as a table."""
    titles = zip(
        ("callers", "per second", "p50 ms", "p99 ms", "CPU µs", "database", "×"),
        (8, 12, 9, 9, 8, 10, 7),
        strict=True,
    )
    lines = [f"{'':42}" + "".join(f"{title:>{width}}" for title, width in titles)]
    lines += [
        f"{f.what:42}{f.callers:>8}{f.per_second:>12,.0f}{f.p50_ms:>9}{f.p99_ms:>9}"
        f"{f.cpu_us_per_call:>8}{f.database_us_per_call or '':>10}{f.ratio or '':>7}"
        for f in found["figures"]
    ]
    rates = ", ".join(f"{rate:,.0f}" for rate in found["joins_per_second"])
    if rates:
        lines += ["", f"joins a second, tenths of the line from empty on: {rates}", ""]
    lines += [
        f"poll of {p.waiting:,} waiting ({p.left:,} left): {p.poll_cpu_us} µs; refresh of the"
        f" snapshot {p.refresh_cpu_ms} ms, the first {p.first_refresh_cpu_ms} ms"
        for p in found["polls"]
    ]
    return "\n".join(lines)


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.database", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, to check that it works")
    parser.add_argument("--purchases", action="store_true", help="holds and payments only")
    parser.add_argument(
        "--path", type=Path, default=Path("benchmarks/results/database.json"), help="the JSON file"
    )
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="frontrow-benchmark-"))
    try:
        with EmbeddedServer(folder) as server:
            found = uvloop.run(
                measure(server, QUICK if asked.quick else FULL, lines=not asked.purchases)
            )
    finally:
        shutil.rmtree(folder)
    print(table(found))
    asked.path.parent.mkdir(parents=True, exist_ok=True)
    asked.path.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    wrong = [] if asked.quick else missed(found)
    for line in wrong:
        print(f"MISSED {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
