"""The catalogs: all texts of the pages, by language and part.

They are in ``site/catalogs/<language>/<part>.json``: flat objects of keys and sentences, in which
``{name}`` is replaced by a value. A page's HTML carries the parts that its script needs.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import msgspec

LANGUAGES = ("en", "ko")

_CATALOGS = files("frontrow.web").joinpath("site", "catalogs")
_decode = msgspec.json.Decoder(dict[str, str]).decode


def catalog(language: str, *parts: str) -> Mapping[str, str]:
    """Returns the texts of some parts, by key; a later part overrides an earlier one."""
    texts: dict[str, str] = {}
    for part in parts:
        texts |= _part(language, part)
    return texts


@cache
def _part(language: str, part: str) -> Mapping[str, str]:
    return _decode(_CATALOGS.joinpath(language, f"{part}.json").read_bytes())
