"""The best seats beside seats that are named, without HTTP: ``python -m benchmarks.best_seats``.

Two seats for each of many buyers in a house of 50,000, through the group commit, on an embedded
PostgreSQL with the settings of production. Prints a table and writes a JSON file. Exits 1 where the
best seats give less than the floor of the named ones' throughput (not with ``--quick``).
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import uvloop

from benchmarks.crowd import PRICE, Hall, let_in, open_hall
from benchmarks.timing import Figure, drive, machine
from frontrow.concerts.model import NewSection, NewShow
from frontrow.db.cluster import APP
from frontrow.db.migrate import migrate
from frontrow.db.server import EmbeddedServer
from frontrow.ids import PlaceRef
from frontrow.reservations.best import Wish
from frontrow.services import Services, open_services
from frontrow.settings import Settings

FLOOR = 0.6
SEATS = 50_000
ROW = 50


class House(NamedTuple):
    """How the seats stand, which are sold, and whether a section is named."""

    name: str
    sections: int = 1
    rows: int = SEATS // ROW
    sold: str = "false"
    """Which numbers, in SQL."""
    section: str | None = "1"
    odd: int = 0
    """1 where the free pairs begin at even numbers."""

    @property
    def seats_per_row(self) -> int:
        """So that there are as many seats in each house."""
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
    """Named pairs, in any order, then best pairs, on a house of its own each."""
    show = NewShow(
        starts_at=datetime.now(UTC) + timedelta(days=30),
        sections=[
            NewSection(str(at + 1), PRICE, rows=house.rows, seats_per_row=house.seats_per_row)
            for at in range(house.sections)
        ],
    )
    named_hall, places = await _filled(services, show, house, buyers)
    rows = await services.pool.fetch(
        "SELECT number FROM seat WHERE show_id = $1 AND held_until IS NULL",
        named_hall.shows[0].show_id,
    )
    free = {row["number"] for row in rows}
    pairs = [number for number in free if number % 2 != house.odd and number + 1 in free]
    firsts = random.sample(pairs, buyers)

    async def named(want: tuple[PlaceRef, int]) -> None:
        place, first = want
        await services.reservations.hold(place, named_hall.shows[0], [first, first + 1], None)

    by_name = await drive(
        f"{house.name}: named", zip(places, firsts, strict=True), named, callers=callers
    )
    hall, places = await _filled(services, show, house, buyers)

    async def best(place: PlaceRef) -> None:
        await services.best_seats.hold(place, hall.shows[0], Wish(2, house.section), None)

    chosen = await drive(f"{house.name}: best", places, best, callers=callers)
    ratio = round(chosen.per_second / by_name.per_second, 2)
    return by_name, msgspec.structs.replace(chosen, ratio=ratio)


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


async def measure(
    server: EmbeddedServer, houses: Sequence[House], buyers: int, rounds: int
) -> dict[str, Any]:
    """All figures; of each house the round with the median ratio."""
    await migrate(server.owner_url, app_role=APP)
    figures: list[Figure] = []
    async with open_services(Settings(database_url=server.app_url)) as services:
        for house in houses:
            for callers in (256, 1_000):
                found = [await two_each(services, house, buyers, callers) for _ in range(rounds)]
                figures += sorted(found, key=lambda pair: pair[1].ratio or 0)[rounds // 2]
    return {"figures": figures, "machine": machine()}


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.best_seats", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, to see that it works")
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
