"""Two instances on one database behind nginx, restarted one after the other while fans buy."""

import asyncio
from functools import partial
from pathlib import Path

from frontrow.db.server import EmbeddedServer
from testkit.desk import eventually
from testkit.server import FrontrowServer, scratch
from tests.acceptance.fans import Crowd, check_kept
from tests.acceptance.front import counted, fronting
from tests.programs import program

FANS = 20


def instance(folder: Path, database: EmbeddedServer) -> FrontrowServer:
    """One of several on a database of their own."""
    folder.mkdir()
    return FrontrowServer(
        folder,
        FRONTROW_DATABASE_URL=database.app_url,
        FRONTROW_MIGRATION_DATABASE_URL=database.owner_url,
        FRONTROW_LINGER_SECONDS="5",  # nginx lets go of an idle connection after 4 s
    )


async def _is_asked(house: FrontrowServer) -> bool:
    """Whether fans have come to this instance since it was started."""
    return await counted(house.port, "join_queue") > 0


async def test_no_request_fails_and_none_is_done_twice() -> None:
    """Every call is answered, none with a 5xx, and what was answered is there once."""
    program("nginx")
    with scratch() as folder, EmbeddedServer(folder / "database") as database:
        houses = [instance(folder / name, database) for name in ("one", "two")]
        try:
            for house in houses:
                house.start()
            concert = await houses[0].concert(shows=20, seats=500)
            with fronting(*(house.port for house in houses)) as (port, front):
                crowd = Crowd(port, concert["concert_id"])
                async with crowd.coming(FANS):
                    for house in houses:
                        await crowd.further_sales(5)
                        assert await asyncio.to_thread(house.end) == 0
                        await crowd.further_sales(5)  # by the other one alone
                        await asyncio.to_thread(house.start)
                        # nginx keeps off one that failed for a while (fail_timeout).
                        await eventually(partial(_is_asked, house))
                    await crowd.further_sales(5)
                assert not crowd.troubles, (front / "errors").read_text()
            crowd.port = houses[0].port
            await check_kept(crowd)
            checked = await houses[0].audited()
            assert checked["sale_has_one_debit"] == len(crowd.sales)
        finally:
            for house in houses:
                house.close()
