"""The stream of a place's status: what it tells, when, to whom, and what is left when it ends."""

import asyncio
import contextlib
import gc
import json
import signal
import socket
import struct
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx2
import pytest
from prometheus_client import REGISTRY

from frontrow.db.server import EmbeddedServer
from frontrow.waiting_room.status_streams import StatusStream, StatusStreams
from testkit.database import Database
from testkit.desk import (
    BASE,
    DEADLINE_SECONDS,
    OPEN,
    SOON,
    Desk,
    Fan,
    Json,
    check_problem,
    eventually,
    open_desk,
    starts_at,
)
from testkit.server import serving as house_serving
from tests.buyers import pass_time
from tests.web.test_trouble import unreachable

PATH = "/queue/tokens/me/events"
ONE_BY_ONE = {"policy": {"kind": "max_active", "max_active": 1}, "session_seconds": 86_400}
PACE = 1.0
DRAIN_SECONDS = 8
"""The drain may take 15: what takes so long waited for somebody."""
QUICK: Json = {"stream_heartbeat_seconds": 1.2, "stock_seconds": 3600}
EARLY = 0.01
"""The server's clock has whole milliseconds."""


@dataclass(frozen=True)
class Event:
    """One event: its fields, and when it was read (loop time)."""

    status: Json
    retry: str | None
    read_at: float


class Stream:
    """An open stream, read event by event."""

    def __init__(self, response: httpx2.Response) -> None:
        self.headers = response.headers
        self.events: list[Event] = []
        self._lines = response.aiter_lines()

    async def next(self) -> Json | None:
        """The status of the next event; ``None`` at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(SOON):
            async for line in self._lines:
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                assert fields.keys() - {"retry"} == {"event", "data"}
                assert fields["event"] == "status"
                status: Json = json.loads(fields["data"])
                self.events.append(Event(status, fields.get("retry"), now()))
                return status
        assert fields == {}
        return None

    async def status(self) -> Json:
        """The status of the next event, which comes."""
        status = await self.next()
        assert status is not None
        return status

    async def until(self, **members: Any) -> Json:
        """The first status that has these members."""
        while True:
            status = await self.status()
            if members.items() <= status.items():
                return status

    async def end(self) -> Json:
        """The last status of a stream that ends."""
        while await self.next() is not None:
            pass
        return self.events[-1].status


@asynccontextmanager
async def following(fan: Fan) -> AsyncIterator[Stream]:
    """A fan's stream."""
    headers = {"Authorization": f"Bearer {fan.token}"}
    async with fan.desk.http.stream("GET", BASE + PATH, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        yield Stream(response)


@pytest.fixture(scope="module")
async def quick_desk(module_database: Database) -> AsyncIterator[Desk]:
    """A server whose streams are never silent for long, and that never counts the seats anew."""
    async with open_desk(module_database, **QUICK) as made:
        yield made


def but_jitter(status: Json) -> Json:
    """A status without what differs from one look to the next."""
    return {name: value for name, value in status.items() if name != "poll_after_ms"}


def metric(name: str, **labels: str) -> float:
    """A value of this process's metrics; the server runs in it."""
    return REGISTRY.get_sample_value(name, labels) or 0


def now() -> float:
    """The time that events are stamped with."""
    return asyncio.get_running_loop().time()


async def in_line(desk: Desk, waiting: int, **room: Any) -> tuple[Fan, list[Fan]]:
    """Somebody who is in, and so many who wait behind."""
    concert = await desk.concert(waiting_room={**ONE_BY_ONE, **room})
    inside = await desk.buyer(concert)
    return inside, [await desk.waiting(concert) for _ in range(waiting)]


async def leave(fan: Fan) -> bool:
    """Leaves the line, unless the server is in trouble; what it said was in trouble may be done."""
    response = await fan.by_token("DELETE", "/queue/tokens/me")
    return response.status_code == 204 or response.json().get("reason") == "left"


# What it tells


async def test_the_first_event_is_the_present_status(desk: Desk) -> None:
    """At once, the same as the poll, with a hint when to come back after the end."""
    _, (fan,) = await in_line(desk, 1)
    polled = await fan.status()
    async with following(fan) as stream:
        first = await stream.status()
    assert list(first) == list(polled)
    assert but_jitter(first) == but_jitter(polled)
    assert 1_000 <= int(stream.events[0].retry or 0) <= 3_000
    assert stream.headers["content-type"] == "text/event-stream"
    assert stream.headers["cache-control"] == "no-store"
    assert stream.headers["x-accel-buffering"] == "no"
    assert stream.headers["x-request-id"]
    assert "content-length" not in stream.headers


async def test_not_all_come_back_at_once(desk: Desk) -> None:
    """The hint when to come back differs from stream to stream."""
    _, (fan,) = await in_line(desk, 1)
    hints = set()
    for _ in range(10):
        async with following(fan) as stream:
            await stream.status()
        hints.add(stream.events[0].retry)
    assert len(hints) > 1


async def test_a_change_is_told(desk: Desk) -> None:
    """Who leaves ahead is told within the pace, who leaves behind isn't told."""
    _, (leaver, fan, behind) = await in_line(desk, 3)
    async with following(fan) as stream:
        assert (await stream.status())["ahead"] == 1
        await leave(behind)
        await leave(leaver)
        left = now()
        assert (await stream.status())["ahead"] == 0
    assert stream.events[1].retry is None
    assert stream.events[1].read_at - left < 2 * PACE  # on a busy machine; no heartbeat comes then


async def test_changes_are_told_together(quick_desk: Desk) -> None:
    """However often something changes, there is at most one event a second; the last is told."""
    _, fans = await in_line(quick_desk, 61)
    *leavers, fan = fans
    asked = now()
    async with following(fan) as stream:
        assert (await stream.status())["ahead"] == 60
        for leaver in leavers:
            await leave(leaver)
        await stream.until(ahead=0)
    # The first was told after it was asked for and the last before it was read.
    assert PACE * (len(stream.events) - 1) <= now() - asked + EARLY


async def test_a_heartbeat_is_the_status_again(quick_desk: Desk) -> None:
    """Nothing changes, and the status is told all the same: to who is in and to who waits."""
    inside, (fan,) = await in_line(quick_desk, 1)
    for one in (inside, fan):
        async with following(one) as stream:
            first = await stream.status()
            started = now()
            assert but_jitter(await stream.status()) == but_jitter(first)
            assert but_jitter(await stream.status()) == but_jitter(first)
            assert 2 * PACE - EARLY <= now() - started < SOON


async def test_being_called_is_told_and_claims_nothing(quick_desk: Desk) -> None:
    """From waiting to admitted; however long it is open, a stream is no claim."""
    inside, (fan,) = await in_line(quick_desk, 1, claim_seconds=600)
    async with following(fan) as stream:
        assert (await stream.status())["state"] == "waiting"
        await leave(inside)
        called = await stream.until(state="admitted")
        assert called["claimed_at"] is None
        for _ in range(2):
            assert but_jitter(await stream.status()) == but_jitter(called)
    query = "SELECT claimed_at FROM place WHERE user_id = $1"
    assert await quick_desk.owner.fetchrow(query, UUID(fan.user_id)) == (None,)


async def test_coming_is_told(desk: Desk) -> None:
    """The claim is a change: of claimed_at, and of the end of the session."""
    concert = await desk.concert(waiting_room={"policy": OPEN, "claim_seconds": 600})
    fan = await desk.waiting(concert)
    await fan.until("admitted")
    async with following(fan) as stream:
        assert (await stream.status())["claimed_at"] is None
        await fan.by_token("GET", f"/concerts/{concert.concert_id}/dates")
        come = await stream.status()
    assert come["claimed_at"] is not None
    assert but_jitter(come) == but_jitter(await fan.status())


# Its end


@pytest.mark.parametrize("reason", ["paid", "left", "expired"])
async def test_the_end_of_a_session_ends_it(desk: Desk, reason: str) -> None:
    """The last event says finished, and why."""
    concert = await desk.concert()
    fan = await desk.buyer(concert, 50_000)
    async with following(fan) as stream:
        assert (await stream.status())["state"] == "admitted"
        match reason:
            case "paid":
                await fan.pay(await fan.hold(concert, 1))
            case "left":
                await leave(fan)
            case "expired":
                await pass_time(desk.database, 601)
        last = await stream.end()
    assert (last["state"], last["reason"], last["expires_at"]) == ("finished", reason, None)
    assert [e.status["state"] for e in stream.events].count("finished") == 1


async def test_leaving_while_waiting_ends_it(desk: Desk) -> None:
    """Who leaves on one device is told so on the other."""
    _, (fan,) = await in_line(desk, 1)
    async with following(fan) as stream:
        assert (await stream.status())["state"] == "waiting"
        await leave(fan)
        last = await stream.end()
    assert (last["state"], last["reason"]) == ("finished", "left")


async def test_a_room_that_closes_ends_it(desk: Desk) -> None:
    """Who waited in vain is told so."""
    _, (fan,) = await in_line(desk, 1)
    concert_id = (await fan.status())["concert_id"]
    async with following(fan) as stream:
        assert (await stream.status())["state"] == "waiting"
        room = {**ONE_BY_ONE, "closes_at": starts_at(2)}
        path = f"/admin/concerts/{concert_id}/waiting-room"
        assert (await desk.operate("PUT", path, json=room)).status_code == 200
        await pass_time(desk.database, 3 * 24 * 3600)
        last = await stream.end()
    assert (last["state"], last["reason"]) == ("finished", "expired")


async def test_the_whole_stream_is_as_documented(desk: Desk) -> None:
    """Read to its end, the answer is the document's."""
    await no_streams()
    concert = await desk.concert()
    fan = await desk.buyer(concert)
    reading = asyncio.create_task(fan.by_token("GET", PATH))
    await eventually(lambda: streams_are(1))
    await leave(fan)
    answer = await reading
    assert answer.text.startswith("retry: ")
    assert answer.text.endswith("}\n\n")
    assert answer.text.count("event: status\ndata: {") == 2
    assert ("queue_events", 200) in desk.conformance.successes


async def test_draining_ends_it() -> None:
    """A server that stops ends its streams, and doesn't wait for those who read them."""
    with house_serving() as house:
        made = await house.concert(policy=ONE_BY_ONE["policy"])
        base = f"http://127.0.0.1:{house.port}{BASE}"
        async with (
            httpx2.AsyncClient(base_url=base, timeout=SOON) as http,
            contextlib.AsyncExitStack() as opened,
        ):
            streams = []
            for _ in range(5):
                key = (await http.post("/users", json={})).json()["user_key"]
                place = await http.post(
                    "/queue/tokens",
                    json={"concert_id": made["concert_id"]},
                    headers={"Authorization": f"Bearer {key}"},
                )
                headers = {"Authorization": f"Bearer {place.json()['token']}"}
                request = http.stream("GET", PATH, headers=headers)
                streams.append(Stream(await opened.enter_async_context(request)))
                await streams[-1].status()
            started = now()
            ending = asyncio.create_task(asyncio.to_thread(house.end, signal.SIGTERM))
            for stream in streams:
                await stream.end()
            ended = now() - started
            assert await ending == 0
            stopped = now() - started
        assert ended < DRAIN_SECONDS / 2
        assert stopped < DRAIN_SECONDS
        log = house.log.read_text()
    assert "Traceback" not in log
    assert "Cancel" not in log


# Who may


async def test_refusals(desk: Desk) -> None:
    """A finished token, a user key, no credential: no stream."""
    _, (fan,) = await in_line(desk, 1)
    check_problem(await desk.ask("GET", PATH), 401, "credential_missing")
    check_problem(await fan.by_key("GET", PATH), 401, "credential_invalid")
    forged = fan.token[:-8] + "A" * 8
    check_problem(await desk.ask("GET", PATH, forged), 401, "credential_invalid")
    await leave(fan)
    await fan.until("finished")
    check_problem(await fan.by_token("GET", PATH), 401, "token_finished", reason="left")


async def test_one_too_many(database: Database) -> None:
    """More than may be open are 503 with Retry-After; who closes one makes room."""
    await no_streams()
    async with open_desk(database, streams=2) as desk:
        _, fans = await in_line(desk, 3)
        async with following(fans[0]), following(fans[1]) as second:
            await second.status()
            refused = await fans[2].by_token("GET", PATH)
            check_problem(refused, 503, "overloaded")
            assert refused.headers["retry-after"] == "1"
            assert (await fans[2].status())["state"] == "waiting"
        await no_streams()
        async with following(fans[2]) as stream:
            assert (await stream.status())["state"] == "waiting"
        await no_streams()


# What it costs


async def test_waiting_reads_nothing(quick_desk: Desk) -> None:
    """Whatever those who wait are told comes from the process's own view of the line."""
    _, (leaver, fan) = await in_line(quick_desk, 2)
    read = metric("frontrow_batch_items_sum", lane="place_read")
    async with following(fan) as stream:
        await stream.status()
        await stream.status()
        await leave(leaver)
        await stream.until(ahead=0)
    assert metric("frontrow_batch_items_sum", lane="place_read") == read


async def test_a_called_place_is_read_once_a_second(quick_desk: Desk) -> None:
    """So is each of several, and one statement reads many."""
    concert = await quick_desk.concert()
    fans = [await quick_desk.buyer(concert) for _ in range(10)]
    items = metric("frontrow_batch_items_sum", lane="place_read")
    batches = metric("frontrow_batch_items_count", lane="place_read")
    asked = now()
    async with contextlib.AsyncExitStack() as opened:
        streams = [await opened.enter_async_context(following(fan)) for fan in fans]
        for stream in streams:
            for _ in range(4):
                await stream.status()
    items = metric("frontrow_batch_items_sum", lane="place_read") - items
    batches = metric("frontrow_batch_items_count", lane="place_read") - batches
    assert 4 * len(fans) <= items <= len(fans) * (1 + (now() - asked + EARLY) / PACE)
    assert batches < items


async def test_nothing_is_left_of_who_goes(desk: Desk) -> None:
    """A client that closes its connection or loses it: its stream ends at once, and is forgotten.

    Without a look for garbage: the process hardly ever takes one.
    """
    await no_streams()
    _, fans = await in_line(desk, 2)
    connections = []
    for number in range(20):
        connection = socket.create_connection(("127.0.0.1", desk.http.base_url.port or 0))
        if number % 2:
            # To close is to reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(
            f"GET {BASE}{PATH} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {fans[number // 10].token}\r\n\r\n".encode()
        )
        connections.append(connection)
    await eventually(lambda: streams_are(20))
    left = [
        weakref.ref(one) for one in gc.get_objects() if type(one) in (StatusStream, StatusStreams)
    ]
    assert len(left) > 20
    for connection in connections:
        connection.close()
    await no_streams()

    async def are_gone() -> bool:
        return all(one() is None for one in left)

    await eventually(are_gone)


async def test_events_are_counted(desk: Desk) -> None:
    """Each event counts, of each stream."""
    await no_streams()
    _, (leaver, fan) = await in_line(desk, 2)
    told = metric("frontrow_stream_events_total")
    async with following(fan) as one, following(fan) as other:
        for stream in (one, other):
            await stream.status()
        await leave(leaver)
        for stream in (one, other):
            await stream.until(ahead=0)
        assert metric("frontrow_stream_events_total") == told + 4
        assert metric("frontrow_streams") == 2


async def test_without_a_database_it_stays_open(engine: EmbeddedServer, database: Database) -> None:
    """Those who wait are told as ever, those who are in what was known last; then it goes on."""
    async with open_desk(database, deadline_seconds=DEADLINE_SECONDS, **QUICK) as desk:
        inside, (fan,) = await in_line(desk, 1)
        async with following(inside) as one, following(fan) as other:
            firsts = [await one.status(), await other.status()]
            with unreachable(engine):
                await desk.owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                for _ in range(2):
                    seconds = [await one.status(), await other.status()]
                    assert [*map(but_jitter, seconds)] == [*map(but_jitter, firsts)]
            await eventually(lambda: leave(inside))
            assert (await one.end())["state"] == "finished"
            assert (await other.until(state="admitted"))["ahead"] == 0


async def no_streams() -> None:
    """Waits until the streams of the tests before have ended."""
    await eventually(lambda: streams_are(0))


async def streams_are(count: int) -> bool:
    """Whether so many streams are open."""
    return metric("frontrow_streams") == count
