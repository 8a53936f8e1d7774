"""The pages: HTML that is made once for each language, with the headers that keep it safe.

A page is a file of ``site/`` in which ``{{key}}`` is a text of its catalogs, ``{{@path}}`` the
address of another file, and ``{{#catalog}}`` the catalog itself, for the page's scripts.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from html import escape
from time import perf_counter
from typing import Any
from urllib.parse import quote

import msgspec
from blacksheep import Request, Response

from frontrow.errors import NotFound
from frontrow.metrics import CallTally
from frontrow.web.cookies import is_https
from frontrow.web.endpoint import request_id
from frontrow.web.files import Body, Files
from frontrow.web.languages import COOKIE, LANGUAGES, catalog, language_of
from frontrow.web.problems import problem

Handler = Callable[[Request], Awaitable[Response]]


class Page(msgspec.Struct, frozen=True):
    """One page: its file, the parts of the catalogs that it needs, where it stands."""

    name: str
    file: str
    catalogs: tuple[str, ...]
    paths: tuple[str, ...]
    features: str = ""
    """What the page may use of the browser (Permissions-Policy)."""


PAGES = (Page("fan", "fan.html", ("common", "fan"), ("/", "/concerts/{concert_id}", "/tickets")),)

SCRIPTED = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; media-src 'self' blob:; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""What a page may load: this server's own files. Nothing is written in line."""

_DENIED = (
    "accelerometer",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "usb",
)
_HSTS = b"max-age=31536000"
_SLOT = re.compile(r"\{\{(?P<kind>[@#]?)(?P<name>[\w./-]+)\}\}")


def routes(files: Files) -> Iterator[tuple[str, Handler, CallTally]]:
    """The pages and their files: path, handler, and what counts its requests."""
    for page in PAGES:
        tally = CallTally(f"page_{page.name}")
        bodies = {language: render(files, page, language) for language in LANGUAGES}
        for path in page.paths:
            yield path, _counted(_shows(page, bodies), tally), tally
    tally = CallTally("page_file")

    async def file(request: Request) -> Response:
        version, _, path = _tail(request).partition("/")
        return files.answer(request, version, path) or problem(NotFound())

    yield "/site/*", _counted(file, tally), tally


def render(files: Files, page: Page, language: str) -> Body:
    """The page in one language."""
    texts = catalog(files.sources, language, *page.catalogs)
    # In a data block; nothing in it may end the block.
    encoded = msgspec.json.encode(texts).decode().replace("<", "\\u003c")
    values = {"lang": language, "other": LANGUAGES[1 - LANGUAGES.index(language)]}

    def fill(slot: "re.Match[str]") -> str:
        name = slot["name"]
        if slot["kind"] == "@":
            if name not in files.sources:
                raise KeyError(name)
            return files.url(name)
        if slot["kind"] == "#":
            return encoded
        return escape(values.get(name) or texts[name])

    html = _SLOT.sub(fill, files.sources[page.file].decode())
    return Body.of(html.encode(), b"text/html; charset=utf-8")


def protect(request: Request, response: Response, *, policy: str, features: str = "") -> None:
    """Adds the headers that every page has."""
    allowed = features.split()
    permissions = ", ".join(
        f"{feature}=({'self' if feature in allowed else ''})" for feature in _DENIED
    )
    for name, value in (
        (b"content-security-policy", policy.encode()),
        (b"permissions-policy", permissions.encode()),
        # Not no-referrer: then forms would be sent without their origin.
        (b"referrer-policy", b"same-origin"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"x-frame-options", b"DENY"),
    ):
        response.add_header(name, value)
    if is_https(request):
        response.add_header(b"strict-transport-security", _HSTS)


def choose_language(request: Request) -> Response | None:
    """The answer to ``?lang=``: keeps the choice and leads back; ``None`` if nothing was chosen."""
    chosen = request.query.get("lang", [""])[0]
    if chosen not in LANGUAGES:
        return None
    rest = "&".join(
        part
        for part in request.scope["query_string"].decode("latin-1").split("&")
        if not part.startswith("lang=")
    )
    secure = "; Secure" if is_https(request) else ""
    cookie = f"{COOKIE}={chosen}; Path=/; Max-Age=31536000; SameSite=Lax{secure}"
    # One slash: two would name another host.
    location = "/" + quote(request.scope["path"].lstrip("/")) + (f"?{rest}" if rest else "")
    return Response(
        303,
        [
            (b"location", location.encode("latin-1")),
            (b"set-cookie", cookie.encode()),
            (b"cache-control", b"no-store"),
        ],
    )


def _shows(page: Page, bodies: dict[str, Body]) -> Handler:
    async def show(request: Request) -> Response:
        chosen = choose_language(request)
        if chosen is not None:
            return chosen
        response = bodies[language_of(request)].answer(request, b"private, no-cache")
        response.add_header(b"vary", b"accept-language, cookie")
        protect(request, response, policy=SCRIPTED, features=page.features)
        return response

    return show


def _counted(handler: Handler, tally: CallTally) -> Handler:
    async def counted(request: Request) -> Response:
        started = perf_counter()
        response = await handler(request)
        response.add_header(b"x-request-id", request_id(request))
        tally.note(response.status, perf_counter() - started)
        return response

    return counted


def _tail(request: Request) -> str:
    values: Any = request.route_values
    return str(values["tail"]).lstrip("/")
