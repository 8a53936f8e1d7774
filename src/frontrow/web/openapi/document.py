"""Builds the OpenAPI 3.1 document from the table of calls."""

from collections.abc import Iterable
from importlib.metadata import version

from frontrow.web.calls import Call
from frontrow.web.openapi.operations import HEADERS, SECURITY_SCHEMES, operation
from frontrow.web.openapi.schemas import Json, Schemas

_INTRODUCTION = """\
A booking server for concerts: a fair line, seats that can't be sold twice, money that always adds \
up.

A buyer's path: add a guest account (`POST /users`), join the concert's line \
(`POST /queue/tokens`), poll until admitted (`GET /queue/tokens/me`), read dates and seats, \
hold seats (`POST /reservations`), charge the balance, pay (`POST /payments`).

Requests and responses are JSON; an unknown field or parameter is an error. Times are RFC 3339: \
responses use UTC, requests may use any offset. Dates are in the venue's time zone. Money is an \
integer in the currency's minor unit (KRW has none: 50000 is ₩50,000). A request body has at most \
64 KiB. Every GET path also answers HEAD.

`Idempotency-Key` makes a repeated request safe: with the same key and the same request the first \
answer is returned again, marked with `Idempotency-Replayed: true`. Only successes are remembered. \
Calls that change nothing when they are repeated, such as pausing a waiting room, cancelling a \
show or retiring a key, don't need it.

Errors are problems (RFC 9457) with a stable `code`. A refused request has changed nothing.\
"""

_TAGS = {
    "Users": "Guest accounts.",
    "Line": "A place in the line in front of one concert: waiting → admitted → finished.",
    "Dates and seats": "Concerts, dates and seats on sale.",
    "Reservations": "Seats held for a limited time: all of them or none.",
    "Balance": "The prepaid balance and its ledger.",
    "Payments": "Purchases, each in one transaction, and refunds.",
    "Tickets": "Owned seats with signed codes, each checked in once.",
    "Sessions": "For the pages of this server: credentials in cookies that scripts can't read. "
    "Same-origin calls accept them in place of `Authorization`, which takes precedence. "
    "`Frontrow-Concert` names the concert whose place makes a call without one in its path.",
    "Operator": "Calls for the operator of the sale.",
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
