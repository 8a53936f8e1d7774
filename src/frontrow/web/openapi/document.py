"""Builds the OpenAPI 3.1 document from the table of calls."""

from collections.abc import Iterable
from importlib.metadata import version

from frontrow.web.calls import Call
from frontrow.web.openapi.operations import HEADERS, SECURITY_SCHEMES, operation
from frontrow.web.openapi.schemas import Json, Schemas

_INTRODUCTION = """\
Sells concert tickets: a fair line in front, seats that can't be sold twice, money that always \
adds up.

A buyer's path: make a guest account (`POST /users`), join the concert's line \
(`POST /queue/tokens`), poll until admitted (`GET /queue/tokens/me`), look at dates and seats, \
hold seats (`POST /reservations`), charge the balance, pay (`POST /payments`).

JSON in and out; an unknown field or parameter is an error. Times are RFC 3339, given in UTC and \
taken with any offset; dates are those of the venue's time zone. Money is an integer in the \
currency's minor unit (KRW has none: 50000 is ₩50,000). A request body is at most 64 KiB. \
What answers GET answers HEAD too.

`Idempotency-Key` makes asking again safe: same key, same request, same answer, marked with \
`Idempotency-Replayed: true`. Only successes are remembered. Calls that change nothing when they \
are asked again, such as to pause, to cancel a show or to retire a key, need none.

What is refused is refused as a problem (RFC 9457) with a stable `code`, and has changed nothing.\
"""

_TAGS = {
    "Users": "Guest accounts.",
    "Line": "A place in the line in front of one concert: waiting → admitted → finished.",
    "Dates and seats": "What is on sale.",
    "Reservations": "Seats held for a while: all of them or none.",
    "Balance": "The prepaid balance, and the ledger behind it.",
    "Payments": "The purchase, in one transaction, and the tickets it gives.",
    "Tickets": "Owned seats: signed codes, to be shown at the gate once.",
    "Sessions": "For the pages of this server: the credentials as cookies that scripts can't read, "
    "accepted on same-origin calls wherever `Authorization` is; that goes before them. "
    "`Frontrow-Concert` says which concert's place makes a call that has none in its path.",
    "Operator": "For those who run the sale.",
    "Around it": "Health, metrics, this document.",
}


def build(table: Iterable[tuple[str, Call]]) -> Json:
    """Returns the document of these calls, each with the base of its path, as JSON values."""
    groups = list(_TAGS)
    calls = sorted(table, key=lambda each: groups.index(each[1].group))
    schemas = Schemas(call for _, call in calls)
    paths: dict[str, Json] = {}
    for base, call in calls:
        paths.setdefault(base + call.path, {})[call.method.lower()] = operation(call, schemas)
    queries = [call.query for _, call in calls if call.query is not None]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Frontrow",
            "version": version("frontrow"),
            "summary": "A booking server for concerts.",
            "description": _INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This server."}],
        "tags": [{"name": name, "description": says} for name, says in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas.components(without=queries),
            "examples": {
                error.code: {"summary": error.message, "value": example}
                for error, (_, example) in schemas.problems.items()
            },
            "headers": HEADERS,
            "securitySchemes": {
                name: {"type": "http", "scheme": "bearer", "description": says}
                for name, says in SECURITY_SCHEMES.items()
            },
        },
    }
