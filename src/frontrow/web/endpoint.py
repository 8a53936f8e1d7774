"""Handles a request from its bytes to its response, the same way for every call."""

import re
import secrets
from collections.abc import Awaitable, Callable
from itertools import count
from time import perf_counter

import msgspec
import structlog
from blacksheep import Content, Request, Response

from frontrow.db.faults import Faults, cause_of
from frontrow.errors import (
    CredentialInvalid,
    DomainError,
    NotAdmitted,
    TokenFinished,
    Unavailable,
)
from frontrow.metrics import CallTally
from frontrow.operators.operator_key import OperatorKey
from frontrow.services import Services
from frontrow.waiting_room.status import PRUNED_REASON
from frontrow.web.access.credentials import identify
from frontrow.web.access.deferred_keys import deferring_handler, deferring_preparation
from frontrow.web.access.rate_limits import Limits
from frontrow.web.calls import Ask, Call, Who
from frontrow.web.problems import InternalError, problem
from frontrow.web.requests import headers_of, may_have_parts, reader

_log = structlog.get_logger(__name__)

_UNAVAILABLE = 503

JSON = b"application/json"
encode = msgspec.json.Encoder().encode
"""The JSON encoder of all responses."""

# Shared caches don't store responses to requests with Authorization (RFC 9111, section 3.5), but
# they may store responses to requests with a cookie.
_PRIVATE = (b"cache-control", b"private, no-cache")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_NO_WEIGHT = re.compile(rb"q=0(\.0*)?")
_process = secrets.token_hex(4).encode()
_numbers = count(1)


def endpoint(
    call: Call, services: Services, operator: OperatorKey, limits: Limits, tally: CallTally
) -> Callable[[Request], Awaitable[Response]]:
    """Returns the handler of a call for the router."""
    prepare, handler = _preparation(call, services, operator, limits), call.handler
    if call.looks_up_key:
        handler = deferring_handler(call, limits)

    async def respond(request: Request) -> Response:
        started = perf_counter()
        identity = request_id(request)
        ask = Ask(request, services)
        try:
            try:
                limits.count_request(ask)
                await prepare(ask, request)
                response = await handler(ask)
            except NotAdmitted as error:
                raise await _with_place(ask, error) from None
            except CredentialInvalid as error:
                raise await _if_pruned(ask, error) from None
        except DomainError as error:
            response = problem(error)
        except Exception as error:  # noqa: BLE001 - every caller gets a response
            response = problem(fault(error, call.name, identity, services.faults))
        response.add_header(b"x-request-id", identity)
        if ask.rate_limit is not None:
            add_rate_limit_headers(response, ask.rate_limit)
        if ask.by_cookie and not response.has_header(b"cache-control"):
            response.add_header(*_PRIVATE)
        if response.status == _UNAVAILABLE:
            services.faults.refusals += 1
        tally.note(response.status, perf_counter() - started)
        return response

    return respond


def _preparation(
    call: Call, services: Services, operator: OperatorKey, limits: Limits
) -> Callable[[Ask, Request], Awaitable[None]]:
    """Returns the function that reads and checks a request before the handler of its call runs."""
    read = reader(call, services.settings.body_bytes)
    who, enters, makes_guest = call.who, call.enters, call.makes_guest
    has_parts = may_have_parts(call)

    async def take(ask: Ask, request: Request) -> None:
        ask.params, ask.query, ask.idempotency_key, ask.body = await read(request)

    if call.looks_up_key:
        return deferring_preparation(call, take, operator, limits)

    async def prepare(ask: Ask, request: Request) -> None:
        if who is Who.OPERATOR:
            await _identify_operator(ask, operator, limits)
        elif who is not Who.NOBODY:
            await identify(ask, who, operator)
            limits.count_user(ask)
        elif makes_guest:
            limits.count_guest(ask)
        if has_parts or request.scope["query_string"]:
            await take(ask, request)
        if enters and ask.place is not None:
            await services.rooms.enter(ask.place)

    return prepare


async def _identify_operator(ask: Ask, operator: OperatorKey, limits: Limits) -> None:
    """Checks the operator's credential, with a limit on guesses of the key."""
    if b"authorization" not in headers_of(ask.request):
        await identify(ask, Who.OPERATOR, operator)
        return
    limits.guesses.check(ask)
    try:
        await identify(ask, Who.OPERATOR, operator)
    except CredentialInvalid:
        limits.guesses.count_wrong(ask)
        raise


def request_id(request: Request) -> bytes:
    """Returns the id that the caller gave the request, or a new one."""
    given = headers_of(request).get(b"x-request-id")
    if given and _REQUEST_ID.fullmatch(given):
        return given
    return new_request_id()


def new_request_id() -> bytes:
    """Returns a unique request id."""
    return b"%b%x" % (_process, next(_numbers))


def add_rate_limit_headers(response: Response, values: tuple[bytes, bytes]) -> None:
    """Adds the headers RateLimit-Policy and RateLimit."""
    response.add_header(b"ratelimit-policy", values[0])
    response.add_header(b"ratelimit", values[1])


def ok(body: object, *, replayed: bool = False) -> Response:
    """Returns 200 with a body; ``replayed`` marks a repeated request."""
    return _done(200, body, replayed=replayed)


def created(body: object, *, replayed: bool = False) -> Response:
    """Returns 201 with a body; ``replayed`` marks a repeated request."""
    return _done(201, body, replayed=replayed)


def _done(status: int, body: object, *, replayed: bool) -> Response:
    response = Response(status, None, Content(JSON, encode(body)))
    if replayed:
        response.add_header(b"idempotency-replayed", b"true")
    return response


def accepted(body: object) -> Response:
    """Returns 202 with a body."""
    return Response(202, None, Content(JSON, encode(body)))


def no_content() -> Response:
    """Returns 204."""
    return Response(204)


def tagged(
    request: Request, body: bytes, etag: bytes, headers: list[tuple[bytes, bytes]]
) -> Response:
    """Returns 200 with an entity tag, or 304 if the caller has that version (RFC 9110, 13.1.2)."""
    content = None if knows(request, etag) else Content(JSON, body)
    return Response(304 if content is None else 200, [(b"etag", etag), *headers], content)


def knows(request: Request, etag: bytes) -> bool:
    """Returns whether ``If-None-Match`` names this tag, by weak comparison (RFC 9110, 13.1.2)."""
    known = headers_of(request).get(b"if-none-match")
    return known is not None and (
        known == etag
        or not {etag.removeprefix(b"W/"), b"*"}.isdisjoint(
            tag.strip().removeprefix(b"W/") for tag in known.split(b",")
        )
    )


def takes_gzip(request: Request) -> bool:
    """Returns whether the caller accepts gzip (RFC 9110, 12.5.3)."""
    for values in request.get_headers(b"accept-encoding"):
        for coding in values.lower().split(b","):
            name, _, weight = coding.partition(b";")
            if name.strip() in (b"gzip", b"*"):
                return not _NO_WEIGHT.fullmatch(weight.strip())
    return False


def fault(error: Exception, call: str, identity: bytes, faults: Faults) -> DomainError:
    """Returns the DomainError for an unexpected error, and logs it; see ``Faults``."""
    if cause_of(error) is not None:
        faults.note(call, error)
        return Unavailable()
    _log.error("a call failed", call=call, request_id=identity.decode(), exc_info=error)
    return InternalError()


async def _if_pruned(ask: Ask, error: CredentialInvalid) -> DomainError:
    """Returns TokenFinished for a token whose place has been pruned, else the error itself."""
    if ask.place is None or not await ask.services.rooms.is_pruned(ask.place):
        return error
    return TokenFinished(reason=PRUNED_REASON)


async def _with_place(ask: Ask, error: NotAdmitted) -> DomainError:
    """Returns NotAdmitted with the position of the place."""
    if ask.place is None:
        return error
    status = await ask.services.rooms.status(ask.place)
    return NotAdmitted(ahead=status.ahead, poll_after_ms=status.poll_after_ms)
