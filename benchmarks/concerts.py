"""The cost of many concerts: ``python -m benchmarks.concerts``.

``frontrow serve`` with one worker and its embedded database, for 10 quiet concerts, 1,000 quiet
ones, 1,000 with waiting users and no free slot, and 10,000 quiet ones, inserted with SQL. First
nobody calls: the CPU of the server and of PostgreSQL, the mean time of a round of the admission and
of the snapshot (from its metrics), and the memory of the server. Then admitted users leave; both
times of a free slot and of the next admission are the database's. In the quiet installations they
leave one line, one after the other; in the busy one 100 a second, each another line.
"""

import argparse
import asyncio
import random
import re
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import psutil

from benchmarks.bounds import Found, report
from frontrow.db.server import running_urls
from frontrow.ids import PlaceRef
from frontrow.waiting_room.token import load_signer
from testkit.connection import Connection
from testkit.server import FrontrowServer, serving

RESULTS = Path(__file__).with_name("results") / "concerts.json"
SETTLE_SECONDS = 5.0
SLOTS_PER_SECOND = 100
PATIENCE_SECONDS = 60.0
_ROUNDS = re.compile(rb'^frontrow_upkeep_seconds_(sum|count)\{task="(\w+)"\} (\S+)$', re.MULTILINE)
_JOINED_AT = datetime(2027, 1, 1, tzinfo=UTC)

# $1: the first and $2: the last number of the concerts.
_CONCERTS = (
    """INSERT INTO concert (concert_id, request_hash, title, timezone, currency, hold_seconds,
        max_seats_per_user, created_at)
    SELECT md5('concert' || n)::uuid, n, 'Concert ' || n, 'UTC', 'KRW', 300, 4, now()
    FROM generate_series($1::int, $2::int) AS n""",
    """INSERT INTO show (show_id, concert_id, request_hash, starts_at, date, sales_end_at,
        seats_total, price_from)
    SELECT md5('show' || n)::uuid, md5('concert' || n)::uuid, n, now() + interval '30 days',
        current_date + 30, now() + interval '30 days', 50, 1000
    FROM generate_series($1::int, $2::int) AS n""",
    """INSERT INTO stock (show_id) SELECT md5('show' || n)::uuid
    FROM generate_series($1::int, $2::int) AS n""",
)
# $3: admitted and $4: waiting users of each; as many are admitted as the policy allows.
_LINES = """
    WITH line AS (
        INSERT INTO waiting_room (concert_id, policy, session_seconds, claim_seconds, issued,
            serving, called)
        SELECT md5('concert' || n)::uuid,
            jsonb_build_object('kind', 'max_active', 'max_active', greatest($3::int, 1)),
            86400, 3600, $3 + $4::int, $3, $3
        FROM generate_series($1::int, $2::int) AS n
        RETURNING room_id, policy
    ),
    changed AS (INSERT INTO policy_change SELECT room_id, 1, policy, now() FROM line)
    INSERT INTO place (place_id, user_id, joined_at, room_id, number, state, admitted_at,
        claimed_at, session_until, expires_at)
    SELECT md5('place' || l.room_id || ' ' || k)::uuid, md5('user' || l.room_id || ' ' || k)::uuid,
        $5, l.room_id, k, CASE WHEN k > $3 THEN 'waiting' ELSE 'admitted' END::place_state,
        a.at, a.at, a.at + interval '1 day', a.at + interval '1 day'
    FROM line AS l
    CROSS JOIN generate_series(1, $3 + $4) AS k
    CROSS JOIN LATERAL (SELECT CASE WHEN k <= $3 THEN now() END AS at) AS a
"""
_PLACES = """
    SELECT p.place_id, p.user_id, p.room_id, p.number, w.concert_id
    FROM place AS p JOIN waiting_room AS w USING (room_id)
    WHERE p.room_id = ANY ($1::int[]) ORDER BY p.room_id, p.number
"""
_GAPS = """
    SELECT extract(epoch FROM following.admitted_at - gone.finished_at)::float8
    FROM place AS gone JOIN place AS following USING (room_id)
    WHERE gone.reason = 'left' AND following.number = gone.number + $1
        AND following.admitted_at IS NOT NULL
"""


class Size(NamedTuple):
    """An installation: its concerts, and the admitted and waiting users of each."""

    concerts: int
    admitted: int = 0
    waiting: int = 0

    @property
    def name(self) -> str:
        """The name of the installation."""
        return f"{self.concerts:,} {'with waiting users' if self.waiting else 'quiet'}"


class Floor(NamedTuple):
    """Upper bounds; ``None``: none."""

    server_percent: float | None = None
    postgres_percent: float | None = None
    snapshot_ms: float | None = None
    slot_ms: float | None = None


class Used(NamedTuple):
    """The processors' time and the rounds of upkeep up to a moment."""

    at: float
    server: float
    postgres: float
    rounds: dict[tuple[str, str], float]


FLOORS = {
    Size(10): Floor(),
    Size(1_000): Floor(),
    Size(1_000, 5, 15): Floor(server_percent=10, postgres_percent=10, slot_ms=100),
    Size(10_000): Floor(server_percent=3, postgres_percent=2, snapshot_ms=5),
}


async def fill(owner: asyncpg.Connection, size: Size, slots: int) -> None:
    """Inserts the concerts, and a line for the slots where the others are quiet."""
    quiet = size.concerts if size.waiting else size.concerts - 1
    for statement in _CONCERTS:
        await owner.execute(statement, 1, size.concerts)
    await owner.execute(_LINES, 1, quiet, size.admitted, size.waiting, _JOINED_AT)
    if not size.waiting:
        await owner.execute(_LINES, size.concerts, size.concerts, 1, slots, _JOINED_AT)
    await owner.execute("ANALYZE")


async def used(house: FrontrowServer) -> Used:
    """Returns what the server and PostgreSQL have used so far."""
    connection = Connection(house.port)
    text = (await connection.ask("GET", "//metrics")).body
    await connection.close()
    rounds = {(task.decode(), end.decode()): float(v) for end, task, v in _ROUNDS.findall(text)}
    server = psutil.Process(house.process.pid).cpu_times()
    postmaster = psutil.Process(house.postgres)
    # The time of children that have ended is the postmaster's.
    ended = postmaster.cpu_times()
    running = (child.cpu_times() for child in postmaster.children())
    return Used(
        time.monotonic(),
        server.user + server.system,
        sum(t.user + t.system for t in running) + sum(ended[:4]),
        rounds,
    )


def idle(size: Size, before: Used, after: Used, rss: float) -> list[Found]:
    """Returns the figures of the time without calls."""
    floor, seconds = FLOORS[size], after.at - before.at
    percent = [
        round(100 * (later - sooner) / seconds, 2)
        for later, sooner in ((after.server, before.server), (after.postgres, before.postgres))
    ]
    found = [
        Found(f"{size.name}: CPU of the server", percent[0], "%", floor.server_percent),
        Found("  CPU of PostgreSQL", percent[1], "%", floor.postgres_percent),
    ]
    for task, bound in (("admission", None), ("snapshot", floor.snapshot_ms)):
        took, count = (
            after.rounds[task, end] - before.rounds[task, end] for end in ("sum", "count")
        )
        found.append(Found(f"  {task} round", round(took / count * 1e3, 2), "ms", bound))
    return [*found, Found("  memory of the server", rss, "MB")]


async def places_of(owner: asyncpg.Connection, rooms: Iterable[int]) -> dict[int, list[PlaceRef]]:
    """Returns the places of rooms by number."""
    places: dict[int, list[PlaceRef]] = {}
    for row in await owner.fetch(_PLACES, list(rooms)):
        place = PlaceRef(
            row["user_id"], row["concert_id"], row["room_id"], row["number"], row["place_id"],
            _JOINED_AT,
        )  # fmt: skip
        places.setdefault(place.room_id, []).append(place)
    return places


async def free_slots(
    house: FrontrowServer, pool: asyncpg.Pool, owner: asyncpg.Connection, size: Size, slots: int
) -> list[float]:
    """Lets admitted users leave. Returns the seconds until the next admission of each slot."""
    signer = await load_signer(pool, remembered_tokens=1)
    last: int = await owner.fetchval("SELECT max(room_id) FROM waiting_room")
    connection = Connection(house.port)

    async def leave(place: PlaceRef) -> None:
        answer = await connection.ask("DELETE", "/queue/tokens/me", signer.sign(place))
        if answer.status != 204:
            raise RuntimeError(answer.body.decode())

    async def seconds(count: int) -> list[float]:
        gaps: list[Any] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(gaps) < count:
                await asyncio.sleep(0.01)
                gaps = await owner.fetch(_GAPS, max(size.admitted, 1))
        return [float(value) for (value,) in gaps]

    if size.waiting:
        places = await places_of(owner, random.sample(range(1, last + 1), slots))
        began = time.monotonic()
        for count, some in enumerate(places.values()):
            await asyncio.sleep(began + count / SLOTS_PER_SECOND - time.monotonic())
            # The first leaver's slot is the next number's: others of the line stay.
            await leave(some[0])
    else:
        places = await places_of(owner, [last])
        for count in range(slots):
            await leave(places[last][count])
            await seconds(count + 1)
    found = await seconds(slots)
    await connection.close()
    return found


def slot_figures(size: Size, seconds: Sequence[float]) -> list[Found]:
    """Returns the percentiles of the times from a free slot to the next admission."""
    in_order = sorted(seconds)
    return [
        Found(
            f"  slot free → next called, p{percent} ({len(in_order)})",
            round(in_order[min(len(in_order) - 1, len(in_order) * percent // 100)] * 1e3, 2),
            "ms",
            FLOORS[size].slot_ms if percent == 99 else None,
        )
        for percent in (50, 90, 99)
    ]


async def measure(
    house: FrontrowServer, size: Size, *, idle_seconds: float, slots: int
) -> list[Found]:
    """Measures one installation."""
    urls = running_urls(house.directory.path)
    if urls is None:
        raise RuntimeError("the server does not run")
    owner = await asyncpg.connect(urls[0])
    await fill(owner, size, slots)
    await owner.close()
    # The process that is measured has read the concerts at its start.
    house.end()
    house.start()
    urls = running_urls(house.directory.path)
    if urls is None:
        raise RuntimeError("the server does not run")
    await asyncio.sleep(SETTLE_SECONDS)
    before = await used(house)
    await asyncio.sleep(idle_seconds)
    rss = round(psutil.Process(house.process.pid).memory_info().rss / 1e6, 1)
    found = idle(size, before, await used(house), rss)
    owner = await asyncpg.connect(urls[0])
    async with asyncpg.create_pool(urls[1], min_size=1, max_size=1) as pool:
        found += slot_figures(size, await free_slots(house, pool, owner, size, slots))
    await owner.close()
    return found


def memory_ratio(found: Sequence[Found]) -> Found:
    """Returns the memory with the most concerts, as a multiple of that with the fewest."""
    memory = [one.figure for one in found if one.what == "  memory of the server"]
    return Found("memory, most concerts / fewest", round(memory[-1] / memory[0], 2), "times", 1.3)


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.concerts", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="the time without calls")
    parser.add_argument("--slots", type=int, default=300, help="the slots that become free")
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args()
    found: list[Found] = []
    for size in FLOORS:
        with serving() as house:
            found += asyncio.run(
                measure(house, size, idle_seconds=asked.seconds, slots=asked.slots)
            )
    found.append(memory_ratio(found))
    return report("Many concerts", found, asked.output)


if __name__ == "__main__":
    sys.exit(main())
