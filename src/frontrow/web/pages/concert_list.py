"""The list of concerts, rendered here: it is what most people load first, and needs no script."""

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from http import HTTPStatus

from blacksheep import Content, Request, Response

from frontrow.services import Services
from frontrow.web.calls import Ask
from frontrow.web.endpoint import request_id
from frontrow.web.i18n.catalogs import LANGUAGES, catalog, language_of, text
from frontrow.web.i18n.formats import days, money
from frontrow.web.listings import ListedConcert, on_sale
from frontrow.web.pages.account import account, standing
from frontrow.web.pages.assets import Body, Files
from frontrow.web.pages.error_page import trouble_of
from frontrow.web.pages.security_headers import HTML, PLAIN, protect
from frontrow.web.pages.templates import REFRESH, fill, styles

STYLES = ("base", "fan")
"""What the pages that are rendered here need."""

_BADGES = {"open": "good", "scheduled": "warn", "paused": "warn", "sold_out": "bad", "closed": ""}
_MOST_OVER = 12


class ListPage:
    """What is on sale, in plain HTML."""

    def __init__(self, files: Files, services: Services) -> None:
        self._files = files
        self._services = services
        self._texts = {
            language: catalog(files.sources, language, "common", "fan", "list")
            for language in LANGUAGES
        }
        self._styles = styles(files, *STYLES)

    async def show(self, request: Request) -> Response:
        """The page as it is now."""
        language, identity = language_of(request), request_id(request)
        texts = self._texts[language]
        title = escape(f"{texts['concerts']} · {texts['site']}")
        made, status = {"title": title, "styles": self._styles, "refresh": "", "scripts": ""}, 200
        made["account"] = account(standing(Ask(request, self._services)), texts)
        try:
            made["content"] = _list(await on_sale(self._services), texts)
        except Exception as error:  # noqa: BLE001 - whatever it is, the page says so and goes on
            trouble = trouble_of(error, "page_concerts", identity, texts)
            made |= {"refresh": REFRESH, "content": trouble.content}
            status = trouble.status
        html = fill(self._files, "fan.html", language, texts, made)
        if status == HTTPStatus.OK:
            response = Body.of(html, HTML).answer(request, b"private, no-cache")
            response.add_header(b"vary", b"accept-language, cookie")
        else:
            response = Response(status, [(b"cache-control", b"no-store")], Content(HTML, html))
        response.add_header(b"x-request-id", identity)
        protect(request, response, policy=PLAIN)
        return response


def _list(concerts: list[ListedConcert], texts: Mapping[str, str]) -> str:
    """Those that are still to come; then some of those that are over, the latest first."""
    coming = [each for each in concerts if not is_over(each)]
    over = [each for each in concerts if is_over(each)][:_MOST_OVER]
    said = _cards(coming, texts) if coming else f"<p>{escape(texts['concerts.none'])}</p>"
    if over:
        said += f"<h2>{escape(texts['concerts.over'])}</h2>{_cards(over, texts)}"
    return f'<div class="stack"><h1>{escape(texts["concerts"])}</h1>{said}</div>'


def is_over(concert: ListedConcert) -> bool:
    """Whether nobody can join its line for anything any more."""
    return concert.sale != "open" or concert.state == "closed"


def badge(concert: ListedConcert, texts: Mapping[str, str]) -> str:
    """How its sale stands, in a word."""
    if concert.sale != "open":
        return f'<span class="badge">{escape(texts[f"sale.{concert.sale}"])}</span>'
    state = concert.state
    return f'<span class="badge {_BADGES[state]}">{escape(texts[f"room.{state}"])}</span>'


def facts(concert: ListedConcert, texts: Mapping[str, str]) -> list[str]:
    """Who plays, when, where, and from which price on."""
    found = []
    if concert.artist:
        found.append(f'<p class="artist">{escape(concert.artist)}</p>')
    if concert.first_date and concert.last_date:
        this_year = datetime.now(UTC).year
        when = days(concert.first_date, concert.last_date, texts, this_year)
        found.append(f'<p class="soft">{escape(when)}</p>')
    if concert.venue:
        found.append(f'<p class="soft">{escape(concert.venue)}</p>')
    if concert.price_from is not None and concert.sale == "open":
        price = text(texts, "concert.from", price=money(concert.price_from, concert.currency))
        found.append(f'<p class="price">{escape(price)}</p>')
    return found


def _cards(concerts: list[ListedConcert], texts: Mapping[str, str]) -> str:
    return f'<ul class="concerts">{"".join(_card(each, texts) for each in concerts)}</ul>'


def _card(concert: ListedConcert, texts: Mapping[str, str]) -> str:
    return (
        f'<li><article class="card concert"><p>{badge(concert, texts)}</p><h2>'
        f'<a href="/concerts/{concert.concert_id}">{escape(concert.title)}</a></h2>'
        f"{''.join(facts(concert, texts))}</article></li>"
    )
