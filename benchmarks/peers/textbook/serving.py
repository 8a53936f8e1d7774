"""Starts Redis and the textbook system's server."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from tools.programs import find

START_SECONDS = 30.0


@contextmanager
def redis_server(folder: Path) -> Iterator[tuple[int, str]]:
    """Yields the process id and the URL of a Redis that stores nothing on disk."""
    program = find("redis-server")
    if program is None:
        raise RuntimeError("redis-server is missing: install it, or run `make redis-server`")
    socket = folder / "redis.sock"
    options = {"port": "0", "unixsocket": str(socket), "save": "", "appendonly": "no"}
    command = [program, *(part for name, value in options.items() for part in (f"--{name}", value))]
    with _process(command, {}, socket.exists) as pid:
        yield pid, f"unix://{socket}"


@contextmanager
def textbook_server(port: int, database_url: str, redis_url: str) -> Iterator[int]:
    """Yields the process id of the server: one worker, as Frontrow's has."""
    command = [
        sys.executable, "-m", "uvicorn", "benchmarks.peers.textbook.app:app",
        "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-server-header",
        "--log-level", "warning", "--port", str(port), "--backlog", "4096",
    ]  # fmt: skip
    variables = {"TEXTBOOK_DATABASE_URL": database_url, "TEXTBOOK_REDIS_URL": redis_url}
    with _process(command, variables, lambda: _answers(port)) as pid:
        yield pid


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=1):
            return True
    except HTTPError:
        return True
    except OSError:
        return False


@contextmanager
def _process(
    command: list[str], variables: dict[str, str], ready: Callable[[], bool]
) -> Iterator[int]:
    process = subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(START_SECONDS)
