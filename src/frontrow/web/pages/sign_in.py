"""Redirects browsers to the issuer and back: plain links, redirects and one form, without scripts.

The issuer sends the browser back by a navigation of another site, on which it has none of our
cookies (SameSite=Strict). So the page there only continues to a request from this server's own
page, and that request completes the sign-in.
"""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from blacksheep import Content, Request, Response

from frontrow.errors import CredentialInvalid, NotAllowed, SignInFailed
from frontrow.services import Services
from frontrow.users.attempt import ATTEMPT_SECONDS, Attempt
from frontrow.users.code_flow import LONGEST_PARAMETER, IssuerAnswer
from frontrow.users.service import is_session
from frontrow.users.sign_in import SignIn
from frontrow.web.access import cookies
from frontrow.web.access.credentials import user_of_browser
from frontrow.web.access.rate_limits import Limits
from frontrow.web.calls import Ask
from frontrow.web.endpoint import request_id
from frontrow.web.i18n.negotiation import language_of
from frontrow.web.pages.account import SIGN_IN, Standing, local_path, path_of, sign_in_path
from frontrow.web.pages.assets import Files
from frontrow.web.pages.concert_list import STYLES
from frontrow.web.pages.error_page import failure_of
from frontrow.web.pages.rendering import PageTemplate
from frontrow.web.pages.security_headers import HTML, PLAIN, protect

CALLBACK = f"{SIGN_IN}/callback"
"""The path of the redirect URI that the issuer has to know."""
FINISH = f"{SIGN_IN}/finish"

_ANSWERS = ("code", "state", "error", "iss")
_STATUS = {
    "refused": HTTPStatus.FORBIDDEN,
    "expired": HTTPStatus.BAD_REQUEST,
    "failed": HTTPStatus.BAD_REQUEST,
}


class SignInPages:
    """Signing in and out."""

    def __init__(self, files: Files, services: Services, limits: Limits, sign_in: SignIn) -> None:
        self._services = services
        self._limits = limits
        self._flow = sign_in.pages
        self._template = PageTemplate(files, "sign_in", ("common", "fan", "sign_in"), STYLES)

    async def start(self, request: Request) -> Response:
        """Redirects the browser to the issuer, or back if it has a user already.

        Only from a page of this server: any other page could make a browser sign in unasked.
        """
        ask = Ask(request, self._services)
        referer = request.headers.get_first(b"referer") or b""
        back = local_path(_single(request, "to") or "") or path_of(referer.decode("latin-1")) or "/"
        if not cookies.is_same_origin(ask):
            return self._page(request, HTTPStatus.OK)
        try:
            if await user_of_browser(ask) is not None:
                return _leading(request, back)
            attempt, url = await self._flow.begin(back, _redirect_uri(ask))
            response = _leading(request, url)
        except Exception as error:  # noqa: BLE001 - the page reports any error
            return self._trouble(request, error, back)
        cookies.set_attempt(ask, response, attempt.kept, ATTEMPT_SECONDS)
        return response

    async def callback(self, request: Request) -> Response:
        """Continues from the issuer's site to this server's page, for any answer of the issuer."""
        answer = {name: _single(request, name) for name in _ANSWERS}
        query = urlencode({name: value for name, value in answer.items() if value})
        return self._page(request, HTTPStatus.OK, finish=f"{FINISH}?{query}")

    async def finish(self, request: Request) -> Response:
        """Opens a session from the issuer's answer and redirects back, or shows why it can't."""
        ask = Ask(request, self._services)
        back, is_over = "/", False
        try:
            cookies.check_same_origin(ask)
            kept = cookies.attempt(ask)
            if kept is not None:
                back = local_path(Attempt(kept).back) or "/"
            if await user_of_browser(ask) is not None:
                # A repeated request, or another tab was faster: the browser keeps its user.
                response, is_over = _leading(request, back), True
            else:
                attempt = Attempt(kept or "")
                answer = IssuerAnswer(*(_single(request, name) for name in _ANSWERS))
                self._flow.check(attempt, answer)
                is_over = True
                response = await self._signed_in(ask, attempt, answer, back)
        except Exception as error:  # noqa: BLE001 - the page reports any error
            response = self._trouble(request, error, back)
        if is_over:
            cookies.drop_attempt(ask, response)
        return response

    async def _signed_in(
        self, ask: Ask, attempt: Attempt, answer: IssuerAnswer, back: str
    ) -> Response:
        code = answer.granted_code()
        self._limits.count_request(ask)  # again, as it costs more; finds the address
        self._limits.count_guest(ask)
        session = await self._flow.session(attempt, code, _redirect_uri(ask))
        response = _leading(ask.request, back)
        for concert_id in cookies.places(ask):
            if not await self._is_place_of(ask, concert_id, session.user_id):
                cookies.drop_place(ask, response, concert_id)
        cookies.set_user(ask, response, session.user_key, self._flow.session_seconds)
        return response

    async def _is_place_of(self, ask: Ask, concert_id: UUID, user_id: UUID) -> bool:
        """Returns whether a place in the cookies is this user's, not an earlier guest's."""
        token = cookies.place_token(ask, concert_id) or ""
        try:
            place = await self._services.signer.read(token.encode("latin-1"))
        except CredentialInvalid:
            return False
        return place.user_id == user_id

    async def sign_out(self, request: Request) -> Response:
        """Ends the session and deletes its cookies. Does nothing for a guest."""
        ask = Ask(request, self._services)
        response = _leading(request, "/")
        try:
            cookies.check_same_origin(ask)
            key = cookies.user_key(ask)
            if key is not None and is_session(key):
                await self._services.users.end_session(key)
                cookies.drop_user(ask, response)
        except Exception as error:  # noqa: BLE001 - the page reports any error
            return self._trouble(request, error, "/")
        return response

    def _trouble(self, request: Request, error: Exception, back: str) -> Response:
        texts = self._template.texts[language_of(request)]
        if isinstance(error, SignInFailed):
            said = texts(f"signin.{error.reason}")
            return self._page(request, _STATUS[error.reason], said=said, back=back)
        identity = request_id(request)
        failure = failure_of(error, "page_sign_in", identity, texts, self._services.faults)
        response = self._page(request, failure.status, said=failure.text, failed=True, back=back)
        response.add_header(b"x-request-id", identity)
        return response

    def _page(
        self,
        request: Request,
        status: int,
        *,
        finish: str | None = None,
        said: str | None = None,
        failed: bool = False,
        back: str = "/",
    ) -> Response:
        """Returns the page for signing in; see its template."""
        html = self._template.render(
            language_of(request),
            Standing.UNASKED,
            finish=finish,
            said=said,
            failed=failed,
            sign_in_path=sign_in_path(back),
        )
        response = Response(status, [(b"cache-control", b"no-store")], Content(HTML, html))
        protect(request, response, policy=PLAIN)
        return response


def _leading(request: Request, location: str) -> Response:
    headers = [(b"location", location.encode("ascii")), (b"cache-control", b"no-store")]
    return Response(303, [*headers, (b"x-request-id", request_id(request))])


def _redirect_uri(ask: Ask) -> str:
    origin = cookies.own_origin(ask)
    if origin is None:
        raise NotAllowed("Signing in is not possible at this host.")
    return origin + CALLBACK


def _single(request: Request, name: str) -> str | None:
    """Returns a parameter that is given once and is not too long; else ``None``."""
    values: Any = request.query.get(name, [])
    if len(values) != 1 or not 1 <= len(values[0]) <= LONGEST_PARAMETER:
        return None
    return str(values[0])
