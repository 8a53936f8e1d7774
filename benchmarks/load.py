"""Runs wrk against a server on loopback and measures the server's CPU."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import psutil

_SCRIPT = Path(__file__).with_name("requests.lua")
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class Request(msgspec.Struct, frozen=True):
    """One request for wrk."""

    method: str
    path: str
    token: str
    body: bytes = b""
    headers: str = ""
    """Further lines of the head, each with its end."""

    def raw(self, host: str) -> bytes:
        """Returns its bytes."""
        head = (
            f"{self.method} {self.path} HTTP/1.1\r\nHost: {host}\r\n"
            f"Authorization: Bearer {self.token}\r\n{self.headers}"
        )
        if self.body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n"
        return head.encode() + b"\r\n" + self.body


class Result(msgspec.Struct, frozen=True):
    """The figures of a run of wrk."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """CPU of the server's own processes, in µs per request, without the database's."""
    requests: int
    refused: int
    """Answers that were neither 2xx nor 3xx."""


def available() -> bool:
    """Returns whether wrk is installed."""
    return shutil.which("wrk") is not None


def run(
    requests: Sequence[Request],
    *,
    port: int,
    server_pids: Iterable[int],
    seconds: float,
    connections: int = 256,
) -> Result:
    """Sends the requests repeatedly for ``seconds``, or each once until they are used up."""
    processes = [psutil.Process(pid) for pid in server_pids]
    with tempfile.NamedTemporaryFile(suffix=".requests") as file:
        for request in requests:
            raw = request.raw(f"127.0.0.1:{port}")
            file.write(b"%d\n%b" % (len(raw), raw))
        file.flush()
        before = sum(sum(p.cpu_times()[:2]) for p in processes)
        output = subprocess.run(
            [
                "wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", "--timeout",
                "10s", "-s", str(_SCRIPT), f"http://127.0.0.1:{port}/", "--", file.name,
            ],
            capture_output=True, text=True, check=True, timeout=seconds + 120,
        ).stdout  # fmt: skip
        after = sum(sum(p.cpu_times()[:2]) for p in processes)
    total = int(_find(r"(\d+) requests in", output))
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return Result(
        requests_per_second=float(_find(r"Requests/sec:\s+([\d.]+)", output)),
        p50_ms=_milliseconds(_find(r"50%\s+([\d.]+[a-z]+)", output)),
        p99_ms=_milliseconds(_find(r"99%\s+([\d.]+[a-z]+)", output)),
        cpu_us=(after - before) / max(total, 1) * 1e6,
        requests=total,
        refused=int(refused[1]) if refused else 0,
    )


def _find(pattern: str, output: str) -> str:
    found = re.search(pattern, output)
    if found is None:
        raise RuntimeError(f"the output of wrk has nothing like {pattern}:\n{output}")
    return found[1]


def _milliseconds(value: str) -> float:
    found = re.fullmatch(r"([\d.]+)([a-z]+)", value)
    if found is None:
        raise RuntimeError(f"invalid time in the output of wrk: {value}")
    return float(found[1]) * _UNITS[found[2]]
