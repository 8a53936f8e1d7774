"""The page that explains every error: from the table of calls and the classes of the errors."""

from frontrow.errors import DomainError
from frontrow.web.openapi.operations import refusals
from frontrow.web.problems import KINDS, Problem
from frontrow.web.routes import ALL_CALLS

_INTRODUCTION = """\
# Errors

Made from the code by `make docs`; a test compares. Every refusal is `application/problem+json`
(RFC 9457) with `type`, `title`, `status`, `detail`, and a stable `code`; some have more members.
A refused request has changed nothing. The wording of `detail` may change, a code never does.

"""


def page() -> str:
    """The page, as Markdown: codes by status, what each means, and which calls may answer it."""
    lines = ["| status | code | members | means |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {kind.status} | [`{error.code}`](#{error.code}) | {_members(kind.shape)} "
        f"| {error.message} |"
        for error, kind in KINDS.items()
    ]
    for error in KINDS:
        lines += ["", f"### {error.code}", "", f"{_calls(error)}"]
    return _INTRODUCTION + "\n".join(lines) + "\n"


def _members(shape: type[Problem]) -> str:
    plain = Problem.__struct_fields__
    return ", ".join(f"`{name}`" for name in shape.__struct_fields__ if name not in plain)


def _calls(error: type[DomainError]) -> str:
    """Which calls may be refused with it; all, where that is all."""
    refusing = [(base, call) for base, call in ALL_CALLS if error in refusals(call)]
    if len(refusing) == len(ALL_CALLS):
        return "Any call."
    if refusing == [(base, call) for base, call in ALL_CALLS if call.method != "GET"]:
        return "Any call but a `GET`."
    if not refusing:
        return "Outside of the calls: a path or method that there isn't, or a fault of the server."
    return " · ".join(f"`{call.method} {base}{call.path}`" for base, call in refusing)
