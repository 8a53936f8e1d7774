"""The operator's calls about signing keys, and tokens during a rotation."""

import base64
import json

from testkit.desk import Desk, check_problem, eventually


def key_id_of(token: str) -> str:
    """Returns the id of the key that signed a token."""
    return str(json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))["kid"])


async def test_tokens_stay_valid_through_a_rotation(desk: Desk) -> None:
    """The new key signs after a delay; old tokens are valid until their key is retired."""
    concert = await desk.concert()
    fan = await desk.waiting(concert)
    old, old_token = key_id_of(fan.token), fan.token
    check_problem(await desk.operate("POST", f"/admin/keys/{old}/retire"), 409, "key_in_use")
    response = await desk.operate("POST", "/admin/keys/rotations", json={})
    assert response.status_code == 201
    new = response.json()
    assert (new["purpose"], new["state"], new["retired_at"]) == ("token", "coming", None)
    # Ends the delay of a rotation now.
    await desk.owner.execute(
        "UPDATE signing_key SET created_at = created_at - interval '5 seconds',"
        " signs_at = signs_at - interval '5 seconds' WHERE key_id = $1",
        new["key_id"],
    )

    async def new_one_signs() -> bool:
        assert (await fan.by_token("GET", "/queue/tokens/me")).status_code == 200
        return key_id_of((await desk.waiting(concert)).token) == str(new["key_id"])

    await eventually(new_one_signs)
    assert (await desk.operate("POST", f"/admin/keys/{old}/retire")).status_code == 204
    check_problem(await fan.by_token("GET", "/queue/tokens/me"), 401, "credential_invalid")
    again = await fan.join(concert)
    assert (again["number"], key_id_of(fan.token)) == (1, new["key_id"])
    assert fan.token != old_token
    assert (await fan.status())["number"] == 1


async def test_keys_are_listed_without_their_secrets(desk: Desk) -> None:
    """GET /admin/keys: each key, its purpose and its state, without its secret."""
    response = await desk.operate("GET", "/admin/keys")
    for key in response.json()["keys"]:
        assert set(key) == {"key_id", "purpose", "state", "signs_at", "retired_at"}
    assert {key["purpose"] for key in response.json()["keys"]} >= {"token", "ticket"}
    secrets = await desk.owner.fetch("SELECT secret FROM signing_key")
    assert all(row["secret"].hex() not in response.text for row in secrets)


async def test_invalid_rotation_is_refused(desk: Desk) -> None:
    """An unknown purpose, field or key; another credential than the operator's."""
    before = await desk.digest()
    for body in ({"purpose": "operator"}, {"purpose": None}, {"secret": "x"}):
        response = await desk.operate("POST", "/admin/keys/rotations", json=body)
        assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    check_problem(await desk.operate("POST", "/admin/keys/00000000/retire"), 404, "not_found")
    response = await desk.operate("POST", f"/admin/keys/{'0' * 65}/retire")
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    fan = await desk.fan()
    for method, path in (("GET", ""), ("POST", "/rotations"), ("POST", "/00000000/retire")):
        response = await fan.by_key(method, f"/admin/keys{path}")
        check_problem(response, 401, "credential_invalid")
    after = await desk.digest()
    assert {name: after[name] for name in before if name not in ("app_user", "user_key")} == {
        name: before[name] for name in before if name not in ("app_user", "user_key")
    }
