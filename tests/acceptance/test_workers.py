"""Two worker processes on one database: whatever is asked of either, there is one truth."""

import asyncio
import re
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, cycle, pairwise
from typing import Any

import pytest

from testkit.connection import Answer, Connection, Json, close, connections_by_worker
from testkit.server import FrontrowServer, serving

USERS = 300
CONNECTIONS = 20
"""To each worker."""
SOON_SECONDS = 20
IN_FORCE_SECONDS = 2
"""One is promised; one more is for a machine that is busy with other tests."""
LOOK_SECONDS = 0.02
"""Between two polls: more often than the limit of a user allows would be refused."""
REQUESTS = re.compile(
    r'^frontrow_http_requests_total\{call="concerts",.*\} ([0-9.]+)$', re.MULTILINE
)

Sides = list[list[Connection]]


@pytest.fixture(scope="module")
def house() -> Iterator[FrontrowServer]:
    """A server with two workers."""
    with serving(workers=2) as running:
        yield running


@pytest.fixture
async def sides(house: FrontrowServer) -> AsyncIterator[Sides]:
    """Connections to the one worker, and to the other."""
    async with connections_by_worker(house.port, CONNECTIONS) as found:
        yield found


@dataclass
class User:
    """A user in a line."""

    user_id: str
    user_key: str
    token: str = ""


async def ask_all(sides: Sides, calls: Sequence[tuple[Any, ...]]) -> list[Answer]:
    """Ask everything at once, over all connections of both workers; the answers, in order.

    A call is what ``Connection.ask`` takes, its keywords last.
    """
    answers: dict[int, Answer] = {}
    waiting = iter(enumerate(calls))

    async def ask(connection: Connection) -> None:
        for index, (*call, keywords) in waiting:
            answers[index] = await connection.ask(*call, **keywords)

    pairs = zip(*sides, strict=True)
    await asyncio.gather(*(ask(connection) for connection in chain.from_iterable(pairs)))
    assert len({answer.worker for answer in answers.values()}) == 2
    return [answers[index] for index in range(len(calls))]


async def users(sides: Sides, count: int) -> list[User]:
    """So many new users."""
    answers = await ask_all(sides, [("POST", "/users", {"body": {}})] * count)
    return [User(**answer.json()) for answer in answers]


async def join(sides: Sides, joining: Sequence[User], concert: Json) -> list[Answer]:
    """Everybody joins the line."""
    body = {"concert_id": concert["concert_id"]}
    calls = [("POST", "/queue/tokens", user.user_key, {"body": body}) for user in joining]
    answers = await ask_all(sides, calls)
    for user, answer in zip(joining, answers, strict=True):
        assert answer.status == 201
        user.token = answer.json()["token"]
    return answers


async def users_on(connection: Connection, count: int) -> list[User]:
    """New users, on one connection."""
    return [User(**(await connection.ask("POST", "/users", body={})).json()) for _ in range(count)]


async def join_on(connection: Connection, user: User, concert: Json) -> None:
    """One user joins, on one connection."""
    body = {"concert_id": concert["concert_id"]}
    answer = await connection.ask("POST", "/queue/tokens", user.user_key, body=body)
    assert answer.status == 201
    user.token = answer.json()["token"]


async def status(connection: Connection, user: User) -> Json:
    """The poll."""
    told: Json = (await connection.ask("GET", "/queue/tokens/me", user.token)).json()
    return told


async def until_admitted(connection: Connection, *called: User) -> list[Json]:
    """Poll until the users have been called; how they stand."""
    found: list[Json] = []
    async with asyncio.timeout(SOON_SECONDS):
        while len(found) < len(called):
            told = await status(connection, called[len(found)])
            if told["state"] == "admitted":
                found.append(told)
            else:
                await asyncio.sleep(LOOK_SECONDS)
    return found


async def prepare_purchase(connection: Connection, user: User, concert: Json, seat: int) -> Json:
    """Hold a seat and charge its price; the body of the payment."""
    body = {"show_id": concert["shows"][0]["show_id"], "seats": [seat]}
    held = await connection.ask("POST", "/reservations", user.token, body=body)
    assert held.status == 201, held
    reservation = held.json()
    path = f"/users/{user.user_id}/balance/charges"
    charged = await connection.ask("POST", path, user.token, body={"amount": reservation["amount"]})
    assert charged.status == 201, charged
    return {name: reservation[name] for name in ("reservation_id", "amount")}


async def counted(connection: Connection) -> float:
    """How many calls of one kind the metrics say were answered."""
    answer = await connection.ask("GET", "//metrics")
    assert answer.status == 200
    return sum(float(count) for count in REQUESTS.findall(answer.body.decode()))


def instant(text: str) -> float:
    """A time as seconds."""
    return datetime.fromisoformat(text).timestamp()


async def test_workers_share_the_connections(house: FrontrowServer) -> None:
    """Of 60 connections opened at once, an idle server's workers take about as many each."""
    made = [Connection(house.port) for _ in range(60)]
    answers = await asyncio.gather(*(one.ask("GET", "//healthz") for one in made))
    await close(made)
    taken = Counter(answer.worker for answer in answers)
    # Half each, by the throw of a coin: less than 12 comes once in a million times.
    assert len(taken) == 2
    assert min(taken.values()) >= 12


@pytest.mark.parametrize("seats", [1, 50])
async def test_many_users_for_few_seats(house: FrontrowServer, sides: Sides, seats: int) -> None:
    """300 users want 1 or 50 seats at once: as many win, and all others are told the seat."""
    concert = await house.concert(seats=50)
    crowd = await users(sides, USERS)
    joined = await join(sides, crowd, concert)
    numbers = [answer.json()["number"] for answer in joined]
    # In order of number: with the last one everybody is in.
    await until_admitted(sides[0][0], crowd[numbers.index(USERS)])
    show = concert["shows"][0]["show_id"]
    wanted = [1 + index % seats for index in range(USERS)]
    answers = await ask_all(
        sides,
        [
            ("POST", "/reservations", user.token, {"body": {"show_id": show, "seats": [seat]}})
            for user, seat in zip(crowd, wanted, strict=True)
        ],
    )
    won = [seat for seat, answer in zip(wanted, answers, strict=True) if answer.status == 201]
    assert sorted(won) == list(range(1, seats + 1))
    for seat, answer in zip(wanted, answers, strict=True):
        told = answer.json()
        if answer.status == 201:
            assert [held["number"] for held in told["seats"]] == [seat]
        else:
            assert (answer.status, told["code"], told["seats"]) == (409, "seat_taken", [seat])
    path = f"/concerts/{concert['concert_id']}/dates/{concert['shows'][0]['date']}/seats"
    plan = (await sides[1][0].ask("GET", path, crowd[0].token)).json()
    assert Counter(seat["state"] for seat in plan["seats"]) == Counter(
        {"held": seats, **({"available": 50 - seats} if seats < 50 else {})}
    )
    await house.audited()


async def test_numbers_follow_joining(house: FrontrowServer, sides: Sides) -> None:
    """Who was answered before another one asked has the smaller number, whichever worker it was."""
    concert = await house.concert()
    crowd = await users(sides, USERS)
    body = {"concert_id": concert["concert_id"]}
    joined: list[tuple[float, float, int]] = []
    waiting = iter(crowd)

    async def join_one_by_one(connection: Connection) -> None:
        for user in waiting:
            sent = time.perf_counter()
            answer = await connection.ask("POST", "/queue/tokens", user.user_key, body=body)
            joined.append((sent, time.perf_counter(), answer.json()["number"]))

    await asyncio.gather(*(join_one_by_one(one) for side in sides for one in side[:4]))
    assert sorted(number for _, _, number in joined) == list(range(1, USERS + 1))
    ordered = 0
    for sent, _, number in joined:
        before = [other for _, answered, other in joined if answered < sent]
        ordered += len(before)
        assert max(before, default=0) < number
    # They did come one after the other, not all at once.
    assert ordered > USERS


async def test_one_payment_sent_twenty_times(house: FrontrowServer, sides: Sides) -> None:
    """With keys, other keys and none, over both workers: one sale, and everybody is told of it."""
    concert = await house.concert()
    (user,) = await users_on(sides[0][0], 1)
    await join_on(sides[0][0], user, concert)
    await until_admitted(sides[0][0], user)
    body = await prepare_purchase(sides[0][0], user, concert, 7)
    keys = [key for key, _ in zip(cycle([None, "a", "b", "c"]), range(20), strict=False)]
    answers = await ask_all(
        [side[:10] for side in sides],
        [("POST", "/payments", user.token, {"body": body, "idempotency_key": k}) for k in keys],
    )
    payment = answers[0].json()
    assert payment["state"] == "paid"
    assert all(answer.json() == payment for answer in answers)
    replayed = [answer.headers.get("idempotency-replayed") == "true" for answer in answers]
    assert {answer.status for answer in answers} <= {200, 201}
    created = [answer.status == 201 for answer in answers]
    # The first one made it; again with its key is 201 and a replay, all else 200.
    assert sum(created) - sum(replayed) == 1
    first = keys[created.index(True)]
    if first is None:
        assert sum(created) == 1
    else:
        assert created == [key == first for key in keys]
    path = f"/users/{user.user_id}/balance/transfers"
    page = (await sides[1][0].ask("GET", path, user.user_key)).json()
    kinds = [transfer["kind"] for transfer in page["transfers"]]
    assert kinds == ["payment", "charge"]
    await house.audited()


async def test_metrics_sum_over_workers(sides: Sides) -> None:
    """Either worker tells of the calls that both answered, a flush (1 s) later, exactly."""
    before = await counted(sides[0][0])
    await ask_all(sides, [("GET", "/concerts", {})] * 100)
    now = before
    async with asyncio.timeout(SOON_SECONDS):
        while now < before + 100:
            await asyncio.sleep(0.05)
            now = await counted(sides[0][0])
    assert await counted(sides[0][0]) == await counted(sides[1][0]) == before + 100


async def test_next_is_called_at_once(house: FrontrowServer, sides: Sides) -> None:
    """A payment at one worker calls, within 250 ms, the next, who polls the other.

    By the database's clock; the median of some, as this machine may have more to do than this.
    """
    concert = await house.concert(seats=50, policy={"kind": "max_active", "max_active": 1})
    rounds = 8
    line = await users_on(sides[0][0], rounds + 1)
    for user in line:
        await join_on(sides[0][0], user, concert)
    gaps = []
    for index, (user, following) in enumerate(pairwise(line)):
        paying, polling = (side[0] for side in (sides if index % 2 else reversed(sides)))
        await until_admitted(polling, user)
        body = await prepare_purchase(paying, user, concert, index + 1)
        assert (await status(polling, following))["state"] == "waiting"
        payment = (await paying.ask("POST", "/payments", user.token, body=body)).json()
        (called,) = await until_admitted(polling, following)
        gaps.append(instant(called["admitted_at"]) - instant(payment["paid_at"]))
    assert min(gaps) > 0
    assert statistics.median(gaps) < 0.25, gaps
    await house.audited()


async def test_new_policy_is_in_force_everywhere(house: FrontrowServer, sides: Sides) -> None:
    """Soon after the operator's change both workers act by it."""
    room: Json = {"policy": {"kind": "max_active", "max_active": 1}, "claim_seconds": 120}
    concert = await house.concert(**room)
    path = f"/admin/concerts/{concert['concert_id']}/waiting-room"
    line = await users_on(sides[0][0], 6)
    for user in line:
        await join_on(sides[0][0], user, concert)
    await until_admitted(sides[0][0], line[0])
    # A third of the claim window bounds the pause between two polls, which each worker tells.
    for side in sides:
        assert (await status(side[0], line[-1]))["poll_after_ms"] >= 1_000
    await house.operate("PUT", path, {**room, "claim_seconds": 2})
    changed = time.monotonic()
    for side in sides:
        while (await status(side[0], line[-1]))["poll_after_ms"] > 667:
            assert time.monotonic() < changed + IN_FORCE_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
    wider = {"policy": {"kind": "max_active", "max_active": 4}, "claim_seconds": 120}
    await house.operate("PUT", path, wider)
    changed = time.monotonic()
    await until_admitted(sides[0][0], *line[1:4])
    await until_admitted(sides[1][0], *line[1:4])
    assert time.monotonic() < changed + IN_FORCE_SECONDS
    await house.operate("PUT", path, {"policy": {"kind": "open"}})
    changed = time.monotonic()
    late = (await users_on(sides[1][0], 1))[0]
    await join_on(sides[1][0], late, concert)
    await until_admitted(sides[1][0], *line[4:], late)
    await until_admitted(sides[0][0], *line[4:], late)
    assert time.monotonic() < changed + IN_FORCE_SECONDS
    await house.audited()
