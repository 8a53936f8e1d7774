"""Signing in at the issuer from a page: the authorization code flow with PKCE.

OpenID Connect Core 1.0, section 3.1, with RFC 7636 (S256) and RFC 9207. Authlib makes the requests.
Nothing is stored between the two halves: the browser keeps an ``Attempt``.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import httpx2
import structlog
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from frontrow.errors import CredentialInvalid, SignInFailed, Unavailable
from frontrow.settings import Settings
from frontrow.users.attempt import Attempt
from frontrow.users.id_token import IdTokens
from frontrow.users.issuer_document import (
    FETCH_ERRORS,
    FETCH_SECONDS,
    IssuerDocument,
    endpoint_of,
)
from frontrow.users.service import UserKey, Users

LONGEST_PARAMETER = 2048
"""Characters, of each parameter that the issuer sends back with the browser."""

_LONGEST_LOGGED = 100  # characters of an issuer's error

# Authlib raises the last two where a token response has an invalid lifetime.
_EXCHANGE_ERRORS = (*FETCH_ERRORS, TypeError, OverflowError)

_log = structlog.get_logger(__name__)


class IssuerAnswer(NamedTuple):
    """Parameters that the issuer sends back with the browser (RFC 6749, section 4.1.2)."""

    code: str | None
    state: str | None
    error: str | None
    issuer: str | None
    """``iss`` (RFC 9207)."""

    def granted_code(self) -> str:
        """Returns the code.

        Raises:
            SignInFailed: the user or the issuer refused.
        """
        if self.code is None:
            raise SignInFailed("refused" if self.error == "access_denied" else "failed")
        return self.code


class CodeFlow:
    """Sends browsers to the issuer, and opens sessions for those that come back.

    Args:
        http: the issuer's client.
        document: the issuer's discovery document.
        tokens: verifies the issuer's ID tokens.
        users: opens the sessions.
        settings: the client's id and secret, the endpoints, how long sessions last.
        now: the Unix time.
    """

    def __init__(
        self,
        http: AsyncOAuth2Client,
        document: IssuerDocument,
        tokens: IdTokens,
        users: Users,
        settings: Settings,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self._document = document
        self._tokens = tokens
        self._users = users
        self._endpoints = {
            "authorization_endpoint": settings.oidc_authorization_url,
            "token_endpoint": settings.oidc_token_url,
        }
        self.session_seconds = settings.oidc_session_seconds
        self._now = now

    async def begin(self, back: str, redirect_uri: str) -> tuple[Attempt, str]:
        """Begins an attempt that returns to ``back``; returns it, and the issuer's URL for it.

        Raises:
            Unavailable: the issuer's discovery document can't be read.
        """
        attempt = Attempt.begin(back)
        url, _ = self._http.create_authorization_url(
            await self._endpoint("authorization_endpoint"),
            state=attempt.state,
            code_verifier=attempt.verifier,
            nonce=attempt.nonce,
            redirect_uri=redirect_uri,
        )
        return attempt, url

    def check(self, attempt: Attempt, answer: IssuerAnswer) -> None:
        """Checks that this issuer gave the answer, to this attempt, and in time.

        Raises:
            SignInFailed: one of these checks fails.
        """
        attempt.check(answer.state, now=self._now())
        if answer.issuer not in (None, self._document.issuer):
            raise SignInFailed("failed")

    async def session(self, attempt: Attempt, code: str, redirect_uri: str) -> UserKey:
        """Exchanges a code for an ID token, and opens a session for its user.

        Raises:
            SignInFailed: the code or the token is invalid, or the attempt opened a session before.
            CredentialInvalid: the user has been erased.
            Unavailable: the issuer can't be reached.
        """
        token = await self._exchange(attempt, code, redirect_uri)
        try:
            signed_in = await self._tokens.read(token.encode(), nonce=attempt.nonce)
        except CredentialInvalid:
            _log.warning("the issuer gave an ID token that isn't valid here")
            raise SignInFailed("failed") from None
        return await self._users.open_session(
            signed_in.user_id, attempt.digest, self.session_seconds
        )

    async def _exchange(self, attempt: Attempt, code: str, redirect_uri: str) -> str:
        """Returns the ID token that the issuer gives for a code (RFC 6749, section 4.1.3)."""
        url, auth = await self._endpoint("token_endpoint"), await self._authentication()
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                answer = await self._http.fetch_token(
                    url,
                    grant_type="authorization_code",
                    code=code,
                    redirect_uri=redirect_uri,
                    code_verifier=attempt.verifier,
                    auth=auth,
                )
            error = "no ID token"
        except OAuthError as refusal:
            answer, error = {}, str(refusal.error)
        except _EXCHANGE_ERRORS as failure:
            _log.warning(
                "the issuer's token endpoint can't be reached", url=url, error=repr(failure)
            )
            raise Unavailable("The issuer doesn't answer. Sign in again.") from None
        finally:
            self._http.token = None  # Authlib would keep it
        token = answer.get("id_token")
        if not isinstance(token, str):
            _log.warning("the issuer refuses a code", error=error[:_LONGEST_LOGGED])
            raise SignInFailed("failed")
        return token

    async def _authentication(self) -> httpx2.Auth:
        """Returns how the client authenticates to the token endpoint (RFC 6749, section 2.3.1)."""
        http = self._http
        if http.client_secret is not None and await self._takes_basic():
            # Authlib's own method leaves out the encoding as form parameters.
            return httpx2.BasicAuth(quote_plus(http.client_id), quote_plus(http.client_secret))
        auth: httpx2.Auth = http.client_auth(
            "none" if http.client_secret is None else "client_secret_post"
        )
        return auth

    async def _takes_basic(self) -> bool:
        """Returns whether the issuer takes the secret as HTTP Basic, its default."""
        if all(self._endpoints.values()):
            return True
        methods: Any = (await self._document.recent()).get("token_endpoint_auth_methods_supported")
        return not isinstance(methods, list) or "client_secret_basic" in methods or not methods

    async def _endpoint(self, name: str) -> str:
        """Returns an endpoint from the settings, else from the discovery document."""
        configured = self._endpoints[name]
        if configured is not None:
            return configured
        try:
            return endpoint_of(await self._document.recent(), name)
        except ValueError as error:
            _log.warning(
                "the issuer can't be reached", issuer=self._document.issuer, error=str(error)
            )
            raise Unavailable("The issuer's discovery document lacks an endpoint.") from None
