"""The pages' templates: HTML files with slots.

``{{key}}`` is a text of the page's catalogs, ``{{@path}}`` the address of another file,
``{{>path}}`` what is in it, and ``{{#name}}`` HTML that the page makes.
"""

import re
from collections.abc import Mapping
from html import escape

import msgspec

from frontrow.web.i18n.catalogs import LANGUAGES
from frontrow.web.pages.assets import Files

REFRESH_SECONDS = 10
REFRESH = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">'
"""Loads the page again, for a browser without scripts."""

_SLOT = re.compile(r"\{\{(?P<kind>[@#>]?)(?P<name>[\w./-]+)\}\}")


def data_block(name: str, value: object) -> str:
    """JSON for a page's script; nothing in it can end the block."""
    encoded = msgspec.json.encode(value).decode().replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{encoded}</script>'


def styles(files: Files, *names: str) -> str:
    """A page's styles. They come as one file: each more is one more wait before the first paint."""
    url = files.url("+".join(f"styles/{name}.css" for name in names))
    return f'<link rel="stylesheet" href="{url}">'


def scripts(files: Files, script: str, texts: Mapping[str, str]) -> str:
    """A page's script, all that it imports, and its texts.

    What it imports is fetched at once, instead of each when the one that needs it has come.
    """
    first, *imported = (files.url(module) for module in files.modules(script))
    links = (f'<link rel="modulepreload" href="{module}">' for module in imported)
    return "\n".join((_module(first), *links, data_block("catalog", texts)))


def scripts_once_painted(files: Files, script: str, texts: Mapping[str, str]) -> str:
    """The same for a page that is usable without its script, which comes after the first paint."""
    first, *imported = (files.url(module) for module in files.modules(script))
    boot = data_block("boot", {"script": first, "imports": imported})
    return "\n".join((boot, data_block("catalog", texts), _module(files.url("shared/boot.js"))))


def _module(url: str) -> str:
    return f'<script type="module" src="{url}"></script>'


def fill(
    files: Files,
    template: str,
    language: str,
    texts: Mapping[str, str],
    made: Mapping[str, str],
) -> bytes:
    """A page's HTML. Texts are escaped; what was made is HTML already."""
    values = {"lang": language, "other": LANGUAGES[1 - LANGUAGES.index(language)]}

    def slot(found: "re.Match[str]") -> str:
        name = found["name"]
        if found["kind"] == "@":
            return files.url(name)
        if found["kind"] == "#":
            return made[name]
        if found["kind"] == ">":
            return files.sources[name].decode().rstrip()
        return escape(values.get(name) or texts[name])

    return _SLOT.sub(slot, files.sources[template].decode()).encode()
