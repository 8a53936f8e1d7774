"""Kill -9 during a cancellation: another process continues, and every buyer is refunded once."""

import asyncio
import os
import signal
from uuid import UUID

import asyncpg

from frontrow.db.server import running_urls
from testkit.database import Database
from testkit.server import FrontrowServer, serving
from tests.buyers import Owner, services_on
from tests.races.crowds import crowd

BUYERS = 3_000
PRICE = 50_000


async def sell_out(database: Database, concert_id: UUID) -> None:
    """Sells every seat of the only show, one to each guest; calls services directly, for speed."""
    async with services_on(database) as services:
        places = await crowd(services, concert_id, BUYERS, balance=PRICE)
        (show,) = (await services.catalogue.shows(concert_id)).shows

        async def buy(turn: int) -> None:
            held, _ = await services.reservations.hold(places[turn], show, [turn + 1], None)
            await services.payments.pay(places[turn], held.reservation_id, PRICE, None)

        await asyncio.gather(*(buy(turn) for turn in range(BUYERS)))


def database_of(server: FrontrowServer) -> Database:
    """Returns the database of a running server."""
    urls = running_urls(server.directory.path)
    assert urls is not None
    return Database("frontrow", *urls)


async def refunded(owner: Owner) -> int:
    """Returns how many payments are refunded."""
    count: int = await owner.fetchval("SELECT payments_refunded FROM cancellation")
    return count


async def test_cancellation_continues_after_kill() -> None:
    """Server and PostgreSQL are killed during 3,000 refunds; their successors complete them."""
    with serving(workers=2) as server:
        concert = await server.concert(seats=BUYERS)
        await sell_out(database_of(server), UUID(concert["concert_id"]))
        show_id = concert["shows"][0]["show_id"]
        path = f"/admin/shows/{show_id}/cancellation"
        owner = await asyncpg.connect(database_of(server).owner_url)
        begun = await server.operate("POST", path)
        assert begun["payments_total"] == BUYERS
        async with asyncio.timeout(60):
            while not await refunded(owner):  # noqa: ASYNC110 - in the database
                await asyncio.sleep(0.001)
        postgres = server.postgres
        server.kill()
        assert 0 < await refunded(owner) < BUYERS
        owner.terminate()
        os.kill(postgres, signal.SIGKILL)

        await asyncio.to_thread(server.start)
        # Beside the server, which continues too.
        beside = await asyncio.to_thread(server.frontrow, "cancel-show", show_id)
        assert beside.returncode == 0, beside.stdout + beside.stderr
        assert beside.stdout == (
            f"cancelled: {BUYERS:,} of {BUYERS:,} payments refunded, {BUYERS * PRICE:,} in total; "
            f"{BUYERS:,} seats\n"
        )
        done = await server.operate("GET", path)
        assert (done["state"], done["payments_refunded"]) == ("cancelled", BUYERS)
        owner = await asyncpg.connect(database_of(server).owner_url)
        rows = await owner.fetch("SELECT balance, entries, count(*) FROM wallet GROUP BY 1, 2")
        assert [tuple(row) for row in rows] == [(PRICE, 3, BUYERS)]
        await owner.close()
        checked = await server.audited()
        assert checked["refund_gives_back_once"] == BUYERS
        assert server.end() == 0
        assert "a call failed" not in server.log.read_text()
