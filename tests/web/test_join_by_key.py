"""Joining with a key that the process doesn't know: one statement, and the refusals of any call."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from prometheus_client import REGISTRY

from testkit.database import Database
from testkit.desk import Concert, Desk, Fan, check_problem, open_desk
from testkit.visitors import visiting

UNKNOWN = "frk_" + "A" * 43
BURST = 6
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
async def desk(module_database: Database) -> AsyncIterator[Desk]:
    """A server that caches one key, which reads no revocations during a test."""
    async with open_desk(
        module_database,
        cached_credentials=1,
        credential_seconds=3600,
        user_requests_per_second=0.001,
        user_burst=BURST,
    ) as made:
        yield made


@pytest.fixture(scope="module")
async def concert(desk: Desk) -> Concert:
    """A concert with an open line."""
    return await desk.concert()


async def uncached(desk: Desk) -> Fan:
    """Returns a guest whose key the server has dropped from its cache."""
    fan = await desk.fan()
    await desk.fan()
    return fan


async def revoke(desk: Desk, user_key: str) -> None:
    """Revokes a key in the database alone, like a process that this one hasn't heard from."""
    await desk.owner.execute(
        """UPDATE user_key SET revoked_at = now(), revocation = 1
        WHERE key_hash = sha256($1::text::bytea)""",
        user_key,
    )


def batches(lane: str) -> float:
    """Returns the number of batches of a lane so far."""
    return REGISTRY.get_sample_value("frontrow_batch_items_count", {"lane": lane}) or 0


async def join(desk: Desk, key: str, concert_id: str) -> httpx2.Response:
    """Joins a line with a key."""
    return await desk.ask("POST", "/queue/tokens", key, json={"concert_id": concert_id})


async def places_of(desk: Desk, fan: Fan) -> int:
    """Returns how many places a user has."""
    found: int = await desk.owner.fetchval(
        "SELECT count(*) FROM place WHERE user_id = $1", fan.user_id
    )
    return found


async def test_unknown_key_costs_one_statement(desk: Desk, concert: Concert) -> None:
    """Only the batch of the join runs; afterwards the key is cached."""
    fan = await uncached(desk)
    before = batches("user_find"), batches("join")
    response = await join(desk, fan.user_key, concert.concert_id)
    assert response.status_code == 201
    assert response.json()["user_id"] == fan.user_id
    assert (batches("user_find"), batches("join")) == (before[0], before[1] + 1)
    assert (await fan.by_key("GET", "/users/me")).json()["user_id"] == fan.user_id
    assert batches("user_find") == before[0]
    await desk.fan()
    again = await join(desk, fan.user_key, concert.concert_id)
    assert (again.status_code, again.json()["token"]) == (200, response.json()["token"])
    assert batches("user_find") == before[0]
    # The control: another call with a key that isn't cached looks it up.
    await desk.fan()
    await fan.by_key("GET", "/users/me")
    assert batches("user_find") == before[0] + 1


async def test_cookie_of_a_page_costs_one_statement(desk: Desk, concert: Concert) -> None:
    """The same with the key in the cookie; its token is set as a cookie, and not in the body."""
    async with visiting(desk) as visitor:
        made = await visitor.ask("POST", "/session", json={})
        await desk.fan()
        before = batches("user_find")
        body = {"concert_id": concert.concert_id}
        response = await visitor.ask("POST", "/queue/tokens", json=body)
        assert (response.status_code, batches("user_find")) == (201, before)
        assert response.json()["user_id"] == made.json()["user_id"]
        assert "token" not in response.json()
        await revoke(desk, visitor.secrets()["frontrow_user"])
        await desk.fan()
        check_problem(
            await visitor.ask("POST", "/queue/tokens", json=body), 401, "credential_invalid"
        )


async def test_invalid_key_is_refused_before_anything_else(desk: Desk) -> None:
    """Whatever else is wrong with the call: the key first, as in every call. Controls: valid."""
    concert = await desk.concert(waiting_room={"policy": {"kind": "open"}})
    await desk.owner.execute(
        "UPDATE waiting_room SET closes_at = now() WHERE concert_id = $1", concert.concert_id
    )
    revoked = await uncached(desk)
    await revoke(desk, revoked.user_key)
    good = b'{"concert_id":"%b"}' % str(uuid4()).encode()
    calls: list[tuple[int, str, dict[str, Any]]] = [
        (400, "malformed", {"content": b"{", "headers": JSON}),
        (413, "too_large", {"content": b" " * 70_000, "headers": JSON}),
        (415, "unsupported_media_type", {"content": good}),
        (404, "not_found", {"content": good, "headers": JSON}),
        (409, "room_closed", {"json": {"concert_id": concert.concert_id}}),
    ]
    for status, code, request in calls:
        for key in (UNKNOWN, revoked.user_key):
            response = await desk.ask("POST", "/queue/tokens", key, **request)
            check_problem(response, 401, "credential_invalid")
        valid = await uncached(desk)
        response = await desk.ask("POST", "/queue/tokens", valid.user_key, **request)
        check_problem(response, status, code)
    invalid = await desk.ask("POST", "/queue/tokens", UNKNOWN, json={"concert": 1})
    check_problem(invalid, 401, "credential_invalid")
    valid = await uncached(desk)
    response = await desk.ask("POST", "/queue/tokens", valid.user_key, json={"concert": 1})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    issued = "SELECT issued FROM waiting_room WHERE concert_id = $1"
    assert await desk.owner.fetchval(issued, concert.concert_id) == 0


async def test_user_above_the_limit_gets_no_place(desk: Desk, concert: Concert) -> None:
    """A join counts against its user; above the limit it is refused before its statement."""
    fan = await uncached(desk)
    second = (await fan.by_key("POST", "/users/me/keys", json={"keep": True})).json()["user_key"]
    await desk.fan()
    for _ in range(BURST - 1):
        response = await join(desk, second, concert.concert_id)
        assert response.status_code in (200, 201)
        await desk.fan()  # drops the key again
    assert response.headers["ratelimit"].startswith('"user";r=0;')
    other = await desk.concert()
    check_problem(await join(desk, second, other.concert_id), 429, "rate_limited")
    assert await places_of(desk, fan) == 1
    # Another user, whose key isn't cached either, still joins.
    someone = await uncached(desk)
    assert (await join(desk, someone.user_key, other.concert_id)).status_code == 201
    # The limit comes after the key, and before the body.
    assert (await join(desk, UNKNOWN, other.concert_id)).status_code == 401
    assert (await join(desk, second, "no id")).status_code == 429


async def test_refused_join_counts_against_its_user(desk: Desk) -> None:
    """Also if it is refused before its statement: the user is looked up for that."""
    fan = await uncached(desk)
    for _ in range(BURST):
        await desk.fan()
        assert (await join(desk, fan.user_key, str(uuid4()))).status_code == 404
    await desk.fan()
    assert (await join(desk, fan.user_key, str(uuid4()))).status_code == 429


async def test_token_is_no_key(desk: Desk, concert: Concert) -> None:
    """A queue token, or no credential, is refused as in every call with a key."""
    waiting = await desk.waiting(concert)
    for credential, code in ((waiting.token, "credential_invalid"), (None, "credential_missing")):
        response = await desk.ask(
            "POST", "/queue/tokens", credential, json={"concert_id": concert.concert_id}
        )
        check_problem(response, 401, code)
