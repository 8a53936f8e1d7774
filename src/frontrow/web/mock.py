"""The mock of the API: answers every call with the examples of the document, without a database.

Requests are read and checked as by the real server, from the same table. A small memory lets each
credential go through a purchase (``mock_memory``). ``Prefer`` (RFC 7240) selects a documented
response: ``Prefer: code=409`` by its status, ``Prefer: example=seat_taken`` by its error code or
its state (``admitted``), or both; it changes no memory. Pages of any origin may call it.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from http import HTTPStatus
from typing import NamedTuple

from blacksheep import Application, Content, Request, Response, Router

from frontrow.errors import DomainError, InvalidRequest
from frontrow.web.access.credentials import bearer
from frontrow.web.calls import Call, Who
from frontrow.web.endpoint import request_id
from frontrow.web.mock_memory import Memory, Outcome, as_of_now
from frontrow.web.openapi.schemas import Json
from frontrow.web.problems import problem
from frontrow.web.requests import reader
from frontrow.web.router import add_route, nothing_here
from frontrow.web.routes import ALL_CALLS, docs_file, docs_response, document, openapi_response

BODY_BYTES = 65_536
_PREFERENCE = re.compile(r'\s*(code|example)\s*=\s*"?([^",;\s]*)"?\s*')
_ANY_ORIGIN = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"*"),
]
_PREFLIGHT = [
    *_ANY_ORIGIN,
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", b"*, Authorization"),
    (b"access-control-max-age", b"600"),
]

_PAGES = {"/openapi.json": openapi_response, "/docs": docs_response}
"""Responses that need no database and are the same as the real server's."""


class Example(NamedTuple):
    """A documented response of a call."""

    status: int
    name: str | None
    """The error code, or the state that a success shows if it can show several."""
    media_type: str | None
    body: bytes | None
    headers: Sequence[tuple[bytes, bytes]]

    @property
    def may_have_times(self) -> bool:
        """Whether its body may contain the times of the purchase."""
        return self.media_type in {"application/json", "text/event-stream"}

    def is_called(self, kind: str) -> str:
        """Returns its name in ``Prefer``: its ``code`` or its ``example``."""
        return str(self.status) if kind == "code" else self.name or ""

    def response(self) -> Response:
        """Returns the response."""
        content = (
            None
            if self.body is None or self.media_type is None
            else Content(self.media_type.encode(), self.body)
        )
        return Response(self.status, list(self.headers), content)


def create_mock() -> Application:
    """Creates the application that answers with examples."""
    memory = Memory()
    application = Application(router=Router(), show_error_details=False)
    described = document()
    for base, call in ALL_CALLS:
        operation = described["paths"][base + call.path][call.method.lower()]
        examples = list(_examples(operation, described))
        add_route(application, call.method, base + call.path, _endpoint(call, examples, memory))
    add_route(application, "GET", "/docs/{name}", docs_file)
    application.router.apply_routes()
    application.router.fallback = _nothing_here(application)
    return application


def _endpoint(
    call: Call, examples: Sequence[Example], memory: Memory
) -> Callable[[Request], Awaitable[Response]]:
    read = reader(call, BODY_BYTES)
    page = _PAGES.get(call.path)

    async def respond(request: Request) -> Response:
        try:
            wanted = _preferred(request, examples)
            if wanted is None:
                credential = b"" if call.who is Who.NOBODY else bearer(request)
                await read(request)
                wanted = _accepted(request, examples)
                wanted = _remembered(call, credential.decode("latin-1"), wanted, examples, memory)
            response = wanted.response()
            if page is not None and response.status == HTTPStatus.OK:
                response = page()
        except DomainError as error:
            response = problem(error)
        return _for_any_origin(response, request)

    return respond


def _for_any_origin(response: Response, request: Request) -> Response:
    for header in _ANY_ORIGIN:
        response.add_header(*header)
    response.headers.set(b"x-request-id", request_id(request))
    return response


def _remembered(
    call: Call, credential: str, accepted: Example, examples: Sequence[Example], memory: Memory
) -> Example:
    """Returns the response in the state that the memory has for the credential, if it has one."""
    outcome = memory.note(call.name, credential) if credential else Outcome()
    found = accepted
    if outcome != Outcome():
        wanted = (outcome.status or accepted.status, outcome.name or accepted.name)
        found = next((e for e in examples if (e.status, e.name) == wanted), accepted)
    if found.body is None or not found.may_have_times:
        return found
    return found._replace(body=memory.issue(call.name, credential, as_of_now(found.body)))


def _preferred(request: Request, examples: Sequence[Example]) -> Example | None:
    """Returns the response that ``Prefer`` selects, if it selects one.

    Raises:
        InvalidRequest: the call has no such response; the error lists those it has.
    """
    asked: dict[str, str] = {}
    for value in request.headers.get(b"prefer"):
        for part in value.decode("latin-1").split(","):
            found = _PREFERENCE.fullmatch(part)
            if found is not None:  # RFC 7240: unknown preferences are ignored
                asked.setdefault(found[1], found[2])  # and the first of several wins
    if not asked:
        return None
    left = examples
    for kind in sorted(asked):
        fitting = [example for example in left if example.is_called(kind) == asked[kind]]
        if not fitting:
            known = ", ".join(sorted({example.is_called(kind) for example in left} - {""}))
            of = f" of {asked['code']}" if left is not examples else ""
            raise InvalidRequest.at("Prefer", f"this call's {kind}s{of} are: {known}")
        left = fitting
    return left[0]


def _accepted(request: Request, examples: Sequence[Example]) -> Example:
    """Returns the first success, in the media type of ``Accept`` if there are several."""
    accept = (request.headers.get_first(b"accept") or b"").decode("latin-1")
    first = examples[0]
    return next(
        (
            e
            for e in examples
            if e.status == first.status and e.media_type and e.media_type in accept
        ),
        first,
    )


def _examples(operation: Json, document: Json) -> Iterator[Example]:
    """Yields the documented responses of an operation, successes first."""
    for status, answer in operation["responses"].items():
        headers = list(_headers(answer, document))
        content: dict[str, Json] = answer.get("content", {})
        if not content:
            yield Example(int(status), None, None, None, headers)
        for media_type, described in content.items():
            if "example" in described:
                body = _encoded(media_type, described["example"])
                yield Example(int(status), None, media_type, body, headers)
            for name, example in described.get("examples", {}).items():
                shared = document["components"]["examples"].get(name, {})
                value = example.get("value", shared.get("value"))
                yield Example(int(status), name, media_type, _encoded(media_type, value), headers)


def _headers(answer: Json, document: Json) -> Iterator[tuple[bytes, bytes]]:
    """Yields the required headers of a response, with their examples."""
    for name, described in answer.get("headers", {}).items():
        header = (
            document["components"]["headers"][described["$ref"].rpartition("/")[2]]
            if "$ref" in described
            else described
        )
        if header.get("required"):
            yield name.lower().encode(), str(header["example"]).encode()


def _encoded(media_type: str, example: object) -> bytes:
    if isinstance(example, str) and not media_type.endswith("json"):
        return example.encode()
    return json.dumps(example, ensure_ascii=False).encode()


def _nothing_here(application: Application) -> Callable[[Request], Awaitable[Response]]:
    """Returns the handler of unmatched requests; preflights are allowed for any origin."""
    refuse = nothing_here(application)

    async def respond(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(HTTPStatus.NO_CONTENT, list(_PREFLIGHT))
        return _for_any_origin(await refuse(request), request)

    return respond
