"""The table of all calls, in the order in which the router tries them, and their document.

``CALLS`` are the contract's, below ``BASE``; ``PUBLIC_CALLS`` have no base: health, metrics, and
the two that publish the document.
"""

import asyncio
from functools import cache
from itertools import chain

from blacksheep import Content, Request, Response

from frontrow.errors import NotFound
from frontrow.web.api import (
    balance,
    concerts,
    health,
    line,
    line_stream,
    payments,
    refunds,
    reservations,
    seats,
    sessions,
    tickets,
    user_data,
    user_keys,
    users,
)
from frontrow.web.calls import Answer, Ask, Call
from frontrow.web.endpoint import JSON, encode, knows, request_id, takes_gzip
from frontrow.web.openapi import docs_page
from frontrow.web.openapi.document import build
from frontrow.web.openapi.schemas import Json
from frontrow.web.operator import check_ins, line_export, sales, shows, signing_keys
from frontrow.web.operator import concerts as operator_concerts
from frontrow.web.problems import problem

BASE = "/api/v1"

CALLS: tuple[Call, ...] = tuple(
    chain(
        line.CALLS,
        reservations.CALLS,
        payments.CALLS,
        tickets.CALLS,
        check_ins.CALLS,
        seats.CALLS,
        concerts.CALLS,
        balance.CALLS,
        users.CALLS,
        user_keys.CALLS,
        signing_keys.CALLS,
        sessions.CALLS,
        line_stream.CALLS,
        refunds.CALLS,
        operator_concerts.CALLS,
        line_export.CALLS,
        shows.CALLS,
        sales.CALLS,
        user_data.CALLS,
    )
)
"""The contract's calls, below ``BASE``; hot ones first."""

_CACHE_CONTROL = b"public, max-age=60"


def openapi_response() -> Response:
    """Returns the OpenAPI document as JSON."""
    return Response(200, [(b"cache-control", _CACHE_CONTROL)], Content(JSON, _encoded()))


def docs_response() -> Response:
    """Returns the OpenAPI document as a page."""
    return Response(
        200,
        [
            (b"cache-control", _CACHE_CONTROL),
            (b"content-security-policy", docs_page.POLICY),
            (b"referrer-policy", b"no-referrer"),
            (b"x-content-type-options", b"nosniff"),
        ],
        Content(b"text/html; charset=utf-8", _page()),
    )


async def docs_file(request: Request) -> Response:
    """Returns a file that the page of the document loads."""
    name = (request.route_values or {})["name"]
    # Reading and compressing the largest one takes longer than the event loop may be blocked.
    found = await asyncio.to_thread(docs_page.asset, str(name))
    response = problem(NotFound()) if found is None else _file_response(request, found)
    response.add_header(b"x-request-id", request_id(request))
    return response


def _file_response(request: Request, file: docs_page.Asset) -> Response:
    packed = takes_gzip(request)
    etag = file.etag[:-1] + b'-gz"' if packed else file.etag
    headers = [
        (b"cache-control", b"public, no-cache"),
        (b"etag", etag),
        (b"vary", b"accept-encoding"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if knows(request, etag):
        return Response(304, headers)
    if packed:
        headers.append((b"content-encoding", b"gzip"))
    return Response(200, headers, Content(file.media_type, file.packed if packed else file.plain))


async def _openapi(_: Ask) -> Response:
    return openapi_response()


async def _docs(_: Ask) -> Response:
    return docs_response()


_CACHED = {"Cache-Control": "A minute."}

PUBLIC_CALLS: tuple[Call, ...] = (
    *health.CALLS,
    Call(
        method="GET",
        path="/openapi.json",
        name="openapi",
        group="Around it",
        summary="This document",
        answers=(Answer(200, "OpenAPI 3.1.", dict, example={"openapi": "3.1.0"}, headers=_CACHED),),
        stored=False,
        handler=_openapi,
    ),
    Call(
        method="GET",
        path="/docs",
        name="docs",
        group="Around it",
        summary="This document, readable",
        says="Explains each error code under #code.",
        answers=(
            Answer(200, "A page.", str, "text/html", example="<!doctype html>…", headers=_CACHED),
        ),
        stored=False,
        handler=_docs,
    ),
)
"""Calls without a base: health, metrics, the document."""

ALL_CALLS: tuple[tuple[str, Call], ...] = (
    *((BASE, call) for call in CALLS),
    *(("", call) for call in PUBLIC_CALLS),
)
"""Every call, with the base of its path."""


@cache
def document() -> Json:
    """Returns the OpenAPI document, as JSON values. Cached: don't change it."""
    return build(ALL_CALLS)


@cache
def _encoded() -> bytes:
    return encode(document())


@cache
def _page() -> bytes:
    return docs_page.page(document()).encode()
