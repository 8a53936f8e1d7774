"""nginx in front of Frontrow: one answer for everybody who waits, and everything else untouched."""

import asyncio
import json
import logging
import re
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest

from frontrow.settings import Settings
from testkit.connection import BASE, Answer, Connection, Json, close
from testkit.desk import check_problem, eventually
from testkit.server import FrontrowServer, free_port, scratch, serving
from tests.acceptance.front import (
    Front,
    configure,
    counted,
    fronting,
    line_of,
    most_requests,
    spellings,
)
from tests.programs import program

LOAD_SECONDS = 3.0
WAITERS = 100
"""Of each line, each on a connection of its own."""
BODY_BYTES = 65_536
SOON_SECONDS = 2.5
"""A stream's pace is a second; the rest is for a machine that is busy with other tests. What is
held back on its way comes with the next event of a silent stream, after 14 s, or never."""
log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def house() -> Iterator[FrontrowServer]:
    """A server, which some tests stop and start again."""
    program("nginx")
    with serving(FRONTROW_TRUSTED_PROXIES="127.0.0.1") as running:
        yield running


@pytest.fixture(scope="module")
async def front(house: FrontrowServer) -> AsyncIterator[Front]:
    """The nginx in front of it."""
    with fronting(house.port) as (port, folder):
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            yield Front(port, folder, http)


async def settled(port: int, call: str, wanted: int) -> int:
    """The same, once it has come to what is wanted; later than that it may only be more."""

    async def enough() -> bool:
        return await counted(port, call) >= wanted

    await eventually(enough)
    return await counted(port, call)


def test_as_shipped() -> None:
    """Nginx takes the configuration, and has nothing to say against it."""
    with scratch() as folder:
        command = configure(folder, free_port(), free_port())
        tested = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
        assert tested.returncode == 0, tested.stderr
        assert "test is successful" in tested.stderr
        assert "[warn]" not in tested.stderr, tested.stderr


async def test_many_waiters_are_one_request_a_second(house: FrontrowServer, front: Front) -> None:
    """200 people watch two lines as fast as they can: the origin sees a request a second and line.

    The control asks the origin itself, which sees each of 500 requests.
    """
    concerts = [await house.concert(), await house.concert()]
    last: dict[str, Json] = {}
    served: Counter[str] = Counter()

    async def watch(connection: Connection, concert: Json) -> None:
        while time.monotonic() < started + LOAD_SECONDS:
            answer = await connection.ask("GET", line_of(concert))
            told = answer.json()
            assert (answer.status, told["concert_id"]) == (200, concert["concert_id"]), answer
            served[told["concert_id"]] += 1
            last[told["concert_id"]] = told

    made = [Connection(front.port) for _ in range(2 * WAITERS)]
    first = time.monotonic()
    assert (await front.get(line_of(concerts[0]))).json()["issued"] == 0
    await front.join(concerts[0])
    started = time.monotonic()
    await asyncio.gather(
        *(watch(one, concert) for one, concert in zip(made, concerts * WAITERS, strict=True))
    )
    seconds = time.monotonic() - first
    await close(made)

    told = [served[concert["concert_id"]] for concert in concerts]
    told[0] += 1
    asked = [
        await front.asked(line_of(concert), count)
        for concert, count in zip(concerts, told, strict=True)
    ]
    fetched = [statuses.pop("200") for statuses in asked]
    log.info("%s answers, %s of them by the origin, in %.2f s", told, fetched, seconds)
    for statuses, answers, count in zip(asked, told, fetched, strict=True):
        # It is fetched again while it is watched, and no more often than it may be.
        assert 2 <= count <= most_requests(seconds)
        assert statuses == {"-": answers - count}
        assert answers > 2 * WAITERS
    assert [last[concert["concert_id"]]["issued"] for concert in concerts] == [1, 0]

    straight = [Connection(house.port) for _ in range(20)]
    for _ in range(25):
        await asyncio.gather(*(one.ask("GET", line_of(concerts[0])) for one in straight))
    await close(straight)
    # No test before this one asks for a line.
    seen = sum(fetched) + 500
    assert await settled(house.port, "queue_document", seen) == seen


async def test_nothing_of_the_request_breaks_through(house: FrontrowServer, front: Front) -> None:
    """Whatever headers and query strings a client sends, all get the one copy."""
    concert = await house.concert()
    path = line_of(concert)
    strange: list[tuple[str, dict[str, str]]] = [
        ("?fresh=1", {}),
        ("?", {}),
        ("", {"Authorization": "Bearer somebody"}),
        ("", {"Cookie": "session=somebody"}),
        ("", {"Cache-Control": "no-cache"}),
        ("", {"Cache-Control": "no-store, max-age=0", "Pragma": "no-cache"}),
        ("", {"If-None-Match": "*", "If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"}),
        ("", {"Accept": "text/html", "Accept-Encoding": "br", "Origin": "https://example.org"}),
        ("", {"Host": "elsewhere.example.org"}),
    ]
    # Straight to the origin the query string matters.
    connection = Connection(house.port)
    assert (await connection.ask("GET", f"{path}?fresh=1")).status == 422
    await connection.close()
    started = time.monotonic()
    answers = await asyncio.gather(
        *(front.get(path + query, **headers) for query, headers in strange * 10)
    )
    head = await front.http.head(BASE + path)
    seconds = time.monotonic() - started
    for answer in (*answers, head):
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=1"
        assert "set-cookie" not in answer.headers
        assert "vary" not in answer.headers
    bodies = {answer.text for answer in answers}
    assert {json.loads(body)["concert_id"] for body in bodies} == {concert["concert_id"]}
    assert head.text == ""
    asked = await front.asked(path, len(answers) + 1)
    assert len(bodies) <= asked["200"] <= most_requests(seconds)
    assert asked["200"] + asked["-"] == asked.total() == len(answers) + 1


async def test_a_kept_answer_has_the_id_of_each_request(
    house: FrontrowServer, front: Front
) -> None:
    """The caller's request id if it is a good one, else a new one; never that of who fetched it."""
    path = line_of(await house.concert())
    given = [await front.get(path, **{"X-Request-Id": name}) for name in ("first", "second")]
    assert [answer.headers["x-request-id"] for answer in given] == ["first", "second"]
    odd = [await front.get(path, **{"X-Request-Id": name}) for name in ("a b", "x" * 129)]
    made = [answer.headers["x-request-id"] for answer in (await front.get(path), *odd)]
    assert len(set(made)) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)
    assert all(len(answer.headers.get_list("x-request-id")) == 1 for answer in (*given, *odd))


async def test_tokens_are_never_kept(house: FrontrowServer, front: Front) -> None:
    """Each join and each poll is the origin's own answer, to the one who asked."""
    concert = await house.concert()
    tokens = [await front.join(concert) for _ in range(3)]
    assert len(set(tokens)) == 3
    polls = await front.asked("/queue/tokens/me", 0)
    joins = await front.asked("/queue/tokens", len(tokens))
    for number, token in enumerate(tokens * 5):
        told = await front.get("/queue/tokens/me", token)
        assert (told.status_code, told.json()["number"]) == (200, number % 3 + 1)
        assert told.headers["cache-control"] == "private, no-cache"
        assert "x-cache-status" not in told.headers
    again = await front.get("/queue/tokens/me", tokens[0], **{"If-None-Match": "*"})
    assert again.status_code == 304
    key = (await front.guest())["user_key"]
    body = {"concert_id": concert["concert_id"]}
    joined = [await front.post("/queue/tokens", body, key) for _ in range(2)]
    assert [answer.status_code for answer in joined] == [201, 200]
    assert "x-cache-status" not in joined[1].headers
    asked = await front.asked("/queue/tokens/me", polls.total() + 16)
    assert asked - polls == {"200": 15, "304": 1}
    asked = await front.asked("/queue/tokens", joins.total() + 2)
    assert asked - joins == {"201": 1, "200": 1}


async def test_streams_pass_at_once(house: FrontrowServer, front: Front) -> None:
    """The first event comes when the stream opens, and a change when it happens."""
    concert = await house.concert(policy={"kind": "max_active", "max_active": 1})
    inside, waiting = await front.join(concert), await front.join(concert)

    async def called() -> bool:
        told = (await front.get("/queue/tokens/me", inside)).json()
        return bool(told["state"] == "admitted")

    await eventually(called)
    opened = time.monotonic()
    headers = {"Authorization": f"Bearer {waiting}"}
    path = f"{BASE}/queue/tokens/me/events"
    async with front.http.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        statuses = (
            json.loads(line.removeprefix("data: "))
            async for line in response.aiter_lines()
            if line.startswith("data: ")
        )
        first = await anext(statuses)
        assert first["state"] == "waiting"
        assert time.monotonic() - opened < SOON_SECONDS
        left = time.monotonic()
        leaving = {"Authorization": f"Bearer {inside}"}
        assert (await front.http.delete(f"{BASE}/queue/tokens/me", headers=leaving)).is_success
        while (await anext(statuses))["state"] != "admitted":
            pass
        assert time.monotonic() - left < SOON_SECONDS
        await statuses.aclose()


async def test_too_large(house: FrontrowServer, front: Front) -> None:
    """A body over 64 KiB is refused here as it is there, told beforehand or not."""

    async def send(size: int, *, in_chunks: bool = False) -> httpx2.Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b" " * size

        content: Any = chunks() if in_chunks else b" " * size
        headers = {"Content-Type": "application/json"}
        return await front.http.post(f"{BASE}/users", content=content, headers=headers)

    before = await front.asked("/users", 0)
    for in_chunks in (False, True):
        refused = await send(BODY_BYTES + 1, in_chunks=in_chunks)
        check_problem(refused, 413, "too_large")
        assert refused.headers["x-request-id"]
        # As large as that it is read, and found to be no JSON.
        check_problem(await send(BODY_BYTES, in_chunks=in_chunks), 400, "malformed")
    asked = await front.asked("/users", before.total() + 4)
    assert asked - before == {"-": 2, "400": 2}
    connection = Connection(house.port)
    there = await connection.ask("POST", "/users", body={"x": "x" * BODY_BYTES})
    await connection.close()
    assert there.json()["title"] == refused.json()["title"]


async def test_metrics_are_for_the_house(house: FrontrowServer, front: Front) -> None:
    """Who asks from this machine's own address gets them; nobody else, however they spell it.

    The control asks Frontrow itself from elsewhere, which knows no difference.
    """
    paths = ["/metrics", *spellings("/metrics")]
    elsewhere = httpx2.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx2.AsyncClient(transport=elsewhere, base_url=front.http.base_url) as http:
        for path in paths:
            assert "frontrow_http_requests_total" in (await front.http.get(path)).text, path
            there = await http.get(f"http://127.0.0.1:{house.port}{path}")
            assert "frontrow_http_requests_total" in there.text, path
            check_problem(await http.get(path), 403, "not_allowed")
        check_problem(await http.get(f"{front.http.base_url}//metrics"), 403, "not_allowed")
        # Frontrow decodes no path, nginx once: what only one of them knows opens nothing.
        check_problem(await http.get("/%6Detrics"), 403, "not_allowed")
        check_problem(await http.get("/%256Detrics"), 404, "not_found")
        assert (await http.get("/healthz")).status_code == 200


async def test_limits_are_each_address_s_own(house: FrontrowServer, front: Front) -> None:
    """Whoever guesses the operator's key is stopped, whatever it says of itself; nobody else is."""
    allowed = Settings().wrong_operator_keys_per_minute

    async def guess(http: httpx2.AsyncClient, number: int) -> httpx2.Response:
        headers = {
            "Authorization": f"Bearer guess-{number}",
            "X-Forwarded-For": f"198.51.100.{number}",
            "Forwarded": f"for=198.51.100.{number}",
        }
        return await http.get(f"{front.http.base_url}{BASE}/admin/audit", headers=headers)

    for address in ("127.0.0.3", "127.0.0.4"):
        elsewhere = httpx2.AsyncHTTPTransport(local_address=address)
        async with httpx2.AsyncClient(transport=elsewhere) as http:
            for number in range(allowed):
                check_problem(await guess(http, number), 401, "credential_invalid")
            check_problem(await guess(http, allowed), 429, "rate_limited")
    # Asked without a proxy, nobody is counted here: that it was the addresses, this shows.
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{house.port}") as direct:
        for number in range(allowed + 5):
            headers = {"Authorization": f"Bearer guess-{number}"}
            answer = await direct.get(f"{BASE}/admin/audit", headers=headers)
            check_problem(answer, 401, "credential_invalid")


async def test_while_the_origin_is_down(house: FrontrowServer, front: Front) -> None:
    """The last copy of a line is still served, all else is 503, and it heals by itself."""
    kept, unseen = [await house.concert() for _ in range(2)]
    seen = (await front.get(line_of(kept))).json()
    await asyncio.to_thread(house.end)

    async def cache_status() -> str:
        answer = await front.get(line_of(kept))
        assert answer.status_code == 200
        assert answer.json().items() >= {**seen, "as_of": answer.json()["as_of"]}.items()
        return answer.headers["x-cache-status"]

    async def stale() -> bool:
        return await cache_status() == "STALE"

    async def expired() -> bool:
        return await cache_status() == "EXPIRED"

    asked = time.monotonic()
    waiting = [Connection(front.port) for _ in range(20)]
    answers: list[Answer] = await asyncio.gather(
        *(one.ask("GET", line_of(unseen)) for one in waiting)
    )
    await close(waiting)
    # Who waits for the first copy is told at once that there is none, not one after the other.
    assert time.monotonic() - asked < SOON_SECONDS
    assert [(answer.status, answer.json()["code"]) for answer in answers] == [
        (503, "unavailable")
    ] * 20
    for refused in (
        await front.get("/concerts"),
        await front.get("/queue/tokens/me", "token"),
        await front.post("/payments", {}),
    ):
        check_problem(refused, 503, "unavailable")
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["x-request-id"]
    await eventually(stale)

    await asyncio.to_thread(house.start)
    await eventually(expired)
    assert (await front.get(line_of(kept))).json()["as_of"] > seen["as_of"]
    assert await front.join(kept)
