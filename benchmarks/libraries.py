"""The libraries of the request path in two versions, each library alone, in turns.

``python -m benchmarks.libraries`` compares the versions that the lock file has with those of the
last commit: run it after ``make lock``. If they are the same, it compares them with the newest
releases. ``python -m benchmarks.libraries uvloop==0.23.0`` names a version. Each version gets a
virtual environment that is otherwise as locked, and is removed afterwards. Prints the server's CPU
per request; exits 1 if a new version costs a tenth more.
"""

import argparse
import asyncio
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.http import prepare, start
from benchmarks.load import Request, available, run
from benchmarks.servers import bare_handler, free_port, record

LIBRARIES = ("uvloop", "httptools", "uvicorn", "msgspec", "asyncpg", "blacksheep")
LOCK = "requirements/run.txt"
ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")
MOST = 1.10
# Makers of benchmarks.calls: without the database, and with it.
CALLS = ("poll_seen", "refused")
BARE = "bare handler"


class Pair(msgspec.Struct, frozen=True):
    """Two versions of a library, as requirements; the second one is the newer or tried one."""

    before: str
    after: str


class Target(msgspec.Struct, frozen=True):
    """A server that is sent the same requests again and again."""

    requests: Sequence[Request]
    port: int
    pid: int


class Found(msgspec.Struct, frozen=True):
    """The CPU of a handler with both versions, in µs per request: medians of the turns."""

    handler: str
    before_us: float
    after_us: float
    ratio: float
    """The median of the turns' ratios."""


def locked(text: str) -> dict[str, str]:
    """Returns the requirement of each library in a lock file."""
    found = re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {name: f"{name}=={version}" for name, version in found if name in LIBRARIES}


def pairs(named: Sequence[str]) -> list[Pair]:
    """Returns what is compared: the named versions, else what the lock file changes, else all."""
    now = locked((ROOT / LOCK).read_text(encoding="utf-8"))
    if named:
        return [Pair(now[re.split(r"[=<>]", name)[0]], name) for name in named]
    committed = subprocess.run(
        ["git", "show", f"HEAD:{LOCK}"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return changed(locked(committed), now)


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[Pair]:
    """Returns the libraries that are locked otherwise than before; if none, all with the newest."""
    found = [Pair(before[name], now[name]) for name in now if before[name] != now[name]]
    return found or [Pair(now[name], name) for name in now]


def environment(folder: Path, requirement: str) -> Path:
    """Makes a virtual environment as locked, with another version of a library.

    Returns its interpreter.
    """
    python = folder / "bin/python"
    install = ["pip", "install", "--python", str(python)]
    for arguments in (
        ["venv", "--python", sys.executable, str(folder)],
        [*install, "--require-hashes", "-r", LOCK],
        [*install, "--no-deps", "."],
        [*install, "--no-deps", "--upgrade", requirement],
    ):
        subprocess.run([UV, *arguments, "--quiet"], cwd=ROOT, check=True)
    return python


async def targets(stack: AsyncExitStack, python: Path, scale: float) -> dict[str, Target]:
    """Starts the servers of an environment. Returns them by the name of what they answer."""
    server = await start(stack, python, scale)
    found = {}
    for make in server.makers:
        if make.__name__ in CALLS:
            scenario = await prepare(server, make)
            found[scenario.call] = Target(scenario.requests, server.port, server.pid)
    poll, port = next(iter(found.values())), free_port()
    recorded = record(poll.requests[0], poll.port)
    pid = stack.enter_context(bare_handler(recorded, port, python=python))
    return {BARE: Target(poll.requests[:1000], port, pid)} | found


async def compare(pair: Pair, *, turns: int, seconds: float, scale: float) -> list[Found]:
    """Measures both versions of a library in turns."""
    with tempfile.TemporaryDirectory(prefix="frontrow-libraries-") as folder:
        pythons = [
            environment(Path(folder) / str(at), requirement)
            for at, requirement in enumerate((pair.before, pair.after))
        ]
        async with AsyncExitStack() as stack:
            both = [await targets(stack, python, scale) for python in pythons]
            return [
                _in_turns(handler, [one[handler] for one in both], turns, seconds)
                for handler in both[0]
            ]


def _in_turns(handler: str, both: Sequence[Target], turns: int, seconds: float) -> Found:
    found: list[list[float]] = []
    for turn in range(turns):
        costs = [0.0, 0.0]
        for at in (0, 1) if turn % 2 else (1, 0):
            one = both[at]
            costs[at] = run(
                one.requests, port=one.port, server_pids=[one.pid], seconds=seconds
            ).cpu_us
        found.append(costs)
    return Found(
        handler,
        statistics.median(before for before, _ in found),
        statistics.median(after for _, after in found),
        statistics.median(after / before for before, after in found),
    )


def main() -> None:
    """Measures each pair, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("named", nargs="*", metavar="NAME==VERSION", help="compared with the lock")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each run")
    parser.add_argument(
        "--scale", type=float, default=0.2, help="the number of users in the houses"
    )
    options = parser.parse_args()
    if not available():
        sys.exit("wrk is missing: install it (Debian: apt-get install wrk) and run this again")
    table = Table("library", "handler", "before µs", "after µs", "ratio")
    worst = 0.0
    for pair in pairs(options.named):
        print(f"{pair.before} and {pair.after}", file=sys.stderr)
        found = asyncio.run(
            compare(pair, turns=options.turns, seconds=options.seconds, scale=options.scale)
        )
        worst = max(worst, *(one.ratio for one in found))
        _add_rows(table, f"{pair.before} → {pair.after}", found)
    Console(width=110).print(table)
    if worst > MOST:
        sys.exit(f"a version costs {worst:.2f} times as much: pin the other one, or say why not")


def _add_rows(table: Table, name: str, found: Iterable[Found]) -> None:
    for one in found:
        table.add_row(
            name, one.handler, f"{one.before_us:.1f}", f"{one.after_us:.1f}", f"{one.ratio:.2f}"
        )


if __name__ == "__main__":
    main()
