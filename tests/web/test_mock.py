"""The mock of the API: each documented answer on demand, and requests checked as by the server."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest

from frontrow.web.mock import create_mock
from frontrow.web.routes import document
from testkit.conformance import Conformance
from testkit.serving import listening_at

Json = dict[str, Any]
BASE = "/api/v1"


@pytest.fixture(scope="module")
async def mock() -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a mock; each answer is held against the document."""
    conformance = Conformance(document())

    async def check(response: httpx2.Response) -> None:
        await response.aread()
        if response.request.method != "OPTIONS":
            conformance.check(response)

    async with (
        listening_at(create_mock()) as address,
        httpx2.AsyncClient(
            base_url=address,
            event_hooks={"response": [check]},
            headers={"authorization": "Bearer any"},
        ) as client,
    ):
        yield client


def operations() -> Iterator[tuple[str, str, Json]]:
    """Each operation: method, path with the examples of its parameters, and what is said of it."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            given = {p["name"]: p["example"] for p in operation["parameters"] if p["in"] == "path"}
            yield method.upper(), path.format(**given), operation


async def ask(
    mock: httpx2.AsyncClient, method: str, path: str, operation: Json, prefer: str | None = None
) -> httpx2.Response:
    """The documented example of a request."""
    body = operation.get("requestBody")
    headers = {} if prefer is None else {"prefer": prefer}
    if body is None:
        return await mock.request(method, path, headers=headers)
    example = body["content"]["application/json"]["example"]
    return await mock.request(method, path, headers=headers, json=example)


async def test_every_example_request_succeeds(mock: httpx2.AsyncClient) -> None:
    """Each operation answers its first documented success."""
    for method, path, operation in operations():
        answer = await ask(mock, method, path, operation)
        assert str(answer.status_code) == next(iter(operation["responses"])), (method, path)


async def test_every_answer_on_demand(mock: httpx2.AsyncClient) -> None:
    """Each documented status by its code, each documented error by its name."""
    seen = 0
    for method, path, operation in operations():
        for status, described in operation["responses"].items():
            answer = await ask(mock, method, path, operation, f"code={status}")
            assert answer.status_code == int(status)
            for content in described.get("content", {}).values():
                for code in content.get("examples", {}):
                    for prefer in (f'example="{code}"', f"code={status}, example={code}"):
                        answer = await ask(mock, method, path, operation, prefer)
                        assert (answer.status_code, answer.json()["code"]) == (int(status), code)
                    seen += 1
    assert seen > 200


async def test_what_is_not_documented(mock: httpx2.AsyncClient) -> None:
    """An answer that a call doesn't have is refused, with those that it has."""
    for prefer, known in [
        ("code=418", "codes are: 200"),
        ("example=seat_taken", "examples are: invalid_request"),
        ("example=malformed, code=422", "examples of 422 are: invalid_request"),
    ]:
        answer = await mock.get(f"{BASE}/concerts", headers={"prefer": prefer})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "Prefer"
        assert known in answer.json()["detail"]


async def test_the_pages_of_the_document(mock: httpx2.AsyncClient) -> None:
    """They are the server's own, and refuse what that refuses."""
    body = (await mock.get("/openapi.json", headers={"prefer": "code=200"})).json()
    assert body == document()
    assert 'id="hold_expired"' in (await mock.get("/docs")).text
    async with httpx2.AsyncClient(base_url=mock.base_url) as browser:
        assert "SwaggerUIBundle" in (await browser.get("/docs/docs.js")).text
    assert (await mock.get("/docs?all=true")).status_code == 422


async def test_it_is_ready_as_the_server_is(mock: httpx2.AsyncClient) -> None:
    """What waits for a server by its word waits for the mock too."""
    assert (await mock.get("/readyz")).json() == {"status": "ready"}


async def test_other_preferences_are_passed_over(mock: httpx2.AsyncClient) -> None:
    """What Prefer says beside that changes nothing (RFC 7240, section 2)."""
    answer = await mock.get(f"{BASE}/concerts", headers={"prefer": "respond-async, wait=10"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"date": "2027-03-14", "seats": [0]}, "/seats/0"),
        ({"date": "2027-03-14", "seats": [1], "more": 1}, "/more"),
        ({"date": "14.3.2027", "seats": [1]}, "/date"),
    ],
)
async def test_requests_are_checked(mock: httpx2.AsyncClient, body: Json, pointer: str) -> None:
    """A body that breaks the contract is refused as the server does."""
    answer = await mock.post(f"{BASE}/reservations", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_credential_is_asked_for(mock: httpx2.AsyncClient) -> None:
    """Any will do, none won't; where the contract asks for none, none is needed."""
    del mock.headers["authorization"]
    try:
        assert (await mock.get(f"{BASE}/users/me")).json()["code"] == "credential_missing"
        assert (await mock.get(f"{BASE}/concerts")).status_code == 200
    finally:
        mock.headers["authorization"] = "Bearer any"


async def test_the_media_type_that_is_asked_for(mock: httpx2.AsyncClient) -> None:
    """Where a call has several, Accept says which."""
    path = f"{BASE}/admin/concerts/0198c5a4-7f3a-4c5e-9d5b-0e6f7a8b9c0d/order"
    for accept in ("application/json", "text/csv"):
        answer = await mock.get(path, headers={"accept": accept})
        assert answer.headers["content-type"] == accept


async def test_pages_of_any_origin(mock: httpx2.AsyncClient) -> None:
    """A browser may call it from a page that is served elsewhere."""
    preflight = await mock.options(
        f"{BASE}/reservations", headers={"access-control-request-method": "POST"}
    )
    assert preflight.status_code == 204
    assert "POST" in preflight.headers["access-control-allow-methods"]
    for path in (f"{BASE}/concerts", "/nothing", "/openapi.json"):
        assert (await mock.get(path)).headers["access-control-allow-origin"] == "*"


async def test_wrong_paths_and_methods(mock: httpx2.AsyncClient) -> None:
    """404 and 405, as from the server."""
    assert (await mock.get("/nothing")).json()["code"] == "not_found"
    assert (await mock.put(f"{BASE}/concerts")).json()["code"] == "method_not_allowed"
