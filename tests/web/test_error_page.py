"""Addresses without a page: a page for a browser, a problem for a client of the API."""

import pytest

from testkit.database import Database
from testkit.desk import Desk, check_problem, open_desk

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("path", ["/concert", "/concerts/1/2/3", "/console/none", "/docs/none"])
async def test_browser_gets_a_page_for_an_unknown_address(desk: Desk, path: str) -> None:
    """With the way to the concerts, in its language; another client gets the problem."""
    for language, text in (("en", "There is no page here"), ("ko", "페이지가 없습니다")):
        headers = {"Accept": BROWSER, "Accept-Language": language}
        page = await desk.http.get(path, headers=headers)
        assert page.status_code == 404
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert page.headers["cache-control"] == "no-store"
        assert len(page.headers.get_list("x-request-id")) == 1
        assert text in page.text
        assert 'href="/"' in page.text
    assert (await desk.http.head(path, headers={"Accept": BROWSER})).status_code == 404
    for accept in ("*/*", "application/json"):
        check_problem(await desk.http.get(path, headers={"Accept": accept}), 404, "not_found")


async def test_api_answers_a_browser_with_a_problem(desk: Desk) -> None:
    """Below its path, and to other methods than GET."""
    headers = {"Accept": BROWSER}
    for method, path in (("GET", "/api/v1/none"), ("POST", "/none")):
        answer = await desk.http.request(method, path, headers=headers)
        check_problem(answer, 404, "not_found")


async def test_browser_gets_a_page_for_too_many_requests(database: Database) -> None:
    """With the status and the headers of the problem."""
    headers = {"Accept": BROWSER, "X-Forwarded-For": "198.51.0.1"}
    async with open_desk(
        database,
        address_burst=1,
        address_requests_per_second=0.001,
        trusted_proxies="127.0.0.1",
    ) as desk:
        pages = [await desk.http.get("/tickets", headers=headers) for _ in range(2)]
        assert [page.status_code for page in pages] == [200, 429]
        assert pages[1].headers["content-type"] == "text/html; charset=utf-8"
        assert int(pages[1].headers["retry-after"]) > 0
        assert "Too many requests" in pages[1].text
