"""The time to refund a cancelled show: ``python -m benchmarks.cancellation``.

Starts an embedded PostgreSQL with the settings of production (fsync on) in a temporary folder,
sells every seat of one show, each to another buyer, and cancels the show: the call itself, then the
refunds as one process's upkeep makes them. The audit has to find nothing. Prints a line and writes
a JSON file. Exits 1 if it takes longer than its limit.
"""

import argparse
import shutil
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import msgspec
import uvloop

from benchmarks.crowd import PRICE, let_in, put_on_sale
from benchmarks.timing import drive, machine
from frontrow import audit
from frontrow.db.cluster import APP
from frontrow.db.migrate import migrate
from frontrow.db.server import EmbeddedServer
from frontrow.ids import PlaceRef
from frontrow.services import Services, open_services
from frontrow.settings import Settings

MOST_SECONDS = 30.0
RESULTS = Path("benchmarks/results/cancellation.json")


class Found(msgspec.Struct, frozen=True):
    """The measured times."""

    seats: int
    cancel_ms: float
    """The call, after which no seat of the show is sold."""
    refunds_seconds: float
    steps: int
    longest_step_ms: float
    """The upper bound of the wait for a wallet that is being refunded."""
    machine: dict[str, object]


async def sell(services: Services, seats: int) -> UUID:
    """Sells every seat of a show; returns the show."""
    hall = await put_on_sale(services, shows=1, seats=seats)
    show = hall.shows[0]
    places = await let_in(services, hall, seats)

    async def buy(sale: tuple[int, PlaceRef]) -> None:
        seat, place = sale
        held, _ = await services.reservations.hold(place, show, [seat], None)
        await services.payments.pay(place, held.reservation_id, PRICE, None)

    await drive("buy", enumerate(places, 1), buy, callers=500)
    # The crowd's places need no accounts; the audit does.
    await services.pool.execute("INSERT INTO app_user SELECT DISTINCT user_id, now() FROM place")
    return show.show_id


async def measure(server: EmbeddedServer, seats: int) -> Found:
    """Sells, cancels and refunds, then audits everything."""
    await migrate(server.owner_url, app_role=APP)
    async with open_services(Settings(database_url=server.app_url)) as services:
        show_id = await sell(services, seats)
        started = time.perf_counter()
        begun = await services.cancellations.cancel(show_id)
        cancelled = time.perf_counter()
        if begun.payments_total != seats:
            raise RuntimeError(f"{begun.payments_total} sales instead of {seats}")
        steps, running = [cancelled], True
        while running:
            running = await services.cancellations.step(show_id) == "running"
            steps.append(time.perf_counter())
        done = await services.cancellations.progress(show_id)
        if (done.state, done.amount_refunded) != ("cancelled", seats * PRICE):
            raise RuntimeError(f"not every buyer was refunded: {done}")
    broken = [one for one in await audit.run(server.app_url) if one.violations]
    if broken:
        raise RuntimeError(f"the audit found {broken}")
    took = [after - before for before, after in pairwise(steps)]
    return Found(
        seats,
        round((cancelled - started) * 1e3, 1),
        round(steps[-1] - cancelled, 2),
        len(took),
        round(max(took) * 1e3, 1),
        machine(),
    )


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cancellation", description=__doc__)
    parser.add_argument("--seats", type=int, default=50_000, help="seats sold, one a buyer")
    parser.add_argument("--path", type=Path, default=RESULTS, help="the JSON file")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="frontrow-benchmark-"))
    try:
        with EmbeddedServer(folder) as server:
            found = uvloop.run(measure(server, asked.seats))
    finally:
        shutil.rmtree(folder)
    print(
        f"{found.seats:,} seats sold, one a buyer: cancelled in {found.cancel_ms} ms, all "
        f"refunded {found.refunds_seconds} s later, in {found.steps} steps of at most "
        f"{found.longest_step_ms} ms"
    )
    asked.path.parent.mkdir(parents=True, exist_ok=True)
    asked.path.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    return int(found.cancel_ms / 1e3 + found.refunds_seconds > MOST_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
