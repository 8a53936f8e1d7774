"""nginx in front of Frontrow: it caches the public line and passes everything else unchanged."""

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
from tests.acceptance.nginx import (
    Nginx,
    configure,
    counted,
    line_path,
    most_requests,
    running_nginx,
    spellings,
)
from tests.programs import program

LOAD_SECONDS = 3.0
WAITERS = 100
"""For each line, each with its own connection."""
BODY_BYTES = 65_536
SOON_SECONDS = 2.5
"""A stream sends an event every second; the rest is for a machine busy with other tests. What is
buffered on the way arrives with the next event of a silent stream, after 14 s, or never."""
log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def server() -> Iterator[FrontrowServer]:
    """A server that some tests stop and start again."""
    program("nginx")
    with serving(FRONTROW_TRUSTED_PROXIES="127.0.0.1", FRONTROW_GUEST_CHALLENGE="0") as running:
        yield running


@pytest.fixture(scope="module")
async def nginx(server: FrontrowServer) -> AsyncIterator[Nginx]:
    """The nginx in front of the server."""
    with running_nginx(server.port) as (port, folder):
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            yield Nginx(port, folder, http)


async def settled(port: int, call: str, wanted: int) -> int:
    """Returns the count of a call once it has reached ``wanted``; it can only be higher later."""

    async def enough() -> bool:
        return await counted(port, call) >= wanted

    await eventually(enough)
    return await counted(port, call)


def test_shipped_configuration_has_no_warning() -> None:
    """Nginx accepts the shipped configuration without a warning."""
    with scratch() as folder:
        command = configure(folder, free_port(), free_port())
        tested = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
        assert tested.returncode == 0, tested.stderr
        assert "test is successful" in tested.stderr
        assert "[warn]" not in tested.stderr, tested.stderr


async def test_many_waiting_clients_are_one_request_a_second(
    server: FrontrowServer, nginx: Nginx
) -> None:
    """200 clients request two lines all the time: the origin gets one request a second per line.

    The control requests the origin directly, which gets each of 500 requests.
    """
    concerts = [await server.concert(), await server.concert()]
    last: dict[str, Json] = {}
    served: Counter[str] = Counter()

    async def watch(connection: Connection, concert: Json) -> None:
        while time.monotonic() < started + LOAD_SECONDS:
            answer = await connection.ask("GET", line_path(concert))
            body = answer.json()
            assert (answer.status, body["concert_id"]) == (200, concert["concert_id"]), answer
            served[body["concert_id"]] += 1
            last[body["concert_id"]] = body
            # Together at most 8,000 a second: nginx allows an address 5,000, and 25,000 at once.
            await asyncio.sleep(0.025)

    made = [Connection(nginx.port) for _ in range(2 * WAITERS)]
    first = time.monotonic()
    assert (await nginx.get(line_path(concerts[0]))).json()["issued"] == 0
    await nginx.join(concerts[0])
    started = time.monotonic()
    await asyncio.gather(
        *(watch(one, concert) for one, concert in zip(made, concerts * WAITERS, strict=True))
    )
    seconds = time.monotonic() - first
    await close(made)

    counts = [served[concert["concert_id"]] for concert in concerts]
    counts[0] += 1
    origin_answers = [
        await nginx.origin_answers(line_path(concert), count)
        for concert, count in zip(concerts, counts, strict=True)
    ]
    fetched = [statuses.pop("200") for statuses in origin_answers]
    log.info("%s answers, %s of them by the origin, in %.2f s", counts, fetched, seconds)
    for statuses, answers, count in zip(origin_answers, counts, fetched, strict=True):
        # It is fetched again while clients request it, no more often than allowed.
        assert 2 <= count <= most_requests(seconds)
        assert statuses == {"-": answers - count}
        assert answers > 2 * WAITERS
    assert [last[concert["concert_id"]]["issued"] for concert in concerts] == [1, 0]

    straight = [Connection(server.port) for _ in range(20)]
    for _ in range(25):
        await asyncio.gather(*(one.ask("GET", line_path(concerts[0])) for one in straight))
    await close(straight)
    # No earlier test requests a line.
    seen = sum(fetched) + 500
    assert await settled(server.port, "queue_document", seen) == seen


async def test_headers_and_queries_do_not_bypass_the_cache(
    server: FrontrowServer, nginx: Nginx
) -> None:
    """All clients get the cached copy, with any headers and any query string."""
    concert = await server.concert()
    path = line_path(concert)
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
    # The origin itself does use the query string.
    connection = Connection(server.port)
    assert (await connection.ask("GET", f"{path}?fresh=1")).status == 422
    await connection.close()
    started = time.monotonic()
    answers = await asyncio.gather(
        *(nginx.get(path + query, **headers) for query, headers in strange * 10)
    )
    head = await nginx.http.head(BASE + path)
    seconds = time.monotonic() - started
    for answer in (*answers, head):
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=1"
        assert "set-cookie" not in answer.headers
        assert "vary" not in answer.headers
    bodies = {answer.text for answer in answers}
    assert {json.loads(body)["concert_id"] for body in bodies} == {concert["concert_id"]}
    assert head.text == ""
    origin_answers = await nginx.origin_answers(path, len(answers) + 1)
    assert len(bodies) <= origin_answers["200"] <= most_requests(seconds)
    assert origin_answers["200"] + origin_answers["-"] == origin_answers.total() == len(answers) + 1


async def test_cached_answer_has_the_id_of_each_request(
    server: FrontrowServer, nginx: Nginx
) -> None:
    """Returns the client's request id if valid, else a new one; never that of another client."""
    path = line_path(await server.concert())
    given = [await nginx.get(path, **{"X-Request-Id": name}) for name in ("first", "second")]
    assert [answer.headers["x-request-id"] for answer in given] == ["first", "second"]
    odd = [await nginx.get(path, **{"X-Request-Id": name}) for name in ("a b", "x" * 129)]
    made = [answer.headers["x-request-id"] for answer in (await nginx.get(path), *odd)]
    assert len(set(made)) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)
    assert all(len(answer.headers.get_list("x-request-id")) == 1 for answer in (*given, *odd))


async def test_tokens_are_never_cached(server: FrontrowServer, nginx: Nginx) -> None:
    """Each join and each poll gets the origin's own answer for its client."""
    concert = await server.concert()
    tokens = [await nginx.join(concert) for _ in range(3)]
    assert len(set(tokens)) == 3
    polls = await nginx.origin_answers("/queue/tokens/me", 0)
    joins = await nginx.origin_answers("/queue/tokens", len(tokens))
    for number, token in enumerate(tokens * 5):
        response = await nginx.get("/queue/tokens/me", token)
        assert (response.status_code, response.json()["number"]) == (200, number % 3 + 1)
        assert response.headers["cache-control"] == "private, no-cache"
        assert "x-cache-status" not in response.headers
    again = await nginx.get("/queue/tokens/me", tokens[0], **{"If-None-Match": "*"})
    assert again.status_code == 304
    key = (await nginx.guest())["user_key"]
    body = {"concert_id": concert["concert_id"]}
    joined = [await nginx.post("/queue/tokens", body, key) for _ in range(2)]
    assert [answer.status_code for answer in joined] == [201, 200]
    assert "x-cache-status" not in joined[1].headers
    origin_answers = await nginx.origin_answers("/queue/tokens/me", polls.total() + 16)
    assert origin_answers - polls == {"200": 15, "304": 1}
    origin_answers = await nginx.origin_answers("/queue/tokens", joins.total() + 2)
    assert origin_answers - joins == {"201": 1, "200": 1}


async def test_streams_are_not_buffered(server: FrontrowServer, nginx: Nginx) -> None:
    """The first event arrives when the stream opens, and a change when it happens."""
    concert = await server.concert(policy={"kind": "max_active", "max_active": 1})
    inside, waiting = await nginx.join(concert), await nginx.join(concert)

    async def called() -> bool:
        body = (await nginx.get("/queue/tokens/me", inside)).json()
        return bool(body["state"] == "admitted")

    await eventually(called)
    opened = time.monotonic()
    headers = {"Authorization": f"Bearer {waiting}"}
    path = f"{BASE}/queue/tokens/me/events"
    async with nginx.http.stream("GET", path, headers=headers) as response:
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
        assert (await nginx.http.delete(f"{BASE}/queue/tokens/me", headers=leaving)).is_success
        while (await anext(statuses))["state"] != "admitted":
            pass
        assert time.monotonic() - left < SOON_SECONDS
        await statuses.aclose()


async def test_large_body_is_refused(server: FrontrowServer, nginx: Nginx) -> None:
    """A body above 64 KiB is refused by nginx as by Frontrow, with or without its length."""

    async def send(size: int, *, in_chunks: bool = False) -> httpx2.Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b" " * size

        content: Any = chunks() if in_chunks else b" " * size
        headers = {"Content-Type": "application/json"}
        return await nginx.http.post(f"{BASE}/users", content=content, headers=headers)

    before = await nginx.origin_answers("/users", 0)
    for in_chunks in (False, True):
        refused = await send(BODY_BYTES + 1, in_chunks=in_chunks)
        check_problem(refused, 413, "too_large")
        assert refused.headers["x-request-id"]
        # A body of the largest size is read, and refused as invalid JSON.
        check_problem(await send(BODY_BYTES, in_chunks=in_chunks), 400, "malformed")
    origin_answers = await nginx.origin_answers("/users", before.total() + 4)
    assert origin_answers - before == {"-": 2, "400": 2}
    connection = Connection(server.port)
    there = await connection.ask("POST", "/users", body={"x": "x" * BODY_BYTES})
    await connection.close()
    assert there.json()["title"] == refused.json()["title"]


async def test_metrics_are_refused_to_other_addresses(server: FrontrowServer, nginx: Nginx) -> None:
    """Only a client on this machine's own address gets the metrics, with any spelling of the path.

    The control requests Frontrow itself from another address, which answers.
    """
    paths = ["/metrics", *spellings("/metrics")]
    elsewhere = httpx2.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx2.AsyncClient(transport=elsewhere, base_url=nginx.http.base_url) as http:
        for path in paths:
            assert "frontrow_http_requests_total" in (await nginx.http.get(path)).text, path
            there = await http.get(f"http://127.0.0.1:{server.port}{path}")
            assert "frontrow_http_requests_total" in there.text, path
            check_problem(await http.get(path), 403, "not_allowed")
        check_problem(await http.get(f"{nginx.http.base_url}//metrics"), 403, "not_allowed")
        # Frontrow does not decode paths and nginx does once: no difference gives access.
        check_problem(await http.get("/%6Detrics"), 403, "not_allowed")
        check_problem(await http.get("/%256Detrics"), 404, "not_found")
        assert (await http.get("/healthz")).status_code == 200


async def test_limits_apply_per_address(server: FrontrowServer, nginx: Nginx) -> None:
    """A client that guesses operator keys is limited, whatever its headers say; others are not.

    Both addresses are on the allow-list of these tests.
    """
    allowed = Settings().wrong_operator_keys_per_minute

    async def guess(http: httpx2.AsyncClient, number: int) -> httpx2.Response:
        headers = {
            "Authorization": f"Bearer guess-{number}",
            "X-Forwarded-For": f"198.51.100.{number}",
            "Forwarded": f"for=198.51.100.{number}",
        }
        return await http.get(f"{nginx.http.base_url}{BASE}/admin/audit", headers=headers)

    for address in ("127.0.0.3", "127.0.0.4"):
        elsewhere = httpx2.AsyncHTTPTransport(local_address=address)
        async with httpx2.AsyncClient(transport=elsewhere) as http:
            for number in range(allowed):
                check_problem(await guess(http, number), 401, "credential_invalid")
            check_problem(await guess(http, allowed), 429, "rate_limited")
    # Without a proxy, requests from here are not limited: the limits above were per address.
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as direct:
        for number in range(allowed + 5):
            headers = {"Authorization": f"Bearer guess-{number}"}
            answer = await direct.get(f"{BASE}/admin/audit", headers=headers)
            check_problem(answer, 401, "credential_invalid")


async def test_last_copy_is_served_while_the_origin_is_down(
    server: FrontrowServer, nginx: Nginx
) -> None:
    """The last copy of a line is served, everything else is 503, and service resumes."""
    kept, unseen = [await server.concert() for _ in range(2)]
    seen = (await nginx.get(line_path(kept))).json()
    await asyncio.to_thread(server.end)

    async def cache_status() -> str:
        answer = await nginx.get(line_path(kept))
        assert answer.status_code == 200
        assert answer.json().items() >= {**seen, "as_of": answer.json()["as_of"]}.items()
        return answer.headers["x-cache-status"]

    async def stale() -> bool:
        return await cache_status() == "STALE"

    async def expired() -> bool:
        return await cache_status() == "EXPIRED"

    started = time.monotonic()
    waiting = [Connection(nginx.port) for _ in range(20)]
    answers: list[Answer] = await asyncio.gather(
        *(one.ask("GET", line_path(unseen)) for one in waiting)
    )
    await close(waiting)
    # Clients that wait for the first copy all get the error immediately, not one by one.
    assert time.monotonic() - started < SOON_SECONDS
    assert [(answer.status, answer.json()["code"]) for answer in answers] == [
        (503, "unavailable")
    ] * 20
    for refused in (
        await nginx.get("/concerts"),
        await nginx.get("/queue/tokens/me", "token"),
        await nginx.post("/payments", {}),
    ):
        check_problem(refused, 503, "unavailable")
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["x-request-id"]
    await eventually(stale)

    await asyncio.to_thread(server.start)
    await eventually(expired)
    assert (await nginx.get(line_path(kept))).json()["as_of"] > seen["as_of"]
    assert await nginx.join(kept)
