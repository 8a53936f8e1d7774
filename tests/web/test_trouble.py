"""A server under stress: too many callers, a slow database, no database. It recovers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import httpx2

from frontrow.db.server import EmbeddedServer
from testkit.database import Database
from testkit.desk import DEADLINE_SECONDS, SOON, Desk, check_problem, eventually, open_desk

ONE = {"amount": 1}


@asynccontextmanager
async def users_locked(desk: Desk) -> AsyncIterator[None]:
    """Blocks the creation of accounts during the block."""
    locker = await asyncpg.connect(desk.database.owner_url)
    try:
        async with locker.transaction():
            await locker.execute("LOCK TABLE app_user IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await locker.close()


async def add_user(desk: Desk) -> httpx2.Response:
    """Creates an account."""
    return await desk.ask("POST", "/users", json={})


async def until_waiting(desk: Desk) -> None:
    """Waits until a statement of the server waits for a lock."""
    await eventually(
        lambda: desk.owner.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock')"
        )
    )


async def test_call_above_the_queue_limit_is_overloaded(database: Database) -> None:
    """One call above the queue's limit is 503 overloaded at once and not run; others succeed."""
    async with open_desk(database, queue_items=1) as desk:
        async with users_locked(desk):
            running = asyncio.create_task(add_user(desk))
            await until_waiting(desk)
            rivals = {asyncio.create_task(add_user(desk)) for _ in range(2)}
            (refused,), queued = await asyncio.wait(
                rivals, timeout=SOON, return_when=asyncio.FIRST_COMPLETED
            )
            check_problem(await refused, 503, "overloaded")
            assert (await refused).headers["retry-after"] == "1"
        made = [await running, *[await task for task in queued]]
        assert [response.status_code for response in made] == [201, 201]
        ids = await desk.owner.fetch("SELECT user_id FROM app_user")
        assert {row["user_id"] for row in ids} == {UUID(r.json()["user_id"]) for r in made}


async def test_call_past_its_deadline_is_refused(database: Database) -> None:
    """Past its deadline a queued call is overloaded and not run; a running one is unavailable."""
    async with open_desk(database, deadline_seconds=DEADLINE_SECONDS) as desk:
        async with users_locked(desk):
            running = asyncio.create_task(add_user(desk))
            await until_waiting(desk)
            check_problem(await add_user(desk), 503, "overloaded")
            check_problem(await running, 503, "unavailable")
        assert (await add_user(desk)).status_code == 201
        # The call whose answer was lost has run, the refused one has not.
        assert await desk.owner.fetchval("SELECT count(*) FROM app_user") == 2


@contextlib.contextmanager
def unreachable(engine: EmbeddedServer) -> Iterator[None]:
    """Refuses connections to PostgreSQL during the block."""
    (socket,) = (path for path in engine._socket.iterdir() if not path.name.endswith(".lock"))
    aside = socket.with_name("aside")
    socket.rename(aside)
    try:
        yield
    finally:
        aside.rename(socket)


async def test_server_without_a_database_recovers(
    engine: EmbeddedServer, database: Database
) -> None:
    """Without a database calls are 503 unavailable; polls, health and documents continue."""
    room = {"policy": {"kind": "max_active", "max_active": 1}}
    async with open_desk(database, deadline_seconds=DEADLINE_SECONDS) as desk:
        concert = await desk.concert(waiting_room=room)
        inside, fan = await desk.buyer(concert), await desk.waiting(concert)
        with unreachable(engine):
            await desk.cut_connections()
            for asking in (
                add_user(desk),
                desk.ask("GET", "/concerts"),
                fan.by_key("GET", "/users/me"),
                fan.by_key("GET", "/payments"),
                inside.by_token("GET", f"/users/{inside.user_id}/balance"),
                inside.by_token("POST", f"/users/{inside.user_id}/balance/charges", json=ONE),
                desk.operate("GET", f"/admin/concerts/{concert.concert_id}/stats"),
                desk.operate("POST", f"/admin/concerts/{concert.concert_id}/waiting-room/pause"),
            ):
                refused = await asking
                check_problem(refused, 503, "unavailable")
                assert refused.headers["retry-after"] == "1"
            check_problem(
                await desk.ask("GET", "//readyz"), 503, "unavailable", cause="unreachable"
            )
            assert (await fan.status())["state"] == "waiting"
            for alive in ("//healthz", "//metrics", "//openapi.json", "//docs"):
                assert (await desk.ask("GET", alive)).status_code == 200

        async def is_back() -> bool:
            return (await desk.ask("GET", "//readyz")).status_code == 200

        await eventually(is_back)
        assert (await add_user(desk)).status_code == 201
        await inside.by_token("DELETE", "/queue/tokens/me")
        await fan.until("admitted")
