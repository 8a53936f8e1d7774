"""User keys over HTTP."""

from uuid import uuid4

import pytest

from testkit.desk import Desk, check_problem, eventually


async def test_user_exchanges_the_key(desk: Desk) -> None:
    """POST /users/me/keys: 201 with a valid key; the old one is invalid."""
    fan = await desk.fan()
    response = await fan.by_key("POST", "/users/me/keys", json={})
    assert response.status_code == 201
    issued = response.json()
    assert issued["user_id"] == fan.user_id
    assert (await desk.ask("GET", "/users/me", issued["user_key"])).status_code == 200
    check_problem(await fan.by_key("GET", "/users/me"), 401, "credential_invalid")


async def test_user_revokes_the_other_keys(desk: Desk) -> None:
    """DELETE /users/me/keys: 204; the other keys are invalid, the key of the call stays valid."""
    fan = await desk.fan()
    kept = (await fan.by_key("POST", "/users/me/keys", json={"keep": True})).json()["user_key"]
    assert (await fan.by_key("DELETE", "/users/me/keys")).status_code == 204
    assert (await fan.by_key("GET", "/users/me")).status_code == 200
    check_problem(await desk.ask("GET", "/users/me", kept), 401, "credential_invalid")


async def test_keys_of_a_user_are_limited(desk: Desk) -> None:
    """One key above the limit is 409 key_limit."""
    fan = await desk.fan()
    for _ in range(9):
        await fan.by_key("POST", "/users/me/keys", json={"keep": True})
    before = await desk.digest()
    response = await fan.by_key("POST", "/users/me/keys", json={"keep": True})
    check_problem(response, 409, "key_limit", limit=10)
    assert await desk.digest() == before


async def test_operator_reissues_a_key(desk: Desk) -> None:
    """POST and DELETE /admin/users/{user_id}/keys; 404 for an unknown user."""
    fan = await desk.fan()
    keys = f"/admin/users/{fan.user_id}/keys"
    issued = await desk.operate("POST", keys)
    assert issued.status_code == 201
    check_problem(await fan.by_key("GET", "/users/me"), 401, "credential_invalid")
    fan.user_key = issued.json()["user_key"]
    assert (await fan.by_key("GET", "/users/me")).status_code == 200
    assert (await desk.operate("DELETE", keys)).status_code == 204
    check_problem(await fan.by_key("GET", "/users/me"), 401, "credential_invalid")
    for method in ("POST", "DELETE"):
        unknown = await desk.operate(method, f"/admin/users/{uuid4()}/keys")
        check_problem(unknown, 404, "not_found")


async def test_exchange_is_replayed(desk: Desk) -> None:
    """The same Idempotency-Key returns the same user key and revokes no other."""
    fan, other = await desk.fan(), await desk.fan()
    headers = {"Idempotency-Key": f"lost-{fan.user_id}"}
    first, again = [
        await desk.operate("POST", f"/admin/users/{fan.user_id}/keys", headers=headers)
        for _ in range(2)
    ]
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert (await desk.ask("GET", "/users/me", first.json()["user_key"])).status_code == 200
    others = await desk.operate("POST", f"/admin/users/{other.user_id}/keys", headers=headers)
    check_problem(others, 422, "idempotency_key_reused")
    assert (await other.by_key("GET", "/users/me")).status_code == 200


async def test_revocation_by_another_process_is_applied(desk: Desk) -> None:
    """A key that another process revoked is soon refused, although it was cached here."""
    fan = await desk.fan()
    assert (await fan.by_key("GET", "/users/me")).status_code == 200
    await desk.owner.execute("SELECT FROM user_key_revoke($1, NULL)", fan.user_id)

    async def is_refused() -> bool:
        return (await fan.by_key("GET", "/users/me")).status_code == 401

    await eventually(is_refused)


@pytest.mark.parametrize("body", [{"keep": 1}, {"keep": None}, {"all": True}, []])
async def test_malformed_body_is_refused(desk: Desk, body: object) -> None:
    """A malformed body is 422, and the key stays valid."""
    fan = await desk.fan()
    response = await fan.by_key("POST", "/users/me/keys", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert (await fan.by_key("GET", "/users/me")).status_code == 200
