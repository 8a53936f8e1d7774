"""What counting a client's network costs the database: ``python -m benchmarks.address_holds``.

Its CPU for a hold with and without a network, in batches on one connection, in turns; seats and
networks are chosen at random. Prints the median of each.
"""

import argparse
import random
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

import asyncpg
import uvloop

from benchmarks.crowd import hold_fields, let_in, put_on_sale
from frontrow.db.cluster import APP
from frontrow.db.migrate import migrate
from frontrow.db.pool import SERVER_SETTINGS
from frontrow.db.server import EmbeddedServer
from frontrow.reservations.model import AddressSeats
from frontrow.reservations.queries import HoldItem, queries
from frontrow.services import Services, open_services
from frontrow.settings import Settings

BATCH = 100
SHOW_SEATS = 500
LIMITS = AddressSeats(80, 20, 80, 200)
KINDS = ("none", "IPv4", "IPv6")


def network(kind: str) -> int | None:
    """Returns the network of a client at random."""
    if kind == "none":
        return None
    return random.getrandbits(31) if kind == "IPv4" else 0x2001 << 48 | random.getrandbits(48)


def cpu_ns(pid: int) -> int:
    """Returns the CPU time of a process, by the scheduler's account."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


async def hold_all(
    services: Services, connection: asyncpg.Connection, kind: str, holds: int
) -> float:
    """Holds seats of a new concert; returns the microseconds of CPU of a hold."""
    hall = await put_on_sale(services, shows=-(-holds // SHOW_SEATS), seats=SHOW_SEATS)
    places = await let_in(services, hall, holds)
    seats = [(show.show_id, number + 1) for show in hall.shows for number in range(SHOW_SEATS)]
    random.shuffle(seats)
    pid = connection.get_server_pid()
    spent = 0
    for begin in range(0, holds, BATCH):
        chosen = seats[begin : begin + BATCH]
        items = [
            HoldItem(*hold_fields(place, show_id, uuid4()), 1, network(kind))
            for place, (show_id, _) in zip(places[begin : begin + BATCH], chosen, strict=True)
        ]
        before = cpu_ns(pid)
        rows = await queries.hold(
            connection,
            items,
            seats=[number for _, number in chosen],
            address_seats=LIMITS,
            unpaid_holds=20,
            unpaid_seconds=600,
        )
        spent += cpu_ns(pid) - before
        if {row.outcome for row in rows} != {"held"}:
            raise RuntimeError({row.outcome for row in rows})
    return spent / holds / 1e3


async def measure(server: EmbeddedServer, holds: int, rounds: int) -> dict[str, float]:
    """Returns the median of each kind; the first round is not counted."""
    await migrate(server.owner_url, app_role=APP)
    connection = await asyncpg.connect(server.app_url, server_settings=SERVER_SETTINGS)
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    async with open_services(Settings(database_url=server.app_url)) as services:
        for _ in range(rounds + 1):
            for kind in KINDS:
                found[kind].append(await hold_all(services, connection, kind, holds))
    await connection.close()
    return {kind: statistics.median(figures[1:]) for kind, figures in found.items()}


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.address_holds", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, to check that it works")
    sizes = (200, 1) if parser.parse_args().quick else (2_000, 5)
    folder = Path(tempfile.mkdtemp(prefix="frontrow-benchmark-"))
    try:
        with EmbeddedServer(folder) as server:
            found = uvloop.run(measure(server, *sizes))
    finally:
        shutil.rmtree(folder)
    for kind, figure in found.items():
        print(f"{kind}: {figure:.1f} µs, {figure / found['none']:.2f} times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
