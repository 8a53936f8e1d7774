"""A line of a million, in the database and in a process: ``python -m benchmarks.line``.

Starts an embedded PostgreSQL with the settings of production (fsync on) in a temporary folder. One
user of a hundred is admitted; a tenth of the line then leaves, and another tenth is served:
admitted, claimed and left, which writes the same to the place as a payment. ``--quick`` inserts the
line with SQL instead of joining, ``--places`` makes it shorter.

Memory is the growth of a fresh process's resident set when it first reads the lines. That is the
worst case: it reads all places that have left.
"""

import argparse
import asyncio
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import asyncpg
import uvloop

from benchmarks.bounds import Found, report, spread
from benchmarks.crowd import Hall, queue_up
from benchmarks.database import FULL, joins
from benchmarks.process import memory_figures, memory_of_a_process, polls
from frontrow.concerts.model import NewConcert, NewShow
from frontrow.db.cluster import APP, OWNER
from frontrow.db.migrate import migrate
from frontrow.db.server import EmbeddedServer
from frontrow.ids import PlaceRef
from frontrow.reservations.queries import LeaveItem
from frontrow.reservations.queries import queries as reservations
from frontrow.services import Services, open_services
from frontrow.settings import Settings
from frontrow.waiting_room.policy import MaxActivePolicy
from frontrow.waiting_room.queries import EnterItem
from frontrow.waiting_room.queries import queries as line_queries
from frontrow.waiting_room.settings import RoomSettings
from frontrow.waiting_room.snapshot import Snapshot

RESULTS = Path(__file__).with_name("results") / "line.json"
TICK_MS = 10.0
POLL_RATIO = 1.2
PLACE_BYTES = 250.0

TICKS = 500
ROUNDS = 9
FEW = 1_000
BATCH = 1_000
VACUUM_SECONDS = 60.0


class Scale(NamedTuple):
    """The number of users."""

    places: int

    @property
    def admitted(self) -> int:
        """Returns the number of admitted users."""
        return self.places // 100

    @property
    def tenth(self) -> int:
        """Returns how many leave, and how many are served."""
        return self.places // 10


async def open_line(services: Services, *, cap: int, opens_in: timedelta | None = None) -> Hall:
    """Creates a concert whose line admits ``max_active``; drawn when it opens, if that is later."""
    now = datetime.now(UTC)
    room = RoomSettings(
        policy=MaxActivePolicy(max_active=cap),
        session_seconds=86_400,
        claim_seconds=3_600,
        opens_at=None if opens_in is None else now + opens_in,
        order="arrival" if opens_in is None else "draw",
    )
    show = NewShow(starts_at=now + timedelta(days=30), price=1_000, seats=50)
    made, _ = await services.concerts.create(
        NewConcert(title="Benchmark", shows=[show]), room, None
    )
    await services.rooms.snapshot.refresh()
    return Hall(made.concert_id, services.rooms.snapshot.by_concert[made.concert_id], [])


async def put_in_line(owner: asyncpg.Connection, hall: Hall, people: int) -> None:
    """Inserts waiting places in one statement."""
    await owner.execute(
        "INSERT INTO place (place_id, user_id, joined_at, room_id, number) SELECT"
        " gen_random_uuid(), gen_random_uuid(), clock_timestamp(), $1, n"
        " FROM generate_series(1, $2::int) AS n",
        hall.line.room_id, people, timeout=600,
    )  # fmt: skip
    await owner.execute(
        "UPDATE waiting_room SET issued = $2 WHERE room_id = $1", hall.line.room_id, people
    )


async def places_of(services: Services, hall: Hall, numbers: Sequence[int]) -> list[PlaceRef]:
    """Returns places by number."""
    rows = await services.pool.fetch(
        "SELECT place_id, user_id, number, joined_at FROM place"
        " WHERE room_id = $1 AND number = ANY ($2::int[])",
        hall.line.room_id, numbers,
    )  # fmt: skip
    return [
        PlaceRef(
            row["user_id"], hall.concert_id, hall.line.room_id, row["number"], row["place_id"],
            row["joined_at"].replace(microsecond=0),
        )
        for row in rows
    ]  # fmt: skip


async def people_in(services: Services, hall: Hall, count: int) -> list[PlaceRef]:
    """Returns some of the admitted places."""
    rows = await services.pool.fetch(
        "SELECT number FROM place WHERE room_id = $1 AND state = 'admitted'"
        " ORDER BY number LIMIT $2",
        hall.line.room_id, count,
    )  # fmt: skip
    return await places_of(services, hall, [row["number"] for row in rows])


async def fill_up(services: Services, hall: Hall) -> int:
    """Admits users until the cap is reached; returns how many."""
    called = 0
    while (done := await services.rooms.admit(hall.line)).admitted:
        called += done.admitted
    return called


async def leave(services: Services, places: Iterable[PlaceRef]) -> None:
    """All of these places leave."""
    rest = iter(places)
    while some := list(islice(rest, BATCH)):
        rows = await reservations.leave(
            services.pool, [LeaveItem(p.room_id, p.number, p.place_id) for p in some]
        )
        if any(row.outcome != "left" for row in rows):
            raise RuntimeError("leaving was refused")


async def ticks(services: Services, hall: Hall, *, slots: bool) -> list[float]:
    """Returns the seconds of each run of the admission, each with one free slot, or with none."""
    leaving = await people_in(services, hall, TICKS)
    took = []
    for place in leaving:
        if slots:
            await leave(services, [place])
        started = time.perf_counter()
        done = await services.rooms.admit(hall.line)
        took.append(time.perf_counter() - started)
        if done.admitted != int(slots):
            raise RuntimeError(f"{done.admitted} users were admitted")
    return took


async def timed(work: Callable[[], Awaitable[object]], times: int = 1) -> float:
    """Returns the median of some runs, in seconds."""
    took = []
    for _ in range(times):
        started = time.perf_counter()
        await work()
        took.append(time.perf_counter() - started)
    return statistics.median(took)


async def serve(services: Services, hall: Hall, people: int) -> None:
    """Admitted users claim, leave and are replaced."""
    while people > 0:
        some = await people_in(services, hall, min(people, 2_000))
        items = [EnterItem(place.room_id, place.number, place.place_id) for place in some]
        rows = await line_queries.enter(services.pool, items)
        if any(row.outcome != "admitted" for row in rows):
            raise RuntimeError("an admitted user may not act")
        await leave(services, some)
        await fill_up(services, hall)
        people -= len(some)


async def bytes_a_place(owner: asyncpg.Connection) -> float:
    """Returns the size of the table of places with its indexes, per place."""
    size = await owner.fetchval(
        "SELECT pg_total_relation_size('place')::float8 / count(*) FROM place", timeout=600
    )
    return round(float(size), 1)


async def bytes_of_served(owner: asyncpg.Connection) -> float:
    """Returns the size of a served place: its row, and its share of the one index it is in."""
    row = await owner.fetchrow(
        "SELECT avg(pg_column_size(p.*)) + 4 AS row,"
        " pg_relation_size('place_pkey')::float8 / (SELECT count(*) FROM place) AS key"
        " FROM place AS p WHERE p.state = 'finished' AND p.claimed_at IS NOT NULL",
        timeout=600,
    )
    return round(float(row["row"]) + float(row["key"]), 1)


async def until_vacuumed(owner: asyncpg.Connection) -> float:
    """Waits until autovacuum has finished; returns the remaining share of dead rows."""
    deadline = time.monotonic() + VACUUM_SECONDS
    while True:
        await owner.execute("SELECT pg_stat_clear_snapshot()")
        dead = await owner.fetchval(
            "SELECT n_dead_tup::float8 / greatest(n_live_tup, 1) FROM pg_stat_user_tables"
            " WHERE relname = 'place'"
        )
        # The rows that may stay by its settings: a share of the table and a constant.
        if dead <= 0.021 or time.monotonic() > deadline:
            return round(float(dead) * 100, 1)
        await asyncio.sleep(0.5)


async def arrival(server: EmbeddedServer, scale: Scale, *, quick: bool) -> list[Found]:
    """Measures a line served in order of arrival."""
    found = []
    owner = await asyncpg.connect(server.owner_url)
    async with open_services(Settings(database_url=server.app_url)) as services:
        hall = await open_line(services, cap=scale.admitted)
        people = scale.places + scale.admitted
        if quick:
            await put_in_line(owner, hall, people)
        else:
            rates = await joins(services, hall, FULL._replace(joins=people))
            found.append(Found("joins a second, the median tenth", statistics.median(rates), "/s"))
            found.append(Found("  the slowest tenth", min(rates), "/s"))
        joined = await bytes_a_place(owner)
        found.append(Found("database: a place as joined", joined, "bytes", PLACE_BYTES))
        filling = await timed(lambda: fill_up(services, hall))
        found.append(Found(f"{scale.admitted:,} called at once", round(filling * 1e3), "ms"))
        found += await _ticks(services, hall, "tick")
        refresh = await timed(services.rooms.snapshot.refresh, ROUNDS)
        found.append(Found("refresh of the snapshot", round(refresh * 1e3, 2), "ms"))
        found += await _polls(server.app_url, services, hall, scale)

        await services.rooms.snapshot.refresh()
        behind = range(hall.line.serving + 1, hall.line.issued + 1)
        some = random.sample(behind, scale.tenth)
        leavers = await places_of(services, hall, some)
        random.shuffle(leavers)
        seconds = await timed(lambda: leave(services, leavers))
        found.append(Found(f"{scale.tenth:,} leave", round(scale.tenth / seconds), "/s"))
        first = await timed(lambda: Snapshot(services.pool).refresh())
        found.append(Found("  a process's first snapshot then", round(first * 1e3, 1), "ms"))
        memory = memory_of_a_process(server.app_url)
        found += memory_figures(f"{scale.places:,} wait or have left ({scale.tenth:,})", memory)

        seconds = await timed(lambda: serve(services, hall, scale.tenth))
        found.append(Found(f"{scale.tenth:,} are served", round(scale.tenth / seconds), "/s"))
        found += await _ticks(services, hall, "tick right after")
        found.append(Found("database: a served place", await bytes_of_served(owner), "bytes"))
        found.append(Found("  all of it, to each place", await bytes_a_place(owner), "bytes"))
        dead = await until_vacuumed(owner)
        after = await bytes_a_place(owner)
        found.append(Found("  once autovacuum has been there", after, "bytes"))
        found.append(Found("  growth since they joined", round(after / joined, 2), "times"))
        found.append(Found("  dead rows that it left", dead, "%"))
        found += await _ticks(services, hall, "tick then")
    await owner.close()
    return found


async def _ticks(services: Services, hall: Hall, what: str) -> list[Found]:
    idle = await ticks(services, hall, slots=False)
    giving = await ticks(services, hall, slots=True)
    return [
        *spread(f"{what}, nothing to give", idle, at_most_ms=TICK_MS),
        *spread(f"{what}, a slot to give", giving, at_most_ms=TICK_MS),
    ]


async def _polls(url: str, services: Services, hall: Hall, scale: Scale) -> list[Found]:
    short = await open_line(services, cap=1)
    few = (await queue_up(services, short, FEW + 1))[1:]
    await services.rooms.snapshot.refresh()
    behind = range(hall.line.serving + 1, hall.line.issued + 1)
    many = await places_of(services, hall, random.sample(behind, FEW))
    in_short, in_long = await polls(url, services, few, many)
    return [
        Found(f"CPU of a poll, {FEW:,} waiting", round(in_short, 1), "µs"),
        Found(f"CPU of a poll, {scale.places:,} waiting", round(in_long, 1), "µs"),
        Found("  to that", round(in_long / in_short, 3), "times", POLL_RATIO),
    ]


async def drawn(server: EmbeddedServer, scale: Scale) -> list[Found]:
    """Measures a line served in the order of a draw, in a database of its own."""
    admin = await asyncpg.connect(server.url(OWNER, "postgres"))
    await admin.execute("CREATE DATABASE drawn")
    await admin.close()
    owner_url, url = server.url(OWNER, "drawn"), server.url(APP, "drawn")
    await migrate(owner_url, app_role=APP)
    owner = await asyncpg.connect(owner_url)
    async with open_services(Settings(database_url=url)) as services:
        hall = await open_line(services, cap=scale.admitted, opens_in=timedelta(hours=1))
        await put_in_line(owner, hall, scale.places)
        await owner.execute("UPDATE waiting_room SET opens_at = clock_timestamp()")
        await services.rooms.snapshot.refresh()
        if not hall.line.draw_due:
            raise RuntimeError("the line is not to be drawn")
        seconds = await timed(lambda: services.rooms.draw(hall.line))
        entrants = await owner.fetchval("SELECT count(*) FROM drawn", timeout=600)
        if entrants != scale.places:
            raise RuntimeError(f"{entrants} were drawn")
        found = [Found(f"draw of {scale.places:,}", round(seconds, 2), "s")]
        size = await owner.fetchval("SELECT pg_total_relation_size('drawn')::float8")
        found.append(Found("  database: an entrant", round(size / scale.places, 1), "bytes"))
        some = random.sample(range(1, scale.places + 1), scale.tenth)
        await leave(services, await places_of(services, hall, some))
        memory = memory_of_a_process(url)
        found += memory_figures(f"drawn line of {scale.places:,} ({scale.tenth:,} left)", memory)
        await fill_up(services, hall)
        found += await _ticks(services, hall, "tick of the drawn line")
    await owner.close()
    return found


async def measure(server: EmbeddedServer, scale: Scale, *, quick: bool) -> list[Found]:
    """Returns all figures."""
    await migrate(server.owner_url, app_role=APP)
    return [*await arrival(server, scale, quick=quick), *await drawn(server, scale)]


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.line", description=__doc__)
    parser.add_argument("--places", type=int, default=1_000_000, help="the number of waiting users")
    parser.add_argument("--quick", action="store_true", help="insert the line with SQL")
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args()
    if asked.places < FEW:
        parser.error(f"at least {FEW:,}: as many of them poll")
    folder = Path(tempfile.mkdtemp(prefix="frontrow-benchmark-"))
    try:
        with EmbeddedServer(folder) as server:
            scale = Scale(asked.places)
            found = uvloop.run(measure(server, scale, quick=asked.quick))
    finally:
        shutil.rmtree(folder)
    return report(f"A line of {asked.places:,}", found, asked.output)


if __name__ == "__main__":
    sys.exit(main())
