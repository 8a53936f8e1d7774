"""Long polls that are abandoned, or many of one user."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest

from frontrow.reservations import hold_watch
from frontrow.reservations.hold_watch import WAITING_CALLS_PER_USER, HoldWatch
from frontrow.reservations.model import Reservation
from frontrow.reservations.queries import ReservationItem
from testkit.desk import Desk, Fan, Json, check_problem, eventually
from tests.attacks.raw import hold_poll, raw_client

ABANDONED = 500
Read: TypeAlias = Callable[[Sequence[ReservationItem]], Awaitable[Sequence[Reservation | None]]]


@pytest.fixture
async def fan(desk: Desk) -> Fan:
    """A user with a hold."""
    return await desk.buyer(await desk.concert())


class Watched:
    """The reads of the watchers of all servers in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.watches: set[HoldWatch] = set()
        self.reads: list[int] = []
        """The number of reservations in each."""
        original = HoldWatch._end_waits

        async def counted(watch: HoldWatch) -> None:
            if watch not in self.watches:
                self.watches.add(watch)
                monkeypatch.setattr(watch, "_read", self._counting(watch._read))
            await original(watch)

        monkeypatch.setattr(HoldWatch, "_end_waits", counted)

    def _counting(self, read: Read) -> Read:
        async def counting(items: Sequence[ReservationItem]) -> Sequence[Reservation | None]:
            self.reads.append(len(items))
            return await read(items)

        return counting

    @property
    def calls(self) -> int:
        """The number of calls that wait."""
        return sum(awaited.calls for watch in self.watches for awaited in watch._awaited.values())

    async def until_waiting(self, calls: int) -> None:
        """Waits until this number of calls wait."""

        async def is_so() -> bool:
            return self.calls == calls

        await eventually(is_so)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Watches the watchers."""
    return Watched(monkeypatch)


async def test_abandoned_polls_end(
    desk: Desk, fan: Fan, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of polls whose clients have gone end at once, and share one read meanwhile."""
    monkeypatch.setattr(hold_watch, "WAITING_CALLS_PER_USER", ABANDONED)
    held = await hold(fan)
    async with AsyncExitStack() as opened:
        for _ in range(ABANDONED):
            client = await opened.enter_async_context(raw_client(desk))
            await client.send(hold_poll(fan, held, 30))
        await watched.until_waiting(ABANDONED)
        assert max(watched.reads) == 1
    async with asyncio.timeout(20):  # long before their 30 s
        await watched.until_waiting(0)
    rounds = len(watched.reads)
    await asyncio.sleep(0.6)
    assert len(watched.reads) <= rounds + 1  # nothing is read without a waiting call


@pytest.mark.parametrize("parts", [1, 2])
async def test_abandoned_poll_before_other_requests_ends(
    desk: Desk, fan: Fan, watched: Watched, parts: int
) -> None:
    """The loss of a connection ends the first call of its pipelined ones, not only the last."""
    polling = hold_poll(fan, await hold(fan), 30)
    behind = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2
    async with raw_client(desk) as client:
        await client.send(polling if parts == 2 else polling + behind)
        await watched.until_waiting(1)
        if parts == 2:
            await client.send(behind)
            await asyncio.sleep(0.05)
    async with asyncio.timeout(20):
        await watched.until_waiting(0)


async def hold(fan: Fan) -> Json:
    """Holds a seat of the concert of the fan's token."""
    status = await fan.status()
    dates = (await fan.by_token("GET", f"/concerts/{status['concert_id']}/dates")).json()["dates"]
    body = {"show_id": dates[0]["shows"][0]["show_id"], "count": 1}
    response = await fan.by_token("POST", "/reservations", json=body)
    assert response.status_code == 201, response.text
    held: Json = response.json()
    return held


async def test_polls_of_a_user_are_bounded(desk: Desk, fan: Fan, watched: Watched) -> None:
    """One too many is 429; another user's is accepted; the end of the hold answers all."""
    held = await hold(fan)
    path = f"/reservations/{held['reservation_id']}"
    waiting = [
        asyncio.create_task(fan.by_key("GET", f"{path}?wait_seconds=30"))
        for _ in range(WAITING_CALLS_PER_USER)
    ]
    await watched.until_waiting(WAITING_CALLS_PER_USER)
    refused = await fan.by_token("GET", f"{path}?wait_seconds=30")
    check_problem(refused, 429, "rate_limited")
    assert (await fan.by_key("GET", path)).json()["state"] == "held"
    other = await desk.buyer(await desk.concert())
    others = await hold(other)
    answer = await other.by_key("GET", f"/reservations/{others['reservation_id']}?wait_seconds=0.1")
    assert answer.json()["state"] == "held"
    assert (await fan.by_key("DELETE", path)).status_code == 204
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*waiting)
    assert {one.json()["state"] for one in answers} == {"released"}
    assert (await fan.by_key("GET", f"{path}?wait_seconds=30")).json()["state"] == "released"
