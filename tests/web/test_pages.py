"""The pages as files: their headers, languages, caching, texts and weight."""

import gzip
import json
import re
from typing import Any

import pytest

from frontrow.web.files import Files
from frontrow.web.languages import LANGUAGES, catalog
from frontrow.web.openapi import document
from frontrow.web.pages import PAGES, Page, render
from tests.web.fans import Desk, check_problem

HEAVIEST = 100_000
"""Bytes of a page with all that it loads, before compression."""

files = Files()
PATHS = [path for page in PAGES for path in page.paths]
CATALOGS = sorted(path for path in files.sources if path.startswith("catalogs/en/"))


def text(path: str) -> str:
    """A file of the pages."""
    return files.sources[path].decode()


def loaded(page: Page, language: str) -> dict[str, int]:
    """What a page loads, and its sizes: what its HTML names, and what that imports."""
    html = render(files, page, language).plain
    sizes = {page.file: len(html)}
    found = re.findall(rf"/site/{files.version}/([^\"]+)", html.decode())
    while found:
        path = found.pop()
        if path in sizes:
            continue
        sizes[path] = len(files.sources[path])
        if path.endswith(".js"):
            folder = path.rpartition("/")[0]
            for relative in re.findall(r"""(?:from|import|import\()\s*"(\.[^"]+)\"""", text(path)):
                steps = folder.split("/")
                for step in relative.split("/"):
                    if step == "..":
                        steps.pop()
                    elif step != ".":
                        steps.append(step)
                found.append("/".join(steps))
    return sizes


@pytest.mark.parametrize("path", PATHS)
async def test_a_page_is_protected(desk: Desk, path: str) -> None:
    """Nothing in line, nothing from elsewhere, no frame around it; HSTS only over TLS."""
    url = path.replace("{concert_id}", "0198c5a4-7f3a-4c5e-9d5b-0e6f7a8b9c0d")
    response = await desk.http.get(url)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(
        part.strip().split(" ", 1)
        for part in response.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in str(policy)
    headers = response.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    assert "microphone=()" in headers["permissions-policy"]
    assert headers["x-request-id"]
    assert "strict-transport-security" not in headers
    tls = await desk.http.get(url, headers={"X-Forwarded-Proto": "https"})
    assert tls.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_is_light(page: Page, language: str) -> None:
    """All that a page loads is at most 100 KB before compression."""
    sizes = loaded(page, language)
    assert {"styles/base.css", "shared/api.js"} < set(sizes)  # the reckoning follows imports
    assert sum(sizes.values()) <= HEAVIEST, sizes


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_plain(page: Page) -> None:
    """No inline script, style or handler, and every slot is filled."""
    html = render(files, page, "en").plain.decode()
    assert re.findall(r"<script(?! type=\"(?:module\" src=|application/json\"))", html) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", html) == []
    assert "{{" not in html
    assert html.startswith("<!doctype html>")


def test_no_file_names_another_host() -> None:
    """The only addresses are names of XML's, and where the library of the charts is from."""
    for path, content in files.sources.items():
        named = set(re.findall(rb"https?://[^\"'\s)]+", content))
        assert named <= {b"http://www.w3.org/2000/svg", b"https://github.com/leeoniya/uPlot"}, path


def test_no_script_parses_html() -> None:
    """Text stays text: nothing is parsed as HTML or as a script."""
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    for path in files.sources:
        if path.endswith(".js") and "/vendor/" not in path:
            assert re.findall(forbidden, text(path)) == [], path
            assert re.findall(r"localStorage|document\.cookie\s*\?", text(path)) == [], path


@pytest.mark.parametrize("path", CATALOGS)
def test_both_languages_say_the_same(path: str) -> None:
    """Each text is in both catalogs with the same values in it, save for the forms of plurals."""
    english: dict[str, str] = json.loads(text(path))
    korean: dict[str, str] = json.loads(text(path.replace("/en/", "/ko/")))
    assert set(korean) == {key for key in english if not key.endswith(".one")}
    for key, sentence in korean.items():
        assert sentence.strip(), key
        assert set(re.findall(r"\{\w+\}", sentence)) == set(re.findall(r"\{\w+\}", english[key])), (
            key
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_text_of_a_script_is_there(page: Page) -> None:
    """Each key that a script names is in the catalogs of the page that loads it."""
    texts = catalog(files.sources, "en", *page.catalogs)
    for path in loaded(page, "en"):
        if path.endswith(".js"):
            for key in re.findall(r"""\bt\("([\w.]+)\"""", text(path)):
                assert key in texts or f"{key}.other" in texts, (path, key)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_has_a_sentence(language: str) -> None:
    """For each code of the document; and it needs no more than what the answer has."""
    examples: dict[str, Any] = document()["components"]["examples"]
    texts = catalog(files.sources, language, "common")
    for code, example in examples.items():
        sentence = texts[f"refusal.{code}"]
        assert set(re.findall(r"\{(\w+)\}", sentence)) <= set(example["value"]), code
    assert texts["refusal.out_of_touch"]


async def test_files_are_kept_for_good(desk: Desk) -> None:
    """By version; packed where the browser takes that; 304 for who has it; nothing above."""
    url = files.url("shared/api.js")
    plain = await desk.http.get(url, headers={"Accept-Encoding": "identity, gzip;q=0"})
    assert "content-encoding" not in plain.headers
    assert plain.content == files.sources["shared/api.js"]
    assert plain.headers["content-type"] == "text/javascript; charset=utf-8"
    assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert plain.headers["x-content-type-options"] == "nosniff"
    async with desk.http.stream("GET", url, headers={"Accept-Encoding": "gzip"}) as packed:
        raw = b"".join([part async for part in packed.aiter_raw()])
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content
    assert len(raw) < len(plain.content)
    assert packed.headers["vary"] == "accept-encoding"
    assert packed.headers["etag"] != plain.headers["etag"]
    for first in (plain, packed):
        encoding = "gzip" if first is packed else "identity"
        asked = {"If-None-Match": first.headers["etag"], "Accept-Encoding": encoding}
        again = await desk.http.get(url, headers=asked)
        assert (again.status_code, again.content) == (304, b"")
    old = await desk.http.get(url.replace(files.version, "0123456789ab"))
    assert old.headers["cache-control"] == "public, no-cache"
    for missing in ("/site/", "/site", f"/site/{files.version}/", url + "x"):
        check_problem(await desk.http.get(missing), 404, "not_found")
    for escape in ("..%2fapp.py", "%2e%2e/app.py", "..%2f..%2fsettings.py"):
        path = f"/site/{files.version}/{escape}"
        check_problem(await desk.http.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("accepted", "cookie", "language"),
    [
        (None, None, "en"),
        ("ko", None, "ko"),
        ("ko-KR,ko;q=0.9,en-US;q=0.8", None, "ko"),
        ("en-GB,ko;q=0.5", None, "en"),
        ("de,fr;q=0.9", None, "en"),
        ("de, ko;q=0.1", None, "ko"),
        ("en;q=0,ko;q=0.001", None, "ko"),
        ("ko", "frontrow_language=en", "en"),
        ("en", "frontrow_language=ko", "ko"),
        ("ko", "frontrow_language=xx", "ko"),
        ("ko;q=nonsense,,;;", None, "en"),
        ("k" * 5000, None, "en"),
        ("ko", "frontrow_language=\xe9", "ko"),
    ],
)
async def test_the_language(
    desk: Desk, accepted: str | None, cookie: str | None, language: str
) -> None:
    """The chosen one, else the one that the browser likes best, else English."""
    headers = {b"accept-language": accepted, b"cookie": cookie}
    sent = {name: value.encode("latin-1") for name, value in headers.items() if value}
    response = await desk.http.get("/", headers=sent)
    assert f'<html lang="{language}">' in response.text
    assert response.headers.get_list("vary") == ["accept-encoding", "accept-language, cookie"]


@pytest.mark.parametrize(
    ("asked", "location"),
    [
        ("/?lang=ko", "/"),
        ("/tickets?lang=ko", "/tickets"),
        ("/tickets?a=1&lang=ko&b=2", "/tickets?a=1&b=2"),
        ("//evil.example/?lang=ko", None),
        ("/concerts/%0d%0aset-cookie:x?lang=ko", "/concerts/%0D%0Aset-cookie%3Ax"),
        ("/?lang=xx", None),
        ("/?lang=%e9&%ff=%00", None),
    ],
)
async def test_choosing_a_language(desk: Desk, asked: str, location: str | None) -> None:
    """?lang= keeps the choice in a cookie and leads back to where one was, on this server."""
    url = str(desk.http.base_url).rstrip("/") + asked
    response = await desk.http.get(url)
    if location is None:
        assert response.status_code in (200, 404)
        assert "set-cookie" not in response.headers
    else:
        assert response.status_code == 303
        assert response.headers["location"] == location
        assert response.headers["set-cookie"].startswith("frontrow_language=ko; Path=/;")
    desk.http.cookies.clear()
