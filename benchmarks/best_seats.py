"""Best seats compared with named seats, without HTTP: ``python -m benchmarks.best_seats``.

Two seats for each of many buyers in a house of 50,000, on an embedded PostgreSQL with the settings
of production: in batches on one connection, where the CPU of the database is counted (independent
of other load on the machine), and through the group commit. Prints tables and writes a JSON file.
Exits 1 if the best seats reach less than the floor, a share of the named seats' throughput (not
with ``--quick``).
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import asyncpg
import msgspec
import uvloop

from benchmarks.crowd import PRICE, Hall, HoldFields, hold_fields, let_in, open_hall
from benchmarks.timing import Figure, drive, machine
from frontrow.concerts.model import NewSection, NewShow
from frontrow.db.cluster import APP
from frontrow.db.migrate import migrate
from frontrow.db.pool import SERVER_SETTINGS
from frontrow.db.server import EmbeddedServer
from frontrow.ids import PlaceRef
from frontrow.reservations.model import AddressSeats, Wish
from frontrow.reservations.queries import BestHoldItem, BestHoldRow, HoldItem, HoldRow
from frontrow.reservations.queries import queries as holding
from frontrow.services import Services, open_services
from frontrow.settings import Settings

FLOOR = 0.6
BATCH = 128
ROUNDS = 20
SEATS = 50_000
ROW = 50


class House(NamedTuple):
    """The rows of a house, which seats are sold, and whether a section is named."""

    name: str
    sections: int = 1
    rows: int = SEATS // ROW
    sold: str = "false"
    """The numbers of the sold seats, in SQL."""
    section: str | None = "1"
    odd: int = 0
    """1 if the free pairs begin at even numbers."""

    @property
    def seats_per_row(self) -> int:
        """Returns the seats per row, so that all houses have the same number of seats."""
        return SEATS // self.sections // self.rows


HOUSES = (
    House("rows of 50, all free"),
    House("rows of 50, the front half sold", sold=f"number <= {SEATS // 2}"),
    House("rows of 50, every other pair sold", sold="number % 4 IN (0, 1)", odd=1),
    House(
        "one row, its middle half sold",
        rows=1,
        sold=f"number BETWEEN {SEATS // 4} AND {SEATS // 4 * 3 - 1}",
    ),
    House(
        "200 sections, the front half sold",
        200,
        SEATS // ROW // 200,
        f"number <= {SEATS // 2}",
        None,
    ),
)


async def two_each(
    services: Services, house: House, buyers: int, callers: int
) -> tuple[Figure, Figure]:
    """Measures named pairs in random order, then best pairs, each on a house of its own."""
    show = _show(house)
    named_hall, places = await _filled(services, show, house, buyers)
    pairs = await _free_pairs(services, named_hall, house)
    firsts = random.sample(pairs, buyers)

    async def named(request: tuple[PlaceRef, int]) -> None:
        place, first = request
        await services.reservations.hold(place, named_hall.shows[0], [first, first + 1], None)

    by_name = await drive(
        f"{house.name}: named", zip(places, firsts, strict=True), named, callers=callers
    )
    hall, places = await _filled(services, show, house, buyers)

    async def best(place: PlaceRef) -> None:
        await services.reservations.hold(place, hall.shows[0], Wish(2, house.section), None)

    chosen = await drive(f"{house.name}: best", places, best, callers=callers)
    ratio = round(chosen.per_second / by_name.per_second, 2)
    return by_name, msgspec.structs.replace(chosen, ratio=ratio)


def _show(house: House) -> NewShow:
    return NewShow(
        starts_at=datetime.now(UTC) + timedelta(days=30),
        sections=[
            NewSection(str(at + 1), PRICE, rows=house.rows, seats_per_row=house.seats_per_row)
            for at in range(house.sections)
        ],
    )


async def _free_pairs(services: Services, hall: Hall, house: House) -> list[int]:
    """Returns the first numbers of free pairs, no two of which share a seat."""
    rows = await services.pool.fetch(
        "SELECT number FROM seat WHERE show_id = $1 AND held_until IS NULL",
        hall.shows[0].show_id,
    )
    free = {row["number"] for row in rows}
    return [number for number in free if number % 2 != house.odd and number + 1 in free]


async def _filled(
    services: Services, show: NewShow, house: House, buyers: int
) -> tuple[Hall, list[PlaceRef]]:
    hall = await open_hall(services, [show])
    await services.pool.execute(
        f"""UPDATE seat SET reservation_id = gen_random_uuid(), held_until = 'infinity'
        WHERE show_id = $1 AND {house.sold}""",  # noqa: S608 - from the table above
        hall.shows[0].show_id,
    )
    return hall, await let_in(services, hall, buyers)


class Batches(msgspec.Struct, frozen=True):
    """CPU of the database for a hold of two seats, in alternating batches."""

    house: str
    named_cpu_us: float
    best_cpu_us: float

    @property
    def ratio(self) -> float:
        """Returns the number of best-seat holds for the price of a named one."""
        return round(self.named_cpu_us / self.best_cpu_us, 2)


async def batches(services: Services, url: str, house: House, rounds: int) -> Batches:
    """Holds batches of named pairs and of best pairs in turn, on one connection.

    The first batch of each isn't counted, because the connection plans its statements then.
    """
    hall, places = await _filled(services, _show(house), house, 2 * BATCH * (rounds + 1))
    # Best seats are taken from the front or the middle: they never meet the named ones.
    firsts = iter(sorted(await _free_pairs(services, hall, house))[-BATCH * (rounds + 1) :])
    asking = iter(places)
    show_id = hall.shows[0].show_id
    start = 1
    spent = {"named": 0.0, "best": 0.0}
    connection = await asyncpg.connect(url, server_settings=SERVER_SETTINGS)
    cpu = partial(_cpu_seconds, connection.get_server_pid())
    for turn in range(rounds + 1):
        for kind in spent:
            some = [hold_fields(p, show_id, uuid4()) for p in islice(asking, BATCH)]
            named = None
            if kind == "named":
                named = [first + at for first in islice(firsts, BATCH) for at in (0, 1)]
            before = cpu()
            rows = await _hold_all(connection, house, some, named, start)
            if named is None:
                start = rows[0].seats[0]
            if turn > 0:
                spent[kind] += cpu() - before
            if {row.outcome for row in rows} != {"held"}:
                raise RuntimeError(f"{house.name}, {kind}: not all are held")
    await connection.close()
    each = 1e6 / (BATCH * rounds)
    return Batches(house.name, round(spent["named"] * each, 1), round(spent["best"] * each, 1))


async def _hold_all(
    connection: asyncpg.Connection,
    house: House,
    holds: Sequence[HoldFields],
    named: Sequence[int] | None,
    search_from: int,
) -> Sequence[HoldRow | BestHoldRow]:
    """One batch: two of the named seats for each place, or the best two."""
    unpaid: Any = {"address_seats": AddressSeats(), "unpaid_holds": 20, "unpaid_seconds": 600}
    if named is not None:
        items = [HoldItem(*hold, 2) for hold in holds]
        return await holding.hold(connection, items, seats=named, **unpaid)
    wishes = [BestHoldItem(*hold, 2, house.section, together=True) for hold in holds]
    starts = [search_from] * len(holds)
    return await holding.hold_best(connection, wishes, search_from=starts, **unpaid)


def _cpu_seconds(pid: int) -> float:
    """Returns the CPU time of a process, by the scheduler's account in nanoseconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


async def measure(
    server: EmbeddedServer, houses: Sequence[House], buyers: int, rounds: int
) -> dict[str, Any]:
    """Returns all figures; of each house those of the round with the median ratio."""
    await migrate(server.owner_url, app_role=APP)
    figures: list[Figure] = []
    alone = []
    async with open_services(Settings(database_url=server.app_url)) as services:
        for house in houses:
            alone.append(await batches(services, server.app_url, house, ROUNDS))
            for callers in (256, 1_000):
                found = [await two_each(services, house, buyers, callers) for _ in range(rounds)]
                figures += sorted(found, key=lambda pair: pair[1].ratio or 0)[rounds // 2]
    return {"batches": alone, "figures": figures, "machine": machine()}


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.best_seats", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, to check that it works")
    parser.add_argument(
        "--path",
        type=Path,
        default=Path("benchmarks/results/best_seats.json"),
        help="the JSON file",
    )
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="frontrow-benchmark-"))
    try:
        with EmbeddedServer(folder) as server:
            buyers, rounds = (2_000, 1) if asked.quick else (10_000, 3)
            found = uvloop.run(measure(server, HOUSES, buyers, rounds))
    finally:
        shutil.rmtree(folder)
    print(f"{'CPU of the database, µs a call':44}{'named':>8}{'best':>8}{'ratio':>8}")
    for b in found["batches"]:
        print(f"{b.house:44}{b.named_cpu_us:>8}{b.best_cpu_us:>8}{b.ratio:>8}")
    print(f"{'':44}{'callers':>8}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}{'of named':>10}")
    for f in found["figures"]:
        print(
            f"{f.what:44}{f.callers:>8}{f.per_second:>12,.0f}{f.p50_ms:>9}{f.p99_ms:>9}"
            f"{f.ratio or '':>10}"
        )
    asked.path.parent.mkdir(parents=True, exist_ok=True)
    asked.path.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    slow = [f for f in found["figures"] if f.ratio is not None and f.ratio < FLOOR]
    for figure in slow:
        print(f"MISSED {figure.what}, {figure.callers} callers: {figure.ratio}", file=sys.stderr)
    return 1 if slow and not asked.quick else 0


if __name__ == "__main__":
    sys.exit(main())
