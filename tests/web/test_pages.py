"""The pages as files: headers, languages, caching, texts and size."""

import gzip
import json
import posixpath
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from frontrow.web.i18n.catalogs import LANGUAGES, catalog
from frontrow.web.i18n.texts import Texts
from frontrow.web.pages import assets, concert_page
from frontrow.web.pages.assets import Files
from frontrow.web.pages.routes import PAGES
from frontrow.web.routes import document
from testkit.desk import Desk, check_problem, eventually

LARGEST = 100_000
"""Bytes of a page with everything that it loads, before compression."""

_SHOW = {"starts_at": "2126-03-14T10:00:00Z", "price": 50_000, "seats": 10}

files = Files()
PATHS = ["/", "/concerts/{concert_id}", *(path for page in PAGES for path in page.paths)]
CATALOGS = sorted(path for path in files.sources if path.startswith("catalogs/en/"))


def text(path: str) -> str:
    """Returns the text of a file of the pages."""
    return files.sources[path].decode()


def loaded(html: str) -> dict[str, int]:
    """Returns the sizes of the files that a page loads: those its HTML names, and their imports."""
    sizes = {"html": len(html.encode())}
    named = re.findall(rf"/site/{files.version}/([^\"]+)", html)
    found = [path for joined in named for path in joined.split("+")]
    while found:
        path = found.pop()
        if path in sizes:
            continue
        sizes[path] = len(files.sources[path])
        if path.endswith(".js"):
            imported = re.findall(r"""(?:from|import|import\()\s*"(\.[^"]+)\"""", text(path))
            found += [
                posixpath.normpath(posixpath.join(posixpath.dirname(path), each))
                for each in imported
            ]
    return sizes


async def open_page(desk: Desk, path: str, language: str = "en") -> str:
    """Returns the HTML of a page; for a concert's page, of a new concert."""
    concert = (await desk.concert()).concert_id if "{concert_id}" in path else ""
    url = path.replace("{concert_id}", concert)
    response = await desk.http.get(url, headers={"Accept-Language": language})
    assert response.status_code == 200
    return response.text


@pytest.mark.parametrize("path", PATHS)
async def test_page_has_security_headers(desk: Desk, path: str) -> None:
    """Nothing inline, nothing from another host, no frame around it; HSTS only with TLS."""
    url = path.replace("{concert_id}", (await desk.concert()).concert_id)
    response = await desk.http.get(url)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(
        part.strip().split(" ", 1)
        for part in response.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["style-src"] == "'self'"
    assert policy.get("script-src", "'self'") == policy.get("connect-src", "'self'") == "'self'"
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


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_page_is_small(desk: Desk, path: str, language: str) -> None:
    """Everything that a page loads is at most 100 KB before compression."""
    sizes = loaded(await open_page(desk, path, language))
    assert "styles/base.css" in sizes
    assert path == "/" or "shared/api.js" in sizes  # imports are included
    assert sum(sizes.values()) <= LARGEST, sizes


@pytest.mark.parametrize("path", PATHS)
async def test_page_has_nothing_inline(desk: Desk, path: str) -> None:
    """No inline script, style or handler, and every placeholder is filled."""
    html = await open_page(desk, path)
    file_or_data = r" async src=| type=\"(?:module\" src=|application/json\")"
    assert re.findall(rf"<script(?!{file_or_data})", html) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", html) == []
    assert "{{" not in html
    assert html.startswith("<!doctype html>")


def test_no_file_names_another_host() -> None:
    """The only URLs are XML namespaces and those of vendored libraries."""
    known = {
        b"http://www.w3.org/2000/svg",
        b"https://github.com/leeoniya/uPlot",
        b"https://bugzil.la/1681809",
        b"https://paulmillr.com",
    }
    for path, content in files.sources.items():
        named = set(re.findall(rb"https?://[^\"'\s)]+", content))
        assert named <= known, path


def test_no_script_parses_html() -> None:
    """No text is parsed as HTML or as a script."""
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    for path in files.sources:
        if path.endswith(".js") and "/vendor/" not in path:
            assert re.findall(forbidden, text(path)) == [], path
            assert re.findall(r"localStorage|document\.cookie\s*\?", text(path)) == [], path


def test_scripts_are_served_without_comments_and_indentation() -> None:
    """What only a reader of the source needs is not sent; every line of code is."""
    site = Path(assets.__file__).parents[1] / "site"
    for path in files.sources:
        if not path.endswith(".js") or "/vendor/" in f"/{path}":
            continue
        lines = (site / path).read_text().splitlines()
        assert all(line.count("`") % 2 == 0 for line in lines), path  # no text over several lines
        stripped = [line.strip() for line in lines]
        code = [line for line in stripped if line and not line.startswith(("//", "/**", "*"))]
        served = text(path).splitlines()
        assert [line.rstrip() for line in served if not line.startswith("/**")] == code, path
        assert [line for line in served if line.startswith((" ", "//"))] == [], path


@pytest.mark.parametrize("path", CATALOGS)
def test_both_languages_have_the_same_texts(path: str) -> None:
    """Each text is in both catalogs with the same values, except for plural forms."""
    english: dict[str, str] = json.loads(text(path))
    korean: dict[str, str] = json.loads(text(path.replace("/en/", "/ko/")))
    assert set(korean) == {key for key in english if not key.endswith(".one")}
    for key, sentence in korean.items():
        assert sentence.strip(), key
        assert set(re.findall(r"\{\w+\}", sentence)) == set(re.findall(r"\{\w+\}", english[key])), (
            key
        )


def test_korean_puts_no_particle_after_a_value() -> None:
    """The particle depends on the last sound of the value: 5만 원이, 12달러가."""
    particle = re.compile(r"\{\w+\}[”\"]?(이|가|을|를|은|는|와|과|로|으로)(?![가-힣])")
    for path in CATALOGS:
        korean: dict[str, str] = json.loads(text(path.replace("/en/", "/ko/")))
        assert [key for key, sentence in korean.items() if particle.search(sentence)] == [], path


@pytest.mark.parametrize(
    ("script", "parts"),
    [(concert_page.SCRIPT, concert_page.CATALOGS), *((p.script, p.catalogs) for p in PAGES)],
)
def test_every_text_of_a_script_exists(script: str, parts: tuple[str, ...]) -> None:
    """Each key that a script names is in the catalogs of its page."""
    texts = catalog("en", *parts)
    for path in loaded(f'"{files.url(script)}"'):
        if path.endswith(".js"):
            for key in re.findall(r"""\bt\("([\w.]+)\"""", text(path)):
                assert key in texts or f"{key}.other" in texts, (path, key)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_has_a_message(language: str) -> None:
    """Each code of the document has one, with no value that the answer lacks."""
    examples: dict[str, Any] = document()["components"]["examples"]
    texts = catalog(language, "common")
    for code, example in examples.items():
        sentence = texts[f"refusal.{code}"]
        assert set(re.findall(r"\{(\w+)\}", sentence)) <= set(example["value"]), code
    assert texts["refusal.out_of_touch"]


async def test_faults_of_a_room_have_messages(desk: Desk) -> None:
    """The console's catalogs have each message of the server about a waiting room."""
    concert = await desk.concert()
    path = f"/admin/concerts/{concert.concert_id}/waiting-room"
    await desk.waiting(concert)
    past, soon, later = "2020-01-01T00:00:00Z", "2126-01-01T00:00:00Z", "2127-01-01T00:00:00Z"
    adaptive = {"kind": "adaptive", "min_active": 9, "max_active": 5, "target_p95_ms": 200}
    found: list[str] = []
    wrongs: tuple[dict[str, Any], ...] = (
        {"opens_at": past},
        {"opens_at": later, "closes_at": soon},
        {"opens_at": "9999-01-01T00:00:00Z"},
        {"order": "draw"},
        {"policy": adaptive},
    )
    for wrong in wrongs:
        settings = {"policy": {"kind": "open"}, **wrong}
        refused = await desk.operate("PUT", path, json=settings)
        found += [error["detail"] for error in refused.json()["errors"]]
    titled = {"title": "\u200b", "shows": [_SHOW]}
    refused = await desk.operate("POST", "/admin/concerts", json=titled)
    found += [error["detail"] for error in refused.json()["errors"]]
    drawn = {"waiting_room": {"order": "draw"}, "title": "Drawn", "shows": [_SHOW]}
    refused = await desk.operate("POST", "/admin/concerts", json=drawn)
    found += [error["detail"] for error in refused.json()["errors"]]
    texts = catalog("en", "console")
    known = {key.removeprefix("fault: ") for key in texts if key.startswith("fault: ")}
    assert set(found) == known


async def test_list_shows_the_concerts_on_sale(desk: Desk) -> None:
    """The concerts on sale, in plain HTML: escaped, in both languages, 304 while unchanged."""
    await desk.concert(title="<b>Loud</b> & clear", artist="Us", venue="The Hall", shows=2)
    shown = await desk.http.get("/")
    assert "&lt;b&gt;Loud&lt;/b&gt; &amp; clear" in shown.text
    assert "<script" not in shown.text
    for words in ("from ₩50,000", "On sale", "The Hall"):
        assert words in shown.text
    assert len(shown.content) + len(text("styles/base.css") + text("styles/fan.css")) <= LARGEST
    korean = await desk.http.get("/", headers={"Accept-Language": "ko"})
    assert "₩50,000부터" in korean.text
    tag = {"If-None-Match": shown.headers["etag"]}
    assert (await desk.http.get("/", headers=tag)).status_code == 304


async def test_list_ends_with_ended_concerts(desk: Desk) -> None:
    """A concert whose shows have ended is after all others, marked, and with its year."""
    past = [{"starts_at": "2020-03-01T10:00:00Z", "price": 50_000}]
    over = await desk.concert(title="Long ago", shows=past)
    closed = await desk.concert(title="Closed line")
    await desk.owner.execute(
        "UPDATE waiting_room SET closes_at = clock_timestamp() WHERE concert_id = $1",
        closed.concert_id,
    )
    await desk.concert(title="To come")
    line = f"/concerts/{closed.concert_id}/queue"

    async def is_closed() -> bool:
        return bool((await desk.ask("GET", line)).json()["state"] == "closed")

    await eventually(is_closed)
    shown = (await desk.http.get("/")).text
    before, after = shown.split("<h2>No longer on sale</h2>")
    assert "To come" in before
    assert "Closed line" in after
    card = after[after.index(over.concert_id) :].partition("</article>")[0]
    assert "Sun, March\N{NO-BREAK SPACE}1, 2020" in card
    assert "₩" not in card
    badge = '<span class="badge">Sale ended</span>'
    assert after[: after.index(over.concert_id)].rpartition("<li>")[2].count(badge) == 1


def test_money_is_formatted_by_language() -> None:
    """With the currency's digits, and its sign or code as the language writes it."""
    english, korean = (Texts(language) for language in LANGUAGES)
    assert english.money(50_000, "KRW") == korean.money(50_000, "KRW") == "₩50,000"
    assert english.money(1_234_567, "USD") == "$12,345.67"
    assert korean.money(1_234_567, "USD") == "US$12,345.67"
    assert english.money(1_234_567, "BHD") == "BHD\N{NO-BREAK SPACE}1,234.567"
    assert english.money(1_234_567, "JPY") == "¥1,234,567"


def test_days_are_formatted_by_language() -> None:
    """In the language's order, with years unless both days are in the current year."""
    english, korean = (Texts(language, "list") for language in LANGUAGES)
    first, last = date(2027, 3, 14), date(2027, 4, 2)

    def period(texts: Texts, last: date, this_year: int) -> str:
        return texts.days(first, last, this_year).replace("\N{NO-BREAK SPACE}", " ")

    assert period(english, first, 2027) == "Sun, March 14"
    assert period(english, last, 2027) == "Sun, March 14 – Fri, April 2"
    assert period(korean, last, 2027) == "3월 14일 (일) ~ 4월 2일 (금)"
    assert period(english, first, 2026) == "Sun, March 14, 2027"
    assert period(korean, first, 2028) == "2027년 3월 14일 (일)"
    # A year is written for both days or for neither.
    end = date(2028, 1, 1)
    assert period(english, end, 2027) == "Sun, March 14, 2027 – Sat, January 1, 2028"


def test_plurals_follow_the_language() -> None:
    """By the language's rules; numbers are grouped by them too."""
    english, korean = (Texts(language, "common") for language in LANGUAGES)
    assert english("time.minutes", count=1) == "1 minute"
    assert english("time.minutes", count=1_000) == "1,000 minutes"
    assert english("time.hours", count=1.5) == "1.5 hours"
    assert korean("time.minutes", count=1) == "1분"


async def test_styles_are_combined_in_one_file(desk: Desk) -> None:
    """A path with a plus contains the files in that order."""
    (link,) = re.findall(r'rel="stylesheet" href="([^"]+)"', await open_page(desk, "/tickets"))
    parts = ("base", "fan", "shop")
    expected = b"\n".join(files.sources[f"styles/{part}.css"] for part in parts)
    served = await desk.http.get(link)
    assert served.content == expected
    assert served.headers["content-type"] == "text/css; charset=utf-8"
    assert served.headers["cache-control"] == "public, max-age=31536000, immutable"
    check_problem(await desk.http.get(link.replace("fan", "no")), 404, "not_found")


async def test_files_are_cached_by_version(desk: Desk) -> None:
    """By version; compressed if accepted; 304 for a known tag; no file outside the folder."""
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
        requested = {"If-None-Match": first.headers["etag"], "Accept-Encoding": encoding}
        again = await desk.http.get(url, headers=requested)
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
async def test_language_follows_cookie_then_browser(
    desk: Desk, accepted: str | None, cookie: str | None, language: str
) -> None:
    """The chosen language, else the browser's preferred one, else English."""
    headers = {b"accept-language": accepted, b"cookie": cookie}
    sent = {name: value.encode("latin-1") for name, value in headers.items() if value}
    response = await desk.http.get("/", headers=sent)
    assert f'<html lang="{language}">' in response.text
    assert response.headers.get_list("vary") == ["accept-encoding", "accept-language, cookie"]


@pytest.mark.parametrize(
    ("requested", "location"),
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
async def test_chosen_language_is_stored(desk: Desk, requested: str, location: str | None) -> None:
    """?lang= stores the choice in a cookie and returns to the same page of this server."""
    url = str(desk.http.base_url).rstrip("/") + requested
    response = await desk.http.get(url)
    if location is None:
        assert response.status_code in (200, 404)
        assert "set-cookie" not in response.headers
    else:
        assert response.status_code == 303
        assert response.headers["location"] == location
        assert response.headers["set-cookie"].startswith("frontrow_language=ko; Path=/;")
    desk.http.cookies.clear()
