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
    """A client of a mock; each answer is checked against the document."""
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
    """Yields each operation: method, path with example parameters, description."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            given = {p["name"]: p["example"] for p in operation["parameters"] if p["in"] == "path"}
            yield method.upper(), path.format(**given), operation


async def ask(
    mock: httpx2.AsyncClient, method: str, path: str, operation: Json, prefer: str | None = None
) -> httpx2.Response:
    """Returns the documented example of a request."""
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


async def test_every_documented_answer_can_be_requested(mock: httpx2.AsyncClient) -> None:
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


async def test_undocumented_answer_is_refused(mock: httpx2.AsyncClient) -> None:
    """An undocumented answer is refused with the list of documented ones."""
    for prefer, known in [
        ("code=418", "codes are: 200"),
        ("example=seat_taken", "examples are: invalid_request"),
        ("example=malformed, code=422", "examples of 422 are: invalid_request"),
    ]:
        answer = await mock.get(f"{BASE}/concerts", headers={"prefer": prefer})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "Prefer"
        assert known in answer.json()["detail"]


async def test_mock_serves_the_documentation_pages(mock: httpx2.AsyncClient) -> None:
    """They are the server's pages, with the same refusals."""
    body = (await mock.get("/openapi.json", headers={"prefer": "code=200"})).json()
    assert body == document()
    assert 'id="hold_expired"' in (await mock.get("/docs")).text
    async with httpx2.AsyncClient(base_url=mock.base_url) as browser:
        assert "SwaggerUIBundle" in (await browser.get("/docs/docs.js")).text
    assert (await mock.get("/docs?all=true")).status_code == 422


async def test_mock_is_ready(mock: httpx2.AsyncClient) -> None:
    """A client that waits for /readyz works with the mock too."""
    assert (await mock.get("/readyz")).json() == {"status": "ready"}


async def test_other_preferences_are_ignored(mock: httpx2.AsyncClient) -> None:
    """Other preferences are ignored (RFC 7240, section 2)."""
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
    """A body that breaks the contract is refused as by the server."""
    answer = await mock.post(f"{BASE}/reservations", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_credential_is_required(mock: httpx2.AsyncClient) -> None:
    """Any credential is accepted, a missing one is refused; public calls need none."""
    del mock.headers["authorization"]
    try:
        assert (await mock.get(f"{BASE}/users/me")).json()["code"] == "credential_missing"
        assert (await mock.get(f"{BASE}/concerts")).status_code == 200
    finally:
        mock.headers["authorization"] = "Bearer any"


async def test_accept_selects_the_media_type(mock: httpx2.AsyncClient) -> None:
    """If a call has several media types, Accept selects one."""
    path = f"{BASE}/admin/concerts/0198c5a4-7f3a-4c5e-9d5b-0e6f7a8b9c0d/order"
    for accept in ("application/json", "text/csv"):
        answer = await mock.get(path, headers={"accept": accept})
        assert answer.headers["content-type"] == accept


async def test_pages_of_any_origin_are_allowed(mock: httpx2.AsyncClient) -> None:
    """A browser may call the mock from a page of another origin."""
    preflight = await mock.options(
        f"{BASE}/reservations", headers={"access-control-request-method": "POST"}
    )
    assert preflight.status_code == 204
    assert "POST" in preflight.headers["access-control-allow-methods"]
    for path in (f"{BASE}/concerts", "/nothing", "/openapi.json"):
        assert (await mock.get(path)).headers["access-control-allow-origin"] == "*"


async def test_unknown_paths_and_methods_are_refused(mock: httpx2.AsyncClient) -> None:
    """404 and 405, as from the server."""
    assert (await mock.get("/nothing")).json()["code"] == "not_found"
    assert (await mock.put(f"{BASE}/concerts")).json()["code"] == "method_not_allowed"
