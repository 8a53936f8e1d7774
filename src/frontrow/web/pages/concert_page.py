"""A concert's page: its line, and one's place in it.

It is rendered here as it is at the moment, so that it can be used as soon as it is drawn. The
script takes over from there; a browser without scripts gets on with forms and by refreshing.
"""

import contextlib
from html import escape
from urllib.parse import parse_qs, quote
from uuid import UUID

import msgspec
from blacksheep import Content, Request, Response

from frontrow.errors import CredentialInvalid, DomainError, NotFound, TokenFinished
from frontrow.ids import PlaceRef
from frontrow.services import Services
from frontrow.waiting_room.model import QueueDocument
from frontrow.web.access import cookies
from frontrow.web.access.credentials import user_of_browser
from frontrow.web.access.rate_limits import Limits
from frontrow.web.calls import Ask
from frontrow.web.endpoint import fault, request_id
from frontrow.web.i18n.catalogs import LANGUAGES, catalog, language_of
from frontrow.web.listings import ListedConcert, on_sale
from frontrow.web.pages.account import account, sign_in_path, standing
from frontrow.web.pages.assets import Files
from frontrow.web.pages.concert_list import STYLES
from frontrow.web.pages.error_page import trouble_of
from frontrow.web.pages.line_view import Ways, landing, place
from frontrow.web.pages.security_headers import HTML, SCRIPTED, protect
from frontrow.web.pages.templates import REFRESH, data_block, fill, scripts_once_painted, styles
from frontrow.web.requests import read_body

SCRIPT = "fan/line/concert_page.js"
CATALOGS = ("common", "fan", "line")
"""What the page's script is, and which texts it has."""

_LARGEST_FORM_BYTES = 1024


class Known(msgspec.Struct, frozen=True):
    """What the page's script need not ask for."""

    concert: ListedConcert
    line: QueueDocument
    has_place: bool
    sign_in: str | None
    """Where one signs in, who needs an account to join."""


class ConcertPage:
    """The page of each concert."""

    def __init__(self, files: Files, services: Services, limits: Limits) -> None:
        self._files = files
        self._services = services
        self._limits = limits
        parts = {each: catalog(files.sources, each, *CATALOGS) for each in LANGUAGES}
        self._scripts = {
            each: scripts_once_painted(files, SCRIPT, parts[each]) for each in LANGUAGES
        }
        self._styles = styles(files, *STYLES)
        # Dates are written here, not by the script: it needs no names of days.
        self._texts = {
            each: parts[each] | catalog(files.sources, each, "list") for each in LANGUAGES
        }

    async def show(self, request: Request) -> Response:
        """The page as it is now."""
        language, identity = language_of(request), request_id(request)
        texts, status = self._texts[language], 200
        ask = Ask(request, self._services)
        try:
            made = await self._look(ask, language)
        except Exception as error:  # noqa: BLE001 - whatever it is, the page says so and goes on
            trouble = trouble_of(error, "page_concert", identity, texts)
            status = trouble.status
            made = {
                "title": escape(texts["site"]),
                "content": trouble.content,
                "refresh": REFRESH if trouble.passes else "",
                "scripts": "",
            }
        made["styles"] = self._styles
        made["account"] = account(standing(ask), texts)
        html = fill(self._files, "fan.html", language, texts, made)
        headers = [(b"cache-control", b"no-store"), (b"x-request-id", identity)]
        response = Response(status, headers, Content(HTML, html))
        protect(request, response, policy=SCRIPTED)
        return response

    async def _look(self, ask: Ask, language: str) -> dict[str, str]:
        """What fills the template."""
        texts = self._texts[language]
        concert = await self._concert(ask.request)
        line = await self._services.rooms.document(concert.concert_id)
        mine = await self._place(ask, concert.concert_id)
        sign_in = None
        if self._services.sign_in is not None:
            sign_in = sign_in_path(f"/concerts/{concert.concert_id}")
        if mine is None:
            content = landing(concert, line, texts, await self._ways_in(ask, sign_in))
        else:
            standing = await self._services.rooms.status(mine)
            content = place(concert, line, standing, texts)
        return {
            "title": escape(f"{concert.title} · {texts['site']}"),
            "content": content,
            "refresh": "" if mine is None else f"<noscript>{REFRESH}</noscript>",
            "scripts": self._scripts[language]
            + data_block("known", Known(concert, line, mine is not None, sign_in)),
        }

    async def _ways_in(self, ask: Ask, sign_in: str | None) -> Ways:
        """How one comes to a place: by joining, by signing in before, or by either."""
        works = self._services.challenges is not None
        if (sign_in is None and not works) or await user_of_browser(ask) is not None:
            return Ways(join=True, works=False, sign_in=None)
        join = sign_in is None or self._services.settings.guests_allowed
        return Ways(join=join, works=works, sign_in=sign_in)

    async def act(self, request: Request) -> Response:
        """Joins or leaves the line, then leads back to the page, which says how things are.

        So it does also when that was refused.
        """
        ask, identity = Ask(request, self._services), request_id(request)
        # One slash: two would name another host.
        path = "/" + quote(request.scope["path"].lstrip("/"))
        response = Response(303, [(b"location", path.encode()), (b"x-request-id", identity)])
        try:
            cookies.check_same_origin(ask)
            form = parse_qs((await read_body(request, _LARGEST_FORM_BYTES)).decode("latin-1"))
            concert = await self._concert(request)
            concert_id = concert.concert_id
            if form.get("do") == ["join"] and concert.sale == "open":
                await self._join(ask, concert_id, response)
            elif form.get("do") == ["leave"]:
                await self._leave(ask, concert_id, response)
        except Exception as error:  # noqa: BLE001 - the page tells it
            if not isinstance(error, DomainError):
                fault(error, "page_form", identity)
        return response

    async def _join(self, ask: Ask, concert_id: UUID, response: Response) -> None:
        user_id = await user_of_browser(ask)
        if user_id is None:
            self._limits.count_request(ask)  # once more, as it costs more; this finds the address
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
            with contextlib.suppress(TokenFinished):
                await self._services.reservations.leave(mine)

    async def _concert(self, request: Request) -> ListedConcert:
        told = (request.route_values or {}).get("concert_id")
        for concert in await on_sale(self._services):
            if str(concert.concert_id) == told:
                return concert
        raise NotFound

    async def _place(self, ask: Ask, concert_id: UUID) -> PlaceRef | None:
        token = cookies.place_token(ask, concert_id)
        if token is None:
            return None
        with contextlib.suppress(CredentialInvalid):
            return await self._services.signer.read(token.encode("latin-1"))
        return None
