"""Two instances on one database behind nginx, restarted one after the other while fans buy."""

import asyncio
from functools import partial
from pathlib import Path

from frontrow.db.server import EmbeddedServer
from testkit.desk import eventually
from testkit.server import FrontrowServer, scratch
from tests.acceptance.fans import Crowd, check_kept
from tests.acceptance.nginx import counted, running_nginx
from tests.programs import program

FANS = 20


def instance(folder: Path, database: EmbeddedServer) -> FrontrowServer:
    """One of several instances on a shared database."""
    folder.mkdir()
    return FrontrowServer(
        folder,
        FRONTROW_DATABASE_URL=database.app_url,
        FRONTROW_MIGRATION_DATABASE_URL=database.owner_url,
        FRONTROW_LINGER_SECONDS="5",  # nginx closes an idle connection after 4 s
    )


async def _has_requests(server: FrontrowServer) -> bool:
    """Whether this instance has had requests of fans since its start."""
    return await counted(server.port, "join_queue") > 0


async def test_rolling_restart_fails_no_request() -> None:
    """Every call is answered without a 5xx, and every acknowledged write exists once."""
    program("nginx")
    with scratch() as folder, EmbeddedServer(folder / "database") as database:
        servers = [instance(folder / name, database) for name in ("one", "two")]
        try:
            for server in servers:
                server.start()
            concert = await servers[0].concert(shows=20, seats=500)
            with running_nginx(*(server.port for server in servers)) as (port, nginx):
                crowd = Crowd(port, concert["concert_id"])
                async with crowd.coming(FANS):
                    for server in servers:
                        await crowd.further_sales(5)
                        assert await asyncio.to_thread(server.end) == 0
                        await crowd.further_sales(5)  # by the other instance alone
                        await asyncio.to_thread(server.start)
                        # nginx avoids a failed server for a while (fail_timeout).
                        await eventually(partial(_has_requests, server))
                    await crowd.further_sales(5)
                assert not crowd.troubles, (nginx / "errors").read_text()
            crowd.port = servers[0].port
            await check_kept(crowd)
            checked = await servers[0].audited()
            assert checked["sale_has_one_debit"] == len(crowd.sales)
        finally:
            for server in servers:
                server.close()
