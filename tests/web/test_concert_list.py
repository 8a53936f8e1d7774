"""The list of concerts over HTTP and as a page: in pages, with search, cached for a second."""

import gzip
import re
from uuid import uuid4

import httpx2
import pytest

from testkit.desk import Concert, Desk, check_problem, starts_at

TOKEN = re.compile(r'href="/concerts/([0-9a-f-]{36})"')


@pytest.fixture(scope="module")
async def three(desk: Desk) -> list[Concert]:
    """Three concerts, a day after each other."""
    return [
        await desk.concert(
            title=title, artist=artist, shows=[{"starts_at": starts_at(day), "price": 50_000}]
        )
        for day, (title, artist) in enumerate(
            (("Lanterns", "Moonrise"), ("Rain & <Light>", "Sol"), ("Morning", "Sol")), 1
        )
    ]


def pointers(refused: httpx2.Response) -> list[str]:
    """Returns what is wrong in a request."""
    return [error["pointer"] for error in refused.json()["errors"]]


async def listed(desk: Desk, query: str = "") -> tuple[list[str], str | None]:
    """Returns the titles of a page, and the next one's ``after``."""
    answer = await desk.ask("GET", f"/concerts{query}")
    assert answer.status_code == 200
    body = answer.json()
    return [each["title"] for each in body["concerts"]], body["next"]


@pytest.mark.usefixtures("three")
async def test_list_has_pages(desk: Desk) -> None:
    """``limit`` and ``after``; ``next`` is null on the last page."""
    first, after = await listed(desk, "?limit=2")
    assert first == ["Lanterns", "Rain & <Light>"]
    assert await listed(desk, f"?limit=2&after={after}") == (["Morning"], None)
    assert await listed(desk) == ([*first, "Morning"], None)


@pytest.mark.usefixtures("three")
async def test_list_is_searched(desk: Desk) -> None:
    """``q`` in title and artist, in any case, in pages too; an empty one finds all."""
    assert await listed(desk, "?q=SOL") == (["Rain & <Light>", "Morning"], None)
    found, after = await listed(desk, "?q=sol&limit=1")
    assert found == ["Rain & <Light>"]
    assert await listed(desk, f"?q=sol&limit=1&after={after}") == (["Morning"], None)
    assert await listed(desk, "?q=nothing") == ([], None)
    assert len((await listed(desk, "?q=%20"))[0]) == 3


async def test_list_is_filtered_by_dates(desk: Desk, three: list[Concert]) -> None:
    """``from`` and ``to``, both inclusive."""
    second = three[1].date
    assert await listed(desk, f"?from={second}&to={second}") == (["Rain & <Light>"], None)
    assert (await listed(desk, f"?from={second}"))[0] == ["Rain & <Light>", "Morning"]
    assert (await listed(desk, f"?to={second}"))[0] == ["Lanterns", "Rain & <Light>"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("after=x", "after"),
        ("after=1.2", "after"),
        (f"after=999999999.{'0' * 32}", "after"),
        ("from=yesterday", "from"),
        ("to=2027-13-01", "to"),
        (f"q={'x' * 101}", "q"),
        ("q=a%00b", "q"),
        ("page=2", "page"),
    ],
)
async def test_wrong_query_is_refused(desk: Desk, query: str, parameter: str) -> None:
    """With the name of the parameter."""
    refused = await desk.ask("GET", f"/concerts?{query}")
    assert (refused.status_code, pointers(refused)) == (422, [parameter])


@pytest.mark.usefixtures("three")
async def test_list_is_compressed_and_has_a_tag(desk: Desk) -> None:
    """Gzip for clients that accept it, 304 for those that have the version."""
    async with desk.http.stream(
        "GET", "/api/v1/concerts", headers={"Accept-Encoding": "gzip"}
    ) as packed:
        raw = b"".join([part async for part in packed.aiter_raw()])
    plain = await desk.http.get("/api/v1/concerts", headers={"Accept-Encoding": "identity"})
    assert gzip.decompress(raw) == plain.content
    assert plain.headers["cache-control"] == "public, max-age=0, s-maxage=1"
    for answer, encoding in ((packed, "gzip"), (plain, "identity")):
        headers = {"If-None-Match": answer.headers["etag"], "Accept-Encoding": encoding}
        assert (await desk.http.get("/api/v1/concerts", headers=headers)).status_code == 304


async def test_one_concert(desk: Desk) -> None:
    """GET /concerts/{concert_id}: as the list has it, with description and shows."""
    made = await desk.concert(
        title="The one",
        shows=2,
        description="Line one\nand two",
        poster_url="https://img.example.org/p.jpg",
        age_limit=16,
    )
    found = (await desk.ask("GET", f"/concerts/{made.concert_id}")).json()
    (of_list,) = (await desk.ask("GET", "/concerts?q=the one")).json()["concerts"]
    more = {name: found.pop(name) for name in ("description", "poster_url", "age_limit", "shows")}
    assert found == of_list
    assert [(each["show_id"], each["date"]) for each in more.pop("shows")] == [
        (each["show_id"], each["date"]) for each in made.shows
    ]
    assert more == {
        "description": "Line one\nand two",
        "poster_url": "https://img.example.org/p.jpg",
        "age_limit": 16,
    }
    path = f"/admin/concerts/{made.concert_id}"
    await desk.operate("PATCH", path, json={"description": None, "age_limit": 18})
    found = (await desk.ask("GET", f"/concerts/{made.concert_id}")).json()
    assert (found["description"], found["age_limit"]) == (None, 18)
    check_problem(await desk.ask("GET", f"/concerts/{uuid4()}"), 404, "not_found")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("description", ""),
        ("description", "\u200b"),
        ("description", "a\x07"),
        ("description", "x" * 10_001),
        ("poster_url", "http://img.example.org/p.jpg"),
        ("poster_url", "javascript:alert(1)"),
        ("poster_url", 'https://img.example.org/"onload'),
        ("age_limit", 0),
        ("age_limit", 100),
    ],
)
async def test_wrong_description_is_refused(desk: Desk, field: str, value: object) -> None:
    """Texts without a visible character or with controls, other URLs than https, other ages."""
    body = {"title": "T", "shows": [{"starts_at": starts_at(), "price": 1}], field: value}
    refused = await desk.operate("POST", "/admin/concerts", json=body)
    assert (refused.status_code, pointers(refused)) == (422, [f"/{field}"])


# The page -----------------------------------------------------------------------------------------


async def shown(desk: Desk, path: str, language: str = "en") -> httpx2.Response:
    """Returns the page."""
    answer = await desk.http.get(path, headers={"Accept-Language": language})
    assert answer.status_code == 200
    return answer


async def test_page_is_searched(desk: Desk, three: list[Concert]) -> None:
    """With a form that needs no script, in both languages; the text is escaped."""
    found = (await shown(desk, "/?q=rain+%26+%3Clight%3E")).text
    assert TOKEN.findall(found) == [three[1].concert_id]
    assert 'value="rain &amp; &lt;light&gt;"' in found
    assert '<form class="row search" role="search" action="/">' in found
    none = (await shown(desk, "/?q=%3Cscript%3E")).text
    assert "No concert matches “&lt;script&gt;”." in none
    assert "<script" not in none
    korean = (await shown(desk, "/?q=%3Cb%3E", "ko")).text
    assert "“&lt;b&gt;”에 맞는 콘서트가 없습니다." in korean
    assert "검색" in korean


async def test_page_links_to_the_next_one(desk: Desk) -> None:
    """Until every concert on sale was shown, with the search that it continues."""
    made = {
        (
            await desk.concert(
                title=f"Many {n}", shows=[{"starts_at": starts_at(60 + n), "price": 1}]
            )
        ).concert_id
        for n in range(55)
    }
    seen: list[str] = []
    path = "/?q=many"
    pages = 0
    while path:
        text = (await shown(desk, path)).text
        seen += TOKEN.findall(text)
        pages += 1
        link = re.search(r'rel="next" href="([^"]+)"', text)
        path = link[1].replace("&amp;", "&") if link else ""
    assert pages == 2
    assert len(seen) == len(set(seen)) == 55
    assert set(seen) == made
    assert 'rel="next"' in (await shown(desk, "/")).text


@pytest.mark.parametrize("path", ["/?after=x", "/?after=", f"/?q={'x' * 5000}", "/?q=%00", "/?q="])
async def test_odd_address_is_answered(desk: Desk, path: str) -> None:
    """What an address can't mean is ignored."""
    await shown(desk, path)
