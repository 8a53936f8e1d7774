"""Servers of the database that are silent: frozen, or cut off from the network."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from frontrow.db.hosts import Hosts
from testkit.database import Database
from testkit.desk import Desk, check_problem, eventually, open_desk
from testkit.relay import Relay, relay, through

CONNECT_SECONDS = 10.0


@pytest.fixture
async def relays(database: Database) -> AsyncIterator[list[Relay]]:
    """Two ways to one database: as if the second were the server that becomes the primary."""
    async with AsyncExitStack() as opened:
        yield [await opened.enter_async_context(relay(database.app_url)) for _ in range(2)]


@asynccontextmanager
async def desk_through(database: Database, *relays: Relay, **settings: Any) -> AsyncIterator[Desk]:
    """A server that reaches its database only by relays."""
    reached = replace(database, app_url=through(database.app_url, *relays))
    async with open_desk(reached, **settings) as made:
        yield made


async def test_silent_server_hides_no_other(database: Database, relays: list[Relay]) -> None:
    """The next server is connected to, and is the first one that is tried from then on."""
    url = through(database.app_url, *relays)
    relays[0].silence()
    with pytest.raises(TimeoutError):  # control: within one time limit for all
        await asyncpg.connect(url, timeout=1.0)
    hosts = Hosts(url)
    for _ in range(2):
        connection = await hosts.connect(timeout=CONNECT_SECONDS)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
    assert hosts.answers == {relays[1].address: "connected"}


async def test_all_silent_servers_are_named(database: Database, relays: list[Relay]) -> None:
    """The attempt ends in time, and each server has its answer."""
    for one in relays:
        one.silence()
    hosts = Hosts(through(database.app_url, *relays))
    with pytest.raises(TimeoutError):
        await hosts.connect(timeout=CONNECT_SECONDS)
    assert hosts.answers == {one.address: "no answer" for one in relays}


async def test_refusal_tells_more_than_silence(database: Database, relays: list[Relay]) -> None:
    """A wrong password is reported, whatever the other servers say."""
    relays[0].silence()
    url = through(database.app_url, *relays).replace("frontrow_app:", "frontrow_app:wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await Hosts(url).connect(timeout=CONNECT_SECONDS)


async def test_calls_go_on_at_another_server(database: Database, relays: list[Relay]) -> None:
    """Calls whose server becomes silent succeed at the next one, and have one effect each."""
    relays[1].silence()  # it is not the primary yet
    async with desk_through(database, *relays) as desk:
        fan = await desk.buyer(await desk.concert())
        relays[0].silence()
        charging = [asyncio.create_task(fan.charge(1)) for _ in range(3)]
        relays[1].resume()
        await asyncio.gather(*charging)
        relays[0].resume()  # it receives late what was sent to it
        assert (await fan.charge(1))["balance"] == 4


async def is_ready(desk: Desk) -> bool:
    """Whether the server reports that it is ready."""
    return (await desk.ask("GET", "//readyz")).status_code == 200


async def test_silent_database_is_unavailable(database: Database, relays: list[Relay]) -> None:
    """Calls are 503 unavailable, not overloaded; the log says when it is lost and back."""
    async with desk_through(database, relays[0], deadline_seconds=6.0) as desk:
        concert = await desk.concert()
        fan = await desk.buyer(concert)
        with capture_logs() as logged:
            relays[0].silence()
            path = f"/users/{fan.user_id}/balance/charges"
            refused = await fan.by_token("POST", path, json={"amount": 1})
            check_problem(refused, 503, "unavailable")
            unready = await desk.ask("GET", "//readyz")
            check_problem(unready, 503, "unavailable", cause="unreachable")
            relays[0].resume()
            await eventually(lambda: is_ready(desk))
        events = [line["event"] for line in logged]
        assert events.index("the database is lost") < events.index("the database is back")
        (back,) = (line for line in logged if line["event"] == "the database is back")
        assert back["refused"] >= 1
        assert back["seconds"] >= 3
