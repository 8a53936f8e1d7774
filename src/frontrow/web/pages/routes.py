"""The pages drawn by their scripts, rendered once for each language; and the routes of all pages.

The list and a concert's page are rendered for each request, in modules of their own.
"""

from collections.abc import Awaitable, Callable, Iterator
from time import perf_counter
from typing import Any, NamedTuple

import msgspec
from blacksheep import Request, Response

from frontrow.errors import NotFound
from frontrow.metrics import CallTally
from frontrow.services import Services
from frontrow.web.access.cookies import is_https
from frontrow.web.access.rate_limits import Limits
from frontrow.web.bodies import Body
from frontrow.web.calls import Ask
from frontrow.web.endpoint import request_id
from frontrow.web.i18n.catalogs import LANGUAGES
from frontrow.web.i18n.negotiation import COOKIE, language_of
from frontrow.web.pages.account import SIGN_IN, SIGN_OUT, Standing, own_address, standing
from frontrow.web.pages.arrival import Arrival
from frontrow.web.pages.assets import Files
from frontrow.web.pages.concert_list import ListPage
from frontrow.web.pages.concert_page import ConcertPage
from frontrow.web.pages.line_view import Views
from frontrow.web.pages.rendering import PageTemplate
from frontrow.web.pages.security_headers import HTML, SCRIPTED, protect
from frontrow.web.pages.sign_in import CALLBACK, FINISH, SignInPages
from frontrow.web.problems import problem

Handler = Callable[[Request], Awaitable[Response]]


class Page(msgspec.Struct, frozen=True):
    """A page that its script draws, and the parts of the catalogs that it needs."""

    name: str
    frame: str
    """The template around its content: ``fan`` or ``console``."""
    script: str
    catalogs: tuple[str, ...]
    paths: tuple[str, ...]
    styles: tuple[str, ...] = ("base", "fan", "shop")
    features: str = ""
    """The browser features that the page may use (Permissions-Policy)."""
    noscript: str = "console.noscript"
    """The key of the text for browsers without scripts."""
    views: tuple[str, ...] = ()
    """Views of a place that the script shows."""


_FAN = ("common", "fan")


def _console(name: str, script: str, path: str, *parts: str, features: str = "") -> Page:
    """Returns a page of the operator's console."""
    catalogs = (*_FAN, "console", *(f"console_{part}" for part in parts))
    sheets = ("base", "fan", "shop", "console")
    return Page(f"console_{name}", "console", script, catalogs, (path,), sheets, features)


PAGES = (
    Page(
        "seats",
        "fan",
        "fan/checkout/booking_page.js",
        (*_FAN, "shop"),
        ("/concerts/{concert_id}/seats",),
        noscript="noscript",
        views=("over",),
    ),
    Page(
        "tickets",
        "fan",
        "fan/checkout/tickets_page.js",
        (*_FAN, "tickets"),
        ("/tickets",),
        noscript="tickets.noscript",
    ),
    _console("concerts", "console/concerts/list.js", "/console"),
    _console("new", "console/concerts/create.js", "/console/new", "create", "house", "policy"),
    _console("room", "console/room/room.js", "/console/concerts/{concert_id}", "policy", "room"),
    _console(
        "seats",
        "console/concerts/seats.js",
        "/console/concerts/{concert_id}/seats",
        "house",
        "seating",
    ),
    _console(
        "sales",
        "console/sales/sales.js",
        "/console/concerts/{concert_id}/sales",
        "payment",
        "sales",
    ),
    _console("lookup", "console/sales/lookup.js", "/console/lookup", "payment", "lookup"),
    _console("gate", "console/gate/gate.js", "/console/gate", "gate", features="camera"),
    _console("audit", "console/audit.js", "/console/audit", "audit"),
)


class Route(NamedTuple):
    """A path of the pages, and what counts its requests."""

    method: str
    path: str
    handler: Handler
    tally: CallTally


def routes(files: Files, services: Services, limits: Limits) -> Iterator[Route]:
    """Yields the routes of the pages and their files."""
    concert, arrival = ConcertPage(files, services, limits), Arrival(files)
    has_account = services.sign_in is not None  # in the header of every page for fans
    for name, path, show, reads_cookies in (
        ("concerts", "/", ListPage(files, services).show, has_account),
        ("concert", "/concerts/{concert_id}", concert.show, True),
    ):
        tally = CallTally(f"page_{name}")
        handler = _choosable(_arriving(show, arrival) if reads_cookies else show)
        yield Route("GET", path, _counted(handler, tally), tally)
    tally = CallTally("page_form")
    yield Route("POST", "/concerts/{concert_id}", _counted(concert.act, tally), tally)
    for page in PAGES:
        tally = CallTally(f"page_{page.name}")
        handler = _shows(page, files, services)
        if page.name == "seats":
            handler = _of_concert(handler, concert)
        if page.frame == "fan" and has_account:
            handler = _arriving(handler, arrival)
        for path in page.paths:
            yield Route("GET", path, _counted(handler, tally), tally)
    yield from _signing_in(files, services, limits)
    tally = CallTally("page_file")

    async def file(request: Request) -> Response:
        version, _, path = _tail(request).partition("/")
        return files.answer(request, version, path) or problem(NotFound())

    yield Route("GET", "/site/*", _counted(file, tally), tally)


def _signing_in(files: Files, services: Services, limits: Limits) -> Iterator[Route]:
    """Yields the routes for signing in and out, if there is an issuer."""
    if services.sign_in is None:
        return
    signing = SignInPages(files, services, limits, services.sign_in)
    for path, show in (
        (SIGN_IN, signing.start),
        (CALLBACK, signing.callback),
        (FINISH, signing.finish),
    ):
        tally = CallTally("page_sign_in")
        yield Route("GET", path, _counted(_choosable(show), tally), tally)
    tally = CallTally("page_sign_out")
    yield Route("POST", SIGN_OUT, _counted(signing.sign_out, tally), tally)


def render(files: Files, page: Page, language: str, account: Standing) -> Body:
    """Returns the page in one language, for a browser that is signed in or not."""
    template = PageTemplate(files, "script_page", page.catalogs, page.styles)
    html = template.render(
        language,
        account,
        frame=f"pages/templates/{page.frame}.html",
        script=page.script,
        noscript=page.noscript,
        views=Views(files, page.catalogs, page.styles).blank(language, page.views),
    )
    return Body.of(html, HTML)


def choose_language(request: Request) -> Response | None:
    """Returns the answer to ``?lang=``, which stores the choice; ``None`` without a choice."""
    chosen = request.query.get("lang", [""])[0]
    if chosen not in LANGUAGES:
        return None
    secure = "; Secure" if is_https(request) else ""
    cookie = f"{COOKIE}={chosen}; Path=/; Max-Age=31536000; SameSite=Lax{secure}"
    location = own_address(request, without="lang")
    return Response(
        303,
        [
            (b"location", location.encode("latin-1")),
            (b"set-cookie", cookie.encode()),
            (b"cache-control", b"no-store"),
        ],
    )


def _arriving(show: Handler, arrival: Arrival) -> Handler:
    """Returns the handler of a page that reads cookies, also after a link on another site."""

    async def respond(request: Request) -> Response:
        return arrival.page(request) or await show(request)

    return respond


def _of_concert(show: Handler, concert: ConcertPage) -> Handler:
    """Returns the handler of a page of a concert, which is 404 if there is none."""

    async def respond(request: Request) -> Response:
        return await concert.missing(request) or await show(request)

    return respond


def _choosable(show: Handler) -> Handler:
    """Returns the handler of a page whose language can be chosen."""

    async def respond(request: Request) -> Response:
        return choose_language(request) or await show(request)

    return respond


def _shows(page: Page, files: Files, services: Services) -> Handler:
    seen = (Standing.UNASKED,) if services.sign_in is None else tuple(Standing)
    bodies = {
        (language, account): render(files, page, language, account)
        for language in LANGUAGES
        for account in seen
    }

    async def show(request: Request) -> Response:
        body = bodies[language_of(request), standing(Ask(request, services))]
        response = body.answer(request, b"private, no-cache")
        response.add_header(b"vary", b"accept-language, cookie")
        protect(request, response, policy=SCRIPTED, features=page.features)
        return response

    return _choosable(show)


def _counted(handler: Handler, tally: CallTally) -> Handler:
    async def counted(request: Request) -> Response:
        started = perf_counter()
        response = await handler(request)
        if not response.headers.contains(b"x-request-id"):
            response.add_header(b"x-request-id", request_id(request))
        tally.note(response.status, perf_counter() - started)
        return response

    return counted


def _tail(request: Request) -> str:
    values: Any = request.route_values
    return str(values["tail"]).lstrip("/")
