"""Signing in at the issuer from a page: the authorization code flow with PKCE.

OpenID Connect Core 1.0, section 3.1, with RFC 7636 (S256) and RFC 9207. Nothing is stored between
the two halves: the browser keeps an ``Attempt``.
"""

import asyncio
import base64
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

import httpx2
import structlog

from frontrow.errors import CredentialInvalid, SignInFailed, Unavailable
from frontrow.settings import Settings
from frontrow.users.attempt import Attempt
from frontrow.users.id_token import IdTokens
from frontrow.users.issuer_document import (
    FETCH_SECONDS,
    HEADERS,
    PROBLEMS,
    IssuerDocument,
    endpoint_of,
    read_json,
)
from frontrow.users.service import UserKey, Users

LONGEST_CODE = 2048
"""Characters, of each thing that the issuer sends back with the browser."""

_SERVER_ERROR = 500
_LONGEST_TOLD = 100  # characters of an issuer's error in the log

_log = structlog.get_logger(__name__)


class CodeFlow:
    """Leads browsers to the issuer and back.

    Args:
        document: the issuer's.
        tokens: reads its ID tokens.
        users: gives the sessions.
        settings: the client's id and secret, the endpoints, how long sessions last.
        now: the Unix time.
    """

    def __init__(
        self,
        document: IssuerDocument,
        tokens: IdTokens,
        users: Users,
        settings: Settings,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._document = document
        self._tokens = tokens
        self._users = users
        self._client_id = settings.oidc_audience or ""
        self._secret = settings.oidc_client_secret
        self._endpoints = {
            "authorization_endpoint": settings.oidc_authorization_url,
            "token_endpoint": settings.oidc_token_url,
        }
        self.session_seconds = settings.oidc_session_seconds
        self._now = now

    async def address(self, attempt: Attempt, redirect_uri: str) -> str:
        """Where the browser is sent to sign in.

        Raises:
            Unavailable: the issuer can't be asked where that is.
        """
        url = httpx2.URL(await self._endpoint("authorization_endpoint"))
        asked = {
            "response_type": "code",
            "scope": "openid",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return str(url.copy_merge_params(asked))

    def check(self, attempt: Attempt, state: str | None, issuer: str | None) -> None:
        """Checks that what came back is the issuer's answer to this attempt, and in time.

        Raises:
            SignInFailed: it isn't.
        """
        attempt.check(state, now=self._now())
        if issuer not in (None, self._document.issuer):
            raise SignInFailed("failed")

    async def session(self, attempt: Attempt, code: str, redirect_uri: str) -> UserKey:
        """Opens a session for whom the issuer names in exchange for a code.

        Raises:
            SignInFailed: it names nobody, or this attempt gave a session before.
            CredentialInvalid: the user has been erased.
            Unavailable: the issuer can't be asked.
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
        """The ID token that the issuer gives for a code (RFC 6749, section 4.1.3)."""
        url = await self._endpoint("token_endpoint")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": attempt.verifier,
        }
        sent = await self._authenticate(form)
        try:
            async with (
                asyncio.timeout(FETCH_SECONDS),
                self._document.http.stream(
                    "POST", url, data=form, headers=HEADERS | sent
                ) as response,
            ):
                status = response.status_code
                if status >= _SERVER_ERROR or status == httpx2.codes.TOO_MANY_REQUESTS:
                    raise ValueError(f"it answers {status}")
                answer = await read_json(response)
        except PROBLEMS as error:
            _log.warning("the issuer's tokens can't be asked for", url=url, error=repr(error))
            raise Unavailable("The issuer doesn't answer. Sign in again.") from None
        token = answer.get("id_token")
        if status != httpx2.codes.OK or not isinstance(token, str):
            told = str(answer.get("error"))[:_LONGEST_TOLD]
            _log.warning("the issuer refuses a code", status=status, error=told)
            raise SignInFailed("failed")
        return token

    async def _authenticate(self, form: dict[str, str]) -> dict[str, str]:
        """Says in the form or in headers which client asks (RFC 6749, section 2.3.1)."""
        if self._secret is None:
            form["client_id"] = self._client_id
            return {}
        secret = self._secret.get_secret_value()
        if not await self._takes_basic():
            form |= {"client_id": self._client_id, "client_secret": secret}
            return {}
        pair = f"{quote_plus(self._client_id)}:{quote_plus(secret)}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

    async def _takes_basic(self) -> bool:
        """Whether the issuer takes the secret in a header: by default it does."""
        if all(self._endpoints.values()):
            return True
        told: Any = (await self._document.recent()).get("token_endpoint_auth_methods_supported")
        return not isinstance(told, list) or "client_secret_basic" in told or not told

    async def _endpoint(self, name: str) -> str:
        known = self._endpoints[name]
        if known is not None:
            return known
        try:
            return endpoint_of(await self._document.recent(), name)
        except ValueError as error:
            _log.warning(
                "the issuer can't be asked", issuer=self._document.issuer, error=str(error)
            )
            raise Unavailable("The issuer doesn't say where to sign in.") from None
