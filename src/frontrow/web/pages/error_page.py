"""The text of a page about a refusal or a failure; and the page for any other address.

The text says the reason, and what to do next.
"""

from typing import NamedTuple

from blacksheep import Content, Request, Response

from frontrow.db.faults import Faults
from frontrow.errors import DomainError, NotFound, RateLimited
from frontrow.web.endpoint import fault
from frontrow.web.i18n.negotiation import language_of
from frontrow.web.i18n.texts import Texts
from frontrow.web.pages.account import Standing
from frontrow.web.pages.assets import Files
from frontrow.web.pages.rendering import PageTemplate
from frontrow.web.pages.security_headers import HTML, PLAIN, protect
from frontrow.web.problems import KINDS


class Failure(NamedTuple):
    """Why a page can't be shown."""

    status: int
    text: str
    passes: bool
    """Whether loading the page again may help."""


def failure_of(
    error: Exception, page: str, identity: bytes, texts: Texts, faults: Faults
) -> Failure:
    """Returns the page's answer to an error; an unforeseen one is logged with the request's id."""
    refusal = error if isinstance(error, DomainError) else fault(error, page, identity, faults)
    said = texts(f"refusal.{refusal.code}", **refusal.fields)
    return Failure(KINDS[type(refusal)].status, said, not isinstance(refusal, NotFound))


class ErrorPage:
    """The page in place of a problem response, for a browser that opens an address."""

    def __init__(self, files: Files) -> None:
        self._template = PageTemplate(files, "error", ("common", "fan"), ("base", "fan"))

    def instead_of(self, request: Request, response: Response) -> Response:
        """Returns the page with the status and headers of a problem response.

        A client of the API gets the problem itself: its path is below ``/api/``, or it doesn't ask
        for HTML.
        """
        accept = request.headers.get_first(b"accept") or b""
        is_page = request.method in ("GET", "HEAD") and not request.url.path.startswith(b"/api/")
        if not is_page or b"text/html" not in accept:
            return response
        language = language_of(request)
        texts = self._template.texts[language]
        is_missing = response.status != KINDS[RateLimited].status
        html = self._template.render(
            language,
            Standing.UNASKED,
            heading=texts("no_page" if is_missing else "failed"),
            text=texts("no_page.next" if is_missing else "refusal.rate_limited"),
        )
        response.content = Content(HTML, html)
        response.add_header(b"cache-control", b"no-store")
        response.add_header(b"vary", b"accept, accept-language, cookie")
        protect(request, response, policy=PLAIN)
        return response
