"""Attacks through the shipped nginx: on the line's documents and on the operator's calls."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import uuid4

import httpx2
import pytest

from testkit.connection import BASE
from testkit.desk import check_problem, eventually
from tests.acceptance.nginx import Recorder, running_nginx, spellings

BURST = 20
CONNECTIONS = 4
CONCERT = "0198c5a4-7f3a-4c5e-9d5b-0e6f7a8b9c0d"
OPERATORS = [
    "/console",
    "/console/gate",
    "/metrics",
    f"{BASE}/admin/audit",
    f"{BASE}/admin/session",
]


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    """A recorder behind its own nginx, whose port it has."""
    made = Recorder()
    async with await asyncio.start_server(made.answer, "127.0.0.1", 0) as server:
        origin = server.sockets[0].getsockname()[1]
        with running_nginx(origin, burst=BURST, connections=CONNECTIONS) as (made.port, _):
            yield made


async def test_line_documents_are_limited_by_address(recorder: Recorder) -> None:
    """Cached copies and invented concerts count together; other calls are Frontrow's to count."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{recorder.port}") as http:
        parts = ("", "/draw", "/draw/entries")
        paths = [
            f"{BASE}/concerts/{CONCERT if turn % 2 else uuid4()}/queue{parts[turn % 3]}"
            for turn in range(2 * BURST)
        ]
        answers = [await http.get(path) for path in paths]
        assert Counter(answer.status_code for answer in answers) == {200: BURST + 1, 429: BURST - 1}
        check_problem(answers[-1], 429, "rate_limited")
        assert answers[-1].headers["retry-after"] == "1"
        assert answers[-1].headers["x-request-id"]
        assert len(recorder.heads) <= BURST + 1
        assert (await http.get(f"{BASE}/concerts")).status_code == 200


async def test_open_requests_of_an_address_are_limited(recorder: Recorder) -> None:
    """One more than it may have open is 429; others get answers; a closed one makes room."""
    base, events = f"http://127.0.0.1:{recorder.port}", f"{BASE}/queue/tokens/me/events"
    recorder.may_answer.clear()
    elsewhere = httpx2.AsyncHTTPTransport(local_address="127.0.0.2")
    async with (
        httpx2.AsyncClient(base_url=base) as greedy,
        httpx2.AsyncClient(base_url=base, transport=elsewhere) as other,
    ):
        async with AsyncExitStack() as opened:
            for _ in range(CONNECTIONS):
                stream = await opened.enter_async_context(greedy.stream("GET", events))
                assert stream.status_code == 200
            for path in (events, "/", f"{BASE}/concerts"):
                check_problem(await greedy.get(path), 429, "rate_limited")
            assert (await other.get("/")).status_code == 200
            assert len(recorder.heads) == CONNECTIONS + 1

        async def has_room() -> bool:
            return (await greedy.get("/")).status_code == 200

        await eventually(has_room)
        recorder.may_answer.set()


async def test_version_of_nginx_is_hidden(recorder: Recorder) -> None:
    """In the header of each answer, and on nginx's own pages."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{recorder.port}") as http:
        for answer in (
            await http.get("/"),
            await http.request("GET", "/", headers={"Host": "a b"}),
        ):
            assert answer.headers["server"] == "nginx"
            assert "nginx/" not in answer.text


async def test_operators_pages_and_calls_have_an_allow_list(recorder: Recorder) -> None:
    """An address that isn't listed gets 403 with any spelling, and nothing reaches the origin."""
    elsewhere = httpx2.AsyncHTTPTransport(local_address="127.0.0.2")
    base = f"http://127.0.0.1:{recorder.port}"
    async with (
        httpx2.AsyncClient(base_url=base, transport=elsewhere) as stranger,
        httpx2.AsyncClient(base_url=base) as allowed,
    ):
        for path in OPERATORS:
            odd = [path.replace("/", "//"), path.replace("/", "/./"), path.replace("m", "%6D")]
            for spelling in (path, *spellings(path), *odd, f"{path}?a=b"):
                check_problem(await stranger.get(f"{base}{spelling}"), 403, "not_allowed")
            assert recorder.heads == []
            assert (await allowed.get(path)).status_code == 200
            recorder.heads.clear()
        for path in ("/", "/consoles", f"{BASE}/concerts"):
            assert (await stranger.get(path)).status_code == 200
