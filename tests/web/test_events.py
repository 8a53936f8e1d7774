"""The status stream of a place: its events, their timing, access, and its end."""

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
from testkit.server import serving as serving_processes
from tests.buyers import pass_time
from tests.web.test_trouble import unreachable

PATH = "/queue/tokens/me/events"
ONE_BY_ONE = {"policy": {"kind": "max_active", "max_active": 1}, "session_seconds": 86_400}
PACE = 1.0
DRAIN_SECONDS = 8
"""The drain may take 15 s: a slower end has waited for a client."""
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
        """Returns the status of the next event; ``None`` at the end of the stream."""
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
        """Returns the status of the next event; the stream must not end."""
        status = await self.next()
        assert status is not None
        return status

    async def until(self, **members: Any) -> Json:
        """Returns the first status with these members."""
        while True:
            status = await self.status()
            if members.items() <= status.items():
                return status

    async def end(self) -> Json:
        """Reads a stream to its end; returns the last status."""
        while await self.next() is not None:
            pass
        return self.events[-1].status


@asynccontextmanager
async def following(fan: Fan) -> AsyncIterator[Stream]:
    """Opens a fan's stream."""
    headers = {"Authorization": f"Bearer {fan.token}"}
    async with fan.desk.http.stream("GET", BASE + PATH, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        yield Stream(response)


@pytest.fixture(scope="module")
async def quick_desk(module_database: Database) -> AsyncIterator[Desk]:
    """A server with frequent heartbeats that never counts the seats again."""
    async with open_desk(module_database, **QUICK) as made:
        yield made


def without_jitter(status: Json) -> Json:
    """Returns a status without the member that differs on every read."""
    return {name: value for name, value in status.items() if name != "poll_after_ms"}


def known(status: Json) -> Json:
    """Returns what a status says of a place, without the forecast."""
    return {
        name: value
        for name, value in without_jitter(status).items()
        if not name.startswith("eta_seconds")
    }


def metric(name: str, **labels: str) -> float:
    """Returns a value of this process's metrics; the server runs in it."""
    return REGISTRY.get_sample_value(name, labels) or 0


def now() -> float:
    """Returns the time that is stored with events."""
    return asyncio.get_running_loop().time()


async def in_line(desk: Desk, waiting: int, **room: Any) -> tuple[Fan, list[Fan]]:
    """Returns an admitted user and a number of waiting users."""
    concert = await desk.concert(waiting_room={**ONE_BY_ONE, **room})
    inside = await desk.buyer(concert)
    return inside, [await desk.waiting(concert) for _ in range(waiting)]


async def leave(fan: Fan) -> bool:
    """Leaves the line; repeated after a failure, which may have taken effect."""
    response = await fan.by_token("DELETE", "/queue/tokens/me")
    return response.status_code == 204 or response.json().get("reason") == "left"


# Events


async def test_first_event_is_the_current_status(desk: Desk) -> None:
    """It equals the poll, and has the delay for reconnecting."""
    _, (fan,) = await in_line(desk, 1)
    polled = await fan.status()
    async with following(fan) as stream:
        first = await stream.status()
    assert list(first) == list(polled)
    assert without_jitter(first) == without_jitter(polled)
    assert 1_000 <= int(stream.events[0].retry or 0) <= 3_000
    assert stream.headers["content-type"] == "text/event-stream"
    assert stream.headers["cache-control"] == "no-store"
    assert stream.headers["x-accel-buffering"] == "no"
    assert stream.headers["x-request-id"]
    assert "content-length" not in stream.headers


async def test_reconnect_delay_has_jitter(desk: Desk) -> None:
    """The delay for reconnecting differs between streams."""
    _, (fan,) = await in_line(desk, 1)
    hints = set()
    for _ in range(10):
        async with following(fan) as stream:
            await stream.status()
        hints.add(stream.events[0].retry)
    assert len(hints) > 1


async def test_change_causes_an_event(desk: Desk) -> None:
    """A user who leaves ahead causes an event in time, one who leaves behind does not."""
    _, (leaver, fan, behind) = await in_line(desk, 3)
    async with following(fan) as stream:
        assert (await stream.status())["ahead"] == 1
        await leave(behind)
        await leave(leaver)
        left = now()
        assert (await stream.status())["ahead"] == 0
    assert stream.events[1].retry is None
    assert stream.events[1].read_at - left < 2 * PACE  # on a busy machine; earlier than a heartbeat


async def test_changes_are_combined_into_one_event_a_second(quick_desk: Desk) -> None:
    """At most one event a second, however often the status changes; the last one is sent."""
    _, fans = await in_line(quick_desk, 61)
    *leavers, fan = fans
    asked = now()
    async with following(fan) as stream:
        assert (await stream.status())["ahead"] == 60
        for leaver in leavers:
            await leave(leaver)
        await stream.until(ahead=0)
    # The first was sent after it was requested and the last before it was read.
    assert PACE * (len(stream.events) - 1) <= now() - asked + EARLY


async def test_heartbeat_repeats_the_status(quick_desk: Desk) -> None:
    """An unchanged status is sent again, to admitted and to waiting users."""
    inside, (fan,) = await in_line(quick_desk, 1)
    for one in (inside, fan):
        async with following(one) as stream:
            first = await stream.status()
            started = now()
            assert without_jitter(await stream.status()) == without_jitter(first)
            assert without_jitter(await stream.status()) == without_jitter(first)
            assert 2 * PACE - EARLY <= now() - started < SOON


async def test_admission_causes_an_event_without_a_claim(quick_desk: Desk) -> None:
    """The status changes to admitted; an open stream is never a claim."""
    inside, (fan,) = await in_line(quick_desk, 1, claim_seconds=600)
    async with following(fan) as stream:
        assert (await stream.status())["state"] == "waiting"
        await leave(inside)
        called = await stream.until(state="admitted")
        assert called["claimed_at"] is None
        for _ in range(2):
            assert without_jitter(await stream.status()) == without_jitter(called)
    query = "SELECT claimed_at FROM place WHERE user_id = $1"
    assert await quick_desk.owner.fetchrow(query, UUID(fan.user_id)) == (None,)


async def test_claim_causes_an_event(desk: Desk) -> None:
    """The claim changes claimed_at and the end of the session."""
    concert = await desk.concert(waiting_room={"policy": OPEN, "claim_seconds": 600})
    fan = await desk.waiting(concert)
    await fan.until("admitted")
    async with following(fan) as stream:
        assert (await stream.status())["claimed_at"] is None
        await fan.by_token("GET", f"/concerts/{concert.concert_id}/dates")
        come = await stream.status()
    assert come["claimed_at"] is not None
    assert without_jitter(come) == without_jitter(await fan.status())


# Its end


@pytest.mark.parametrize("reason", ["paid", "left", "expired"])
async def test_end_of_a_session_ends_the_stream(desk: Desk, reason: str) -> None:
    """The last event is finished, with the reason."""
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


async def test_leaving_ends_the_stream(desk: Desk) -> None:
    """A user who leaves on one device gets the event on the other."""
    _, (fan,) = await in_line(desk, 1)
    async with following(fan) as stream:
        assert (await stream.status())["state"] == "waiting"
        await leave(fan)
        last = await stream.end()
    assert (last["state"], last["reason"]) == ("finished", "left")


async def test_closing_room_ends_the_stream(desk: Desk) -> None:
    """A user who waited until the close gets the event."""
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


async def test_whole_stream_is_as_documented(desk: Desk) -> None:
    """Read to its end, the answer is as documented."""
    await streams_ended()
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


async def test_draining_ends_the_stream() -> None:
    """A server that stops ends its streams and doesn't wait for their clients."""
    with serving_processes() as house:
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


# Access


async def test_other_credentials_are_refused(desk: Desk) -> None:
    """A finished token, a user key or no credential gets no stream."""
    _, (fan,) = await in_line(desk, 1)
    check_problem(await desk.ask("GET", PATH), 401, "credential_missing")
    check_problem(await fan.by_key("GET", PATH), 401, "credential_invalid")
    forged = fan.token[:-8] + "A" * 8
    check_problem(await desk.ask("GET", PATH, forged), 401, "credential_invalid")
    await leave(fan)
    await fan.until("finished")
    check_problem(await fan.by_token("GET", PATH), 401, "token_finished", reason="left")


async def test_streams_above_the_limit_are_refused(database: Database) -> None:
    """One stream above the limit is 503 with Retry-After; closing one makes room."""
    await streams_ended()
    async with open_desk(database, streams=2) as desk:
        _, fans = await in_line(desk, 3)
        async with following(fans[0]), following(fans[1]) as second:
            await second.status()
            refused = await fans[2].by_token("GET", PATH)
            check_problem(refused, 503, "overloaded")
            assert refused.headers["retry-after"] == "1"
            assert (await fans[2].status())["state"] == "waiting"
        await streams_ended()
        async with following(fans[2]) as stream:
            assert (await stream.status())["state"] == "waiting"
        await streams_ended()


# Costs


async def test_waiting_streams_do_not_read_the_database(quick_desk: Desk) -> None:
    """Events of waiting users come from the process's snapshot."""
    _, (leaver, fan) = await in_line(quick_desk, 2)
    read = metric("frontrow_batch_items_sum", lane="place_read")
    async with following(fan) as stream:
        await stream.status()
        await stream.status()
        await leave(leaver)
        await stream.until(ahead=0)
    assert metric("frontrow_batch_items_sum", lane="place_read") == read


async def test_admitted_place_is_read_once_a_second(quick_desk: Desk) -> None:
    """The same for several places; one statement reads many."""
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


async def test_closed_connection_ends_the_stream(desk: Desk) -> None:
    """A client that closes or loses its connection: its stream ends at once and is discarded.

    Without garbage collection, which rarely runs in the process.
    """
    await streams_ended()
    _, fans = await in_line(desk, 2)
    connections = []
    for number in range(20):
        connection = socket.create_connection(("127.0.0.1", desk.http.base_url.port or 0))
        if number % 2:
            # Closing resets the connection.
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
    await streams_ended()

    async def are_gone() -> bool:
        return all(one() is None for one in left)

    await eventually(are_gone)


async def test_events_are_counted(desk: Desk) -> None:
    """Each event of each stream counts."""
    await streams_ended()
    _, (leaver, fan) = await in_line(desk, 2)
    answer = metric("frontrow_stream_events_total")
    async with following(fan) as one, following(fan) as other:
        for stream in (one, other):
            await stream.status()
        await leave(leaver)
        for stream in (one, other):
            await stream.until(ahead=0)
        assert metric("frontrow_stream_events_total") == answer + 4
        assert metric("frontrow_streams") == 2


async def test_stream_stays_open_without_a_database(
    engine: EmbeddedServer, database: Database
) -> None:
    """Users get events as usual, of the last known status; then it recovers.

    The forecast isn't compared: the one read before the outage may be newer than the first event.
    """
    async with open_desk(database, deadline_seconds=DEADLINE_SECONDS, **QUICK) as desk:
        inside, (fan,) = await in_line(desk, 1)
        async with following(inside) as one, following(fan) as other:
            firsts = [known(await stream.status()) for stream in (one, other)]
            with unreachable(engine):
                await desk.cut_connections()
                for _ in range(2):
                    assert [known(await stream.status()) for stream in (one, other)] == firsts
            await eventually(lambda: leave(inside))
            assert (await one.end())["state"] == "finished"
            assert (await other.until(state="admitted"))["ahead"] == 0


async def streams_ended() -> None:
    """Waits until the streams of earlier tests have ended."""
    await eventually(lambda: streams_are(0))


async def streams_are(count: int) -> bool:
    """Whether this number of streams is open."""
    return metric("frontrow_streams") == count
