"""The list of concerts. Most people load it first; it needs no script."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from blacksheep import Content, Request, Response

from frontrow.listings import AFTER, KEPT_PAGES, ConcertPage, ListedConcert, ListQuery
from frontrow.services import Services
from frontrow.text_rules import LINE
from frontrow.web.bodies import Body
from frontrow.web.calls import Ask
from frontrow.web.endpoint import request_id
from frontrow.web.i18n.negotiation import language_of
from frontrow.web.i18n.texts import Texts
from frontrow.web.pages.account import Standing, standing
from frontrow.web.pages.assets import Files
from frontrow.web.pages.error_page import failure_of
from frontrow.web.pages.rendering import PageTemplate
from frontrow.web.pages.security_headers import HTML, PLAIN, protect

STYLES = ("base", "fan")
"""The styles of the pages that are rendered for each request."""

_LOOKS = {"open": "good", "scheduled": "warn", "paused": "warn", "sold_out": "bad", "closed": ""}
_MOST_ENDED = 12
_LONGEST_SEARCH = 100
_AFTER = re.compile(AFTER)
_LINE = re.compile(LINE)


class ListPage:
    """The list of concerts."""

    def __init__(self, files: Files, services: Services) -> None:
        self._services = services
        self._template = PageTemplate(files, "concert_list", ("common", "fan", "list"), STYLES)
        # A page of the list is the same object for a second.
        self._body = lru_cache(KEPT_PAGES)(self._render)

    async def show(self, request: Request) -> Response:
        """Returns the page as it is now."""
        language, identity = language_of(request), request_id(request)
        texts = self._template.texts[language]
        account = standing(Ask(request, self._services))
        try:
            query = _query(request)
            page = await self._services.listings.page(query)
            body = self._body(language, account, query, page, datetime.now(UTC).year)
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
        self,
        language: str,
        account: Standing,
        query: ListQuery,
        page: ConcertPage,
        this_year: int,
    ) -> Body:
        """Returns the upcoming concerts, then past ones, the latest first.

        Without a search, some past ones are enough.
        """
        texts = self._template.texts[language]
        upcoming = [concert for concert in page.concerts if not is_over(concert)]
        ended = [concert for concert in page.concerts if is_over(concert)]
        following = page.next
        if query.text is None:
            ended = ended[:_MOST_ENDED]
            if page.concerts and page.concerts[-1].sale != "open":
                following = None
        html = self._template.render(
            language,
            account,
            failure=None,
            search=query.text or "",
            is_first=query.after is None,
            following=following and _address(query.text, following),
            upcoming=[card_of(concert, texts, this_year) for concert in upcoming],
            ended=[card_of(concert, texts, this_year) for concert in ended],
        )
        return Body.of(html, HTML)


def _query(request: Request) -> ListQuery:
    """Returns what the address asks for; what it can't mean is ignored."""
    text = " ".join(request.query.get("q", [""])[0].split())[:_LONGEST_SEARCH]
    after = request.query.get("after", [""])[0]
    if not _LINE.search(text):
        text = ""
    return ListQuery(text=text or None, after=after if _AFTER.search(after) else None)


def _address(text: str | None, after: str) -> str:
    """Returns the address of the next page."""
    return "/?" + urlencode({"q": text, "after": after} if text else {"after": after})


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
