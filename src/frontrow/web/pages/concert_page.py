"""A concert's page: its line, and the visitor's place in it.

It is rendered as it is at the moment, so it can be used as soon as it is painted. The script takes
over from there; a browser without scripts uses the forms, and loads the page again.
"""

import contextlib
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qs
from uuid import UUID

import msgspec
from blacksheep import Content, Request, Response
from markupsafe import Markup

from frontrow.errors import CredentialInvalid, DomainError, NotFound, TokenFinished
from frontrow.ids import PlaceRef
from frontrow.listings import ListedConcert
from frontrow.services import Services
from frontrow.users.service import is_guest
from frontrow.waiting_room.model import Status
from frontrow.web.access import cookies
from frontrow.web.access.credentials import user_of_browser
from frontrow.web.access.rate_limits import Limits
from frontrow.web.calls import Ask
from frontrow.web.endpoint import fault, request_id
from frontrow.web.i18n.catalogs import LANGUAGES
from frontrow.web.i18n.negotiation import language_of
from frontrow.web.pages import line_view
from frontrow.web.pages.account import (
    Standing,
    own_address,
    own_path,
    path_of,
    sign_in_path,
    standing,
)
from frontrow.web.pages.assets import Files
from frontrow.web.pages.concert_list import STYLES, card_of
from frontrow.web.pages.error_page import failure_of
from frontrow.web.pages.line_view import Landing, Views, WaysIn
from frontrow.web.pages.rendering import PageTemplate
from frontrow.web.pages.security_headers import HTML, SCRIPTED, protect
from frontrow.web.requests import read_body

SCRIPT = "fan/line/concert_page.js"
CATALOGS = ("common", "fan", "line")
"""The page's script, and the catalogs of its texts."""

_LARGEST_FORM_BYTES = 1024
_REMEMBERED = 256
_MAIN = "\0"  # where the main part goes: no text from the database has this character


class Known(msgspec.Struct, frozen=True):
    """Data for the page's script, which then need not request it."""

    concert: ListedConcert
    opens: str
    """When the line opens, as a text."""
    has_place: bool
    sign_in: str | None
    """Where to sign in, if joining needs an account."""


class Rendered(NamedTuple):
    """A page as it is now."""

    html: bytes
    lost: UUID | None
    """The concert, if the browser has a cookie for a place in its line that doesn't exist."""


class ConcertPage:
    """The page of each concert."""

    def __init__(self, files: Files, services: Services, limits: Limits) -> None:
        self._services = services
        self._limits = limits
        # The script formats no dates of its own: only the server needs their patterns.
        parts = (*CATALOGS, "list")
        self._template = PageTemplate(files, "concert", parts, STYLES)
        self._landing = PageTemplate(files, "landing", parts, STYLES)
        self._views = Views(files, parts, STYLES)
        scripts = PageTemplate(files, "concert_scripts", CATALOGS, STYLES)
        self._scripts = {
            language: scripts.fragment(language, script=SCRIPT, views=self._views.blank(language))
            for language in LANGUAGES
        }
        # The parts that don't depend on the place are the same for all visitors, until something
        # changes.
        self._around = lru_cache(_REMEMBERED)(self._render_around)
        self._without_place = lru_cache(_REMEMBERED)(self._render_landing)

    async def show(self, request: Request) -> Response:
        """Returns the page as it is now."""
        language, identity = language_of(request), request_id(request)
        ask, status, lost = Ask(request, self._services), 200, None
        try:
            html, lost = await self._render(ask, language)
        except Exception as error:  # noqa: BLE001 - the page reports any error
            texts = self._template.texts[language]
            failure = failure_of(error, "page_concert", identity, texts, self._services.faults)
            status = failure.status
            values = {"failure": failure.text, "passes": failure.passes}
            html = self._template.render(language, standing(ask), **values)
        headers = [(b"cache-control", b"no-store"), (b"x-request-id", identity)]
        response = Response(status, headers, Content(HTML, html))
        if lost is not None:
            cookies.drop_place(ask, response, lost)
        protect(request, response, policy=SCRIPTED)
        return response

    async def missing(self, request: Request) -> Response | None:
        """Returns the page if there is no such concert, else ``None``: for other pages of one."""
        try:
            await self._concert(request)
        except NotFound:
            return await self.show(request)
        except Exception as error:  # noqa: BLE001 - the script of the other page shows it
            if not isinstance(error, DomainError):
                fault(error, "page_concert", request_id(request), self._services.faults)
        return None

    async def _render(self, ask: Ask, language: str) -> Rendered:
        """Returns the page of a concert that exists."""
        texts, account = self._template.texts[language], standing(ask)
        concert = await self._concert(ask.request)
        concert_id = concert.concert_id
        line = await self._services.rooms.document(concert_id)
        status = await self._status(ask, concert_id)
        sign_in = None
        if self._services.sign_in is not None:
            sign_in = sign_in_path(f"/concerts/{concert_id}")
        opens = line_view.opening(concert, line.opens_at, texts)
        known = Known(concert, opens, status is not None, sign_in)
        lost = None
        if status is None:
            lost = concert_id if cookies.place_token(ask, concert_id) is not None else None
            ways = await self._ways_in(ask, concert, sign_in)
            landing = line_view.landing(
                concert,
                line,
                opens,
                texts,
                ways=ways,
                refuses_cookies=_refuses_cookies(ask.request),
            )
            main = self._without_place(language, concert, landing, datetime.now(UTC).year)
        else:
            name, values = line_view.place(concert, status, opens, texts)
            main = self._views.render(language, name, values)
        before, after = self._around(language, account, known)
        return Rendered(f"{before}{main}{after}".encode(), lost)

    async def _status(self, ask: Ask, concert_id: UUID) -> Status | None:
        """Returns the status of the browser's place; ``None`` if it has none that exists."""
        mine = await self._place(ask, concert_id)
        if mine is None:
            return None
        with contextlib.suppress(CredentialInvalid):
            return await self._services.rooms.status(mine)
        return None

    def _render_landing(
        self, language: str, concert: ListedConcert, landing: Landing, this_year: int
    ) -> Markup:
        card = card_of(concert, self._landing.texts[language], this_year)
        return self._landing.fragment(language, card=card, landing=landing)

    def _render_around(self, language: str, account: Standing, known: Known) -> tuple[str, str]:
        """Returns the page before and after its main part."""
        html = self._template.fragment(
            language,
            standing=account.value,
            failure=None,
            title=known.concert.title,
            main=_MAIN,
            known=known,
            scripts=self._scripts[language],
        )
        before, _, after = html.partition(_MAIN)
        return before, after

    async def _ways_in(self, ask: Ask, concert: ListedConcert, sign_in: str | None) -> WaysIn:
        """Returns how the visitor can get a place."""
        needs_work = self._services.challenges is not None
        if sign_in is None and not needs_work:
            return WaysIn(join=True)
        user_id = await user_of_browser(ask)
        if user_id is not None:
            # The browser's guest stays: signing in would lose the only key to its tickets.
            is_refused = sign_in is not None and not concert.guests and is_guest(user_id)
            return WaysIn(join=not is_refused, is_refused_guest=is_refused)
        join = sign_in is None or (concert.guests and self._services.settings.guests_allowed)
        return WaysIn(join=join, needs_script=needs_work, sign_in=sign_in)

    async def act(self, request: Request) -> Response:
        """Joins or leaves the line, then redirects to the page, which shows the result.

        A refusal redirects there too.
        """
        ask, identity = Ask(request, self._services), request_id(request)
        path = own_path(request)
        response = Response(303, [(b"location", path.encode()), (b"x-request-id", identity)])
        try:
            cookies.check_same_origin(ask)
            form = parse_qs((await read_body(request, _LARGEST_FORM_BYTES)).decode("latin-1"))
            concert = await self._concert(request)
            concert_id = concert.concert_id
            match form.get("do"):
                case ["join"] if concert.sale == "open":
                    await self._join(ask, concert_id, response)
                case ["leave"]:
                    await self._leave(ask, concert_id, response)
                case ["enter"]:
                    response.headers.set(b"location", path.encode() + b"/seats")
        except Exception as error:  # noqa: BLE001 - the page shows the result
            if not isinstance(error, DomainError):
                fault(error, "page_form", identity, self._services.faults)
        return response

    async def _join(self, ask: Ask, concert_id: UUID, response: Response) -> None:
        user_id = await user_of_browser(ask)
        if user_id is None:
            self._limits.count_request(ask)  # again, as it costs more; finds the address
            self._limits.count_guest(ask)
            guest = await self._services.guests.add(None)
            user_id = guest.user_id
            cookies.set_user(ask, response, guest.user_key)
        joined, _ = await self._services.rooms.join(user_id, concert_id)
        cookies.set_place(ask, response, concert_id, joined.token)

    async def _leave(self, ask: Ask, concert_id: UUID, response: Response) -> None:
        mine = await self._place(ask, concert_id)
        cookies.drop_place(ask, response, concert_id)
        if mine is not None:
            with contextlib.suppress(TokenFinished, CredentialInvalid):
                await self._services.reservations.leave(mine)

    async def _concert(self, request: Request) -> ListedConcert:
        wanted = (request.route_values or {}).get("concert_id")
        try:
            concert_id = UUID(wanted)
        except (TypeError, ValueError):
            raise NotFound from None
        if str(concert_id) != wanted:
            raise NotFound
        return await self._services.listings.present(concert_id)

    async def _place(self, ask: Ask, concert_id: UUID) -> PlaceRef | None:
        token = cookies.place_token(ask, concert_id)
        if token is None:
            return None
        with contextlib.suppress(CredentialInvalid):
            return await self._services.signer.read(token.encode("latin-1"))
        return None


def _refuses_cookies(request: Request) -> bool:
    """Returns whether a browser comes back from this page's form without any cookie.

    Its request follows the redirect, begun by the user on this page. Only a browser without scripts
    shows the result: in others the script knows.
    """
    headers = request.headers
    referer = (headers.get_first(b"referer") or b"").decode("latin-1")
    return (
        headers.get_first(b"sec-fetch-site") == b"same-origin"
        and headers.get_first(b"sec-fetch-user") == b"?1"
        and not headers.get_first(b"cookie")
        and path_of(referer) == own_address(request)
    )
