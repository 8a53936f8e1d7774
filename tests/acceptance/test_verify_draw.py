"""``frontrow verify-draw`` as a fan runs it against ``frontrow serve``, before and after a draw."""

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess

import asyncpg

from frontrow.db.server import running_urls
from testkit.connection import BASE, Connection, Json, close
from testkit.server import PATIENCE_SECONDS, FrontrowServer, frontrow, serving

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "draw.md"
PEOPLE = 25
OWN = (
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
    (r"\b[0-9a-f]{64}\b", "SUM"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME"),
    (r"\b[\d,]+\b", "N"),
)
"""What differs between draws."""
FLAGS = re.MULTILINE | re.DOTALL


def plain(text: str) -> str:
    """Returns a report without the values of one draw."""
    for own, name in OWN:
        text = re.sub(own, name, text)
    return text


def printed(text: str) -> str:
    """Returns the report on the page of the draw that contains this text."""
    blocks: list[str] = re.findall(
        r"^```text\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    return next(block for block in blocks if text in block)


@dataclass
class Line:
    """A line that will be drawn, and how its fans verify it."""

    server: FrontrowServer
    concert_id: str
    tokens: list[str]

    @property
    def url(self) -> str:
        """The URL that a fan copies from the address bar."""
        return f"http://127.0.0.1:{self.server.port}{BASE}/concerts/{self.concert_id}"

    async def join(self, people: int) -> None:
        """New guests join."""
        connection = Connection(self.server.port)
        for _ in range(people):
            guest: Json = (await connection.ask("POST", "/users", body={})).json()
            place = await connection.ask(
                "POST", "/queue/tokens", guest["user_key"], body={"concert_id": self.concert_id}
            )
            assert place.status == 201, place
            self.tokens.append(place.json()["token"])
        await close([connection])

    async def verify(self, *options: str, **environment: str) -> "CompletedProcess[str]":
        """Runs ``frontrow verify-draw``."""
        return await asyncio.to_thread(frontrow, "verify-draw", self.url, *options, **environment)

    async def open(self) -> None:
        """Opens the line as the operator; returns after the draw."""
        room = f"/admin/concerts/{self.concert_id}/waiting-room"
        opens_at = datetime.now(UTC) + timedelta(seconds=1)
        settings = await self.server.operate("GET", room)
        await self.server.operate("PUT", room, {**settings, "opens_at": opens_at.isoformat()})
        connection = Connection(self.server.port)
        async with asyncio.timeout(PATIENCE_SECONDS):
            path = f"/concerts/{self.concert_id}/queue/draw"
            while not (await connection.ask("GET", path)).json()["drawn_at"]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await connection.close()


async def drawn_line(server: FrontrowServer) -> Line:
    """A line with waiting users that is drawn tomorrow."""
    opens_at = datetime.now(UTC) + timedelta(days=1)
    concert = await server.concert(order="draw", opens_at=opens_at.isoformat())
    line = Line(server, concert["concert_id"], [])
    await line.join(PEOPLE)
    return line


async def test_fan_verifies_a_draw() -> None:
    """Checks with notes from before the draw: of everyone, by token, and with a wrong note."""
    with serving(workers=2) as server:
        line = await drawn_line(server)
        before = await line.verify()
        assert (before.returncode, before.stderr) == (4, "")
        assert plain(before.stdout) == plain(printed("not drawn before"))
        commitment = before.stdout.split()[-1]
        await line.open()
        await line.join(1)

        without = await line.verify()
        assert (without.returncode, without.stderr) == (0, "")
        assert without.stdout.splitlines()[-1] == "verified"
        assert "-       noted       not checked" in without.stdout
        full = await line.verify("--commitment", commitment.upper(), "--token", line.tokens[2])
        assert (full.returncode, full.stderr) == (0, "")
        assert plain(full.stdout) == plain(printed("own place"))
        late = await line.verify(FRONTROW_COMMITMENT=commitment, FRONTROW_TOKEN=line.tokens[-1])
        assert late.returncode == 0
        assert f"number {PEOPLE + 1} joined after the draw" in late.stdout
        assert late.stdout.splitlines()[:6] == full.stdout.splitlines()[:6]

        wrong = await line.verify("--commitment", "0" * 64)
        answer = wrong.stdout.splitlines()
        assert wrong.returncode == 1
        assert answer[1] == f"FAILED  noted       the commitment is {commitment} now"
        assert answer[-1] == "not verified: 1 of 5 checks failed"
        await server.audited()
        await check_elsewhere(server, line)
    down = await line.verify()
    assert (down.returncode, down.stdout) == (3, "")
    assert down.stderr.startswith(f"frontrow: can't fetch {line.url}/queue/draw: ")


async def check_elsewhere(server: FrontrowServer, line: Line) -> None:
    """A concert without a draw is reported as such; a token for another concert is refused."""
    other = Line(server, (await server.concert())["concert_id"], [])
    none = await other.verify()
    assert (none.returncode, none.stdout) == (3, "")
    assert none.stderr == f"frontrow: there is no draw at {other.url}/queue/draw\n"
    misused = await other.verify("--token", line.tokens[0])
    assert misused.returncode == 2
    assert "Invalid value for --token: it is for another concert" in misused.stderr


async def test_changed_draw_is_not_verified() -> None:
    """A position that was changed in the database is detected from outside."""
    with serving() as server:
        line = await drawn_line(server)
        await line.open()
        assert (await line.verify()).returncode == 0
        first, last = await swap_ends(server)
        # Each process has read the positions once, when the line was drawn.
        assert await asyncio.to_thread(server.end) == 0
        await asyncio.to_thread(server.start)
        found = await line.verify()
        assert found.returncode == 1
        number = min(first, last)
        shown, right = (PEOPLE, 1) if number == first else (1, PEOPLE)
        assert found.stdout.splitlines()[-2:] == [
            f"FAILED  positions   number {number} is at {shown}, but belongs at {right}",
            "not verified: 1 of 5 checks failed",
        ]


async def swap_ends(server: FrontrowServer) -> tuple[int, int]:
    """Exchanges the positions of the first and the last entry of a draw; returns their numbers."""
    urls = running_urls(server.directory.path)
    assert urls is not None
    owner = await asyncpg.connect(urls[0])
    try:
        ends = "SELECT number FROM drawn WHERE position IN (1, $1) ORDER BY position"
        first, last = [row["number"] for row in await owner.fetch(ends, PEOPLE)]
        await owner.execute(
            """UPDATE drawn SET number = CASE position WHEN 1 THEN $2::int ELSE $1 END
            WHERE number IN ($1, $2)""",
            first,
            last,
        )
    finally:
        await owner.close()
    return first, last
