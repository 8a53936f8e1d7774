"""HTTP client for the server of a draw, which is not trusted.

Each response is limited in size and time; redirects to another host are refused. Only URLs are
sent.
"""

import re
import time
from types import TracebackType
from typing import Self, TypeVar
from uuid import UUID

import httpx2
import msgspec

from frontrow.errors import SetupError

_MOST_ANSWER_BYTES = 4 * 1024 * 1024
_MOST_ANSWER_SECONDS = 60.0
_BUSY = frozenset({429, 503})
_PAUSES_SECONDS = (1.0, 2.0)
"""Pauses before a request to a busy server is repeated."""

_CONCERT = re.compile(
    r"(?P<concert>.*/concerts/(?P<concert_id>[0-9a-fA-F-]{36}))(/queue(/draw)?)?/?"
)

Body = TypeVar("Body")


def draw_address(url: str) -> tuple[str, UUID]:
    """Returns the URL of a draw, and its concert.

    Args:
        url: of the draw, its line or its concert: ``…/concerts/{id}[/queue[/draw]]``.

    Raises:
        ValueError: the URL is none of these.
    """
    try:
        given = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise ValueError("it is not a URL") from None
    if given.scheme not in ("http", "https") or not given.host:
        raise ValueError("it must begin with http:// or https://")
    if given.userinfo:
        raise ValueError("a draw is public: leave the credentials out")
    found = _CONCERT.fullmatch(given.path)
    if found is None:
        raise ValueError("it must end in /concerts/ID, …/queue or …/queue/draw")
    try:
        concert_id = UUID(found["concert_id"])
    except ValueError:
        raise ValueError("its concert has no id") from None
    draw = given.copy_with(path=f"{found['concert']}/queue/draw", query=None, fragment=None)
    return str(draw), concert_id


class Server:
    """HTTP client for the server of one draw."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._http = httpx2.Client(
            headers={"accept": "application/json", "accept-encoding": "identity"},
            timeout=httpx2.Timeout(30, connect=10),
            follow_redirects=True,
            max_redirects=5,
            event_hooks={"response": [_check_redirect]},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()

    def get(self, path: str, kind: type[Body]) -> Body:
        """Returns the document at a path below the URL of the draw.

        Raises:
            SetupError: it can't be fetched or decoded.
        """
        url = self._address + path
        for pause_seconds in (*_PAUSES_SECONDS, None):
            status, body = self._ask(url)
            if status not in _BUSY or pause_seconds is None:
                break
            time.sleep(pause_seconds)
        if status == httpx2.codes.NOT_FOUND:
            raise SetupError(f"there is no draw at {url}")
        if status != httpx2.codes.OK:
            raise SetupError(f"can't fetch {url}: the server answers {status}")
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise SetupError(f"{url} shows no such document: {error}") from None

    def _ask(self, url: str) -> tuple[int, bytes]:
        until = time.monotonic() + _MOST_ANSWER_SECONDS
        body = bytearray()
        try:
            with self._http.stream("GET", url) as response:
                for part in response.iter_bytes():
                    body += part
                    if len(body) > _MOST_ANSWER_BYTES:
                        raise SetupError(f"can't fetch {url}: the answer is too long")
                    if time.monotonic() > until:
                        raise SetupError(f"can't fetch {url}: the answer takes too long")
                return response.status_code, bytes(body)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            reason = " ".join((str(error) or type(error).__name__).split())
            raise SetupError(f"can't fetch {url}: {reason}") from None


def _check_redirect(response: httpx2.Response) -> None:
    """Rejects a redirect to another host, or away from TLS."""
    if response.has_redirect_location:
        at, to = response.url, response.url.join(response.headers["location"])
        if to.host != at.host or (at.scheme == "https" and to.scheme != "https"):
            raise SetupError(f"{at} redirects to {to.scheme}://{to.host}: not followed")
