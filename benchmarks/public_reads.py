"""Reads of the public with many concerts: ``python -m benchmarks.public_reads [--concerts 10000]``.

Starts ``frontrow serve`` with one worker and fills its database. Prints the time and size of a page
of the list, a search, a page of the site and the metrics, and how long a steady call takes with and
without a scrape of the metrics each second. The driver is one process beside the server; each
figure is the median of its repetitions unless named otherwise.
"""

import argparse
import asyncio
import gzip
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

import asyncpg
import httpx2

from benchmarks.servers import API, free_port, serving, traversable
from benchmarks.timing import machine
from frontrow.db.server import running_urls

REPETITIONS = 5
CALLS_PER_SECOND = 100
WATCHED_SECONDS = 6
FILL = """
INSERT INTO concert (
    concert_id, request_hash, title, artist, venue, timezone, currency, hold_seconds,
    max_seats_per_user, created_at, search
)
SELECT gen_random_uuid(), n, 'Concert ' || n, 'Artist ' || n % 997, 'Hall ' || n % 101, 'UTC',
    'KRW', 300, 4, now(), 'concert ' || n || E'\\nartist ' || n % 997 || E'\\nhall ' || n % 101
FROM generate_series(1, $1::int) AS n
"""
FILL_MORE = """
INSERT INTO waiting_room (concert_id, policy, session_seconds, claim_seconds)
SELECT concert_id, '{"kind": "max_active", "max_active": 100}', 600, 120 FROM concert;
INSERT INTO policy_change SELECT room_id, 1, policy, now() FROM waiting_room;
INSERT INTO show
SELECT gen_random_uuid(), concert_id, 1, t.at, t.at::date, t.at, 50, 50000
FROM concert
CROSS JOIN LATERAL (SELECT now() + (request_hash % 360 + 1) * interval '1 day' AS at) AS t;
INSERT INTO stock (show_id) SELECT show_id FROM show;
SELECT concert_list(array_agg(concert_id)) FROM concert;
ANALYZE;
"""


async def _fill(data_dir: Path, concerts: int) -> None:
    urls = running_urls(data_dir)
    if urls is None:
        raise SystemExit("the server has no database")
    owner = await asyncpg.connect(urls[0])
    try:
        await owner.execute(FILL, concerts)
        await owner.execute(FILL_MORE)
    finally:
        await owner.close()


async def _timed(http: httpx2.AsyncClient, path: str) -> tuple[float, httpx2.Response]:
    started = perf_counter()
    response = await http.get(path)
    response.raise_for_status()
    return (perf_counter() - started) * 1000, response


async def _report(http: httpx2.AsyncClient, name: str, path: str) -> None:
    """Prints a call that is made again each time, and its repetition within the second."""
    first, again = [], []
    for _ in range(REPETITIONS):
        await asyncio.sleep(1.05)
        took, response = await _timed(http, path)
        first.append(took)
        again.append((await _timed(http, path))[0])
    packed = len(gzip.compress(response.content))
    print(
        f"| {name} | {statistics.median(first):.1f} | {statistics.median(again):.1f} "
        f"| {len(response.content):,} | {packed:,} |"
    )


async def _latencies(http: httpx2.AsyncClient, path: str, *, scraping: bool) -> list[float]:
    """Returns how long calls at a fixed rate take, in order; with a scrape each second."""
    loop = asyncio.get_running_loop()
    scrapes = []
    calls = []
    started = loop.time()
    for number in range(WATCHED_SECONDS * CALLS_PER_SECOND):
        await asyncio.sleep(max(0.0, started + number / CALLS_PER_SECOND - loop.time()))
        calls.append(asyncio.create_task(_timed(http, path)))
        if scraping and number % CALLS_PER_SECOND == 0:
            scrapes.append(asyncio.create_task(_timed(http, "/metrics")))
    await asyncio.gather(*scrapes)
    return sorted(took for took, _ in await asyncio.gather(*calls))


async def _measure(port: int, concerts: int) -> None:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
        print(f"{machine()}; {concerts:,} concerts\n")
        print(
            "| call | read again, ms | shared, ms | bytes | gzip |\n| --- | --- | --- | --- | --- |"
        )
        page = (await http.get(f"{API}/concerts")).json()
        concert = page["concerts"][0]["concert_id"]
        await _report(http, "first page", f"{API}/concerts")
        await _report(http, "second page", f"{API}/concerts?after={page['next']}")
        await _report(http, "search, many matches", f"{API}/concerts?q=ARTIST")
        await _report(http, "search, no match", f"{API}/concerts?q=nobody")
        await _report(http, "one concert", f"{API}/concerts/{concert}")
        await _report(http, "the page `/`", "/")
        await _report(http, "`/metrics`", "/metrics")
        print("\n| a call at 100 a second | p50 ms | p99 ms | p99.9 ms | max ms |")
        print("| --- | --- | --- | --- | --- |")
        path = f"{API}/concerts/{concert}/queue"
        for name, scraping in (("alone", False), ("with scrapes", True)) * 2:
            found = await _latencies(http, path, scraping=scraping)
            figures = [found[int(len(found) * share)] for share in (0.5, 0.99, 0.999)]
            print(f"| {name} | " + " | ".join(f"{ms:.1f}" for ms in (*figures, found[-1])) + " |")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--concerts", type=int, default=10_000)
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="frontrow-reads-") as folder,
        traversable(Path(folder)) as data_dir,
    ):
        port = free_port()
        with serving(data_dir, port):
            asyncio.run(_fill(data_dir, chosen.concerts))
        with serving(data_dir, port):  # a start finds them as old concerts
            asyncio.run(_measure(port, chosen.concerts))


if __name__ == "__main__":
    main()
