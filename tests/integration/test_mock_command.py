"""The command ``frontrow mock``: it starts without a database, and ends on a signal."""

import os
import re
import signal
import socket
import subprocess
import sys

import httpx2


def test_it_serves_until_a_signal() -> None:
    """It prints its address, answers there, and exits with 0."""
    with subprocess.Popen(
        [sys.executable, "-m", "frontrow", "mock", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "FRONTROW_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"},
    ) as process:
        assert process.stdout is not None
        try:
            line_with_address = next(line for line in process.stdout if "Mock" in line)
            address = re.search(r"http://\S+", line_with_address)
            assert address is not None
            concerts = httpx2.get(f"{address[0]}/concerts", timeout=60).json()["concerts"]
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
    assert len(concerts) == 1
    assert process.returncode == 0


def test_busy_port_is_reported_in_one_line() -> None:
    """The line has the port; the exit code is 3."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "frontrow", "mock", "--port", str(port)],
            check=False,
            capture_output=True,
            text=True,
        )
    assert ended.returncode == 3
    assert f"port {port} is busy" in ended.stderr
