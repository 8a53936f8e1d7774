"""The command with a minimal application in place of the real one, to test the processes.

Run as a script: the command starts its workers by importing this file again, so that they have the
same application. ``/pid`` returns the pid, ``/slow`` takes a second for its answer once it has
begun; both return the settings that arrived.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from frontrow.db import migrate

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI application of three paths."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = json.dumps(
        {
            "pid": os.getpid(),
            "parent": os.getppid(),
            "database_url": os.environ.get("FRONTROW_DATABASE_URL"),
            "operator_key": os.environ.get("FRONTROW_OPERATOR_KEY"),
            "metrics_dir": os.environ.get("PROMETHEUS_MULTIPROC_DIR"),
        }
    ).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/slow":
        await send({"type": "http.response.body", "body": b" ", "more_body": True})
        await asyncio.sleep(1)
    await send({"type": "http.response.body", "body": body})


def create_app() -> object:
    """Creates the application for uvicorn; raises if the test asks for that."""
    if os.environ.get("STANDIN_FAILS"):
        msg = "the stand-in can't start"
        raise RuntimeError(msg)
    return application


def install() -> None:
    """Replaces the real application and engine in the modules that the command imports."""
    module = ModuleType("frontrow.web.app")
    vars(module)["create_app"] = create_app
    sys.modules["frontrow.web.app"] = module
    if folder := os.environ.get("STANDIN_MIGRATIONS"):
        migrate.MIGRATIONS = Path(folder)
        vars(migrate)["function_files"] = list


install()

if __name__ == "__main__":
    from frontrow.__main__ import run

    run()
