"""Pruning and erasing in a line of a million: ``python -m benchmarks.retention``.

Starts an embedded PostgreSQL with the settings of production (fsync on) in a temporary folder and
fills one line with SQL: of ten places one paid, two held until the hold expired, two claimed and
left, and five still waited when the line closed; all of it a hundred days ago. Then one user of a
hundred thousand places is erased, and everything is pruned while others join another line.
``--places`` makes the line shorter.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from pydantic import SecretStr

from benchmarks import house
from benchmarks.bounds import Found, report, spread
from frontrow.audit import run
from frontrow.db.cluster import APP
from frontrow.db.migrate import migrate
from frontrow.db.server import EmbeddedServer
from frontrow.retention.pruning import Pruned, prune
from frontrow.services import Services, open_services
from frontrow.settings import Settings

RESULTS = Path(__file__).with_name("results") / "retention.json"
PLACES = 1_000_000

# $1: the room, $2: its concert, $3: a show of that, $4: the number of places. Half of them were
# admitted.
_FILL = """
INSERT INTO app_user SELECT md5('u' || n)::uuid, now() - interval '101 days'
FROM generate_series(1, $4) AS n;
INSERT INTO place
SELECT md5('p' || n)::uuid, md5('u' || n)::uuid, at, $1, n, 'finished',
    (CASE WHEN NOT called OR n % 10 IN (3, 5) THEN 'expired' WHEN n % 10 = 1 THEN 'paid'
        ELSE 'left' END)::finish_reason,
    CASE WHEN NOT called THEN n / 2 END, CASE WHEN called THEN calls END,
    CASE WHEN called THEN calls END, CASE WHEN called THEN calls + interval '600 s' END,
    CASE WHEN called THEN calls + interval '600 s' END,
    CASE WHEN called THEN
        calls + CASE WHEN n % 10 IN (3, 5) THEN interval '600 s' ELSE interval '60 s' END
    ELSE at + interval '1 day' END
FROM generate_series(1, $4) AS n
CROSS JOIN LATERAL (SELECT n % 2 = 1 AS called, now() - interval '100 days' AS at) AS a
CROSS JOIN LATERAL (
    SELECT at + interval '1 hour' + (n - 1) / 1000 * interval '1 ms' AS calls
) AS c;
INSERT INTO admission (room_id, first_position, last_position, admitted, active, policy_version,
    admitted_at)
SELECT $1, min(number), max(number), count(*), $4, 1, admitted_at FROM place
WHERE room_id = $1 AND admitted_at IS NOT NULL GROUP BY admitted_at;
INSERT INTO reservation
SELECT md5('r' || n)::uuid, md5('u' || n)::uuid, $2, $3, $1, n, 1, ARRAY[n], 1000,
    (CASE n % 10 WHEN 1 THEN 'paid' ELSE 'expired' END)::reservation_state,
    p.claimed_at, p.claimed_at + interval '300 s',
    p.claimed_at + CASE n % 10 WHEN 1 THEN interval '60 s' ELSE interval '301 s' END
FROM generate_series(1, $4) AS n JOIN place AS p ON p.room_id = $1 AND p.number = n
WHERE n % 10 IN (1, 3, 5);
UPDATE waiting_room SET issued = $4, serving = $4 - 1, called = $4 / 2, left_count = $4 / 2,
    left_passed = $4 / 2 - 1, opens_at = NULL
WHERE room_id = $1;
"""


async def _measure(services: Services, url: str, places: int) -> list[Found]:
    made = await house.fill(services.pool, 1, admitted=False)
    old = await house.fill(services.pool, 0, admitted=False, seats=1)
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")
        text = _FILL
        for number, value in enumerate(
            (old.room_id, f"'{old.concert_id}'::uuid", f"'{old.shows[0].show_id}'::uuid", places), 1
        ):
            text = text.replace(f"${number}", str(value))
        await connection.execute(text)
    await services.pool.execute("VACUUM (ANALYZE) place")
    await services.rooms.snapshot.refresh()

    found = []
    (user_id,) = await services.pool.fetchrow("SELECT user_id FROM place WHERE number = 3")
    began = time.perf_counter()
    await services.erasures.erase(user_id)
    found.append(Found("erase a user", round((time.perf_counter() - began) * 1e3, 1), "ms"))
    began = time.perf_counter()
    await services.erasures.unlink()
    found.append(
        Found("its places made nobody's", round((time.perf_counter() - began) * 1e3, 1), "ms")
    )

    began = time.perf_counter()
    counted = await prune(url, older_than_days=90, dry_run=True)
    found.append(Found("prune --dry-run", round(time.perf_counter() - began, 2), "s"))
    joining = asyncio.create_task(_join(services, made))
    began = time.perf_counter()
    pruned = await prune(url, older_than_days=90)
    took = time.perf_counter() - began
    joining.cancel()
    joins = await joining
    if not pruned == counted == Pruned(places, places // 5, 0):
        raise SystemExit(f"{counted} counted, {pruned} pruned")
    found.append(Found(f"prune {sum(pruned):,} rows", round(took, 2), "s"))
    found.append(Found("that is", round(sum(pruned) / took), "rows/s"))
    found += spread("a join in another line meanwhile", joins)
    return found


async def _join(services: Services, made: house.House) -> list[float]:
    """Joins one after the other until it is cancelled; returns the duration of each join."""
    took: list[float] = []
    try:
        while True:
            began = time.perf_counter()
            await services.rooms.join(uuid4(), made.concert_id)
            took.append(time.perf_counter() - began)
    except asyncio.CancelledError:
        return took


async def main(places: int) -> int:
    """Measures, audits and reports."""
    folder = Path(tempfile.mkdtemp(prefix="frontrow-retention-"))
    try:
        with EmbeddedServer(folder) as server:
            await migrate(server.owner_url, app_role=APP)
            settings = Settings(database_url=SecretStr(server.app_url))
            async with open_services(settings) as services:
                found = await _measure(services, server.app_url, places)
            await _check(server.app_url)
    finally:
        shutil.rmtree(folder)
    return report(f"A line of {places:,} that has ended", found, RESULTS, places=places)


async def _check(url: str) -> None:
    """Audits the line; the sales, inserted without their transfers, are left out."""
    lines = ("numbers_are_gapless", "admission_is_logged_once", "leavers_are_counted",
             "admission_follows_order", "session_times_agree")  # fmt: skip
    broken = {found.invariant: found.examples for found in await run(url) if found.violations}
    if set(broken) & set(lines):
        raise SystemExit(f"the audit found {broken}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--places", type=int, default=PLACES, help="a multiple of 10")
    sys.exit(asyncio.run(main(parser.parse_args().places)))
