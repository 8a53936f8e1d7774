"""Users of an OpenID issuer, over HTTP: an ID token wherever a user key is accepted."""

from collections.abc import AsyncIterator, Iterator

import pytest

from frontrow.users.id_token import user_id_of
from testkit.database import Database
from testkit.desk import Desk, Fan, check_problem, open_desk
from testkit.issuer import AUDIENCE, Issuer, running_issuer
from testkit.visitors import visiting


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """The issuer of the module."""
    with running_issuer() as running:
        yield running


@pytest.fixture(scope="module")
async def desk(module_database: Database, issuer: Issuer) -> AsyncIterator[Desk]:
    """A server that accepts the issuer's tokens, without guest accounts."""
    async with open_desk(
        module_database, oidc_issuer=issuer.address, oidc_audience=AUDIENCE
    ) as made:
        yield made


async def test_purchase_with_an_id_token(desk: Desk, issuer: Issuer) -> None:
    """Join, pay and read the purchase."""
    concert = await desk.concert()
    user_id = str(user_id_of(issuer.address, "buyer"))
    fan = Fan(desk, user_id, issuer.token("buyer").decode())
    status = await fan.join(concert)
    assert status["user_id"] == user_id
    await fan.until("admitted")
    await fan.charge(100_000)
    held = await fan.hold(concert, 7)
    path = f"/reservations/{held['reservation_id']}"
    for ask in (fan.by_key, fan.by_token):  # what takes a key or a token takes either
        assert (await ask("GET", path)).status_code == 200
    payment = await fan.pay(held)
    fan.user_key = issuer.token("buyer", nonce="later").decode()
    me = (await fan.by_key("GET", "/users/me")).json()
    assert (me["user_id"], me["balance"], me["payments"]) == (user_id, 50_000, [payment])
    assert (await fan.by_key("GET", f"/users/{user_id}/balance/transfers")).status_code == 200
    other = issuer.token("another").decode()
    check_problem(await desk.ask("GET", path, other), 404, "not_found")


async def test_guest_accounts_are_refused(desk: Desk) -> None:
    """POST /users, and a page's POST /session: 403 not_allowed, and no account is created."""
    users = "SELECT count(*) FROM app_user"
    before = await desk.owner.fetchval(users)
    check_problem(await desk.ask("POST", "/users", json={}), 403, "not_allowed")
    async with visiting(desk) as visitor:
        refused = await visitor.ask("POST", "/session", json={})
        check_problem(refused, 403, "not_allowed")
    assert await desk.owner.fetchval(users) == before


async def test_guests_and_issuer_are_both_accepted(
    module_database: Database, issuer: Issuer
) -> None:
    """FRONTROW_GUESTS=true: both credentials are accepted."""
    async with open_desk(
        module_database, oidc_issuer=issuer.address, oidc_audience=AUDIENCE, guests=True
    ) as both:
        fan = await both.fan()
        assert (await fan.by_key("GET", "/users/me")).status_code == 200
        assert (await both.ask("GET", "/users/me", issuer.token().decode())).status_code == 200


async def test_id_token_is_refused_without_an_issuer(
    module_database: Database, issuer: Issuer
) -> None:
    """Guest accounts are refused only where they are turned off."""
    async with open_desk(module_database, guests=False) as plain:
        response = await plain.ask("GET", "/users/me", issuer.token().decode())
        check_problem(response, 401, "credential_invalid")
        check_problem(await plain.ask("POST", "/users", json={}), 403, "not_allowed")


async def test_id_token_gets_no_user_key(desk: Desk, issuer: Issuer) -> None:
    """It would outlive the token; the operator can still issue one."""
    token = issuer.token("keyless").decode()
    response = await desk.ask("POST", "/users/me/keys", token, json={})
    check_problem(response, 401, "credential_invalid")
    user_id = user_id_of(issuer.address, "keyless")
    issued = await desk.operate("POST", f"/admin/users/{user_id}/keys")
    key = issued.json()["user_key"]
    assert (await desk.ask("GET", "/users/me", key)).json()["user_id"] == str(user_id)
    assert (await desk.ask("DELETE", "/users/me/keys", token)).status_code == 204
    check_problem(await desk.ask("GET", "/users/me", key), 401, "credential_invalid")


async def test_id_token_is_no_other_credential(desk: Desk, issuer: Issuer) -> None:
    """Neither a queue token nor the operator's key; nor is a queue token an ID token."""
    token = issuer.token("buyer").decode()
    for method, path in (("GET", "/queue/tokens/me"), ("GET", "/admin/audit")):
        check_problem(await desk.ask(method, path, token), 401, "credential_invalid")
    concert = await desk.concert()
    fan = Fan(desk, str(user_id_of(issuer.address, "buyer")), token)
    await fan.join(concert)
    check_problem(await fan.by_token("GET", "/users/me"), 401, "credential_invalid")
    for damaged in (fan.token[:-4] + "AAAA", "x" + fan.token, "e30.e30.e30"):
        response = await desk.ask("GET", f"/users/{fan.user_id}/balance/transfers", damaged)
        check_problem(response, 401, "credential_invalid")


async def test_id_token_of_8_kib_is_accepted(desk: Desk, issuer: Issuer) -> None:
    """Accepted up to 8 KiB."""
    long, longer = (issuer.token("buyer", more="x" * size).decode() for size in (4_000, 7_000))
    assert (await desk.ask("GET", "/users/me", long)).status_code == 200
    assert len(longer) > 8192
    check_problem(await desk.ask("GET", "/users/me", longer), 401, "credential_invalid")


async def test_unavailable_issuer_gives_503(module_database: Database, issuer: Issuer) -> None:
    """The server starts without it; a token that can't be verified gives 503."""
    issuer.away = True
    try:
        async with open_desk(
            module_database, oidc_issuer=issuer.address, oidc_audience=AUDIENCE, guests=True
        ) as made:
            response = await made.ask("GET", "/users/me", issuer.token().decode())
            check_problem(response, 503, "unavailable")
            assert response.headers["retry-after"] == "1"
            assert (await (await made.fan()).by_key("GET", "/users/me")).status_code == 200
    finally:
        issuer.away = False
