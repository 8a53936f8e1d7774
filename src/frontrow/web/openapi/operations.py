"""Builds the OpenAPI operation of a call."""

from collections.abc import Sequence
from http import HTTPStatus
from itertools import chain, groupby
from typing import Any

import msgspec

from frontrow.errors import (
    CredentialInvalid,
    CredentialMissing,
    DomainError,
    IdempotencyKeyReused,
    InvalidRequest,
    Malformed,
    NotAdmitted,
    Overloaded,
    RateLimited,
    TokenFinished,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
    VersionConflict,
)
from frontrow.web.calls import Answer, Call, Who
from frontrow.web.openapi.field_descriptions import DESCRIPTIONS
from frontrow.web.openapi.field_examples import EXAMPLES
from frontrow.web.openapi.schemas import Json, Schemas
from frontrow.web.problems import CONTENT_TYPE, KINDS

SECURITY_SCHEMES = {
    "userKey": "A user key: identifies the user. From `POST /users`.",
    "idToken": (
        "An ID token of the configured OpenID issuer, if there is one: identifies the user."
    ),
    "queueToken": "A queue token: a place in one concert's line. From `POST /queue/tokens`.",
    "operatorKey": "The operator key. `frontrow serve` prints where it is stored.",
}
_SECURITY: dict[Who, list[str]] = {
    Who.NOBODY: [],
    Who.USER: ["userKey", "idToken"],
    Who.TOKEN: ["queueToken"],
    Who.ADMITTED: ["queueToken"],
    Who.USER_OR_TOKEN: ["userKey", "idToken", "queueToken"],
    Who.USER_OR_ADMITTED: ["userKey", "idToken", "queueToken"],
    Who.OPERATOR: ["operatorKey"],
}
_WHO = {
    Who.NOBODY: "No credential.",
    Who.USER: "A user key, or an ID token if this server accepts them.",
    Who.TOKEN: "A queue token.",
    Who.ADMITTED: "An admitted queue token; the first such call claims the place.",
    Who.USER_OR_TOKEN: "A user key (or an ID token), or a queue token.",
    Who.USER_OR_ADMITTED: "A user key (or an ID token), or an admitted queue token.",
    Who.OPERATOR: "The operator key.",
}
_RATE_LIMIT = ("RateLimit-Policy", "RateLimit")
_ADMITTED = {Who.ADMITTED, Who.USER_OR_ADMITTED}

HEADERS: dict[str, Json] = {
    "X-Request-Id": {
        "description": "The id of the request in the logs: the caller's, or a new one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
        "example": "checkout-1",
    },
    "Idempotency-Replayed": {
        "description": "`true` if an earlier request with the same key got this answer.",
        "schema": {"type": "string", "const": "true"},
        "example": "true",
    },
    "ETag": {
        "description": "The version, for If-None-Match or If-Match.",
        "required": True,
        "schema": {"type": "string"},
        "example": '"5d41402a-1f4"',
    },
    "Cache-Control": {
        "description": "Who may store the answer, and how long.",
        "required": True,
        "schema": {"type": "string"},
        "example": "private, no-cache",
    },
    "Vary": {
        "description": "The request headers that the answer depends on.",
        "required": True,
        "schema": {"type": "string"},
        "example": "accept",
    },
    "Content-Language": {
        "description": "The language of the answer.",
        "required": True,
        "schema": {"type": "string", "enum": ["en", "ko"]},
        "example": "en",
    },
    "Content-Disposition": {
        "description": "The suggested file name.",
        "schema": {"type": "string"},
        "example": 'attachment; filename="order.csv"',
    },
    "Set-Cookie": {
        "description": "HttpOnly, SameSite=Strict; Secure under https.",
        "schema": {"type": "string"},
        "example": "frontrow_user=frk_5Ro1; Path=/; HttpOnly; SameSite=Strict",
    },
    "WWW-Authenticate": {
        "description": "The authentication scheme.",
        "required": True,
        "schema": {"type": "string", "const": "Bearer"},
        "example": "Bearer",
    },
    "RateLimit-Policy": {
        "description": (
            "The rate limit: a burst of `q` requests, and `q` requests per `w` seconds "
            "(draft-ietf-httpapi-ratelimit-headers-11)."
        ),
        "schema": {"type": "string"},
        "example": '"user";q=500;w=10',
    },
    "RateLimit": {
        "description": (
            "The remaining quota: `r` requests within `t` seconds. Present for a user when less "
            "than half is left."
        ),
        "schema": {"type": "string"},
        "example": '"user";r=499;t=1',
    },
    "Retry-After": {
        "description": "Try again after this number of seconds.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
        "example": 1,
    },
}


def refusals(call: Call) -> list[type[DomainError]]:
    """Returns all errors of a call in the order of their status: its own and the general ones."""
    found: list[type[DomainError]] = [Malformed, InvalidRequest, RateLimited, *call.refusals]
    if call.who is not Who.NOBODY:
        found += [CredentialMissing, CredentialInvalid]
    if call.who in _ADMITTED:
        found += [TokenFinished, NotAdmitted]
    if call.method != "GET":  # {} is accepted as an empty body
        found += [TooLarge, UnsupportedMediaType]
    if call.idempotent:
        found.append(IdempotencyKeyReused)
    if call.stored:
        found += [Overloaded, Unavailable]
    known = list(KINDS)
    return sorted(dict.fromkeys(found), key=known.index)


def operation(call: Call, schemas: Schemas) -> Json:
    """Returns the operation: credential, parameters, body and all responses."""
    described: Json = {
        "operationId": call.name,
        "tags": [call.group],
        "summary": call.summary,
        "description": f"{call.says}\n\nCredential: {_WHO[call.who]}".strip(),
        "security": [{scheme: []} for scheme in _SECURITY[call.who]],
        "parameters": _parameters(call, schemas),
    }
    if call.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {"schema": schemas.of(call.body), "example": call.example}
            },
        }
    described["responses"] = {
        str(status): _success(call, list(answers), schemas)
        for status, answers in groupby(call.answers, lambda answer: answer.status)
    } | {
        str(status): _refused(call, list(errors), schemas)
        for status, errors in groupby(refusals(call), lambda error: KINDS[error].status)
    }
    return described


def _parameters(call: Call, schemas: Schemas) -> list[Json]:
    found = [_path_parameter(name, kind) for name, kind in call.params.items()]
    if call.query is not None:
        found += [_query_parameter(*field) for field in schemas.fields(call.query).items()]
    if call.idempotent:
        found.append(
            _header_parameter(
                "Idempotency-Key",
                "Makes a repeated request safe: it gets the answer of the first one.",
                {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
                "order-7f3a",
            )
        )
    if any(answer.status == HTTPStatus.NOT_MODIFIED for answer in call.answers):
        found.append(
            _header_parameter(
                "If-None-Match",
                "Entity tags of the versions that the caller has.",
                {"type": "string"},
                '"5d41402a-1f4"',
            )
        )
    if VersionConflict in call.refusals:
        found.append(
            _header_parameter(
                "If-Match",
                "Entity tags of the versions that may be replaced; without it, or with `*`, any.",
                {"type": "string"},
                '"3"',
            )
        )
    found.append(
        _header_parameter(
            "X-Request-Id",
            "An id for this request, for the logs: up to 128 letters, digits, `.`, `_` and `-`. "
            "Any other value is ignored.",
            {"type": "string"},
            "checkout-1",
        )
    )
    return found


def _path_parameter(name: str, kind: Any) -> Json:  # noqa: ANN401 - any type that the table names
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": DESCRIPTIONS[name],
        "schema": msgspec.json.schema(kind),
        "example": EXAMPLES[name],
    }


def _query_parameter(name: str, field: Json) -> Json:
    """Returns an optional parameter; a query can't express ``null``."""
    schema = {key: value for key, value in field.items() if key not in ("description", "examples")}
    if "anyOf" in schema:
        schema = schema["anyOf"][0]
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": field["description"],
        "schema": schema,
        "example": field["examples"][0],
    }


def _header_parameter(name: str, says: str, schema: Json, example: str) -> Json:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": says,
        "schema": schema,
        "example": example,
    }


def _success(call: Call, answers: Sequence[Answer], schemas: Schemas) -> Json:
    """Returns the response of a status; its answers differ in their media types."""
    headers = ["X-Request-Id", *chain.from_iterable(answer.headers for answer in answers)]
    # A 304 has the headers of the 200 that it replaces (RFC 9110, section 15.4.5).
    if answers[0].status == HTTPStatus.NOT_MODIFIED:
        headers += next(other.headers for other in call.answers if other.headers)
    if call.idempotent and answers[0].status == call.answers[0].status:  # the answer of the write
        headers.append("Idempotency-Replayed")
    if _is_users(call):
        headers += _RATE_LIMIT
    described: Json = {
        "description": " ".join(answer.says for answer in answers),
        "headers": _headers(headers),
    }
    content = {
        answer.media_type: {"schema": schemas.of(answer.body), **_examples(answer, schemas)}
        for answer in answers
        if answer.body is not None
    }
    return described | ({"content": content} if content else {})


def _examples(answer: Answer, schemas: Schemas) -> Json:
    if answer.examples:
        return {"examples": {name: {"value": value} for name, value in answer.examples.items()}}
    return {"example": schemas.example(answer.body) if answer.example is None else answer.example}


def _is_users(call: Call) -> bool:
    """Returns whether the call counts against a user's rate limit, which its answers may report."""
    return call.who not in (Who.NOBODY, Who.OPERATOR)


def _refused(call: Call, errors: Sequence[type[DomainError]], schemas: Schemas) -> Json:
    references = {error.code: schemas.problems[error][0] for error in errors}
    status = KINDS[errors[0]].status
    headers = ["X-Request-Id"]
    if status == HTTPStatus.UNAUTHORIZED:
        headers.append("WWW-Authenticate")
    if any(error in (Overloaded, RateLimited, Unavailable) for error in errors):
        headers.append("Retry-After")
    if RateLimited in errors or _is_users(call):
        headers += _RATE_LIMIT
    described = _headers(headers)
    if NotAdmitted in errors:
        # With not_admitted only.
        described["Retry-After"] = {**HEADERS["Retry-After"], "required": len(errors) == 1}
    schema: Json = next(iter(references.values()))
    if len(references) > 1:
        schema = {
            "oneOf": list(references.values()),
            "discriminator": {
                "propertyName": "code",
                "mapping": {code: reference["$ref"] for code, reference in references.items()},
            },
        }
    return {
        "description": "\n".join(f"- `{error.code}`: {error.message}" for error in errors),
        "headers": described,
        "content": {
            CONTENT_TYPE.decode(): {
                "schema": schema,
                "examples": {
                    code: {"$ref": f"#/components/examples/{code}"} for code in references
                },
            }
        },
    }


def _headers(names: Sequence[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
