"""Finishes a navigation from another site on this server's origin.

The cookies of the pages are ``SameSite=Strict``: a browser that follows a link on another site
sends none of them, so the page would show a user as not in line. A redirect doesn't change that; a
page of this server that loads the same address does.
"""

from blacksheep import Content, Request, Response

from frontrow.web.i18n.negotiation import language_of
from frontrow.web.pages.account import Standing, own_address
from frontrow.web.pages.assets import Files
from frontrow.web.pages.rendering import PageTemplate
from frontrow.web.pages.security_headers import HTML, PLAIN, protect

_OTHERS = (b"cross-site", b"same-site")
_ARRIVED = "arrived"
"""The query parameter of the second request, which is never answered in this way again."""


class Arrival:
    """The page between another site and a page that reads cookies."""

    def __init__(self, files: Files) -> None:
        self._template = PageTemplate(files, "arrival", ("common", "sign_in"), ())

    def page(self, request: Request) -> Response | None:
        """Returns the page for a navigation from another site; ``None`` for any other request."""
        headers = request.headers
        if headers.get_first(b"sec-fetch-site") not in _OTHERS or _ARRIVED in request.query:
            return None
        if headers.get_first(b"sec-fetch-mode") != b"navigate":
            return None
        html = self._template.render(
            language_of(request), Standing.UNASKED, address=own_address(request, f"{_ARRIVED}=1")
        )
        response = Response(200, [(b"cache-control", b"no-store")], Content(HTML, html))
        protect(request, response, policy=PLAIN)
        return response
