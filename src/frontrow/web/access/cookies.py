"""Credentials of the pages: cookies that no script can read, valid on same-origin calls only.

A user key, a queue token for each concert, an operator's session, and a sign-in attempt. A call
with ``Authorization`` ignores them. Under https their names begin with ``__Host-``, so that no
other host of the domain can set them (RFC 6265bis, 4.1.3.2).
"""

import re
from uuid import UUID

from blacksheep import Request, Response

from frontrow.errors import CredentialMissing, NotAllowed
from frontrow.web.calls import Ask, Who
from frontrow.web.requests import cookies_of

USER = "frontrow_user"
OPERATOR = "frontrow_operator"
_PLACE = "frontrow_place_"
_ATTEMPT = "frontrow_sign_in"
_HOST = "__Host-"
_HOST_NAME = re.compile(r"[a-z0-9.:\[\]-]{1,255}")

CONCERT_HEADER = b"frontrow-concert"
"""The concert whose place makes a call that has no concert in its path."""

_USER_SECONDS = 400 * 86_400  # the longest that browsers keep one
_PLACE_SECONDS = 30 * 86_400
MOST_PLACES = 8
"""Tokens that fit into a header line of the usual limit. Joining again restores a dropped one."""

_SAFE = {"GET", "HEAD"}
_READS_PLACE = {Who.TOKEN, Who.ADMITTED, Who.USER_OR_TOKEN, Who.USER_OR_ADMITTED}
_READS_USER = {Who.USER, Who.USER_OR_TOKEN, Who.USER_OR_ADMITTED}


def credential(ask: Ask, who: Who) -> bytes:
    """Returns the credential in the cookies: of the concert's place, else of the user.

    Raises:
        CredentialMissing: there is none, or the call may come from another site.
    """
    if not ask.request.headers.get_first(b"cookie") or not is_same_origin(ask):
        raise CredentialMissing
    value = None
    if who is Who.OPERATOR:
        value = _read(ask, OPERATOR)
    else:
        concert_id = _concert_of(ask.request)
        if who in _READS_PLACE and concert_id is not None:
            value = _read(ask, _PLACE + concert_id.hex)
        if value is None and who in _READS_USER:
            value = _read(ask, USER)
    if value is None:
        raise CredentialMissing
    ask.by_cookie = True
    return value.encode("latin-1", "replace")


def is_same_origin(ask: Ask) -> bool:
    """Returns whether a call comes from a page of this server, or, for a safe method, from no page.

    Browsers send ``Origin`` with every unsafe request, and ``Sec-Fetch-Site`` with all of them.
    """
    headers = ask.request.headers
    if headers.get_first(b"sec-fetch-site") not in (None, b"same-origin", b"none"):
        return False
    origin = headers.get_first(b"origin")
    if origin is None:
        return ask.request.method in _SAFE
    return origin.lower() in _own_origins(ask)


def check_same_origin(ask: Ask) -> None:
    """Checks that a call that sets cookies comes from a page of this server.

    Raises:
        NotAllowed: it may come from another site.
    """
    if not is_same_origin(ask):
        raise NotAllowed("Only a page of this server may do that: send its Origin.")


def set_user(ask: Ask, response: Response, user_key: str, seconds: int = _USER_SECONDS) -> None:
    """Sets the cookie of a user key."""
    _set(ask, response, USER, user_key, seconds)


def set_attempt(ask: Ask, response: Response, kept: str, seconds: int) -> None:
    """Sets the cookie of a sign-in attempt."""
    _set(ask, response, _ATTEMPT, kept, seconds)


def set_place(ask: Ask, response: Response, concert_id: UUID, token: str) -> None:
    """Sets the cookie of a queue token; drops the oldest beyond ``MOST_PLACES``."""
    name = _PLACE + concert_id.hex
    others = [other for other in places(ask) if other != concert_id]
    for other in others[: max(0, len(others) + 1 - MOST_PLACES)]:
        _set(ask, response, _PLACE + other.hex, "", 0)
    _set(ask, response, name, token, _PLACE_SECONDS)


def set_operator(ask: Ask, response: Response, session: str, seconds: int) -> None:
    """Sets the cookie of an operator's session."""
    _set(ask, response, OPERATOR, session, seconds)


def drop_place(ask: Ask, response: Response, concert_id: UUID) -> None:
    """Drops the cookie of a queue token."""
    _set(ask, response, _PLACE + concert_id.hex, "", 0)


def drop_user(ask: Ask, response: Response) -> None:
    """Drops the cookies of the user key and of all queue tokens."""
    for concert_id in places(ask):
        drop_place(ask, response, concert_id)
    _set(ask, response, USER, "", 0)


def drop_operator(ask: Ask, response: Response) -> None:
    """Drops the cookie of the operator's session."""
    _set(ask, response, OPERATOR, "", 0)


def drop_attempt(ask: Ask, response: Response) -> None:
    """Drops the cookie of a sign-in attempt."""
    _set(ask, response, _ATTEMPT, "", 0)


def attempt(ask: Ask) -> str | None:
    """Returns the sign-in attempt of a same-origin call, if there is one."""
    return _read(ask, _ATTEMPT) if is_same_origin(ask) else None


def user_key(ask: Ask) -> str | None:
    """Returns the user key of a same-origin call, if there is one."""
    return _read(ask, USER) if is_same_origin(ask) else None


def operator_session(ask: Ask) -> str | None:
    """Returns the operator's session of a same-origin call, if there is one."""
    return _read(ask, OPERATOR) if is_same_origin(ask) else None


def place_token(ask: Ask, concert_id: UUID) -> str | None:
    """Returns the queue token of a same-origin call for a concert, if there is one."""
    return _read(ask, _PLACE + concert_id.hex) if is_same_origin(ask) else None


def places(ask: Ask) -> list[UUID]:
    """Returns the concerts whose queue tokens the browser has, oldest first."""
    prefix = (_HOST if _is_secure(ask) else "") + _PLACE
    found = []
    for name in cookies_of(ask.request) if is_same_origin(ask) else ():
        if name.startswith(prefix):
            concert_id = _uuid(name.removeprefix(prefix))
            if concert_id is not None:
                found.append(concert_id)
    return found


def is_https(request: Request) -> bool:
    """Returns whether a request came over TLS, as its scheme or the proxy says.

    A client that claims so falsely is only held to stricter rules.
    """
    forwarded = request.headers.get_first(b"x-forwarded-proto")
    return forwarded == b"https" or request.scope.get("scheme") == "https"


def _concert_of(request: Request) -> UUID | None:
    route: dict[str, str | None] | None = request.route_values
    in_path = (route or {}).get("concert_id")
    header = request.headers.get_first(CONCERT_HEADER) or b""
    return _uuid(in_path or header.decode("latin-1"))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def own_origin(ask: Ask) -> str | None:
    """Returns the origin of this server for the browser; ``None`` if its Host is invalid."""
    public_origin = ask.services.settings.public_origin
    if public_origin is not None:
        return public_origin
    host = (ask.request.headers.get_first(b"host") or b"").decode("latin-1").lower()
    scheme = "https" if is_https(ask.request) else "http"
    return f"{scheme}://{host}" if _HOST_NAME.fullmatch(host) else None


def _own_origins(ask: Ask) -> tuple[bytes, ...]:
    """Returns the origins of this server's pages: both schemes, as a proxy may hide its TLS."""
    public_origin = ask.services.settings.public_origin
    if public_origin is not None:
        return (public_origin.encode(),)
    host = (ask.request.headers.get_first(b"host") or b"").lower()
    if is_https(ask.request):
        return (b"https://" + host,)
    return (b"https://" + host, b"http://" + host)


def _is_secure(ask: Ask) -> bool:
    """Returns whether the browser has this page over https: then only ``__Host-`` cookies count."""
    public_origin = ask.services.settings.public_origin or ""
    origin = ask.request.headers.get_first(b"origin") or public_origin.encode()
    return origin.startswith(b"https://") or is_https(ask.request)


def _read(ask: Ask, name: str) -> str | None:
    """Returns a cookie, by its ``__Host-`` name first; without TLS the plain name counts too."""
    found = cookies_of(ask.request)
    value = found.get(_HOST + name)
    if value is None and not _is_secure(ask):
        value = found.get(name)
    return value or None


def _set(ask: Ask, response: Response, name: str, value: str, seconds: int) -> None:
    secure = _is_secure(ask)
    cookie = f"{_HOST if secure else ''}{name}={value}; Path=/; Max-Age={seconds}"
    cookie += "; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "")
    response.add_header(b"set-cookie", cookie.encode("latin-1"))
