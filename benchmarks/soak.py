"""Every event of a line under failures: ``python -m benchmarks.soak``.

Two servers on one database. Users join, poll, leave, hold, pay, or never claim; claim windows,
sessions and holds expire; policies change, lines are paused and drawn; and now and then a server,
or a process of PostgreSQL, is killed with -9. At the end the books must be right: the audit finds
nothing, no user was admitted beyond the cap, every user was admitted in serving order, and every
recorded answer is still true. No process and no folder is left.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from random import Random
from urllib.request import Request, urlopen

import asyncpg
import msgspec

from benchmarks.bounds import Found, report
from benchmarks.fairness import inversions
from benchmarks.shoppers import Crowd, Room, check
from frontrow.db.cluster import APP
from frontrow.db.migrate import migrate
from frontrow.db.server import EmbeddedServer
from testkit.connection import Json
from testkit.server import OPERATOR_KEY, FrontrowServer, alive, frontrow, scratch

RESULTS = Path(__file__).with_name("results") / "soak.json"
SHOPPERS = 60
STEP_SECONDS = 0.7
OPENS_SECONDS = 2.0
POLICIES: tuple[Json, ...] = (
    {"kind": "max_active", "max_active": 12},
    {"kind": "max_active", "max_active": 4},
    {"kind": "rate", "admit": 12, "every_seconds": 1},
    {"kind": "max_active_and_rate", "max_active": 8, "admit": 20, "every_seconds": 1},
    {"kind": "adaptive", "min_active": 3, "max_active": 20, "target_p95_ms": 200},
)
TIMES: Json = {"claim_seconds": 1, "session_seconds": 2}


class Endured(msgspec.Struct, frozen=True):
    """What happened, and what was wrong in the end."""

    happened: Mapping[str, int]
    audit: str
    """The output of ``frontrow audit``; empty if it found nothing."""
    over_admissions: int
    tau_distance: int
    broken: list[str]
    left_behind: list[str]


class Stage:
    """Two servers on one database, and the disturbances."""

    def __init__(self, folder: Path, database: EmbeddedServer, random: Random) -> None:
        self.database = database
        self.random = random
        self.done: Counter[str] = Counter()
        self.processes = {database.pid}
        self.servers: list[FrontrowServer] = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            server = FrontrowServer(
                folder / name,
                FRONTROW_DATABASE_URL=database.app_url,
                FRONTROW_MIGRATION_DATABASE_URL=database.owner_url,
                FRONTROW_LOG_LEVEL="warning",
            )
            self.servers.append(server)
        self._next_killed = cycle(self.servers)
        self.crowd: Crowd

    def start(self, server: FrontrowServer) -> None:
        """Starts a server and waits until it answers."""
        server.start()
        self.processes.add(server.process.pid)

    async def operate(self, method: str, path: str, body: Json | None = None) -> None:
        """Makes a call of the operator to a server that runs."""
        for server in self.servers:
            if server.process.poll() is None:
                await server.operate(method, path, body)
                return
        raise RuntimeError("no server runs")

    async def add_room(self, policy: Json, *, drawn: bool) -> None:
        """Opens a line; a drawn one opens soon, so that there are users to draw."""
        settings = {**TIMES, "policy": policy}
        if drawn:
            opens_at = datetime.now(UTC) + timedelta(seconds=OPENS_SECONDS)
            settings |= {"order": "draw", "opens_at": opens_at.isoformat()}
        concert = await self.servers[0].concert(shows=4, seats=500, **settings)
        path = f"/admin/concerts/{concert['concert_id']}"
        await self.operate("PATCH", path, {"hold_seconds": 2})
        self.crowd.rooms.append(Room(concert, settings))

    async def change_policy(self) -> None:
        """Gives some line another policy."""
        room = self.random.choice(self.crowd.rooms)
        room.settings = {**room.settings, "policy": self.random.choice(POLICIES)}
        path = f"/admin/concerts/{room.concert_id}/waiting-room"
        await self.operate("PUT", path, room.settings)
        self.done["policies changed"] += 1

    async def pause(self) -> None:
        """Pauses some line for a moment."""
        path = f"/admin/concerts/{self.random.choice(self.crowd.rooms).concert_id}/waiting-room"
        await self.operate("POST", f"{path}/pause")
        await asyncio.sleep(STEP_SECONDS)
        await self.operate("POST", f"{path}/resume")
        self.done["pauses"] += 1

    async def kill_server(self) -> None:
        """Sends SIGKILL to a server under load, then starts it again."""
        server = next(self._next_killed)
        server.kill()
        self.done["servers killed"] += 1
        await asyncio.sleep(STEP_SECONDS)
        await asyncio.to_thread(self.start, server)

    async def kill_connection(self) -> None:
        """Sends SIGKILL to a process of PostgreSQL, which closes all connections and recovers."""
        connection = await asyncpg.connect(self.database.owner_url)
        pids = await connection.fetch(
            "SELECT pid FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        await connection.close()
        os.kill(self.random.choice(pids)["pid"], signal.SIGKILL)
        self.done["database crashes"] += 1

    async def draw(self) -> None:
        """Adds another drawn line."""
        await self.add_room(self.random.choice(POLICIES), drawn=True)


async def trouble(stage: Stage, seconds: float) -> None:
    """Causes one disturbance after the other until the time has passed."""
    steps: tuple[Callable[[], Awaitable[None]], ...] = (
        stage.change_policy, stage.kill_server, stage.pause, stage.kill_connection,
        stage.change_policy, stage.kill_server, stage.pause, stage.change_policy, stage.draw,
    )  # fmt: skip
    end = time.monotonic() + seconds
    for step in cycle(steps):
        await asyncio.sleep(min(STEP_SECONDS, max(0.0, end - time.monotonic())))
        if time.monotonic() >= end:
            return
        # The operator repeats a call while a server is down.
        async with asyncio.timeout(60):
            while not await _succeeds(step):  # noqa: ASYNC110 - it tries
                await asyncio.sleep(STEP_SECONDS / 4)


async def _succeeds(step: Callable[[], Awaitable[None]]) -> bool:
    try:
        await step()
    except (OSError, EOFError, AssertionError, asyncpg.PostgresError):
        return False
    return True


@asynccontextmanager
async def shopping(crowd: Crowd) -> AsyncIterator[None]:
    """Runs the shoppers during the block; each finishes its visit."""
    async with asyncio.TaskGroup() as group:
        for _ in range(SHOPPERS):
            group.create_task(crowd.come())
        try:
            yield
        finally:
            crowd.going_home = True


async def over_admissions(connection: asyncpg.Connection) -> int:
    """Returns by how many the admitted exceeded the cap, over all times of admission.

    Computed from the places alone: those admitted by then and not finished.
    """
    over = 0
    for room in await connection.fetch("SELECT room_id FROM waiting_room"):
        places = await connection.fetch(
            "SELECT admitted_at, finished_at FROM place"
            " WHERE room_id = $1 AND admitted_at IS NOT NULL",
            room["room_id"],
        )
        calls = await connection.fetch(
            "SELECT a.admitted_at, least(a.cap, (c.policy ->> 'max_active')::int) AS cap"
            " FROM admission AS a JOIN policy_change AS c USING (room_id, policy_version)"
            " WHERE a.room_id = $1",
            room["room_id"],
        )
        called = sorted(place["admitted_at"] for place in places)
        over_at = sorted(p["finished_at"] for p in places if p["finished_at"] is not None)
        for call in calls:
            moment = call["admitted_at"]
            active = bisect_right(called, moment) - bisect_right(over_at, moment)
            over += max(0, active - (active if call["cap"] is None else call["cap"]))
    return over


def order_of(port: int, concert_id: str) -> list[Json]:
    """Returns the export of a line."""
    url = f"http://127.0.0.1:{port}/api/v1/admin/concerts/{concert_id}/order"
    request = Request(url, headers={"Authorization": f"Bearer {OPERATOR_KEY}"})
    with urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
        places: list[Json] = json.load(answer)["places"]
    return places


def tau_distance(places: list[Json]) -> int:
    """Returns how many pairs of places were admitted against their serving order."""
    called = [place for place in places if place["admitted_at"] is not None]
    called.sort(key=lambda place: int(place["position"]))
    return inversions(datetime.fromisoformat(p["admitted_at"]).timestamp() for p in called)


_HAPPENED = """
SELECT count(*) AS joined,
    count(admitted_at) AS called,
    count(*) FILTER (WHERE reason = 'paid') AS paid,
    count(*) FILTER (WHERE left_seq IS NOT NULL) AS "left while waiting",
    count(*) FILTER (WHERE reason = 'left' AND left_seq IS NULL) AS "left from within",
    count(*) FILTER (WHERE reason = 'expired' AND claimed_at IS NULL) AS "claim windows over",
    count(*) FILTER (WHERE reason = 'expired' AND claimed_at IS NOT NULL) AS "sessions over",
    (SELECT count(*) FROM reservation) AS holds,
    (SELECT count(*) FROM reservation WHERE state = 'expired') AS "holds over",
    (SELECT count(*) FROM payment) AS payments,
    (SELECT count(*) FROM draw WHERE entrants > 0 AND drawn_at IS NOT NULL) AS draws
FROM place
"""


async def act(stage: Stage, seconds: float) -> None:
    """Runs everything, with the servers started."""
    stage.crowd = Crowd([server.port for server in stage.servers], [], stage.random)
    for policy in POLICIES:
        await stage.add_room(policy, drawn=False)
    await stage.draw()
    async with shopping(stage.crowd):
        await trouble(stage, seconds)


async def check_result(stage: Stage) -> Endured:
    """Checks the result, after the last shopper has finished."""
    await check(stage.crowd)
    port = stage.servers[0].port
    distance = 0
    for room in stage.crowd.rooms:
        distance += tau_distance(await asyncio.to_thread(order_of, port, room.concert_id))
    url = stage.database.app_url
    audit = await asyncio.to_thread(frontrow, "audit", FRONTROW_DATABASE_URL=url)
    connection = await asyncpg.connect(stage.database.owner_url)
    happened: dict[str, int] = dict(await connection.fetchrow(_HAPPENED))
    over = await over_admissions(connection)
    await connection.close()
    happened |= stage.done
    happened["requests without an answer"] = stage.crowd.counts["lost"]
    happened["joins acknowledged"] = len(stage.crowd.visits)
    happened["holds acknowledged"] = sum(len(visit.holds) for visit in stage.crowd.visits)
    happened["payments acknowledged"] = sum(v.payment is not None for v in stage.crowd.visits)
    broken = list(stage.crowd.broken)
    # A request without an answer is repeated with the same key, so that each has an answer.
    broken += [
        f"{happened[what]} {what}, and {happened[f'{what} acknowledged']} acknowledged"
        for what in ("holds", "payments")
        if happened[what] != happened[f"{what} acknowledged"]
    ]
    findings = "" if audit.returncode == 0 else audit.stdout + audit.stderr
    return Endured(happened, findings, over, distance, broken, [])


@contextmanager
def staged(folder: Path, seed: int, settings: Mapping[str, str]) -> Iterator[Stage]:
    """Yields the database and both servers; ends them."""
    with ExitStack() as stack:
        database = stack.enter_context(EmbeddedServer(folder / "database", settings=settings))
        asyncio.run(migrate(database.owner_url, app_role=APP))
        stage = Stage(folder, database, Random(seed))  # noqa: S311 - guards nothing
        for server in stage.servers:
            stage.start(server)
            stack.callback(server.close)
        yield stage


def soak(seconds: float, *, seed: int, settings: Mapping[str, str] | None = None) -> Endured:
    """Runs everything in a folder of its own.

    Args:
        seconds: the duration of the disturbances; the last visits and the checks come on top.
        seed: of the users and the disturbances.
        settings: of PostgreSQL, over those of production.
    """
    with scratch() as folder:
        with staged(folder, seed, settings or {}) as stage:
            asyncio.run(act(stage, seconds))
            endured = asyncio.run(check_result(stage))
            codes = [server.end() for server in stage.servers]
        left = [f"process {pid}" for pid in stage.processes if alive(pid)]
        left += [f"exit code {code}" for code in codes if code]
    if folder.exists():
        left.append(str(folder))
    return msgspec.structs.replace(endured, left_behind=left)


def main() -> int:
    """Runs the soak."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    endured = soak(asked.seconds, seed=asked.seed)
    for wrong in (endured.audit, *endured.broken[:20], *endured.left_behind):
        if wrong:
            print(wrong, file=sys.stderr)
    found = [Found(what, count, "") for what, count in endured.happened.items()]
    found += [
        Found("the audit finds something", int(bool(endured.audit)), "", 0),
        Found("admitted beyond the cap", endured.over_admissions, "", 0),
        Found("pairs admitted in the wrong order", endured.tau_distance, "", 0),
        Found("answers that became untrue", len(endured.broken), "", 0),
        Found("left behind", len(endured.left_behind), "", 0),
    ]
    return report(f"A soak of {asked.seconds:g} s", found, asked.output, endured=endured)


if __name__ == "__main__":
    sys.exit(main())
