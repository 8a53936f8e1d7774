"""Whether a browser is signed in, and the paths for signing in and out."""

import enum
import re
from urllib.parse import quote, urlsplit

from blacksheep import Request

from frontrow.users.attempt import LONGEST_BACK
from frontrow.users.service import is_session
from frontrow.web.access import cookies
from frontrow.web.calls import Ask

SIGN_IN = "/sign-in"
SIGN_OUT = "/sign-out"

# A path and query of this server. A second slash, or a backslash, would start another host.
_LOCAL = re.compile(r"/(?![/\\])[\w/.~%?&=+:,@-]*", re.ASCII)


class Standing(enum.Enum):
    """The state in a browser's cookies, unverified: enough for a link in a header."""

    UNASKED = "unasked"
    """A guest, or this server has no issuer."""
    OUT = "out"
    IN = "in"


def standing(ask: Ask) -> Standing:
    """Returns whether a browser is signed in, according to its cookies."""
    if ask.services.sign_in is None:
        return Standing.UNASKED
    key = cookies.user_key(ask)
    if key is None:
        return Standing.OUT
    return Standing.IN if is_session(key) else Standing.UNASKED


def sign_in_path(back: str) -> str:
    """Returns the address for signing in and returning to this path."""
    return f"{SIGN_IN}?to={quote(back)}"


def local_path(text: str) -> str | None:
    """Returns a path and query to redirect to; ``None`` if it could be another server's."""
    if len(text) > LONGEST_BACK or not _LOCAL.fullmatch(text):
        return None
    return text


def own_path(request: Request) -> str:
    """Returns the path of a request."""
    # One slash: two would name another host.
    return "/" + quote(request.scope["path"].lstrip("/"))


def own_address(request: Request, *added: str, without: str = "") -> str:
    """Returns the path and query of a request, with parts of a query added or left out.

    Args:
        request: the request.
        added: further parts of the query.
        without: the name of a parameter that is left out.
    """
    query = request.scope["query_string"].decode("latin-1").split("&")
    parts = [part for part in query if part and not (without and part.startswith(f"{without}="))]
    parts += added
    return own_path(request) + (f"?{'&'.join(parts)}" if parts else "")


def path_of(address: str) -> str | None:
    """Returns the path and query of an address of this server; ``None`` as in ``local_path``."""
    try:
        found = urlsplit(address)
    except ValueError:
        return None
    return local_path(found.path + (f"?{found.query}" if found.query else ""))
