"""The waiting page for a browser without scripts: it tells the place and refreshes itself.

It shares the cookies of the other pages, and so the place. Joining and leaving are forms.
"""

import contextlib
from html import escape
from urllib.parse import parse_qs
from uuid import UUID
from zoneinfo import ZoneInfo

from blacksheep import Content, Request, Response

from frontrow.concerts.model import Concert
from frontrow.errors import CredentialInvalid, DomainError, NotFound, TokenFinished
from frontrow.ids import PlaceRef
from frontrow.services import Services
from frontrow.web import cookies
from frontrow.web.auth import place_of
from frontrow.web.calls import Ask
from frontrow.web.endpoint import fault, request_id
from frontrow.web.files import Files
from frontrow.web.languages import catalog, language_of, text
from frontrow.web.limits import Limits
from frontrow.web.page_headers import HTML, PLAIN, protect
from frontrow.web.plain_words import Words, of_line, of_place
from frontrow.web.problems import KINDS
from frontrow.web.reading import read_body
from frontrow.web.templates import fill
from frontrow.web.users import NewUser, new_guest

REFRESH_SECONDS = 10
_LARGEST_FORM_BYTES = 1024
_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class PlainPage:
    """A concert's line in plain HTML."""

    def __init__(self, files: Files, services: Services, limits: Limits) -> None:
        self._files = files
        self._services = services
        self._limits = limits

    async def show(self, request: Request) -> Response:
        """The place, or how to get one."""
        language, identity = language_of(request), request_id(request)
        texts = catalog(self._files.sources, language, "common", "fan", "line")
        status, title = 200, ""
        try:
            concert = await self._concert(request)
            title = concert.title
            words = await self._look(Ask(request, self._services), concert, texts)
        except Exception as error:  # noqa: BLE001 - whatever it is, the page says so and goes on
            refusal = _refusal(error, identity)
            status = KINDS[type(refusal)].status
            says = text(texts, f"refusal.{refusal.code}", **refusal.fields)
            words = Words(texts["failed"], [says], refreshes=not isinstance(refusal, NotFound))
        html = fill(self._files, "plain.html", language, texts, _slots(words, title, texts))
        response = Response(status, list(_HEADERS), Content(HTML, html))
        response.add_header(b"x-request-id", identity)
        protect(request, response, policy=PLAIN)
        return response

    async def act(self, request: Request) -> Response:
        """Joins or leaves the line, then leads back to the page, which says how things are.

        So it does also when that was refused.
        """
        ask, identity = Ask(request, self._services), request_id(request)
        response = Response(303, [(b"location", b"?plain=1"), (b"x-request-id", identity)])
        try:
            cookies.check_same_origin(ask)
            form = parse_qs((await read_body(request, _LARGEST_FORM_BYTES)).decode("latin-1"))
            concert_id = (await self._concert(request)).concert_id
            if form.get("do") == ["join"]:
                await self._join(ask, concert_id, response)
            elif form.get("do") == ["leave"]:
                await self._leave(ask, concert_id, response)
        except Exception as error:  # noqa: BLE001 - the page tells it
            _refusal(error, identity)
        return response

    async def _join(self, ask: Ask, concert_id: UUID, response: Response) -> None:
        users = self._services.users
        try:
            user_id = await users.user_of(cookies.user_key(ask) or "")
        except CredentialInvalid:
            self._limits.count_request(
                ask
            )  # once more, as it costs more; this also finds the address
            self._limits.count_guest(ask)
            ask.body = NewUser()
            guest = await new_guest(ask)
            user_id = guest.user_id
            cookies.set_user(ask, response, guest.user_key)
        joined, _ = await self._services.rooms.join(user_id, concert_id)
        cookies.set_place(ask, response, concert_id, joined.token)

    async def _leave(self, ask: Ask, concert_id: UUID, response: Response) -> None:
        place = await self._place(ask, concert_id)
        cookies.drop_place(ask, response, concert_id)
        if place is not None:
            with contextlib.suppress(TokenFinished):
                await self._services.reservations.leave(place)

    async def _look(self, ask: Ask, concert: Concert, texts: dict[str, str]) -> Words:
        rooms, place = self._services.rooms, await self._place(ask, concert.concert_id)
        line = await rooms.document(concert.concert_id)
        opens = ""
        if line.opens_at is not None:
            there = line.opens_at.astimezone(ZoneInfo(concert.timezone))
            opens = there.strftime("%Y-%m-%d %H:%M")
        if place is None:
            return of_line(concert.title, line, opens, texts)
        return of_place(await rooms.status(place), opens, texts)

    async def _concert(self, request: Request) -> Concert:
        told = (request.route_values or {}).get("concert_id")
        for concert in await self._services.catalogue.concerts():
            if str(concert.concert_id) == told:
                return concert
        raise NotFound

    async def _place(self, ask: Ask, concert_id: UUID) -> PlaceRef | None:
        token = cookies.place_token(ask, concert_id)
        if token is None:
            return None
        with contextlib.suppress(CredentialInvalid):
            return await place_of(self._services, token.encode("latin-1"))
        return None


def _refusal(error: Exception, identity: bytes) -> DomainError:
    """What an error means to the fan."""
    return error if isinstance(error, DomainError) else fault(error, "page_plain", identity)


def _slots(words: Words, title: str, texts: dict[str, str]) -> dict[str, str]:
    """The HTML for the template's slots."""
    paragraphs = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in words.paragraphs)
    form = ""
    if words.form:
        look, key = ("primary large", "join") if words.form == "join" else ("", "leave")
        form = (
            f'<form method="post"><button class="{look}" name="do" value="{words.form}">'
            f"{escape(texts[key])}</button></form>"
        )
    refresh = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">'
    return {
        "title": escape(title),
        "heading": escape(words.heading),
        "content": f'<section class="card stack">{paragraphs}</section>{form}',
        "refresh": refresh if words.refreshes else "",
    }
