"""The OpenAPI document and its readable page: complete, valid, and the same as served."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from frontrow import errors
from frontrow.errors import DomainError
from frontrow.web import routes
from frontrow.web.calls import Call
from frontrow.web.openapi.operations import refusals
from frontrow.web.problems import KINDS
from frontrow.web.routes import ALL_CALLS, document
from testkit.conformance import closed, validator
from testkit.desk import Desk, check_problem

Json = dict[str, Any]


def operations() -> Iterator[tuple[str, str, Json]]:
    """Yields each operation: method, path, description."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def contents() -> Iterator[tuple[str, Json]]:
    """Yields each body of a request or an answer, with its name."""
    for method, path, operation in operations():
        bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
        for place, described in bodies.items():
            for content in described.get("content", {}).values():
                yield f"{method} {path} {place}", content


OPTIONAL = {"unavailable": {"cause"}}
"""The members that only some answers with a code have."""


def codes() -> dict[str, type[DomainError]]:
    """Returns each refusal of ``errors.py`` by its code."""
    found = [
        error
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, DomainError) and error is not DomainError
    ]
    return {error.code: error for error in found}


def test_document_is_valid() -> None:
    """It is valid OpenAPI 3.1 in plain JSON."""
    OpenAPIV31SpecValidator(document()).validate()
    assert json.loads(json.dumps(document())) == document()


def test_every_call_is_documented() -> None:
    """Each call of the table under its name, and no other."""
    assert {
        (method, path, operation["operationId"]) for method, path, operation in operations()
    } == {(call.method, base + call.path, call.name) for base, call in ALL_CALLS}


def test_every_error_is_documented() -> None:
    """Each code has a status, its own schema, an example and an anchor in /docs."""
    page = docs_page()
    for code, error in codes().items():
        assert KINDS[error].status >= 400
        example = document()["components"]["examples"][code]["value"]
        name = error.__name__ + "Problem"
        schema = closed(document())["components"]["schemas"][name]
        assert schema["properties"]["code"]["const"] == example["code"] == code
        assert schema["properties"]["status"]["const"] == example["status"] == KINDS[error].status
        assert example["type"] == f"/docs#{code}"
        assert set(example) == set(schema["required"]) | OPTIONAL.get(code, set())
        assert set(example) == set(schema["properties"])
        validator(document(), schema).validate(example)
        assert page.ids.count(code) == 1


def test_every_error_belongs_to_a_call() -> None:
    """Every documented refusal belongs to some call."""
    assert {error for _, call in ALL_CALLS for error in refusals(call)} == set(codes().values())


@pytest.mark.parametrize("call", [call for _, call in ALL_CALLS], ids=lambda call: call.name)
def test_every_refusal_of_a_call_is_documented(call: Call) -> None:
    """Each refusal is under its status, with an example named by its code."""
    (operation,) = (o for _, _, o in operations() if o["operationId"] == call.name)
    response = {
        (int(status), code)
        for status, answer in operation["responses"].items()
        for code in answer.get("content", {})
        .get("application/problem+json", {})
        .get("examples", {})
    }
    assert response == {(KINDS[error].status, error.code) for error in refusals(call)}
    assert {(400, "malformed"), (422, "invalid_request")} <= response


def test_properties_of_a_call_imply_its_refusals() -> None:
    """Credential, body, key and database each have their refusals."""
    found = {call.name: {error.code for error in refusals(call)} for _, call in ALL_CALLS}
    body = {"too_large", "unsupported_media_type"}
    credential = {"credential_missing", "credential_invalid"}
    stored = {"overloaded", "unavailable"}
    admitted = {"not_admitted", "token_finished"}
    anything = {"malformed", "invalid_request", "rate_limited"}
    assert found["healthz"] == anything
    assert found["readyz"] == anything | {"unavailable"}
    assert found["add_user"] == anything | body | stored | {
        "not_allowed",
        "challenge_required",
        "challenge_failed",
    }
    assert found["me"] == anything | credential | stored
    assert found["balance"] == anything | credential | admitted | stored | {"not_found"}
    assert found["charge"] == (
        anything | body | credential | admitted | stored | {"not_found", "idempotency_key_reused"}
    )


def arrays(node: Any) -> Iterator[Json]:
    """Yields each schema of an array in a part of the document."""
    parts = list(node.values()) if isinstance(node, dict) else node
    if isinstance(node, dict) and node.get("type") == "array":
        yield node
    if isinstance(parts, list):
        for part in parts:
            yield from arrays(part)


def test_every_array_describes_its_items() -> None:
    """Generators of clients need ``items``, also where a rule only says which form is meant."""
    found = list(arrays(document()))
    assert len(found) > 20
    assert [array for array in found if "items" not in array] == []


def test_every_example_matches_its_schema() -> None:
    """Each body has an example, and each example has exactly the members of its schema."""
    strict = closed(document())
    for place, content in contents():
        if "examples" in content:
            examples = [
                strict["components"]["examples"][one["$ref"].rpartition("/")[2]]["value"]
                if "$ref" in one
                else one["value"]
                for one in content["examples"].values()
            ]
        else:
            examples = [content["example"]]
        for example in examples:
            assert example is not None, place
            validator(strict, content["schema"]).validate(example)


def test_additional_member_is_found() -> None:
    """The control: the comparison with the document finds additional, missing and wrong members."""
    (example,) = document()["components"]["schemas"]["Balance"]["examples"]
    strict = validator(closed(document()), {"$ref": "#/components/schemas/Balance"})
    assert strict.is_valid(example)
    assert not strict.is_valid({**example, "extra": 1})
    assert not strict.is_valid({**example, "user_id": "7"})
    assert not strict.is_valid({"balance": 1})


def test_every_parameter_has_a_valid_example() -> None:
    """Each parameter has a description and an example."""
    for _, path, operation in operations():
        names = [(each["name"], each["in"]) for each in operation["parameters"]]
        assert len(set(names)) == len(names)
        assert {name for name, where in names if where == "path"} == set(
            re.findall(r"\{(\w+)\}", path)
        )
        for parameter in operation["parameters"]:
            assert parameter["description"]
            validator(document(), parameter["schema"]).validate(parameter["example"])


def test_every_schema_explains_its_fields() -> None:
    """Each schema and field has a description; fields with values have an example."""
    for name, schema in document()["components"]["schemas"].items():
        assert schema["description"], name
        validator(closed(document()), schema).validate(schema["examples"][0])
        for field, described in schema["properties"].items():
            assert described["description"], (name, field)
            for example in described.get("examples", []):
                validator(document(), described).validate(example)


_VERSIONED = {
    "waiting_room",
    "configure_waiting_room",
    "pause_waiting_room",
    "resume_waiting_room",
}
"""Calls that return the version that ``If-Match`` protects."""


def test_answers_have_their_headers() -> None:
    """X-Request-Id everywhere; WWW-Authenticate, Retry-After, ETag, RateLimit and others."""
    keyed = {call.name: str(call.answers[0].status) for _, call in ALL_CALLS if call.idempotent}
    for _, _, operation in operations():
        asked = {each["name"] for each in operation["parameters"] if each["in"] == "header"}
        versioned = "If-None-Match" in asked or operation["operationId"] in _VERSIONED
        assert "X-Request-Id" in asked
        assert ("If-Match" in asked) == ("412" in operation["responses"])
        assert ("Idempotency-Key" in asked) == (operation["operationId"] in keyed)
        assert ("If-None-Match" in asked) == ("304" in operation["responses"])
        for status, answer in operation["responses"].items():
            headers = set(answer["headers"])
            assert "X-Request-Id" in headers
            assert ("WWW-Authenticate" in headers) == (status == "401")
            assert ("Idempotency-Replayed" in headers) == (
                keyed.get(operation["operationId"]) == status
            )
            assert ("ETag" in headers) == (versioned and status in ("200", "304"))
            if status in ("429", "503"):
                assert "Retry-After" in headers
            counted = {"userKey", "queueToken"} & {
                s for each in operation["security"] for s in each
            }
            assert ({"RateLimit", "RateLimit-Policy"} <= headers) == (
                bool(counted) or status == "429"
            )


async def test_document_is_served(desk: Desk) -> None:
    """GET /openapi.json is the document that `frontrow openapi` prints."""
    response = await desk.ask("GET", "//openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == document()


class Page(HTMLParser):
    """The links and elements of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.handlers: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Records an element."""
        self.tags.add(tag)
        if tag not in ("meta", "link", "br", "img", "input", "hr"):
            self._open.append(tag)
        for name, value in attrs:
            assert name != "style"
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "src", "action"):
                self.links.append(value or "")
            elif name.startswith("on"):
                self.handlers.append(name)

    def handle_endtag(self, tag: str) -> None:
        """Asserts that elements end in the reverse order of their beginning."""
        assert self._open.pop() == tag


def docs_page() -> Page:
    """Returns the readable document."""
    return Page(routes._page().decode())


async def test_page_loads_nothing_from_other_hosts(desk: Desk) -> None:
    """GET /docs: nothing inline, no foreign host, a policy for this server's files only."""
    response = await desk.ask("GET", "//docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    page = Page(response.text)
    assert page.handlers == []
    assert page.tags.isdisjoint({"style", "iframe", "object", "embed", "img", "base"})
    assert re.findall(r"<script(?! src=)", response.text) == []
    for link in page.links:
        assert link.startswith(("#", "/docs/")) or link in ("/openapi.json", "data:,")
    policy = response.headers["content-security-policy"]
    assert policy == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_files_of_the_page_are_served(desk: Desk) -> None:
    """Each file of the page is served, as gzip if accepted, and as 304 for its tag."""
    links = [link for link in docs_page().links if link.startswith("/docs/")]
    assert len(links) == 4
    for link in links:
        plain = await desk.http.get(link, headers={"Accept-Encoding": "identity"})
        packed = await desk.http.get(link, headers={"Accept-Encoding": "gzip"})
        assert plain.status_code == packed.status_code == 200
        assert packed.headers["content-encoding"] == "gzip"
        assert plain.content == packed.content
        assert plain.headers["x-request-id"]
        known = {"If-None-Match": plain.headers["etag"], "Accept-Encoding": "identity"}
        again = await desk.http.get(link, headers=known)
        assert (again.status_code, again.content) == (304, b"")
    for missing in ("/docs/docs_page.py", "/docs/..%2froutes.py", "/docs/x"):
        check_problem(await desk.http.get(missing), 404, "not_found")


def test_links_of_the_page_have_targets() -> None:
    """Every link within the page has a target, and every target exists once."""
    page = docs_page()
    assert len(set(page.ids)) == len(page.ids)
    assert {link.removeprefix("#") for link in page.links if link.startswith("#")} <= set(page.ids)
