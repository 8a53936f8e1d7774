"""The pages' templates: HTML files with slots.

``{{key}}`` is a text of the page's catalogs, ``{{@path}}`` the address of another file, and
``{{#name}}`` HTML that the page makes.
"""

import re
from collections.abc import Mapping
from html import escape

from frontrow.web.files import Files
from frontrow.web.languages import LANGUAGES

_SLOT = re.compile(r"\{\{(?P<kind>[@#]?)(?P<name>[\w./-]+)\}\}")


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
        return escape(values.get(name) or texts[name])

    return _SLOT.sub(slot, files.sources[template].decode()).encode()
