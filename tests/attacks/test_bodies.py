"""Bodies that another reader, such as a proxy or a log, may read otherwise than the server."""

import gzip
import json

import pytest

from testkit.desk import Desk, check_problem

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity", "x"])
async def test_encoded_body_is_refused(desk: Desk, coding: str) -> None:
    """A body with a Content-Encoding is 415, small or large, and nothing is done."""
    before = await desk.digest()
    for size in (0, 60_000, 10_000_000):
        content = gzip.compress(json.dumps({"user_id": " " * size}).encode())
        headers = {**JSON, "Content-Encoding": coding}
        refused = await desk.ask("POST", "/users", content=content, headers=headers)
        check_problem(refused, 415, "unsupported_media_type")
    assert await desk.digest() == before


@pytest.mark.parametrize(
    "body",
    [
        b'{"amount": 1, "amount": 100000}',
        b'{"amount": 1, "am\\u006funt": 100000}',
        b'{"amount" : "x", "amount": 1}',
        b'{"amount": 1, "extra": {"a": 1, "a": 2}}',
        b'{"amount": 1, "extra": [{"a:b": 1, "c": {"d": [], "d": []}}]}',
    ],
)
async def test_repeated_key_is_refused(desk: Desk, body: bytes) -> None:
    """A key that an object has twice is 400, also escaped or nested, and nothing is charged."""
    fan = await desk.buyer(await desk.concert())
    path = f"/users/{fan.user_id}/balance"
    refused = await fan.by_token("POST", f"{path}/charges", content=body, headers=JSON)
    check_problem(refused, 400, "malformed")
    assert (await fan.by_token("GET", path)).json()["balance"] == 0


async def test_colons_in_values_are_no_keys(desk: Desk) -> None:
    """Control: times, quotes and nested objects with equal keys are accepted."""
    show = {"starts_at": "2099-01-01T10:00:00Z", "price": 1}
    body = {"title": 'a": 1, "title": "b', "shows": [show, {**show, "seats": 2}]}
    made = await desk.operate("POST", "/admin/concerts", json=body)
    assert made.status_code == 201, made.text
