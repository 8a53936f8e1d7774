"""Reads and validates requests: bodies, parameters, headers."""

import json
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from blacksheep import Request
from blacksheep.exceptions import MessageAborted

from frontrow.errors import InvalidRequest, Malformed, TooLarge, UnsupportedMediaType
from frontrow.text_rules import RULES
from frontrow.web.calls import Call

_AT_PATH = re.compile(r"^(?P<detail>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\[(?P<index>[^\]]*)\]|\.?(?P<name>[^.\[]+)")
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_LONGEST_KEY = 255
_MOST_PARAMETERS = 20
_BY_NAME = "frontrow.headers"
_LARGEST_EXACT = 2**53
_LONGEST_REMEMBERED_QUERY = 200
_LONGEST_REMEMBERED_PARAM = 40


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of a call without query parameters."""


class NoBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a call without one; ``{}`` is accepted too."""


class Read(NamedTuple):
    """The parsed parts of a request, in the types of the table of calls."""

    params: dict[str, Any]
    query: Any
    idempotency_key: str | None
    body: Any


def may_have_parts(call: Call) -> bool:
    """Returns whether requests of a call may have anything to read besides the query."""
    return call.method != "GET" or call.idempotent or bool(call.params)


def reader(call: Call, limit_bytes: int) -> Callable[[Request], Awaitable[Read]]:
    """Returns the function that reads the requests of a call, except for the credential.

    It raises Malformed, InvalidRequest, TooLarge and UnsupportedMediaType.
    """
    decoder = msgspec.json.Decoder(call.body or NoBody)
    # The body of a GET has no meaning (RFC 9110, 9.3.1).
    needs_body, takes_none = call.body is not None, call.method == "GET"
    query_type = call.query or NoQuery
    params, idempotent = call.params, call.idempotent

    async def read(request: Request) -> Read:
        given = {
            name: _param(name, request.route_values[name], kind) for name, kind in params.items()
        }
        query_string = request.scope["query_string"]
        query = read_query(query_string, query_type) if query_string else None
        key = read_idempotency_key(request) if idempotent else None
        body = None
        if needs_body or not (takes_none or has_no_body(request)):
            content = await read_body(request, limit_bytes)
            if needs_body or content:
                check_json(request)
                body = decode_body(decoder, content)
        return Read(given, query, key, body)

    return read


def headers_of(request: Request) -> dict[bytes, bytes]:
    """Returns the headers of a request by name in lower case; of a repeated one the first value.

    A call needs several of them: one dictionary costs less than two searches of the list.
    """
    scope: Any = request.scope
    found: dict[bytes, bytes] | None = scope.get(_BY_NAME)
    if found is None:
        found = scope[_BY_NAME] = dict(scope["headers"][::-1])
    return found


def is_repeated(request: Request, name: bytes) -> bool:
    """Returns whether a request has a header more than once."""
    given = request.scope["headers"]
    return len(given) > len(headers_of(request)) and sum(name == other for other, _ in given) > 1


def has_no_body(request: Request) -> bool:
    """Returns whether the headers declare that there is no body (RFC 9112, 6.3)."""
    headers = headers_of(request)
    return b"transfer-encoding" not in headers and headers.get(b"content-length") in (None, b"0")


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Returns the whole body.

    Raises:
        UnsupportedMediaType: it is compressed; nothing is read.
        TooLarge: it exceeds the limit; the rest isn't read.
        Malformed: the client disconnected before its end.
    """
    headers = headers_of(request)
    if b"content-encoding" in headers:
        raise UnsupportedMediaType("The body must have no Content-Encoding.")
    declared = headers.get(b"content-length")
    if declared is not None and (not declared.isdigit() or int(declared) > limit_bytes):
        raise TooLarge
    body = bytearray()
    try:
        if declared is not None:
            return await request.read() or b""
        async for chunk in request.stream():  # type: ignore[attr-defined]  # the stub is wrong
            body += chunk
            if len(body) > limit_bytes:
                raise TooLarge
    except MessageAborted:
        # The client won't read this response; it only keeps the error out of the log.
        raise Malformed("The client disconnected before the end of the body.") from None
    return bytes(body)


def check_json(request: Request) -> None:
    """Rejects a body that isn't declared as JSON.

    Raises:
        UnsupportedMediaType: its type is another one, or missing.
    """
    content_type = headers_of(request).get(b"content-type")
    if content_type != b"application/json" and (
        content_type is None
        or content_type.partition(b";")[0].strip().lower() != b"application/json"
    ):
        raise UnsupportedMediaType


def decode_body(decoder: "msgspec.json.Decoder[Any]", body: bytes) -> Any:  # noqa: ANN401 - the table says
    """Returns the body as the decoder's type.

    Raises:
        Malformed: it isn't JSON, or an object has a key twice.
        InvalidRequest: it doesn't match the type.
    """
    try:
        try:
            decoded = decoder.decode(body)
        except msgspec.ValidationError as error:
            # The decoder stopped at the first wrong value; the rest may not be JSON.
            given = msgspec.json.decode(body)
            _check_keys(body)
            if "got `float`" not in str(error):
                raise invalid(error) from None
            try:
                return msgspec.convert(_with_integers(given), decoder.type)
            except msgspec.ValidationError as other:
                raise invalid(other) from None
        _check_keys(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Malformed(f"The body isn't JSON: {error}") from None
    return decoded


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _check_keys(body: bytes) -> None:
    """Rejects JSON in which an object has a key twice: readers disagree on which one counts.

    Each key is followed by a colon. A flat object with as many colons as different keys has no key
    twice: that is most bodies, and costs little. The others are parsed once more.

    Raises:
        Malformed: a key is repeated.
    """
    colons = body.count(b":")
    if colons > 1 and not (body[:1] == b"{" and len(_members.decode(body)) == colons):
        json.loads(body, object_pairs_hook=_distinct, parse_int=str, strict=False)


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    """Rejects an object that has a key twice.

    Raises:
        Malformed: it has.
    """
    keys = set()
    for key, _ in pairs:
        if key in keys:
            raise Malformed(f"The key {key[:_LONGEST_KEY]!r} is given more than once.")
        keys.add(key)


def _with_integers(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Returns a JSON value with each number such as ``2.0`` as the integer that it is.

    JSON Schema (6.1.1) counts them as integers; msgspec doesn't. Numbers above 2**53 stay as they
    are: their exact value is unknown.
    """
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= _LARGEST_EXACT else value
    if isinstance(value, list):
        return [_with_integers(item) for item in value]
    if isinstance(value, dict):
        return {name: _with_integers(item) for name, item in value.items()}
    return value


def read_query(query: bytes, kind: Any) -> Any:  # noqa: ANN401 - the table says
    """Returns the query parameters as their type. Results are cached, since queries repeat.

    Raises:
        Malformed: the query can't be parsed.
        InvalidRequest: a parameter is unknown, repeated, or has a wrong value.
    """
    if len(query) > _LONGEST_REMEMBERED_QUERY:
        return _read_query(query, kind)
    return _remembered_query(query, kind)


def _read_query(query: bytes, kind: Any) -> Any:  # noqa: ANN401 - the table says
    single: dict[str, str] = {}
    try:
        given = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except ValueError as error:
        raise Malformed(f"The query can't be parsed: {error}") from None
    for name, value in given:
        if name in single:
            raise InvalidRequest.at(name, f"{name} is given more than once")
        if value.lower() == "null":  # msgspec would accept it for an absent optional parameter
            raise InvalidRequest.at(name, "null is not allowed")
        single[name] = value
    try:
        return msgspec.convert(single, kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(error, query=True) from None


_remembered_query = lru_cache(maxsize=4_096)(_read_query)


def read_param(name: str, value: str | None, kind: Any) -> Any:  # noqa: ANN401 - the table says
    """Returns a path parameter as its type.

    Raises:
        InvalidRequest: it doesn't match the type.
    """
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest.at(name, str(error)) from None


_remembered_param = lru_cache(maxsize=4_096)(read_param)


def _param(name: str, value: str | None, kind: Any) -> Any:  # noqa: ANN401 - the table says
    """Returns ``read_param``, remembered for short values, since ids and dates repeat."""
    if value is None or len(value) > _LONGEST_REMEMBERED_PARAM:
        return read_param(name, value, kind)
    return _remembered_param(name, value, kind)


def read_idempotency_key(request: Request) -> str | None:
    """Returns the ``Idempotency-Key``, if there is one.

    Raises:
        InvalidRequest: it is empty, too long, or not printable ASCII.
    """
    value = headers_of(request).get(b"idempotency-key")
    if value is None:
        return None
    if is_repeated(request, b"idempotency-key"):
        raise InvalidRequest.at("Idempotency-Key", "it is given more than once")
    key = value.decode("latin-1")
    if not (1 <= len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable()):
        raise InvalidRequest.at(
            "Idempotency-Key", f"must be 1 to {_LONGEST_KEY} printable ASCII characters"
        )
    return key


def invalid(error: msgspec.ValidationError, *, query: bool = False) -> InvalidRequest:
    """Returns the contract's error for one of msgspec: its JSON pointer (RFC 6901) and detail."""
    found = _AT_PATH.match(str(error))
    detail, path = (found["detail"], found["path"]) if found else (str(error), None)
    detail = next((rule for pattern, rule in RULES.items() if repr(pattern) in detail), detail)
    pointer = _pointer(path or "$")
    unknown = _UNKNOWN_FIELD.search(detail)
    if unknown:
        pointer += "/" + _escape(unknown["name"])
    return InvalidRequest.at(pointer.removeprefix("/") if query else pointer, detail)


def _pointer(path: str) -> str:
    steps = [
        step["index"] if step["index"] is not None else step["name"]
        for step in _STEP.finditer(path.removeprefix("$"))
    ]
    return "".join("/" + _escape(step) for step in steps)


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def cookies_of(request: Request) -> dict[str, str]:
    """Returns the cookies of a request by name; their values may be any bytes."""
    found = {}
    for line in request.get_headers(b"cookie"):
        for pair in line.decode("latin-1").split(";"):
            name, _, value = pair.strip().partition("=")
            found[name] = value
    return found


def if_match(request: Request) -> list[str] | None:
    """Returns the entity tags of ``If-Match``; ``None`` without the header, or for ``*``.

    Tags come without their weakness: a proxy that compresses an answer weakens its tag (nginx
    does), while ours name a version regardless of its encoding.
    """
    lines = request.get_headers(b"if-match")
    tags = [tag.strip() for line in lines for tag in line.decode("latin-1").split(",")]
    if not tags or tags == ["*"]:
        return None
    return [tag.removeprefix("W/") for tag in tags]
