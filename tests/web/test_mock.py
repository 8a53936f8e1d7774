"""The mock of the API: each documented answer on demand, and requests checked as by the server."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from frontrow.web.mock import create_mock
from frontrow.web.openapi.field_examples import EXAMPLES
from frontrow.web.routes import document
from testkit.conformance import Conformance, validator
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
                for name in content.get("examples", {}):
                    for prefer in (f'example="{name}"', f"code={status}, example={name}"):
                        answer = await ask(mock, method, path, operation, prefer)
                        shown = answer.json()
                        field = "code" if int(status) >= 400 else "reason"
                        assert name in (shown.get(field), shown.get("state"))
                        assert "code=" not in prefer or answer.status_code == int(status)
                    seen += 1
    assert seen > 200


class PlainClient:
    """A client that knows only the document: it makes calls by their operation ids."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http
        self._calls = {
            operation["operationId"]: (method.upper(), path)
            for path, methods in document()["paths"].items()
            for method, operation in methods.items()
        }

    async def call(
        self, name: str, credential: str | None = None, body: Json | None = None, **params: Any
    ) -> httpx2.Response:
        """Makes a call; parameters that aren't in the path go into the query."""
        method, path = self._calls[name]
        query = {key: value for key, value in params.items() if f"{{{key}}}" not in path}
        headers = {} if credential is None else {"authorization": f"Bearer {credential}"}
        response = await self._http.request(
            method, path.format(**params), params=query, headers=headers, json=body
        )
        assert response.is_success, response.text
        return response

    async def json(self, name: str, *given: Any, **params: Any) -> Json:
        """Makes a call and returns the body of its answer."""
        return dict((await self.call(name, *given, **params)).json())


async def enter(client: PlainClient, concert_id: str, key: str) -> str:
    """Joins a line and polls until admitted; returns the token."""
    joined = await client.json("join_queue", key, {"concert_id": concert_id})
    states = [joined["state"]]
    while states[-1] != "admitted":
        assert len(states) < 5
        status = await client.json("queue_status", joined["token"])
        assert 0 < status["poll_after_ms"] <= 30_000
        states.append(status["state"])
    assert states == ["waiting", "waiting", "admitted"]
    assert datetime.fromisoformat(status["expires_at"]) > datetime.now(UTC)
    return str(joined["token"])


async def test_plain_client_buys_a_ticket(mock: httpx2.AsyncClient) -> None:
    """The whole purchase, from the guest account to the ticket, by what the answers say alone."""
    async with httpx2.AsyncClient(base_url=mock.base_url, event_hooks=mock.event_hooks) as http:
        client = PlainClient(http)
        key = (await client.json("add_user", None, {}))["user_key"]
        (concert, *_) = (await client.json("concerts"))["concerts"]
        concert_id = concert["concert_id"]
        token = await enter(client, concert_id, key)
        (day, *_) = (await client.json("dates", token, concert_id=concert_id))["dates"]
        shown = await client.json("seats", token, concert_id=concert_id, date=day["date"])
        free = [seat["number"] for seat in shown["seats"] if seat["state"] == "available"]
        held = await client.json("hold", token, {"date": day["date"], "seats": free[:2]})
        assert held["state"] == "held"
        assert datetime.fromisoformat(held["held_until"]) > datetime.now(UTC)
        assert [seat["number"] for seat in held["seats"]] == free[:2]
        status = await client.json("queue_status", token)
        user = status["user_id"]
        await client.json("charge", token, {"amount": held["amount"]}, user_id=user)
        balance = await client.json("balance", token, user_id=user)
        assert balance["balance"] >= held["amount"]
        order = {"reservation_id": held["reservation_id"], "amount": held["amount"]}
        assert (await client.call("pay", token, order)).status_code == 201
        paid = await client.json("pay", token, order)
        assert (paid["state"], paid["seats"]) == ("paid", free[:2])
        assert (await client.json("queue_status", token))["reason"] == "paid"
        reservation = {"reservation_id": held["reservation_id"]}
        assert (await client.json("reservation", key, **reservation))["state"] == "paid"
        for one in paid["tickets"]:
            ticket = await client.json("ticket", key, ticket_id=one["ticket_id"])
            assert ticket["state"] == "valid"
        again = await client.json("refund_own", key, payment_id=paid["payment_id"])
        assert again["state"] == "refunded"
        assert (await client.json("payment", key, payment_id=paid["payment_id"]))["refund"]
        assert await enter(client, concert_id, key) != token


async def test_buyers_dont_share_their_state(mock: httpx2.AsyncClient) -> None:
    """Each key and each token has a memory of its own; one that waits isn't finished by another."""
    async with httpx2.AsyncClient(base_url=mock.base_url) as http:
        client = PlainClient(http)
        keys = [(await client.json("add_user", None, {}))["user_key"] for _ in range(2)]
        first, second = [
            await client.json("join_queue", key, {"concert_id": EXAMPLES["concert_id"]})
            for key in keys
        ]
        assert first["token"] != second["token"]
        await client.call("leave_queue", first["token"])
        assert (await client.json("queue_status", first["token"]))["reason"] == "left"
        assert (await client.json("queue_status", second["token"]))["state"] == "waiting"
        assert (await client.json("queue_status", second["token"]))["state"] == "admitted"


async def test_stream_reports_the_admission(mock: httpx2.AsyncClient) -> None:
    """Events with JSON as the poll answers it; after it the poll says admitted too."""
    async with httpx2.AsyncClient(base_url=mock.base_url) as http:
        client = PlainClient(http)
        key = (await client.json("add_user", None, {}))["user_key"]
        joined = await client.json("join_queue", key, {"concert_id": EXAMPLES["concert_id"]})
        stream = await client.call("queue_events", joined["token"])
        assert stream.headers["content-type"] == "text/event-stream"
        events = [
            json.loads(line.removeprefix("data: "))
            for line in stream.text.splitlines()
            if line.startswith("data: ")
        ]
        schema = document()["components"]["schemas"]["Status"]
        for event in events:
            validator(document(), schema).validate(event)
        assert [event["state"] for event in events] == ["waiting", "admitted"]
        assert (await client.json("queue_status", joined["token"]))["state"] == "admitted"


def test_example_credentials_fit_into_a_header() -> None:
    """Every token and key of the examples is one that a header may carry (RFC 6750, 2.1)."""
    found = [EXAMPLES[name] for name in ("token", "user_key")]
    assert [one for one in found if not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", one)] == []


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
