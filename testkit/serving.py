"""The real application, served on a free port of the loopback by a thread of the test process."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from blacksheep import Application
from pydantic import SecretStr

from frontrow.settings import Settings
from frontrow.web.app import create_app
from frontrow.web.server.protocol import protocol_for
from frontrow.web.server.workers import DrainingServer
from testkit.database import Database

OPERATOR_KEY = "the-operator-key-of-the-tests"


@asynccontextmanager
async def serving(database: Database, **settings: Any) -> AsyncIterator[str]:
    """Serves a database. Yields the server's address."""
    chosen = Settings(
        database_url=SecretStr(database.app_url), operator_key=SecretStr(OPERATOR_KEY), **settings
    )
    async with listening_at(create_app(chosen), chosen) as address:
        yield address


@asynccontextmanager
async def listening_at(
    application: Application, settings: Settings | None = None
) -> AsyncIterator[str]:
    """Serves an application, within the bounds of some settings. Yields the server's address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        server = DrainingServer(
            uvicorn.Config(
                application,
                http=protocol_for(settings or Settings()),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                # A client's connection must not be closed while it is slow to use it again.
                timeout_keep_alive=600,
            ),
            None,
            linger_seconds=0,
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the application didn't start"
                await asyncio.sleep(0.005)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await asyncio.to_thread(thread.join)
