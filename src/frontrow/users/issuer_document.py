"""HTTP client of the OpenID issuer, and its cached discovery document.

Every response of the issuer is limited to ``LARGEST_BYTES``, every exchange to ``FETCH_SECONDS``;
redirects are not followed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Any, cast

import httpx2
import msgspec
import structlog
from authlib.integrations.httpx_client import AsyncOAuth2Client

from frontrow.errors import Unavailable
from frontrow.settings import Settings, is_loopback, is_safe_url

LARGEST_BYTES = 262_144
"""Limit of a response body."""
FETCH_SECONDS = 10.0
"""Limit of one exchange with the issuer."""
RETRY_SECONDS = 10.0
"""Shortest time between two attempts to read a document that could not be read."""
_RECENT_SECONDS = 3600.0
_TIMEOUT_SECONDS = 5.0

FETCH_ERRORS = (
    httpx2.HTTPError,
    httpx2.InvalidURL,
    msgspec.DecodeError,
    RecursionError,
    TimeoutError,
    ValueError,
)
"""Errors that an exchange with the issuer raises: it is away, or its response is invalid."""

_log = structlog.get_logger(__name__)


def issuer_client(settings: Settings) -> AsyncOAuth2Client:
    """Returns the HTTP client for the issuer of the settings, an asynchronous context manager."""
    secret = settings.oidc_client_secret
    return AsyncOAuth2Client(
        settings.oidc_audience,
        None if secret is None else secret.get_secret_value(),
        scope="openid",
        code_challenge_method="S256",
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        timeout=_TIMEOUT_SECONDS,
        # An issuer on this machine is never behind the proxy that the environment names.
        trust_env=not is_loopback(settings.oidc_jwks_url or settings.oidc_issuer or ""),
        event_hooks={"response": [check_response]},
    )


async def check_response(response: httpx2.Response) -> None:
    """Rejects the response of an issuer that is away or busy; limits the body of any other.

    Raises:
        httpx2.HTTPStatusError: the status is 429 or 5xx.
    """
    if response.is_server_error or response.status_code == httpx2.codes.TOO_MANY_REQUESTS:
        response.raise_for_status()
    # A compressed body could be of any size once it is unpacked; none was requested.
    response.headers.pop("content-encoding", None)
    response.stream = _LimitedStream(cast(httpx2.AsyncByteStream, response.stream))


class _LimitedStream(httpx2.AsyncByteStream):
    """Body of a response; reading more than ``LARGEST_BYTES`` raises ``ValueError``."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > LARGEST_BYTES:
                raise ValueError(f"the response is larger than {LARGEST_BYTES} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class IssuerDocument:
    """The discovery document of one issuer (OpenID Connect Discovery 1.0).

    Args:
        http: the client, with ``check_response`` as its response hook.
        issuer: the issuer's URL, equal to the ``iss`` of its tokens.
        now: a monotonic clock, in seconds.
    """

    def __init__(
        self, http: httpx2.AsyncClient, issuer: str, *, now: Callable[[], float] = monotonic
    ) -> None:
        self.http = http
        self.issuer = issuer
        self._now = now
        self._known: dict[str, Any] | None = None
        self._read_at = self._failed_at = float("-inf")
        self._reading = asyncio.Lock()

    async def read(self) -> dict[str, Any]:
        """Fetches the document (sections 4 and 4.3).

        Raises:
            FETCH_ERRORS: it can't be fetched, or names another issuer.
        """
        found = await self.get(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != self.issuer:
            raise ValueError("the discovery document names another issuer")
        self._known, self._read_at = found, self._now()
        return found

    async def recent(self) -> dict[str, Any]:
        """Returns the document, at most about an hour old unless the issuer is away.

        Concurrent callers share one fetch.

        Raises:
            Unavailable: it was never read, and can't be fetched.
        """
        if self._is_due():
            async with self._reading:
                if self._is_due():
                    await self._refresh()
        if self._known is None:
            raise Unavailable("The issuer can't be reached. Try again.")
        return self._known

    def _is_due(self) -> bool:
        now = self._now()
        return now - self._read_at > _RECENT_SECONDS and now - self._failed_at >= RETRY_SECONDS

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                await self.read()
        except FETCH_ERRORS as error:
            self._failed_at = self._now()
            _log.warning("the issuer can't be reached", issuer=self.issuer, error=repr(error))

    async def get(self, url: str) -> dict[str, Any]:
        """Returns the JSON object at a URL.

        Raises:
            FETCH_ERRORS: it can't be fetched, or isn't a JSON object.
        """
        response = await self.http.get(url, auth=None)
        if response.status_code != httpx2.codes.OK:
            raise ValueError(f"{url} answers {response.status_code}")
        return msgspec.json.decode(response.content, type=dict[str, Any])


def endpoint_of(document: dict[str, Any], member: str) -> str:
    """Returns a URL that the discovery document names.

    Raises:
        ValueError: the URL is missing or unsafe.
    """
    url = document.get(member)
    if not isinstance(url, str) or not is_safe_url(url):
        raise ValueError(f"the discovery document has no safe {member}")
    return url
