"""The list of concerts. Most people load it first; it needs no script."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from blacksheep import Content, Request, Response

from frontrow.services import Services
from frontrow.web.calls import Ask
from frontrow.web.endpoint import request_id
from frontrow.web.i18n.negotiation import language_of
from frontrow.web.i18n.texts import Texts
from frontrow.web.listings import ListedConcert, on_sale
from frontrow.web.pages.account import Standing, standing
from frontrow.web.pages.assets import Body, Files
from frontrow.web.pages.error_page import failure_of
from frontrow.web.pages.rendering import PageTemplate
from frontrow.web.pages.security_headers import HTML, PLAIN, protect

STYLES = ("base", "fan")
"""The styles of the pages that are rendered for each request."""

_LOOKS = {"open": "good", "scheduled": "warn", "paused": "warn", "sold_out": "bad", "closed": ""}
_MOST_ENDED = 12
_REMEMBERED = 16


class ListPage:
    """The list of concerts."""

    def __init__(self, files: Files, services: Services) -> None:
        self._services = services
        self._template = PageTemplate(files, "concert_list", ("common", "fan", "list"), STYLES)
        # While nothing changes, all clients get the same page.
        self._body = lru_cache(_REMEMBERED)(self._render)

    async def show(self, request: Request) -> Response:
        """Returns the page as it is now."""
        language, identity = language_of(request), request_id(request)
        texts = self._template.texts[language]
        account = standing(Ask(request, self._services))
        try:
            concerts = await on_sale(self._services)
            body = self._body(language, account, tuple(concerts), datetime.now(UTC).year)
        except Exception as error:  # noqa: BLE001 - the page reports any error
            failure = failure_of(error, "page_concerts", identity, texts, self._services.faults)
            html = self._template.render(language, account, failure=failure.text)
            headers = [(b"cache-control", b"no-store")]
            response = Response(failure.status, headers, Content(HTML, html))
        else:
            response = body.answer(request, b"private, no-cache")
            response.add_header(b"vary", b"accept-language, cookie")
        response.add_header(b"x-request-id", identity)
        protect(request, response, policy=PLAIN)
        return response

    def _render(
        self, language: str, account: Standing, concerts: tuple[ListedConcert, ...], this_year: int
    ) -> Body:
        """Returns the upcoming concerts, then some past ones, the latest first."""
        texts = self._template.texts[language]
        ended = [concert for concert in concerts if is_over(concert)][:_MOST_ENDED]
        upcoming = [concert for concert in concerts if not is_over(concert)]
        html = self._template.render(
            language,
            account,
            failure=None,
            upcoming=[card_of(concert, texts, this_year) for concert in upcoming],
            ended=[card_of(concert, texts, this_year) for concert in ended],
        )
        return Body.of(html, HTML)


class Card(NamedTuple):
    """A concert as a page shows it."""

    concert_id: UUID
    title: str
    artist: str | None
    days: str | None
    venue: str | None
    price: str | None
    """The lowest price, while it is on sale."""
    sale: str
    state: str
    look: str
    """The class of its badge."""


def card_of(concert: ListedConcert, texts: Texts, this_year: int) -> Card:
    """Returns a concert as a page shows it."""
    days = price = None
    if concert.first_date and concert.last_date:
        days = texts.days(concert.first_date, concert.last_date, this_year)
    if concert.price_from is not None and concert.sale == "open":
        price = texts("concert.from", price=texts.money(concert.price_from, concert.currency))
    return Card(
        concert.concert_id,
        concert.title,
        concert.artist,
        days,
        concert.venue,
        price,
        concert.sale,
        concert.state,
        _LOOKS[concert.state],
    )


def is_over(concert: ListedConcert) -> bool:
    """Returns whether there is no reason left to join its line."""
    return concert.sale != "open" or concert.state == "closed"
