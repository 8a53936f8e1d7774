"""The bounds of streams: streams per place, time without an event, missed changes."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from pydantic import SecretStr, ValidationError

from frontrow.db.server import EmbeddedServer
from frontrow.settings import Settings
from frontrow.waiting_room.status_streams import STREAMS_OF_A_PLACE, StatusStream, StatusStreams
from frontrow.web.api import line_stream
from testkit.database import Database
from testkit.desk import BASE, Desk, Fan, check_problem, eventually, open_desk
from tests.web.test_events import (
    ONE_BY_ONE,
    PACE,
    PATH,
    QUICK,
    following,
    in_line,
    leave,
    now,
    streams_are,
    streams_ended,
    without_jitter,
)
from tests.web.test_trouble import unreachable

BURST = 30


async def open_at_once(opened: contextlib.AsyncExitStack, fan: Fan) -> list[int]:
    """Requests many streams of one place at the same time; returns the statuses."""
    headers = {"Authorization": f"Bearer {fan.token}"}
    answers = await asyncio.gather(
        *[
            opened.enter_async_context(fan.desk.http.stream("GET", BASE + PATH, headers=headers))
            for _ in range(BURST)
        ]
    )
    return sorted(answer.status_code for answer in answers)


async def test_streams_of_a_place_are_limited(desk: Desk) -> None:
    """One more is 503 with Retry-After, other places get theirs; closing one makes room."""
    await streams_ended()
    _, (fan, other) = await in_line(desk, 2)
    async with contextlib.AsyncExitStack() as opened:
        for _ in range(STREAMS_OF_A_PLACE):
            await opened.enter_async_context(following(fan))
        refused = await fan.by_token("GET", PATH)
        check_problem(refused, 503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        async with following(other) as stream:
            assert (await stream.status())["state"] == "waiting"
    await streams_ended()
    async with following(fan) as stream:
        assert (await stream.status())["state"] == "waiting"
    await streams_ended()


async def test_burst_does_not_exceed_the_limit(desk: Desk) -> None:
    """Simultaneous requests do not exceed the limit."""
    await streams_ended()
    _, (fan,) = await in_line(desk, 1)
    async with contextlib.AsyncExitStack() as opened:
        answer = await open_at_once(opened, fan)
        assert await streams_are(STREAMS_OF_A_PLACE)
    assert answer == [200] * STREAMS_OF_A_PLACE + [503] * (BURST - STREAMS_OF_A_PLACE)
    await streams_ended()


async def test_burst_exceeds_a_late_count(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: if a stream were counted when it begins, all of them would be accepted."""
    await streams_ended()
    _, (fan,) = await in_line(desk, 1)
    add = StatusStreams._add
    begun: list[tuple[StatusStreams, StatusStream, UUID]] = []

    def add_late(followers: StatusStreams, follower: StatusStream, place_id: UUID) -> None:
        begun.append((followers, follower, place_id))
        if len(begun) == BURST:
            for each in begun:
                add(*each)

    monkeypatch.setattr(StatusStreams, "_add", add_late)
    async with contextlib.AsyncExitStack() as opened:
        assert await open_at_once(opened, fan) == [200] * BURST
        await eventually(lambda: streams_are(BURST))
    await streams_ended()


async def test_stream_that_never_begins_counts_until_its_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts until its request ends, any number of times."""
    await streams_ended()
    _, (fan,) = await in_line(desk, 1)

    async def nothing(*_: object) -> AsyncIterator[bytes]:
        yield b"retry: 1000\n\n"

    monkeypatch.setattr(line_stream, "_events", nothing)
    for _ in range(2 * STREAMS_OF_A_PLACE):
        assert (await fan.by_token("GET", PATH)).status_code == 200
        await streams_ended()


async def test_changed_policy_causes_an_event(still_desk: Desk) -> None:
    """A lower cap admits no one but lengthens the wait: an event in time, before a heartbeat."""
    room = {**ONE_BY_ONE, "policy": {"kind": "max_active", "max_active": 2}}
    _, (second, leaver, fan) = await in_line(still_desk, 3, **room)
    await second.until("admitted")

    async def has_forecast() -> bool:
        return (await fan.status())["eta_seconds"] is not None

    await eventually(has_forecast)
    async with following(fan) as stream:
        await stream.status()
        await leave(leaver)
        first = await stream.until(ahead=0)  # so it has read the line since it was opened
        path = f"/admin/concerts/{first['concert_id']}/waiting-room"
        assert (await still_desk.operate("PUT", path, json=ONE_BY_ONE)).status_code == 200
        changed = now()
        while (await stream.status())["eta_seconds"]["p50"] < 2 * first["eta_seconds"]["p50"]:
            pass
        last = stream.events[-1]
    assert last.read_at - changed < 3 * PACE  # on a busy machine
    assert (last.status["state"], last.status["ahead"]) == ("waiting", 0)


async def test_heartbeat_continues_without_a_database(
    engine: EmbeddedServer, database: Database
) -> None:
    """Admitted users get the last known status in time, although a read waits for long."""
    async with open_desk(database, deadline_seconds=10, **QUICK) as desk:
        inside, _ = await in_line(desk, 1)
        async with following(inside) as stream:
            first = await stream.status()
            with unreachable(engine):
                await desk.cut_connections()
                for _ in range(4):
                    assert without_jitter(await stream.status()) == without_jitter(first)
        read_at = [event.read_at for event in stream.events]
        longest = max(after - before for before, after in itertools.pairwise(read_at))
        assert longest < QUICK["stream_heartbeat_seconds"] + PACE


@pytest.mark.parametrize(("seconds", "is_possible"), [(14.5, True), (14.6, False), (0, False)])
def test_heartbeat_setting_is_bounded(seconds: float, is_possible: bool) -> None:
    """Clients rely on 15 seconds: every setting with a longer pause is refused."""
    url = SecretStr("postgresql://localhost/any")
    if is_possible:
        chosen = Settings(database_url=url, stream_heartbeat_seconds=seconds)
        assert chosen.stream_heartbeat_seconds == seconds
    else:
        with pytest.raises(ValidationError):
            Settings(database_url=url, stream_heartbeat_seconds=seconds)
