"""Which language a page speaks, and the catalogs of its texts.

All text stands in ``site/catalogs/<language>/<part>.json``: flat objects of keys and sentences, in
which ``{name}`` stands for a value. A page gets the parts that it needs, put into its HTML.
"""

import re
from collections.abc import Mapping

import msgspec
from blacksheep import Request

from frontrow.web.requests import cookies_of

LANGUAGES = ("en", "ko")
COOKIE = "frontrow_language"
"""What was chosen on a page. No secret: scripts may read it."""

_RANGE = re.compile(
    r"\s*(?P<name>[A-Za-z]{1,8})(?:-[A-Za-z0-9-]{1,40})?\s*(?:;\s*q=(?P<q>[01](?:\.\d{0,3})?))?\s*"
)
_LONGEST_HEADER = 500


def language_of(request: Request) -> str:
    """The chosen language, or the one that the browser likes best (RFC 9110, 12.5.4)."""
    chosen = cookies_of(request).get(COOKIE)
    if chosen in LANGUAGES:
        return chosen
    told = (request.headers.get_first(b"accept-language") or b"")[:_LONGEST_HEADER]
    wishes: dict[str, float] = {}
    for part in told.decode("latin-1").split(","):
        wish = _RANGE.fullmatch(part)
        if wish:
            name, weight = wish["name"].lower(), float(wish["q"] or 1)
            wishes[name] = max(weight, wishes.get(name, 0))
    # Of equals the first wins: English where nothing else is asked for.
    return max(LANGUAGES, key=lambda language: wishes.get(language, 0))


def catalog(sources: Mapping[str, bytes], language: str, *parts: str) -> dict[str, str]:
    """The texts of some parts, in one language."""
    texts: dict[str, str] = {}
    for part in parts:
        texts |= msgspec.json.decode(
            sources[f"catalogs/{language}/{part}.json"], type=dict[str, str]
        )
    return texts


def text(texts: Mapping[str, str], key: str, **values: object) -> str:
    """A text with its values; with a ``count`` the plural's form, as the scripts choose it."""
    if key not in texts:
        form = "one" if values.get("count") == 1 and f"{key}.one" in texts else "other"
        key = f"{key}.{form}"
    written = {
        name: f"{value:,}" if isinstance(value, int) else str(value)
        for name, value in values.items()
    }
    return texts[key].format_map(written)
