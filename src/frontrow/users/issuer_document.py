"""What the OpenID issuer says of itself: its discovery document. Answers of it are bounded."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

import httpx2
import msgspec
import structlog

from frontrow.errors import Unavailable
from frontrow.settings import is_safe_url

LARGEST_BYTES = 262_144
"""Of an answer; a larger one is refused unread."""
FETCH_SECONDS = 10.0
"""Longest time that one exchange with the issuer may take."""
LOOK_SECONDS = 10.0
"""Between two looks, after one that failed."""
_RECENT_SECONDS = 3600.0

PROBLEMS = (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError)
"""What an exchange with the issuer fails with."""

_log = structlog.get_logger(__name__)


class IssuerDocument:
    """The discovery document of one issuer (OpenID Connect Discovery 1.0).

    Args:
        http: the client.
        issuer: its address, as its tokens name it.
        now: a clock that never goes back, in seconds.
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
        """The document as it is now (sections 4 and 4.3).

        Raises:
            httpx2.HTTPError, httpx2.InvalidURL, ValueError: there is none, or not this issuer's.
        """
        found = await self.get(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != self.issuer:
            raise ValueError("the discovery document is another issuer's")
        self._known, self._read_at = found, self._now()
        return found

    async def recent(self) -> dict[str, Any]:
        """The document, not much older than an hour unless the issuer is away.

        All who need it wait for one look.

        Raises:
            Unavailable: it was never read, and the issuer can't be asked.
        """
        if self._is_due():
            async with self._reading:
                if self._is_due():
                    await self._look()
        if self._known is None:
            raise Unavailable("The issuer can't be asked how to sign in. Try again.")
        return self._known

    def _is_due(self) -> bool:
        now = self._now()
        return now - self._read_at > _RECENT_SECONDS and now - self._failed_at >= LOOK_SECONDS

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                await self.read()
        except PROBLEMS as error:
            self._failed_at = self._now()
            _log.warning("the issuer can't be asked", issuer=self.issuer, error=repr(error))

    async def get(self, url: str) -> dict[str, Any]:
        """A JSON object at an address.

        Raises:
            httpx2.HTTPError, httpx2.InvalidURL, ValueError: there is none.
        """
        async with self.http.stream("GET", url, headers=HEADERS) as response:
            if response.status_code != httpx2.codes.OK:
                raise ValueError(f"{url} answers {response.status_code}")
            return await read_json(response)


HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
"""Of each request to the issuer. Nothing packed: the bound is on what is read."""


async def read_json(response: httpx2.Response) -> dict[str, Any]:
    """The JSON object that an answer has; never more of it than is allowed is read.

    Raises:
        ValueError: it has none, or a larger one.
        httpx2.HTTPError: the issuer went away.
    """
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LARGEST_BYTES:
            raise ValueError(f"{response.url} answers with more than {LARGEST_BYTES} bytes")
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"{response.url} gives no JSON object") from error


def endpoint_of(document: dict[str, Any], member: str) -> str:
    """An address that the document names.

    Raises:
        ValueError: it names none that is safe.
    """
    address = document.get(member)
    if not isinstance(address, str) or not is_safe_url(address):
        raise ValueError(f"the discovery document has no {member} that is safe")
    return address
