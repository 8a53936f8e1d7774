"""The servers that the benchmarks over HTTP compare, each in a process of its own.

Frontrow with one worker; a bare ASGI handler that sends a recorded response; an empty typed
handler. All of them run on uvicorn with uvloop and httptools.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from urllib.request import urlopen

import msgspec

from benchmarks.bare import Recorded
from benchmarks.load import Request

API = "/api/v1"
OPERATOR_KEY = "benchmark-operator-key"
PYTHON = Path(sys.executable)


@contextmanager
def serving(data_dir: Path, port: int, *, python: Path = PYTHON) -> Iterator[int]:
    """Yields the id of the process of a Frontrow server that answers.

    Args:
        data_dir: where its embedded database is.
        port: its port.
        python: the interpreter of the virtual environment whose Frontrow is served.
    """
    command = [
        str(python), "-m", "frontrow", "serve", "--workers", "1",
        "--data-dir", str(data_dir), "--port", str(port),
    ]  # fmt: skip
    environment = os.environ | {
        "FRONTROW_OPERATOR_KEY": OPERATOR_KEY,
        "FRONTROW_LOG_LEVEL": "warning",
        "FRONTROW_CACHED_CREDENTIALS": "200000",
    }
    with _process(command, environment, lambda: _is_ready(port)) as pid:
        yield pid


@contextmanager
def bare_handler(recorded: Recorded, port: int, *, python: Path = PYTHON) -> Iterator[int]:
    """Yields the process of the handler that answers each request with a recorded response."""
    environment = os.environ | {"RECORDED": msgspec.json.encode(recorded).decode()}
    with _uvicorn("benchmarks.bare:app", environment, port, python) as pid:
        yield pid


@contextmanager
def empty_handler(port: int) -> Iterator[int]:
    """Yields the process of the handler that decodes and encodes JSON with the framework."""
    with _uvicorn("benchmarks.empty:app", dict(os.environ), port, PYTHON) as pid:
        yield pid


@contextmanager
def _uvicorn(app: str, environment: dict[str, str], port: int, python: Path) -> Iterator[int]:
    command = [
        str(python), "-m", "uvicorn", app, "--loop", "uvloop", "--http",
        "httptools", "--no-access-log", "--no-server-header", "--log-level", "warning",
        "--port", str(port), "--backlog", "4096",
    ]  # fmt: skip
    with _process(command, environment, lambda: _accepts(port)) as pid:
        yield pid


@contextmanager
def _process(
    command: list[str], environment: dict[str, str], is_up: Callable[[], bool]
) -> Iterator[int]:
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not is_up():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def record(request: Request, port: int) -> Recorded:
    """Returns the response of a server to a request."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request.raw(f"127.0.0.1:{port}"))
        answer = HTTPResponse(connection, method=request.method)
        answer.begin()
        headers = [
            (name.lower(), value) for name, value in answer.getheaders() if name.lower() != "date"
        ]
        return Recorded(answer.status, headers, answer.read())


@contextmanager
def traversable(folder: Path) -> Iterator[Path]:
    """Makes a folder accessible: as root the database runs under another account."""
    folder.chmod(0o711)
    yield folder / "data"


def free_port() -> int:
    """Returns a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
