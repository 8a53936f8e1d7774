"""What a page says of who is signed in, and where it leads to sign in and out."""

import enum
import re
from urllib.parse import quote, urlsplit

from frontrow.users.attempt import LONGEST_BACK
from frontrow.users.service import is_session
from frontrow.web.access import cookies
from frontrow.web.calls import Ask

SIGN_IN = "/sign-in"
SIGN_OUT = "/sign-out"

# A path and a query of this server's. A second slash, or a backslash, would begin another host.
_LOCAL = re.compile(r"/(?![/\\])[\w/.~%?&=+:,@-]*", re.ASCII)


class Standing(enum.Enum):
    """What a browser's cookies say of it, unverified: enough for a link in a header."""

    UNASKED = "unasked"
    """A guest, or nobody signs in here."""
    OUT = "out"
    IN = "in"


def standing(ask: Ask) -> Standing:
    """Whether a browser is signed in, as far as its cookies tell."""
    if ask.services.sign_in is None:
        return Standing.UNASKED
    key = cookies.user_key(ask)
    if key is None:
        return Standing.OUT
    return Standing.IN if is_session(key) else Standing.UNASKED


def sign_in_path(back: str) -> str:
    """Where one signs in who is to come back to this path."""
    return f"{SIGN_IN}?to={quote(back)}"


def local_path(text: str) -> str | None:
    """A path to lead a browser to, with its query; ``None`` where it may be another server's."""
    if len(text) > LONGEST_BACK or not _LOCAL.fullmatch(text):
        return None
    return text


def path_of(address: str) -> str | None:
    """The path that an address of this server has, as ``local_path`` takes it."""
    try:
        found = urlsplit(address)
    except ValueError:
        return None
    return local_path(found.path + (f"?{found.query}" if found.query else ""))
