"""The CPU of a poll, layer by layer: the server, its bounds on requests, the framework, the call.

``python -m benchmarks.layers`` prints the CPU from the bytes of a request to those of its answer,
without the sockets, in turns. All handlers send an answer with the headers and size of a poll's.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import asyncpg
import uvicorn
import uvloop
from blacksheep import Application, Content, Request, Response, Router
from rich.console import Console
from rich.table import Table
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from benchmarks import bare, house, load
from benchmarks.limits import OFF, ON, Served, served
from benchmarks.servers import API, traversable
from frontrow.db.cluster import APP
from frontrow.db.migrate import migrate
from frontrow.db.server import EmbeddedServer
from frontrow.settings import Settings
from frontrow.web.server.protocol import protocol_for

PATH = f"{API}/queue/tokens/me"
BODY = b"x" * 420
HEADERS = [
    (b"etag", b'"0123456789abcdef-3600-12345-12344-100000-wopo-86400-90000"'),
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"authorization, cookie, frontrow-concert"),
    (b"x-request-id", b"0123456789abc"),
]
TYPE = b"application/json"
PEOPLE = 1_000


async def send_bare(scope: bare.Message, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's
    """Sends the answer as an ASGI handler."""
    size = b"%d" % len(BODY)
    headers = [(b"content-type", TYPE), (b"content-length", size), *HEADERS]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY, "more_body": False})


async def send_framed(request: Request) -> Response:
    """Sends the answer as a handler of the framework."""
    return Response(200, [*HEADERS], Content(TYPE, BODY))


async def framework() -> Application:
    """Returns an application with one handler."""
    app = Application(router=Router())
    app.router.add("GET", PATH, send_framed)
    await app.start()  # type: ignore[no-untyped-call]
    return app


def behind(app: Any, protocol: type[HttpToolsProtocol]) -> Served:  # noqa: ANN401 - any of ASGI
    """Returns an application behind a protocol."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, proxy_headers=False)
    config.load()
    return Served(config, protocol, {})


async def measure(url: str, owner_url: str, turns: int) -> dict[str, float]:
    """Returns the CPU of each layer and those below it, in µs per request: medians of the turns."""
    await migrate(owner_url, app_role=APP)
    async with asyncpg.create_pool(owner_url, min_size=1, max_size=2) as pool:
        tokens = (await house.fill(pool, PEOPLE, admitted=False)).tokens
    requests = [load.Request("GET", PATH, token).raw("127.0.0.1") for token in tokens]
    bounded, framed = protocol_for(Settings()), await framework()
    async with served(url, **OFF) as unlimited, served(url, **ON) as limited:
        layers = {
            "bare handler, uvicorn alone": behind(send_bare, HttpToolsProtocol),
            "with the server's bounds": behind(send_bare, bounded),
            "with the framework": behind(framed, bounded),
            "a poll without limits": unlimited,
            "a poll": limited,
        }
        found: dict[str, list[float]] = {name: [] for name in layers}
        for turn in range(turns + 1):
            for name, layer in layers.items():
                cost = await layer.ask_all(requests)
                if turn:  # the first one verifies the tokens
                    found[name].append(cost)
    return {name: statistics.median(costs) for name, costs in found.items()}


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=20)
    turns = parser.parse_args().turns
    with (
        tempfile.TemporaryDirectory(prefix="frontrow-bench-") as folder,
        traversable(Path(folder)) as data_dir,
        EmbeddedServer(data_dir) as server,
    ):
        found = uvloop.run(measure(server.app_url, server.owner_url, turns))
    table, yardstick = Table("layer", "µs", "times bare"), next(iter(found.values()))
    for name, cost in found.items():
        table.add_row(name, f"{cost:.1f}", f"{cost / yardstick:.2f}")
    Console(width=80).print(table)


if __name__ == "__main__":
    main()
