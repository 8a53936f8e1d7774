"""The time until a free slot has its next owner: ``python -m benchmarks.slots``.

``frontrow serve`` with two workers and its embedded database. Many lines that admit one user at a
time: each admitted user ends in one way, and the next is admitted. Both times are the database's:
when the place ended (if by time, when it was due by the rule, whether or not it was noticed), and
the next one's ``admitted_at``.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from benchmarks.bounds import Found, report, spread
from frontrow.db.server import running_urls
from testkit.connection import Connection, Json
from testkit.server import FrontrowServer, serving

RESULTS = Path(__file__).with_name("results") / "slots.json"
BOUND_MS = 250.0
LINES = 10
PATIENCE_SECONDS = 60.0
_LONG = {"claim_seconds": 60, "session_seconds": 60}


class Fan:
    """One user in a line that admits one at a time."""

    def __init__(self, connection: Connection, concert: Json, user: Json) -> None:
        self.connection = connection
        self.concert = concert
        self.user = user
        self.token = ""

    async def join(self) -> None:
        """Joins the line."""
        body = {"concert_id": self.concert["concert_id"]}
        joined = await self.ask(
            "POST", "/queue/tokens", body=body, credential=self.user["user_key"]
        )
        self.token = joined["token"]

    async def ask(
        self, method: str, path: str, *, body: Json | None = None, credential: str | None = None
    ) -> Json:
        """Makes a call that succeeds."""
        answer = await self.connection.ask(method, path, credential or self.token, body=body)
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer}")
        return answer.json() if answer.body else {}

    async def wait_until_admitted(self) -> None:
        """Waits for the admission."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await self.ask("GET", "/queue/tokens/me"))["state"] != "admitted":  # noqa: ASYNC110 - it polls
                await asyncio.sleep(0.02)

    async def hold(self) -> Json:
        """Holds the first free seat."""
        show = self.concert["shows"][0]
        date = f"/concerts/{self.concert['concert_id']}/dates/{show['date']}"
        seats = (await self.ask("GET", f"{date}/seats?available=true"))["seats"]
        body = {"show_id": show["show_id"], "seats": [seats[0]["number"]]}
        return await self.ask("POST", "/reservations", body=body)

    async def come(self) -> None:
        """Claims the place, and does nothing more."""
        await self.ask("GET", f"/concerts/{self.concert['concert_id']}/dates")

    async def pay(self) -> None:
        """Buys a seat."""
        held = await self.hold()
        path = f"/users/{self.user['user_id']}/balance/charges"
        await self.ask("POST", path, body={"amount": held["amount"]})
        body = {name: held[name] for name in ("reservation_id", "amount")}
        await self.ask("POST", "/payments", body=body)

    async def leave(self) -> None:
        """Leaves."""
        await self.ask("DELETE", "/queue/tokens/me")

    async def stay_away(self) -> None:
        """Never claims."""


class Way(NamedTuple):
    """One way in which a slot becomes free."""

    name: str
    act: Callable[[Fan], Awaitable[object]]
    room: Json
    ended: str
    """When the slot became free: SQL over the place."""
    proof: str
    """SQL over the place: that it ended in just this way."""


WAYS = (
    Way("payment", Fan.pay, _LONG, "p.finished_at", "p.reason = 'paid'"),
    Way("leave", Fan.leave, _LONG, "p.finished_at", "p.reason = 'left'"),
    Way(
        "claim window ended", Fan.stay_away, {"claim_seconds": 1, "session_seconds": 60},
        "p.admitted_at + interval '1 second'", "p.reason = 'expired' AND p.claimed_at IS NULL",
    ),
    Way(
        "session over", Fan.come, {"claim_seconds": 60, "session_seconds": 1},
        "p.claimed_at + interval '1 second'",
        "p.reason = 'expired' AND p.claimed_at IS NOT NULL AND p.expires_at = p.session_until",
    ),
    Way(
        "hold ended, after the session", Fan.hold, {"claim_seconds": 60, "session_seconds": 1},
        "(SELECT max(r.held_until) FROM reservation AS r"
        " WHERE r.room_id = p.room_id AND r.place_number = p.number)",
        "p.reason = 'expired' AND p.expires_at > p.session_until",
    ),
)  # fmt: skip


async def one_line(house: FrontrowServer, way: Way, people: int) -> str:
    """Creates a line in which every user ends in the same way; returns the concert."""
    concert = await house.concert(
        seats=people + 1, policy={"kind": "max_active", "max_active": 1}, **way.room
    )
    path = f"/admin/concerts/{concert['concert_id']}"
    await house.operate("PATCH", path, {"hold_seconds": 2})
    connection = Connection(house.port)
    fans = []
    for _ in range(people):
        user = (await connection.ask("POST", "/users", body={})).json()
        fans.append(Fan(connection, concert, user))
    # The first slot must become free only when the others wait.
    await house.operate("POST", f"{path}/waiting-room/pause")
    for fan in fans:
        await fan.join()
    await house.operate("POST", f"{path}/waiting-room/resume")
    for fan in fans:
        if way.act is not Fan.stay_away:
            await fan.wait_until_admitted()
            await way.act(fan)
    await connection.close()
    return str(concert["concert_id"])


async def gaps(url: str, way: Way, concerts: list[str], people: int) -> list[float]:
    """Returns the seconds between the end of each place and the next admission."""
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await connection.fetchval(_UNFINISHED, concerts):  # noqa: ASYNC110 - in a server
                await asyncio.sleep(0.1)
        rows = await connection.fetch(_GAPS.format(ended=way.ended, proof=way.proof), concerts)
    finally:
        await connection.close()
    if len(rows) != len(concerts) * (people - 1) or not all(row["proven"] for row in rows):
        raise RuntimeError(f"{way.name}: not every place ended in that way")
    return [float(row["seconds"]) for row in rows]


_UNFINISHED = """
SELECT count(*) FROM place AS p JOIN waiting_room AS w USING (room_id)
WHERE w.concert_id = ANY ($1::uuid[]) AND p.state <> 'finished'
"""
_GAPS = """
SELECT extract(epoch FROM following.admitted_at - ({ended}))::float8 AS seconds, {proof} AS proven
FROM place AS p
JOIN waiting_room AS w USING (room_id)
JOIN place AS following ON following.room_id = p.room_id AND following.number = p.number + 1
WHERE w.concert_id = ANY ($1::uuid[])
"""


async def measure(house: FrontrowServer, times: int) -> list[Found]:
    """Measures every way, one after the other."""
    urls: Any = running_urls(house.directory.path)
    people = -(-times // LINES) + 1
    found = []
    for way in WAYS:
        concerts = await asyncio.gather(*(one_line(house, way, people) for _ in range(LINES)))
        seconds = await gaps(urls[0], way, concerts, people)
        if min(seconds) < 0:
            raise RuntimeError(f"{way.name}: a user was admitted before a slot was free")
        found += spread(f"{way.name} ({len(seconds)})", seconds, at_most_ms=BOUND_MS)
    await house.audited()
    return found


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slots", description=__doc__)
    parser.add_argument("--times", type=int, default=200, help="the number of places for each way")
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args()
    with serving(workers=2) as house:
        found = asyncio.run(measure(house, asked.times))
    return report("From a free slot to the next owner's call", found, asked.output)


if __name__ == "__main__":
    sys.exit(main())
