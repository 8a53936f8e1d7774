"""The pages' cookies: what they allow, what they don't, and that no answer has their secrets."""

import re
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError

from frontrow.errors import CredentialInvalid
from frontrow.operators.operator_key import OperatorKey
from frontrow.settings import Settings
from frontrow.web.access.cookies import MOST_PLACES
from testkit.database import Database
from testkit.desk import Concert, Desk, check_problem, open_desk
from testkit.serving import OPERATOR_KEY
from testkit.visitors import Visitor, visiting

FOREIGN = "https://evil.example"


@pytest.fixture
async def visitor(desk: Desk) -> AsyncIterator[Visitor]:
    """A browser on a page of the server."""
    async with visiting(desk) as made:
        yield made


@pytest.fixture(scope="module")
async def concert(desk: Desk) -> Concert:
    """A concert with an open line."""
    return await desk.concert()


def attributes(response: httpx2.Response) -> list[str]:
    """Returns the cookies that an answer sets, without their values."""
    return [
        re.sub("=[^;]*", "", cookie, count=1) for cookie in response.headers.get_list("set-cookie")
    ]


async def test_guest_is_created_once_by_cookie(visitor: Visitor) -> None:
    """POST /session creates a guest once; the key is in the cookie and nowhere else."""
    made = await visitor.ask("POST", "/session", json={})
    assert made.status_code == 201
    assert set(made.json()) == {"user_id", "signed_in", "places", "operator"}
    assert attributes(made)[-1] == (
        "frontrow_user; Path=/; Max-Age=34560000; HttpOnly; SameSite=Strict"
    )
    assert made.headers["cache-control"] == "no-store"
    again = await visitor.ask("POST", "/session", json={})
    assert (again.status_code, again.json()) == (200, made.json())
    assert (await visitor.ask("GET", "/session")).json() == made.json()
    mine = await visitor.ask("GET", "/users/me")
    assert mine.json()["user_id"] == made.json()["user_id"]
    assert mine.headers["cache-control"] == "private, no-cache"
    assert visitor.secrets()["frontrow_user"] not in made.text + again.text
    refused = await visitor.ask("POST", "/users/me/keys", json={})
    check_problem(refused, 401, "credential_missing")


async def test_whole_path_works_by_cookie(visitor: Visitor, concert: Concert) -> None:
    """Joining sets a cookie for the place; no other request needs a token."""
    user_id = (await visitor.sign_in())["user_id"]
    status = await visitor.join(concert)
    assert "token" not in status
    name = f"frontrow_place_{concert.concert_id.replace('-', '')}"
    assert visitor.secrets()[name].count(".") == 2
    while status["state"] != "admitted":
        status = (await visitor.call(concert, "GET", "/queue/tokens/me")).json()
    base = f"/concerts/{concert.concert_id}/dates"
    assert (await visitor.ask("GET", base)).json()["dates"]
    assert (await visitor.ask("GET", f"{base}/{concert.date}/seats")).status_code == 200
    held = (
        await visitor.call(
            concert, "POST", "/reservations", json={"date": concert.date, "seats": [1]}
        )
    ).json()
    charge = f"/users/{user_id}/balance/charges"
    await visitor.call(concert, "POST", charge, json={"amount": 50_000})
    order = {"reservation_id": held["reservation_id"], "amount": held["amount"]}
    for expected in (201, 200):  # the finished token stays valid for repeated requests
        paid = await visitor.call(concert, "POST", "/payments", json=order)
        assert paid.status_code == expected
    assert (await visitor.ask("GET", "/session")).json()["places"] == [concert.concert_id]


async def test_leaving_drops_the_cookie_of_the_place(visitor: Visitor, concert: Concert) -> None:
    """Leaving the line drops its cookie; signing out drops all cookies."""
    await visitor.sign_in()
    await visitor.join(concert)
    await visitor.call(concert, "DELETE", "/queue/tokens/me")
    assert list(visitor.secrets()) == ["frontrow_user"]
    await visitor.join(concert)
    assert (await visitor.ask("DELETE", "/session")).status_code == 204
    assert visitor.secrets() == {}
    assert (await visitor.ask("GET", "/session")).json() == {
        "user_id": None,
        "signed_in": False,
        "places": [],
        "operator": False,
    }


async def test_concert_selects_the_place(visitor: Visitor, desk: Desk, concert: Concert) -> None:
    """The concert in the path or the header selects the place; without one the user calls."""
    other = await desk.concert()
    await visitor.sign_in()
    await visitor.join(concert)
    await visitor.join(other)
    for each in (concert, other):
        shown = await visitor.call(each, "GET", "/queue/tokens/me")
        assert shown.json()["concert_id"] == each.concert_id
        assert "frontrow-concert" in shown.headers["vary"]
    check_problem(await visitor.ask("GET", "/queue/tokens/me"), 401, "credential_missing")
    # With the key, reservations of every concert are returned; with a token, its own concert's.
    status = {"state": "waiting"}
    while status["state"] != "admitted":
        status = (await visitor.call(concert, "GET", "/queue/tokens/me")).json()
    wanted = {"date": concert.date, "seats": [40]}
    held = (await visitor.call(concert, "POST", "/reservations", json=wanted)).json()
    path = f"/reservations/{held['reservation_id']}"
    assert (await visitor.ask("GET", path)).status_code == 200
    check_problem(await visitor.call(other, "GET", path), 403, "not_allowed")


async def test_authorization_has_priority_over_cookies(visitor: Visitor, desk: Desk) -> None:
    """If both are sent the header is used, even if it is invalid."""
    await visitor.sign_in()
    fan = await desk.fan()
    shown = await visitor.ask("GET", "/users/me", fan.user_key)
    assert shown.json()["user_id"] == fan.user_id
    check_problem(await visitor.ask("GET", "/users/me", "frk_no"), 401, "credential_invalid")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": FOREIGN},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=lambda headers: "-".join(headers.values()) or "empty",
)
async def test_cookies_of_another_site_are_ignored(
    visitor: Visitor, concert: Concert, headers: dict[str, str]
) -> None:
    """A call that another site may have sent has no credential, and changes no session."""
    await visitor.sign_in()
    request: dict[str, Any] = {"json": {"concert_id": concert.concert_id}, "headers": headers}
    check_problem(await visitor.ask("POST", "/queue/tokens", **request), 401, "credential_missing")
    for method in ("POST", "DELETE"):
        body: dict[str, Any] = {"json": {}} if method == "POST" else {}
        refused = await visitor.ask(method, "/session", headers=headers, **body)
        check_problem(refused, 403, "not_allowed")
        assert attributes(refused) == []
    if "Sec-Fetch-Site" in headers or headers["Origin"] == FOREIGN:
        shown = await visitor.ask("GET", "/users/me", headers=headers)
        check_problem(shown, 401, "credential_missing")
        assert (await visitor.ask("GET", "/session", headers=headers)).json()["user_id"] is None


async def test_unsafe_call_needs_an_origin(desk: Desk, visitor: Visitor) -> None:
    """Without Origin a POST with a cookie has no credential; the same call with a header works."""
    await visitor.sign_in()
    concert = await desk.concert()
    answer = await visitor.http.post(
        "/api/v1/queue/tokens", json={"concert_id": concert.concert_id}
    )
    check_problem(answer, 401, "credential_missing")
    key = visitor.secrets()["frontrow_user"]
    answer = await visitor.http.post(
        "/api/v1/queue/tokens",
        json={"concert_id": concert.concert_id},
        headers={"Authorization": f"Bearer {key}"},
    )
    assert answer.status_code == 201
    assert answer.json()["token"]


async def test_https_cookies_are_secure(visitor: Visitor, concert: Concert) -> None:
    """The cookies are Secure and named __Host-; one without that name is ignored."""
    secure = visitor.origin.replace("http:", "https:")
    tls = {"Origin": secure, "X-Forwarded-Proto": "https"}
    made = await visitor.ask("POST", "/session", json={}, headers=tls)
    assert attributes(made)[-1] == (
        "__Host-frontrow_user; Path=/; Max-Age=34560000; HttpOnly; SameSite=Strict; Secure"
    )
    key = made.headers.get_list("set-cookie")[-1].partition("=")[2].partition(";")[0]
    visitor.http.cookies.clear()
    for name, status in (("__Host-frontrow_user", 200), ("frontrow_user", 401)):
        request = {"X-Forwarded-Proto": "https", "Cookie": f"{name}={key}"}
        assert (await visitor.ask("GET", "/users/me", headers=request)).status_code == status
    # The Origin alone shows it too; a proxy may not report it.
    request = {"Origin": secure, "Cookie": f"frontrow_user={key}"}
    joining: dict[str, Any] = {"json": {"concert_id": concert.concert_id}, "headers": request}
    check_problem(await visitor.ask("POST", "/queue/tokens", **joining), 401, "credential_missing")
    request["Cookie"] = f"__Host-frontrow_user={key}"
    joined = await visitor.ask("POST", "/queue/tokens", **joining)
    assert "Secure" in joined.headers["set-cookie"]


async def test_only_the_public_origin_is_accepted(database: Database) -> None:
    """With FRONTROW_PUBLIC_ORIGIN only that origin is accepted, whatever Host says."""
    origin = "https://tickets.example.org"
    async with open_desk(database, public_origin=origin) as desk, visiting(desk) as visitor:
        check_problem(await visitor.ask("POST", "/session", json={}), 403, "not_allowed")
        visitor.origin = origin
        made = await visitor.ask("POST", "/session", json={})
        assert made.status_code == 201
        assert attributes(made)[-1].startswith("__Host-frontrow_user;")


@pytest.mark.parametrize("origin", ["tickets.example.org", "https://a.example/", "ftp://a.example"])
def test_invalid_public_origin_is_refused(origin: str) -> None:
    """An origin is a scheme and a host, without a path."""
    with pytest.raises(ValidationError):
        Settings(public_origin=origin)


async def test_places_are_few_enough_for_a_header(visitor: Visitor, desk: Desk) -> None:
    """The oldest places are dropped; joining again returns the same place."""
    concerts = [await desk.concert() for _ in range(MOST_PLACES + 1)]
    await visitor.sign_in()
    numbers = [(await visitor.join(concert))["number"] for concert in concerts]
    kept = (await visitor.ask("GET", "/session")).json()["places"]
    assert kept == [concert.concert_id for concert in concerts[1:]]
    assert (await visitor.join(concerts[0]))["number"] == numbers[0]


@pytest.mark.parametrize("cookie", ["frontrow_user=", "frontrow_user=frk_no", "frontrow_user=é"])
async def test_invalid_cookie_is_ignored(visitor: Visitor, cookie: str) -> None:
    """An invalid cookie is no credential, and signing in replaces it."""
    headers = {b"Cookie": cookie.encode("latin-1")}
    answer = await visitor.ask("GET", "/users/me", headers=headers)
    assert answer.status_code == 401
    made = await visitor.ask("POST", "/session", json={}, headers=headers)
    assert made.status_code == 201


async def test_operator_session_makes_operator_calls(visitor: Visitor, concert: Concert) -> None:
    """The key opens a session, which makes the operator's calls and doesn't contain the key."""
    path = f"/admin/concerts/{concert.concert_id}/stats"
    check_problem(await visitor.ask("GET", path), 401, "credential_missing")
    refused = await visitor.ask("POST", "/admin/session", "not-the-operator-key")
    check_problem(refused, 401, "credential_invalid")
    made = await visitor.ask("POST", "/admin/session", OPERATOR_KEY)
    assert made.status_code == 201
    assert attributes(made) == [
        "frontrow_operator; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"
    ]
    assert (await visitor.ask("GET", path)).status_code == 200
    assert (await visitor.ask("GET", "/session")).json()["operator"] is True
    renewed = await visitor.ask("POST", "/admin/session")  # else a copied session would never end
    check_problem(renewed, 401, "credential_missing")
    assert attributes(renewed) == []
    again = await visitor.ask("POST", "/admin/session", OPERATOR_KEY)
    assert again.status_code == 201
    session = visitor.secrets()["frontrow_operator"]
    assert OPERATOR_KEY not in session
    # In a header it is not a credential, and in a fan's cookie neither.
    check_problem(await visitor.ask("GET", path, session), 401, "credential_invalid")
    check_problem(await visitor.ask("GET", "/users/me"), 401, "credential_missing")
    elsewhere = {"Origin": FOREIGN}
    change = await visitor.ask("PATCH", path.removesuffix("/stats"), json={}, headers=elsewhere)
    check_problem(change, 401, "credential_missing")
    signing = await visitor.ask("POST", "/admin/session", OPERATOR_KEY, headers=elsewhere)
    check_problem(signing, 403, "not_allowed")
    other = await visitor.ask("GET", "/session", headers=elsewhere)
    assert other.json()["operator"] is False
    assert (await visitor.ask("DELETE", "/admin/session")).status_code == 204
    assert (await visitor.ask("GET", "/session")).json()["operator"] is False
    check_problem(await visitor.ask("GET", path), 401, "credential_missing")


async def test_forged_operator_session_is_refused(visitor: Visitor, concert: Concert) -> None:
    """An altered, foreign, expired or malformed session is refused."""
    path = f"/admin/concerts/{concert.concert_id}/stats"
    genuine, expires = OperatorKey(OPERATOR_KEY).new_session()
    assert expires > time.time()
    another, _ = OperatorKey("another-operator-key").new_session()
    for session in (
        genuine.replace(str(expires), str(expires + 1)),
        genuine[:-2] + ("0" if genuine[-2] != "0" else "1") + genuine[-1],
        another,
        "x",
        "..",
        OPERATOR_KEY,
    ):
        cookie = {"Cookie": f"frontrow_operator={session}"}
        answer = await visitor.ask("GET", path, headers=cookie)
        check_problem(answer, 401, "credential_invalid")
        response = await visitor.ask("GET", "/session", headers=cookie)
        assert response.json()["operator"] is False
    answer = await visitor.ask("GET", path, headers={"Cookie": f"frontrow_operator={genuine}"})
    assert answer.status_code == 200


def test_operator_session_ends_after_twelve_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session ends after twelve hours."""
    key = OperatorKey(OPERATOR_KEY)
    session, expires = key.new_session()
    monkeypatch.setattr(time, "time", lambda: expires - 1)
    key.check_session(session.encode())
    monkeypatch.setattr(time, "time", lambda: expires)
    with pytest.raises(CredentialInvalid):
        key.check_session(session.encode())
