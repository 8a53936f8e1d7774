"""The text of a rendered page about a refusal or a failure: the reason, and what to do next."""

from typing import NamedTuple

from frontrow.db.faults import Faults
from frontrow.errors import DomainError, NotFound
from frontrow.web.endpoint import fault
from frontrow.web.i18n.texts import Texts
from frontrow.web.problems import KINDS


class Failure(NamedTuple):
    """Why a page can't be shown."""

    status: int
    text: str
    passes: bool
    """Whether loading the page again may help."""


def failure_of(
    error: Exception, page: str, identity: bytes, texts: Texts, faults: Faults
) -> Failure:
    """Returns the page's answer to an error; an unforeseen one is logged with the request's id."""
    refusal = error if isinstance(error, DomainError) else fault(error, page, identity, faults)
    said = texts(f"refusal.{refusal.code}", **refusal.fields)
    return Failure(KINDS[type(refusal)].status, said, not isinstance(refusal, NotFound))
