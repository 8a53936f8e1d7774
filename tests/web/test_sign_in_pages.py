"""Signing in on the pages: to the issuer and back, and every invalid answer."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

import httpx2
import pytest
from joserfc.jwk import RSAKey
from structlog.testing import capture_logs

from frontrow.users import attempt as attempts
from frontrow.users import code_flow
from frontrow.users.id_token import user_id_of
from testkit.database import Database
from testkit.desk import Desk, check_problem, eventually, open_desk
from testkit.issuer import (
    AUDIENCE,
    AUTHORIZE,
    DISCOVERY,
    TOKEN,
    Issuer,
    as_at_its_start,
    running_issuer,
)
from testkit.visitors import Visitor, visiting

FAN = "fan"


@pytest.fixture(scope="module")
def running() -> Iterator[Issuer]:
    """The issuer of the module."""
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(running: Issuer) -> Iterator[Issuer]:
    """The issuer, reset."""
    with as_at_its_start(running) as issuer:
        yield issuer


@pytest.fixture(scope="module")
async def desk(module_database: Database, running: Issuer) -> AsyncIterator[Desk]:
    """A server with the issuer, without guest accounts."""
    async with open_desk(
        module_database, oidc_issuer=running.address, oidc_audience=AUDIENCE
    ) as made:
        yield made


@pytest.fixture(scope="module")
async def both(module_database: Database, running: Issuer) -> AsyncIterator[Desk]:
    """A server with the issuer and guest accounts."""
    async with open_desk(
        module_database, oidc_issuer=running.address, oidc_audience=AUDIENCE, guests=True
    ) as made:
        yield made


@pytest.fixture
async def visitor(desk: Desk) -> AsyncIterator[Visitor]:
    """A browser at a page of the server."""
    async with visiting(desk) as made:
        yield made


async def get(
    visitor: Visitor, path: str, site: str = "same-origin", **headers: str
) -> httpx2.Response:
    """Opens a page, as a link or a redirect does."""
    return await visitor.http.get(path, headers={"Sec-Fetch-Site": site, **headers})


async def start(visitor: Visitor, back: str = "/tickets") -> str:
    """Begins an attempt; returns the issuer's URL for it."""
    response = await get(visitor, f"/sign-in?{urlencode({'to': back})}")
    assert response.status_code == 303, response.text
    return response.headers["location"]


async def come_back(visitor: Visitor, address: str) -> httpx2.Response:
    """Follows the issuer's answer through the callback page; returns the last response."""
    path = address.removeprefix(visitor.origin)
    assert path.startswith("/sign-in/callback")
    page = await get(visitor, path, "cross-site")
    assert page.status_code == 200
    assert "set-cookie" not in page.headers
    assert page.headers["cache-control"] == "no-store"
    refresh = re.search(r'http-equiv="refresh" content="0;url=([^"]*)"', page.text)
    assert refresh
    assert f'href="{refresh[1]}"' in page.text
    return await get(visitor, unescape(refresh[1]))


async def sign_in(
    visitor: Visitor, issuer: Issuer, subject: str = FAN, back: str = "/tickets"
) -> httpx2.Response:
    """Signs in; returns the last response."""
    return await come_back(visitor, issuer.grant(await start(visitor, back), subject))


async def is_signed_in(visitor: Visitor) -> bool:
    """Whether the browser has a valid user key."""
    return (await visitor.ask("GET", "/session")).json()["user_id"] is not None


async def check_refused(
    visitor: Visitor, response: httpx2.Response, status: int, said: str
) -> None:
    """Checks for an error page with a link to try again; the browser is not signed in."""
    assert response.status_code == status, response.text
    assert said in response.text
    assert 'href="/sign-in?to=' in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert not await is_signed_in(visitor)


async def test_sign_in_opens_a_session(desk: Desk, visitor: Visitor, issuer: Issuer) -> None:
    """The request to the issuer is complete; the browser returns to where it was."""
    address = await start(visitor, "/concerts/1?show=2&x=%C3%A4")
    assert address.startswith(f"{issuer.address}{AUTHORIZE}?")
    asked = dict(parse_qsl(urlsplit(address).query))
    assert asked["redirect_uri"] == f"{visitor.origin}/sign-in/callback"
    kept = visitor.secrets()["frontrow_sign_in"]
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    assert kept not in address
    response = await come_back(visitor, issuer.grant(address, FAN))
    assert (response.status_code, response.text) == (303, "")
    assert response.headers["location"] == "/concerts/1?show=2&x=%C3%A4"
    cookies = response.headers.get_list("set-cookie")
    assert [re.sub("=[^;]*", "", cookie, count=1) for cookie in cookies] == [
        "frontrow_user; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict",
        "frontrow_sign_in; Path=/; Max-Age=0; HttpOnly; SameSite=Strict",
    ]
    me = (await visitor.ask("GET", "/users/me")).json()
    assert me["user_id"] == str(user_id_of(issuer.address, FAN))
    assert list(visitor.secrets()) == ["frontrow_user"]
    assert (await visitor.ask("GET", "/session")).json() == {
        "user_id": me["user_id"],
        "signed_in": True,
        "places": [],
        "operator": False,
    }
    assert issuer.asked.count(TOKEN) == 1
    row = await desk.owner.fetchrow(
        "SELECT * FROM user_key WHERE user_id = $1", UUID(me["user_id"])
    )
    assert (row["expires_at"] - row["created_at"]).total_seconds() == 604_800


async def test_https_sign_in_uses_secure_cookies(visitor: Visitor) -> None:
    """Behind a proxy that ends TLS: an https redirect URI, __Host- cookies that are Secure."""
    response = await get(visitor, "/sign-in", **{"X-Forwarded-Proto": "https"})
    asked = dict(parse_qsl(urlsplit(response.headers["location"]).query))
    assert asked["redirect_uri"].startswith("https://127.0.0.1:")
    assert re.fullmatch(
        r"__Host-frontrow_sign_in=[\w.-]+; Path=/; Max-Age=600; HttpOnly; SameSite=Strict; Secure",
        response.headers["set-cookie"],
    )
    odd = await get(visitor, "/sign-in", Host="evil.example/?")
    assert odd.status_code == 400


@pytest.mark.parametrize(
    ("to", "referer", "back"),
    [
        ("/tickets", "/", "/tickets"),
        (None, "/concerts/1/seats?show=2", "/concerts/1/seats?show=2"),
        (None, None, "/"),
        ("//evil.example", None, "/"),
        ("/\\evil.example", None, "/"),
        ("https://evil.example/", None, "/"),
        ("javascript:alert(1)", None, "/"),
        ("/%0d%0aset-cookie:x", None, "/%0d%0aset-cookie:x"),
        ("/\r\nset-cookie: x=y", None, "/"),
        ("/\t/evil.example", None, "/"),
        ("evil.example", None, "/"),
        ("/" + "x" * 600, None, "/"),
        ("/ä", None, "/"),
    ],
)
async def test_return_path_is_local(
    visitor: Visitor, issuer: Issuer, to: str | None, referer: str | None, back: str
) -> None:
    """Anything else returns to the list of concerts."""
    headers = {"Referer": visitor.origin + referer} if referer else {}
    query = f"?{urlencode({'to': to})}" if to else ""
    response = await get(visitor, f"/sign-in{query}", **headers)
    done = await come_back(visitor, issuer.grant(response.headers["location"]))
    assert done.headers["location"] == back


async def test_altered_cookie_is_refused(visitor: Visitor, issuer: Issuer) -> None:
    """An altered path, time or secret doesn't fit the state."""
    address = issuer.grant(await start(visitor))
    kept = visitor.secrets()["frontrow_sign_in"]
    begun, secret, _ = kept.split(".")
    for altered in (
        f"{begun}.{secret}.Ly9ldmlsLmV4YW1wbGU",  # //evil.example
        f"{int(begun) + 1}.{secret}.L3RpY2tldHM",
        f"{begun}.{secret[:-1]}.L3RpY2tldHM",
        f"{begun}.{secret}._____",
        "",
        "nonsense",
        "x" * 3000,
    ):
        visitor.http.cookies.set("frontrow_sign_in", altered, domain="127.0.0.1", path="/")
        await check_refused(visitor, await come_back(visitor, address), 400, "took too long")
    assert TOKEN not in issuer.asked


@pytest.mark.parametrize("state", [None, "", "another", "x" * 5000, "ä"])
async def test_wrong_state_is_refused(visitor: Visitor, issuer: Issuer, state: str | None) -> None:
    """Before the issuer is asked; the right state still works afterwards."""
    address = issuer.grant(await start(visitor))
    parts = dict(parse_qsl(urlsplit(address).query))
    wrong = {name: value for name, value in (parts | {"state": state}).items() if value is not None}
    response = await come_back(visitor, f"{visitor.origin}/sign-in/callback?{urlencode(wrong)}")
    await check_refused(visitor, response, 400, "took too long")
    assert TOKEN not in issuer.asked
    assert (await come_back(visitor, address)).status_code == 303


async def test_answer_for_another_browser_is_refused(
    desk: Desk, visitor: Visitor, issuer: Issuer
) -> None:
    """With and without an attempt of its own."""
    address = issuer.grant(await start(visitor))
    async with visiting(desk) as other:
        await check_refused(other, await come_back(other, address), 400, "took too long")
        await start(other)
        await check_refused(other, await come_back(other, address), 400, "took too long")
    assert TOKEN not in issuer.asked


async def test_late_answer_is_refused(
    visitor: Visitor, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After ten minutes."""
    address = issuer.grant(await start(visitor))
    monkeypatch.setattr(attempts, "ATTEMPT_SECONDS", -60)
    await check_refused(visitor, await come_back(visitor, address), 400, "took too long")


async def test_attempt_opens_one_session(desk: Desk, visitor: Visitor, issuer: Issuer) -> None:
    """A repeated answer changes nothing; a restored cookie with a new code is refused."""
    address = await start(visitor)
    kept = visitor.secrets()["frontrow_sign_in"]
    assert (await come_back(visitor, issuer.grant(address, "once"))).status_code == 303
    again = await come_back(visitor, issuer.grant(address, "once"))
    assert (again.status_code, again.headers["location"]) == (303, "/")
    assert issuer.asked.count(TOKEN) == 1
    async with visiting(desk) as thief:
        thief.http.cookies.set("frontrow_sign_in", kept, domain="127.0.0.1", path="/")
        response = await come_back(thief, issuer.grant(address, "once"))
        await check_refused(thief, response, 400, "took too long")
        assert "frontrow_sign_in" not in thief.secrets()
    user_id = user_id_of(issuer.address, "once")
    query = "SELECT count(*) FROM user_key WHERE user_id = $1"
    assert await desk.owner.fetchval(query, user_id) == 1


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": 7},
        {"aud": "another"},
        {"iss": "https://other.example"},
        {"exp": 1},
        {"sub": ""},
    ],
)
async def test_invalid_id_token_is_refused(
    visitor: Visitor, issuer: Issuer, claims: dict[str, Any]
) -> None:
    """Wrong nonce, audience, issuer, expiry or subject: no account is created."""
    before = await visitor.desk.digest()
    issuer.claims_given = claims
    response = await sign_in(visitor, issuer, "wrong")
    await check_refused(visitor, response, 400, "provider was not valid")
    assert await visitor.desk.digest() == before


async def test_id_token_of_an_unknown_key_is_refused(visitor: Visitor, issuer: Issuer) -> None:
    """Although it comes from the token endpoint."""
    issuer.documents[DISCOVERY] = b"{}"  # it doesn't learn of the key
    issuer.keys = [RSAKey.generate_key(2048, {"kid": "one"})]
    response = await sign_in(visitor, issuer)
    await check_refused(visitor, response, 400, "provider was not valid")


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (b"<html>", 503, "can&#39;t answer just now"),
        (b"[]", 503, "can&#39;t answer just now"),
        (b"[" * 100_000, 503, "can&#39;t answer just now"),
        (b'{"id_token": "e30.e30.e30", "expires_in": [1]}', 503, "can&#39;t answer just now"),
        (b'{"id_token": "e30.e30.e30", "expires_in": 1e999}', 503, "can&#39;t answer just now"),
        (b'{"error": {}}', 400, "provider was not valid"),
        (b"{}", 400, "provider was not valid"),
        (b'{"id_token": 7}', 400, "provider was not valid"),
        (b'{"id_token": "e30.e30.e30"}', 400, "provider was not valid"),
        (b'{"id_token": "' + b"x" * 300_000 + b'"}', 503, "can&#39;t answer just now"),
    ],
)
async def test_invalid_token_response_is_an_error_page(
    visitor: Visitor, issuer: Issuer, answer: bytes, status: int, said: str
) -> None:
    """Each gives an error page: 503 where the issuer seems to be broken, else 400."""
    issuer.documents[TOKEN] = answer
    await check_refused(visitor, await sign_in(visitor, issuer), status, said)


async def test_refused_code_is_logged(visitor: Visitor, issuer: Issuer) -> None:
    """The log has the issuer's error, and neither code nor verifier."""
    parts = dict(parse_qsl(urlsplit(issuer.grant(await start(visitor))).query))
    wrong = urlencode(parts | {"code": "made-up"})
    with capture_logs() as logs:
        response = await come_back(visitor, f"{visitor.origin}/sign-in/callback?{wrong}")
    await check_refused(visitor, response, 400, "provider was not valid")
    assert logs == [
        {
            "event": "the issuer refuses a code",
            "log_level": "warning",
            "error": "invalid_grant",
        }
    ]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        ("access_denied", 403, "cancelled or refused"),
        ("server_error", 400, "provider was not valid"),
    ],
)
async def test_refusal_of_the_issuer_is_an_error_page(
    visitor: Visitor, issuer: Issuer, error: str, status: int, said: str
) -> None:
    """The page says whether it was cancelled or failed, and keeps the path to return to."""
    address = issuer.refuse(await start(visitor), error)
    response = await come_back(visitor, address)
    await check_refused(visitor, response, status, said)
    assert 'href="/sign-in?to=/tickets"' in response.text
    korean = await visitor.http.get("/sign-in/finish", headers={"Accept-Language": "ko"})
    assert "다시 로그인해 주세요" in korean.text


async def test_answer_of_another_issuer_is_refused(visitor: Visitor, issuer: Issuer) -> None:
    """RFC 9207: its code is not exchanged."""
    parts = dict(parse_qsl(urlsplit(issuer.grant(await start(visitor))).query))
    wrong = urlencode(parts | {"iss": "https://other.example"})
    response = await come_back(visitor, f"{visitor.origin}/sign-in/callback?{wrong}")
    await check_refused(visitor, response, 400, "provider was not valid")
    assert TOKEN not in issuer.asked


async def test_slow_issuer_times_out(
    visitor: Visitor, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 in bounded time."""
    address = issuer.grant(await start(visitor))
    monkeypatch.setattr(code_flow, "FETCH_SECONDS", 0.05)
    issuer.answering.clear()
    response = await come_back(visitor, address)
    await check_refused(visitor, response, 503, "can&#39;t answer just now")


async def test_unavailable_issuer_is_an_error_page(
    module_database: Database, visitor: Visitor, issuer: Issuer
) -> None:
    """At the exchange of a code, and at the start, where all callers share one fetch."""
    address = issuer.grant(await start(visitor))
    issuer.away = True
    response = await come_back(visitor, address)
    await check_refused(visitor, response, 503, "can&#39;t answer just now")
    assert "frontrow_sign_in" not in visitor.secrets()
    async with (
        open_desk(module_database, oidc_issuer=issuer.address, oidc_audience=AUDIENCE) as made,
        visiting(made) as early,
    ):
        response = await get(early, "/sign-in?to=/tickets")
        await check_refused(early, response, 503, "can&#39;t answer just now")
        asked = issuer.asked.count(DISCOVERY)
        await asyncio.gather(*(get(early, "/sign-in") for _ in range(5)))
        assert issuer.asked.count(DISCOVERY) == asked


async def test_configured_endpoints_need_no_discovery(
    module_database: Database, issuer: Issuer
) -> None:
    """No discovery document is needed to sign in."""
    issuer.secret = "p/q r"
    async with (
        open_desk(
            module_database,
            oidc_issuer=issuer.address,
            oidc_audience=AUDIENCE,
            oidc_jwks_url=f"{issuer.address}/keys",
            oidc_authorization_url=f"{issuer.address}{AUTHORIZE}?tenant=1",
            oidc_token_url=f"{issuer.address}{TOKEN}",
            oidc_client_secret="p/q r",
            oidc_session_seconds=600,
        ) as made,
        visiting(made) as visitor,
    ):
        address = await start(visitor)
        assert address.startswith(f"{issuer.address}{AUTHORIZE}?tenant=1&")
        response = await come_back(visitor, issuer.grant(address.replace("tenant=1&", "")))
        assert "Max-Age=600;" in response.headers["set-cookie"]
        assert await is_signed_in(visitor)
    assert DISCOVERY not in issuer.asked


async def test_secret_is_sent_in_the_form(module_database: Database, issuer: Issuer) -> None:
    """Where the issuer supports only client_secret_post."""
    issuer.secret, issuer.auth_methods = "hidden", ["client_secret_post"]
    async with (
        open_desk(
            module_database,
            oidc_issuer=issuer.address,
            oidc_audience=AUDIENCE,
            oidc_client_secret="hidden",
        ) as made,
        visiting(made) as visitor,
    ):
        assert (await sign_in(visitor, issuer)).status_code == 303
        issuer.secret = "changed"
        async with visiting(made) as other:
            await check_refused(other, await sign_in(other, issuer), 400, "provider was not valid")


async def test_other_sites_cannot_sign_a_browser_in(visitor: Visitor, issuer: Issuer) -> None:
    """The start asks first; the end is refused."""
    asked = await get(visitor, "/sign-in?to=/tickets", "cross-site")
    assert (asked.status_code, visitor.secrets()) == (200, {})
    assert 'href="/sign-in?to=/"' in asked.text
    address = issuer.grant(await start(visitor))
    finish = address.removeprefix(visitor.origin).replace("callback", "finish")
    assert (await get(visitor, finish, "cross-site")).status_code == 403
    assert (await get(visitor, finish, "same-site")).status_code == 403
    assert TOKEN not in issuer.asked
    assert (await get(visitor, finish)).status_code == 303


@pytest.mark.parametrize("by", ["form", "call"])
async def test_sign_out_ends_the_session(visitor: Visitor, issuer: Issuer, by: str) -> None:
    """For every copy of its key; other sites can't do that."""
    await sign_in(visitor, issuer)
    key = visitor.secrets()["frontrow_user"]
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert (await visitor.http.post("/sign-out", headers=foreign)).status_code == 403
    assert await is_signed_in(visitor)
    if by == "form":
        own = {"Origin": visitor.origin, "Sec-Fetch-Site": "same-origin"}
        out = await visitor.http.post("/sign-out", headers=own)
        assert (out.status_code, out.headers["location"]) == (303, "/")
    else:
        assert (await visitor.ask("DELETE", "/session")).status_code == 204
    assert visitor.secrets() == {}
    check_problem(await visitor.ask("GET", "/users/me", key), 401, "credential_invalid")


async def test_key_exchanged_for_a_session_expires_with_it(
    visitor: Visitor, issuer: Issuer
) -> None:
    """The key in the cookie can't be exchanged for one that lasts longer."""
    await sign_in(visitor, issuer, "exchanger")
    key = visitor.secrets()["frontrow_user"]
    issued = await visitor.ask("POST", "/users/me/keys", key, json={})
    assert issued.status_code == 201
    ends = await visitor.desk.owner.fetch(
        "SELECT DISTINCT expires_at FROM user_key WHERE user_id = $1",
        user_id_of(issuer.address, "exchanger"),
    )
    assert len(ends) == 1
    assert ends[0]["expires_at"] is not None


async def test_guest_of_the_browser_stays(both: Desk, issuer: Issuer) -> None:
    """Signing in or out would lose the only key to the guest's tickets."""
    async with visiting(both) as visitor:
        address = issuer.grant(await start(visitor))
        guest = await visitor.sign_in()
        done = await come_back(visitor, address)
        assert done.headers["location"] == "/tickets"
        started = await get(visitor, "/sign-in?to=/tickets")
        assert started.headers["location"] == "/tickets"
        own = {"Origin": visitor.origin, "Sec-Fetch-Site": "same-origin"}
        assert (await visitor.http.post("/sign-out", headers=own)).status_code == 303
        assert (await visitor.ask("GET", "/session")).json() == guest
        assert list(visitor.secrets()) == ["frontrow_user"]
        assert TOKEN not in issuer.asked


async def test_places_of_other_users_are_dropped(
    desk: Desk, both: Desk, visitor: Visitor, issuer: Issuer
) -> None:
    """The place of a previous guest is; the user's own place is kept."""
    mine, guests = await desk.concert(), await desk.concert()
    await sign_in(visitor, issuer)
    await visitor.join(mine)
    del visitor.http.cookies["frontrow_user"]
    async with visiting(both) as guest:
        await guest.sign_in()
        await guest.join(guests)
        for name, value in guest.secrets().items():
            if name.startswith("frontrow_place_"):
                visitor.http.cookies.set(name, value, domain="127.0.0.1", path="/")
    visitor.http.cookies.set("frontrow_place_" + "0" * 32, "x", domain="127.0.0.1", path="/")
    await sign_in(visitor, issuer)
    places = (await visitor.ask("GET", "/session")).json()["places"]
    assert places == [mine.concert_id]


async def test_sign_in_is_rate_limited(module_database: Database, issuer: Issuer) -> None:
    """Like new guest accounts, before the issuer is asked."""
    async with (
        open_desk(
            module_database,
            oidc_issuer=issuer.address,
            oidc_audience=AUDIENCE,
            guests_per_minute=1,
            trusted_proxies="127.0.0.1",
            guest_challenge=0,
        ) as made,
        visiting(made) as visitor,
    ):
        visitor.http.headers["X-Forwarded-For"] = "192.0.2.1"
        assert (await sign_in(visitor, issuer)).status_code == 303
        async with visiting(made) as other:
            other.http.headers["X-Forwarded-For"] = "192.0.2.1"
            await check_refused(other, await sign_in(other, issuer), 429, "Too many requests")
        assert issuer.asked.count(TOKEN) == 1


def shown(html: str) -> str:
    """What a page shows before its script runs: without the script's templates."""
    return html.partition("<script")[0]


async def test_pages_link_to_sign_in_and_out(desk: Desk, both: Desk, issuer: Issuer) -> None:
    """A link to sign in, a form to sign out, neither for guests; and what joining needs."""
    concert = (await desk.concert()).concert_id
    line = f"/concerts/{concert}"
    paths = ("/", line, f"{line}/seats", "/tickets")
    link, form = 'href="/sign-in" data-account="out"', 'action="/sign-out" data-account="in"'
    join, to_join = 'value="join"', f'href="/sign-in?to={line}"'
    async with visiting(desk) as visitor, visiting(both) as guest:

        async def is_on_sale() -> bool:
            return (await get(guest, line)).status_code == 200

        await eventually(is_on_sale)  # also on the other server
        for path in paths:
            html = (await get(visitor, path)).text
            assert (link in html, form in html) == (True, False)
        html = (await get(visitor, line)).text
        assert (join in shown(html), to_join in shown(html)) == (False, True)
        assert f'"sign_in":"/sign-in?to={line}"' in html
        html = (await get(guest, line)).text
        assert (join in shown(html), to_join in shown(html)) == (True, True)
        await sign_in(visitor, issuer)
        await guest.sign_in()
        for path in paths:
            html = (await get(visitor, path)).text
            assert (link in html, form in html) == (False, True)
            html = (await get(guest, path)).text
            assert (link in html, form in html) == (False, False)
        for each in (visitor, guest):
            html = (await get(each, line)).text
            assert (join in shown(html), to_join in shown(html)) == (True, False)


@pytest.mark.parametrize(
    ("language", "label", "forget"),
    [
        ("en", "Sign in to join the line", "Forget me on this device"),
        ("ko", "로그인하고 대기열 참여하기", "이 기기에서 내 정보 지우기"),
    ],
)
async def test_concert_without_guests_offers_to_sign_in(
    both: Desk, issuer: Issuer, language: str, label: str, forget: str
) -> None:
    """In place of joining; a guest of the browser must be forgotten first, a user may join."""
    line = f"/concerts/{(await both.concert(guests=False)).concert_id}"
    button = f'<a class="button primary large" href="/sign-in?to={line}">{label}</a>'
    tickets = '<a class="button primary large" href="/tickets">'

    async def ways_in(visitor: Visitor) -> tuple[bool, ...]:
        html = shown((await get(visitor, line, **{"Accept-Language": language})).text)
        return button in html, 'value="join"' in html, tickets in html and forget in html

    async with visiting(both) as visitor, visiting(both) as guest:
        assert await ways_in(visitor) == (True, False, False)
        await guest.sign_in()
        assert await ways_in(guest) == (False, False, True)
        assert (await guest.ask("DELETE", "/session")).status_code == 204
        assert await ways_in(guest) == (True, False, False)
        await sign_in(visitor, issuer)
        assert await ways_in(visitor) == (False, True, False)


async def test_no_sign_in_without_an_issuer(module_database: Database) -> None:
    """Its paths are 404, and no page links to them."""
    async with open_desk(module_database) as plain:
        for path in ("/sign-in", "/sign-in/callback", "/sign-in/finish"):
            check_problem(await plain.http.get(path), 404, "not_found")
        assert "data-account" not in (await plain.http.get("/tickets")).text


async def test_link_on_another_site_keeps_the_account(
    desk: Desk, module_database: Database
) -> None:
    """With an issuer every page for fans is loaded again from here, as its header has it."""
    concert = (await desk.concert()).concert_id
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    async with open_desk(module_database) as plain:
        for path in ("/", f"/concerts/{concert}/seats", "/tickets"):
            html = (await desk.http.get(path, headers=headers)).text
            assert f"0;url={path}?arrived=1" in html
            assert "arrived" not in (await plain.http.get(path, headers=headers)).text
        assert "arrived" not in (await desk.http.get("/console", headers=headers)).text
