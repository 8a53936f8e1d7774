"""nginx in front of a recorder: what it requests from the origin, and how it answers clients."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator

import httpx2
import pytest

from testkit.connection import BASE, Connection, Json, close
from testkit.desk import eventually
from tests.acceptance.nginx import Recorder, line_path, most_requests, running_nginx, spellings

SOME: Json = {"concert_id": "0198c5a4-7f3a-4c5e-9d5b-0e6f7a8b9c0d"}


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    """A recorder behind its own nginx, whose port it has."""
    made = Recorder()
    async with await asyncio.start_server(made.answer, "127.0.0.1", 0) as server:
        with running_nginx(server.sockets[0].getsockname()[1]) as (made.port, _):
            yield made


async def test_origin_gets_only_what_it_needs(recorder: Recorder) -> None:
    """For a line the origin gets path, page of entries and client; for other calls, everything."""
    ending = " HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n"
    odd = {
        "Authorization": "Bearer me",
        "Cookie": "a=b",
        "Host": "elsewhere.example.org",
        "X-Request-Id": "mine",
    }
    invented = {"X-Forwarded-For": "198.51.100.1", "Forwarded": "for=198.51.100.1"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{recorder.port}{BASE}") as http:
        for path in (line_path(SOME), line_path(SOME) + "/draw"):
            answer = await http.get(f"{path}?a=b", headers=odd | invented)
            assert (answer.status_code, answer.headers["x-cache-status"]) == (200, "MISS")
            assert recorder.heads.pop() == f"GET {BASE}{path}{ending}"
        pages = f"{line_path(SOME)}/draw/entries?after=5&limit=2"
        answer = await http.get(pages, headers=odd | invented)
        assert (answer.status_code, answer.headers["x-cache-status"]) == (200, "MISS")
        assert recorder.heads.pop() == f"GET {BASE}{pages}{ending}"
        await http.get("/concerts?a=b", headers=odd)
    lines = recorder.heads.pop().split("\r\n")
    assert lines[0] == f"GET {BASE}/concerts?a=b HTTP/1.1"
    assert {*(f"{name}: {value}" for name, value in odd.items()), "X-Forwarded-For: 127.0.0.1"} <= {
        *lines
    }
    assert recorder.heads == []


@pytest.mark.parametrize("part", ["", "/draw", "/draw/entries"])
async def test_other_spellings_do_not_bypass_the_cache(recorder: Recorder, part: str) -> None:
    """A path in capitals, or with a slash at its end, gets the cached copy.

    The controls are calls that aren't cached: each reaches the origin as it was sent.
    """
    concert, queue = SOME["concert_id"], f"/queue{part}"
    paths = [f"{base}/{concert}{path}" for base, path in [
        *((f"{BASE}/concerts", path) for path in (queue, *spellings(queue))),
        *((base, queue) for base in (f"{BASE}/CONCERTS", "/API/v1/concerts", "/api/V1/Concerts")),
    ]]  # fmt: skip
    others = [f"{BASE}/concerts", *spellings(f"{BASE}/concerts")]
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{recorder.port}") as http:
        started = time.monotonic()
        kept = [await http.get(path) for path in paths * 3]
        seconds = time.monotonic() - started
        assert {answer.headers["x-cache-status"] for answer in kept} >= {"MISS", "HIT"}
        asked = Counter(head.split()[1] for head in recorder.heads)
        assert asked.keys() == {f"{BASE}{line_path(SOME)}{part}"}
        assert 1 <= asked.total() <= most_requests(seconds)
        recorder.heads.clear()
        for path in others:
            assert "x-cache-status" not in (await http.get(path)).headers
    assert [head.split()[1] for head in recorder.heads] == others


async def test_entries_are_cached_by_page_for_their_max_age(recorder: Recorder) -> None:
    """A page that is cacheable for an hour is fetched once, while the line is fetched again."""
    pages = [f"{line_path(SOME)}/draw/entries{query}" for query in ("", "?after=2", "?after=4")]
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{recorder.port}{BASE}") as http:

        async def cache_status(path: str) -> str:
            return str((await http.get(path)).headers["x-cache-status"])

        async def line_expired() -> bool:
            return await cache_status(line_path(SOME)) == "EXPIRED"

        for expected in ("MISS", "HIT"):
            assert [await cache_status(page) for page in pages] == [expected] * 3
        assert await cache_status(line_path(SOME)) == "MISS"
        await eventually(line_expired)
        assert [await cache_status(page) for page in pages] == ["HIT"] * 3
    asked = Counter(head.split()[1].removeprefix(BASE) for head in recorder.heads)
    assert asked == {**dict.fromkeys(pages, 1), line_path(SOME): 2}


async def test_first_copy_is_fetched_once(recorder: Recorder) -> None:
    """The first copy is fetched once, however slow the origin is and however many clients wait."""
    recorder.may_answer.clear()
    herd = [Connection(recorder.port) for _ in range(50)]
    asking = [asyncio.create_task(one.ask("GET", line_path(SOME))) for one in herd]
    await recorder.until_asked()
    # Calls that pass, on as many connections: nginx has read the others before.
    through = [Connection(recorder.port) for _ in range(50)]
    await asyncio.gather(*(one.ask("GET", "/concerts") for one in through))
    recorder.may_answer.set()
    answers = await asyncio.gather(*asking)
    await close([*herd, *through])
    assert Counter(answer.headers["x-cache-status"] for answer in answers) == {"MISS": 1, "HIT": 49}
    assert Counter(head.split()[1] for head in recorder.heads) == {
        f"{BASE}{line_path(SOME)}": 1,
        f"{BASE}/concerts": 50,
    }


async def test_streams_of_any_spelling_are_not_buffered(recorder: Recorder) -> None:
    """The first part of a stream is passed on before the rest exists, with any spelling."""
    events = "/queue/tokens/me/events"
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{recorder.port}{BASE}") as http:
        for path in (events, *spellings(events)):
            recorder.may_answer.clear()
            async with http.stream("GET", path) as response:
                parts = response.aiter_raw()
                assert await anext(parts) == b"{", path
                recorder.may_answer.set()
                assert [part async for part in parts] == [b"}"]
