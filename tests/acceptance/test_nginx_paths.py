"""nginx in front of whatever answers: what it asks of that, and what it makes of the answers."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator

import httpx2
import pytest

from testkit.connection import BASE, Connection, Json, close
from testkit.desk import eventually
from tests.acceptance.front import Recorder, fronting, line_of, most_requests, spellings

SOME: Json = {"concert_id": "0198c5a4-7f3a-4c5e-9d5b-0e6f7a8b9c0d"}


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    """A recorder behind an nginx of its own, whose port it knows."""
    made = Recorder()
    async with await asyncio.start_server(made.answer, "127.0.0.1", 0) as server:
        with fronting(server.sockets[0].getsockname()[1]) as (made.port, _):
            yield made


async def test_what_reaches_the_origin(recorder: Recorder) -> None:
    """Of calls about a line the origin gets the path, and the page of entries; of others, all."""
    odd = {
        "Authorization": "Bearer me",
        "Cookie": "a=b",
        "Host": "elsewhere.example.org",
        "X-Request-Id": "mine",
    }
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{recorder.port}{BASE}") as http:
        for path in (line_of(SOME), line_of(SOME) + "/draw"):
            told = await http.get(f"{path}?a=b", headers=odd)
            assert (told.status_code, told.headers["x-cache-status"]) == (200, "MISS")
            assert recorder.heads.pop() == f"GET {BASE}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        pages = f"{line_of(SOME)}/draw/entries?after=5&limit=2"
        told = await http.get(pages, headers=odd)
        assert (told.status_code, told.headers["x-cache-status"]) == (200, "MISS")
        assert recorder.heads.pop() == f"GET {BASE}{pages} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        await http.get("/concerts?a=b", headers=odd)
    lines = recorder.heads.pop().split("\r\n")
    assert lines[0] == f"GET {BASE}/concerts?a=b HTTP/1.1"
    assert {*(f"{name}: {value}" for name, value in odd.items()), "X-Forwarded-For: 127.0.0.1"} <= {
        *lines
    }
    assert recorder.heads == []


@pytest.mark.parametrize("part", ["", "/draw", "/draw/entries"])
async def test_no_spelling_breaks_through(recorder: Recorder, part: str) -> None:
    """A path in capitals, or with a slash at its end, gets the same copy.

    The control are calls that aren't kept: each reaches the origin, spelled as it was sent.
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
        assert asked.keys() == {f"{BASE}{line_of(SOME)}{part}"}
        assert 1 <= asked.total() <= most_requests(seconds)
        recorder.heads.clear()
        for path in others:
            assert "x-cache-status" not in (await http.get(path)).headers
    assert [head.split()[1] for head in recorder.heads] == others


async def test_entries_are_kept_by_page_as_long_as_they_say(recorder: Recorder) -> None:
    """A page that may be kept for an hour is fetched once, while the line is fetched anew."""
    pages = [f"{line_of(SOME)}/draw/entries{query}" for query in ("", "?after=2", "?after=4")]
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{recorder.port}{BASE}") as http:

        async def cache_status(path: str) -> str:
            return str((await http.get(path)).headers["x-cache-status"])

        async def line_expired() -> bool:
            return await cache_status(line_of(SOME)) == "EXPIRED"

        for expected in ("MISS", "HIT"):
            assert [await cache_status(page) for page in pages] == [expected] * 3
        assert await cache_status(line_of(SOME)) == "MISS"
        await eventually(line_expired)
        assert [await cache_status(page) for page in pages] == ["HIT"] * 3
    asked = Counter(head.split()[1].removeprefix(BASE) for head in recorder.heads)
    assert asked == {**dict.fromkeys(pages, 1), line_of(SOME): 2}


async def test_the_first_copy_is_fetched_once(recorder: Recorder) -> None:
    """However slow the origin is, and however many ask before there is a copy."""
    recorder.answering.clear()
    herd = [Connection(recorder.port) for _ in range(50)]
    asking = [asyncio.create_task(one.ask("GET", line_of(SOME))) for one in herd]
    await recorder.until_asked()
    # Calls that go through, on as many connections, have the others read before them.
    through = [Connection(recorder.port) for _ in range(50)]
    await asyncio.gather(*(one.ask("GET", "/concerts") for one in through))
    recorder.answering.set()
    answers = await asyncio.gather(*asking)
    await close([*herd, *through])
    assert Counter(answer.headers["x-cache-status"] for answer in answers) == {"MISS": 1, "HIT": 49}
    assert Counter(head.split()[1] for head in recorder.heads) == {
        f"{BASE}{line_of(SOME)}": 1,
        f"{BASE}/concerts": 50,
    }


async def test_streams_are_not_held_back_however_spelled(recorder: Recorder) -> None:
    """What has come of a stream is passed on before the rest is there, without being asked to."""
    events = "/queue/tokens/me/events"
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{recorder.port}{BASE}") as http:
        for path in (events, *spellings(events)):
            recorder.answering.clear()
            async with http.stream("GET", path) as response:
                parts = response.aiter_raw()
                assert await anext(parts) == b"{", path
                recorder.answering.set()
                assert [part async for part in parts] == [b"}"]
