"""A stranger wants to fill the log: with refused, malformed and failing requests."""

import asyncio

import pytest

from frontrow import logs
from testkit.desk import Desk
from tests.attacks.raw import raw_client

REQUESTS = 200
MALFORMED = (
    b"NOT HTTP\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    b"POST /api/v1/users HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{",
)


async def malformed(desk: Desk) -> None:
    """Sends requests that are no HTTP, or end early."""
    for turn in range(REQUESTS):
        async with raw_client(desk) as client:
            await client.send(MALFORMED[turn % len(MALFORMED)])
            if turn % 2:
                client.abort()


async def refused(desk: Desk) -> None:
    """Sends requests that are refused: wrong keys, forged tokens, unknown paths, invalid bodies."""
    for turn in range(REQUESTS):
        for path, key in (("/admin/audit", f"fro_{turn}"), ("/queue/tokens/me", f"a.b.{turn}")):
            await desk.http.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {key}"})
        await desk.http.get(f"/{turn}%0aforged")
        await desk.http.post("/api/v1/users", content=b"{" * turn)


async def failing(desk: Desk) -> None:
    """Sends calls that fail: their table is missing."""
    await desk.owner.execute("ALTER TABLE app_user RENAME TO hidden")
    try:
        answers = await asyncio.gather(
            *(desk.http.post("/api/v1/users", json={}) for _ in range(REQUESTS))
        )
    finally:
        await desk.owner.execute("ALTER TABLE hidden RENAME TO app_user")
    assert {answer.status_code for answer in answers} == {500}


@pytest.mark.usefixtures("restored_logging")
async def test_strangers_cause_a_limited_number_of_lines(
    desk: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    """Hundreds of requests of each kind cause ten lines of an event at most."""
    logs.configure("json")
    for attack in (malformed, refused, failing):
        await attack(desk)
        lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
        assert len(lines) <= 2 * logs.MOST_LINES, attack.__name__
    assert len(lines) == logs.MOST_LINES
    assert all("a call failed" in line for line in lines)
