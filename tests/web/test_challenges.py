"""Proof of work before a guest account is created, over HTTP."""

import base64
import json
from collections.abc import AsyncIterator

import altcha
import pytest

from testkit.database import Database
from testkit.desk import Desk, check_problem, open_desk
from testkit.visitors import visiting


@pytest.fixture(scope="module")
async def desk(module_database: Database) -> AsyncIterator[Desk]:
    """A server that requires a small proof of work."""
    async with open_desk(module_database, guest_challenge=20) as made:
        yield made


async def solved(desk: Desk) -> str:
    """Returns the solution of a new challenge."""
    response = await desk.ask("GET", "/users/challenge")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    challenge = altcha.Challenge.from_dict(response.json())
    solution = altcha.solve_challenge(challenge)
    assert solution is not None
    return altcha.Payload(challenge, solution).to_base64()


async def test_account_needs_a_solution(desk: Desk) -> None:
    """Without a solution 403 challenge_required; with one 201, once."""
    check_problem(await desk.ask("POST", "/users", json={}), 403, "challenge_required")
    payload = await solved(desk)
    assert (await desk.ask("POST", "/users", json={"altcha": payload})).status_code == 201
    again = await desk.ask("POST", "/users", json={"altcha": payload})
    check_problem(again, 403, "challenge_failed", reason="used")


async def test_page_session_needs_a_solution(desk: Desk) -> None:
    """POST /session requires the same, except of a browser that has a user."""
    async with visiting(desk) as visitor:
        refused = await visitor.ask("POST", "/session", json={})
        check_problem(refused, 403, "challenge_required")
        made = await visitor.ask("POST", "/session", json={"altcha": await solved(desk)})
        assert made.status_code == 201
        assert (await visitor.ask("POST", "/session", json={})).status_code == 200


async def test_invalid_solution_is_refused(desk: Desk) -> None:
    """An altered, unsolved or missing payload is 403 or 422, and no user is created."""
    before = await desk.digest()
    said = json.loads(base64.b64decode(await solved(desk)))
    said["solution"]["derivedKey"] = "00" * 32
    for payload in (base64.b64encode(json.dumps(said).encode()).decode(), "", "e30=", "~"):
        response = await desk.ask("POST", "/users", json={"altcha": payload})
        check_problem(response, 403, "challenge_failed", reason="invalid")
    for wrong in (7, ["x"], "x" * 4097):
        response = await desk.ask("POST", "/users", json={"altcha": wrong})
        assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert await desk.digest() == before


async def test_server_without_challenges_needs_no_solution(module_database: Database) -> None:
    """GET /users/challenge is 404, POST /users {} is 201, and a solution is accepted."""
    async with open_desk(module_database) as plain:
        check_problem(await plain.ask("GET", "/users/challenge"), 404, "not_found")
        for body in ({}, {"altcha": None}, {"altcha": "e30="}):
            assert (await plain.ask("POST", "/users", json=body)).status_code == 201
