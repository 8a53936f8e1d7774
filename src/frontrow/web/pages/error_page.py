"""What a rendered page says where something is refused or fails: why, in words, and what to do."""

from collections.abc import Mapping
from html import escape
from typing import NamedTuple

from frontrow.errors import DomainError, NotFound
from frontrow.web.endpoint import fault
from frontrow.web.i18n.catalogs import text
from frontrow.web.problems import KINDS


class Trouble(NamedTuple):
    """The status and the content of a page, and whether it is worth to load it again."""

    status: int
    content: str
    passes: bool


def trouble_of(error: Exception, page: str, identity: bytes, texts: Mapping[str, str]) -> Trouble:
    """What to say of an error; one that nobody foresaw is logged under the request's id."""
    refusal = error if isinstance(error, DomainError) else fault(error, page, identity)
    said = text(texts, f"refusal.{refusal.code}", **refusal.fields)
    content = (
        f'<div class="stack view-failed"><h1 tabindex="-1">{escape(texts["failed"])}</h1>'
        f'<p role="alert">{escape(said)}</p></div>'
    )
    return Trouble(KINDS[type(refusal)].status, content, not isinstance(refusal, NotFound))
