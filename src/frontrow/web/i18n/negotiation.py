"""Chooses the language of a page: the one chosen on a page, or else the browser's."""

import re
from functools import lru_cache

from babel import negotiate_locale
from blacksheep import Request

from frontrow.web.i18n.catalogs import LANGUAGES
from frontrow.web.requests import cookies_of

COOKIE = "frontrow_language"
"""The language chosen on a page. Not a secret: scripts may read it."""

# A language range and its weight (RFC 9110, 12.5.4).
_RANGE = re.compile(
    r"(?:^|,)\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*q=([01](?:\.\d{0,3})?)\s*)?(?=,|$)"
)
_LONGEST_HEADER = 500
_REMEMBERED = 1_024


def language_of(request: Request) -> str:
    """Returns the chosen language, or the one that the browser prefers."""
    chosen = cookies_of(request).get(COOKIE)
    if chosen in LANGUAGES:
        return chosen
    header = (request.headers.get_first(b"accept-language") or b"")[:_LONGEST_HEADER]
    return _negotiated(header.decode("latin-1"))


@lru_cache(_REMEMBERED)
def _negotiated(header: str) -> str:
    """Returns the language of a header, by default and in ties the first supported one."""
    weighted = [(float(weight or 1), name) for name, weight in _RANGE.findall(header)]
    preferred = [name for weight, name in sorted(weighted, key=lambda each: -each[0]) if weight]
    return negotiate_locale(preferred, LANGUAGES, sep="-") or LANGUAGES[0]
