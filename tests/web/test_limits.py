"""Rate limits: what counts, for which client, and what a refusal contains and does."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from itertools import count
from typing import Any, ClassVar
from uuid import UUID

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from frontrow.errors import RateLimited
from frontrow.settings import Settings
from frontrow.web.access.rate_limits import Limit, Limits
from frontrow.web.access.token_buckets import SECOND
from testkit.connection import Connection
from testkit.database import Database
from testkit.desk import OPEN, Desk, check_problem, open_desk
from testkit.serving import OPERATOR_KEY

# So slow that no token returns within a test.
SLOW = 0.001
SLOW_WAIT = 1000
ADDRESS_BURST = 12
USER_BURST = 5
PER_MINUTE = 3
TOLD = re.compile(r'"(\w+)";r=(\d+);t=(\d+)')
_addresses = count(1)


class LimitedRequest:
    """A request with only what a limit reads."""

    rate_limit: ClassVar[tuple[bytes, bytes] | None] = None


def limit_with_clock(**sizes: Any) -> tuple[Limit, Any]:
    """Returns a limit with a stopped clock, and that clock."""
    limit = Limit("user", most_keys=100, **sizes)
    now = [SECOND]
    limit._buckets._clock = lambda: now[0]
    return limit, now


def limited_request() -> Any:
    """Returns a request for a limit alone."""
    return LimitedRequest()


@settings(deadline=None)  # the first refusal writes a log line
@given(st.floats(0.01, 1000), st.integers(1, 20), st.integers(0, 10**9))
def test_retry_after_is_exact(per_second: float, burst: int, pause_ns: int) -> None:
    """Whole seconds, at least one: enough to be accepted, while a second less is too early."""
    limit, now = limit_with_clock(per_second=per_second, burst=burst)
    ask = limited_request()
    seconds = 0
    while not seconds:
        try:
            limit.take(ask, 7)
        except RateLimited as refused:
            seconds = refused.retry_after_seconds
        else:
            now[0] += min(pause_ns, limit._buckets.token_ns // 2)
    refused_at = now[0]
    if seconds > 1:
        now[0] = refused_at + (seconds - 1) * SECOND
        with pytest.raises(RateLimited):
            limit.take(ask, 7)
    now[0] = refused_at + seconds * SECOND
    limit.take(ask, 7)


def test_headers_report_quota_and_rest() -> None:
    """The quota and its window, the rest, and the time until the rest is higher."""
    limit, now = limit_with_clock(per_second=0.5, burst=3)
    for answer in (None, b'"user";r=1;t=2', b'"user";r=0;t=2'):
        for reported in (True, False):
            ask = limited_request()
            limit.take(ask, 7 + reported, reported=reported)
            policy = b'"user";q=3;w=6'
            assert ask.rate_limit == ((policy, answer) if reported and answer is not None else None)
    now[0] += SECOND // 2
    with pytest.raises(RateLimited) as refused:
        limit.take(ask, 7)
    assert ask.rate_limit == (policy, b'"user";r=0;t=2')
    assert refused.value.retry_after_seconds == 2


def test_refusals_are_logged_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals are logged once a minute with their number; the metric counts each."""
    limit, _ = limit_with_clock(per_second=SLOW, burst=1)
    minute = [0.0]
    monkeypatch.setattr("frontrow.web.access.rate_limits.monotonic", lambda: minute[0])
    user = UUID(int=7)
    limit.take(limited_request(), user.int)
    before = refusals("user")
    with capture_logs() as lines:
        for second in range(0, 120, 10):
            minute[0] = second
            with pytest.raises(RateLimited):
                limit.take(limited_request(), user.int)
    assert [(line["by"], line["key"], line["refused"]) for line in lines] == [
        ("user", str(user), 1),
        ("user", str(user), 6),
    ]
    assert refusals("user") - before == 12


@pytest.mark.parametrize(
    "off",
    [
        "address_requests_per_second",
        "user_requests_per_second",
        "guests_per_minute",
        "wrong_operator_keys_per_minute",
    ],
)
def test_each_limit_can_be_disabled(off: str) -> None:
    """0 disables one limit; the others stay."""
    chosen: dict[str, Any] = {off: 0}
    limits = Limits(Settings(**chosen))
    kinds = (limits._address, limits._user, limits._guest, limits._credential)
    assert [kind.by for kind in kinds if kind is not None] == [
        by
        for by, name in (
            ("address", "address_requests_per_second"),
            ("user", "user_requests_per_second"),
            ("guest", "guests_per_minute"),
            ("credential", "wrong_operator_keys_per_minute"),
        )
        if name != off
    ]


def test_address_limit_is_divided_among_processes() -> None:
    """The limit of an address holds for the machine, the limit of a user for each process."""
    limits = Limits(Settings(workers=4))
    answer = {
        kind.by: kind._policy.decode()
        for kind in (limits._address, limits._user, limits._guest, limits._credential)
        if kind is not None
    }
    assert answer == {
        "address": '"address";q=1250;w=5',
        "user": '"user";q=500;w=10',
        "guest": '"guest";q=150;w=60',
        "credential": '"credential";q=5;w=60',
    }


# Over HTTP ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def desk(module_database: Database) -> AsyncIterator[Desk]:
    """A server with small limits behind a proxy on this machine, which sets the address."""
    async with open_desk(
        module_database,
        trusted_proxies="127.0.0.1",
        guest_challenge=0,
        address_requests_per_second=SLOW,
        address_burst=ADDRESS_BURST,
        user_requests_per_second=SLOW,
        user_burst=USER_BURST,
        guests_per_minute=PER_MINUTE,
        wrong_operator_keys_per_minute=PER_MINUTE,
        stock_seconds=3600,
        expiry_tick_seconds=3600,
    ) as made:
        yield made


def new_address() -> dict[str, str]:
    """Returns the proxy's header for a client at a new address."""
    number = next(_addresses)
    return {"X-Forwarded-For": f"198.51.{number // 256}.{number % 256}"}


def refusals(by: str) -> float:
    """Returns the metric of refused calls."""
    return REGISTRY.get_sample_value("frontrow_rate_limited_total", {"by": by}) or 0


def check_refused(response: httpx2.Response, by: str, quota: int) -> int:
    """Asserts that this limit refused the call in every header; returns the time to retry."""
    check_problem(response, 429, "rate_limited")
    found = TOLD.fullmatch(response.headers["ratelimit"])
    assert found is not None
    assert found.groups() == (by, "0", response.headers["retry-after"])
    assert response.headers["ratelimit-policy"].startswith(f'"{by}";q={quota};w=')
    seconds = int(response.headers["retry-after"])
    assert seconds >= 1
    return seconds


def left(response: httpx2.Response) -> int:
    """Returns how many requests remain, which answers report below half of the quota."""
    if "ratelimit" not in response.headers:
        return USER_BURST
    found = TOLD.fullmatch(response.headers["ratelimit"])
    assert found is not None
    assert found[1] == "user"
    assert int(found[2]) < USER_BURST / 2
    return int(found[2])


async def test_every_request_of_an_address_counts(desk: Desk) -> None:
    """Every request counts, also for unknown paths; other addresses are not refused."""
    paths = ["//healthz", "/concerts", "//openapi.json", "/no/such/path", "/users/me", "/payments"]
    here = new_address()
    before = refusals("address")
    for path in paths * 2:
        response = await desk.ask("GET", path, headers=here)
        assert response.status_code in (200, 401, 404)
        assert "ratelimit" not in response.headers
    for path in paths:
        response = await desk.ask("GET", path, headers=here)
        assert SLOW_WAIT - 60 <= check_refused(response, "address", ADDRESS_BURST) <= SLOW_WAIT
    check_refused(await desk.ask("PUT", "/payments", headers=here), "address", ADDRESS_BURST)
    operator = await desk.operate("GET", "/admin/audit", headers=here)
    check_refused(operator, "address", ADDRESS_BURST)
    check_refused(await desk.http.get("/", headers=here), "address", ADDRESS_BURST)
    assert refusals("address") - before == len(paths) + 3
    assert (await desk.ask("GET", "//healthz", headers=new_address())).status_code == 200
    for _ in range(ADDRESS_BURST * 2):
        assert (await desk.ask("GET", "//healthz")).status_code == 200


async def test_ipv6_network_counts_as_one_address(desk: Desk) -> None:
    """A /64 counts as one address."""
    for host in range(ADDRESS_BURST):
        headers = {"X-Forwarded-For": f"2001:db8:7:7::{host:x}"}
        assert (await desk.ask("GET", "//healthz", headers=headers)).status_code == 200
    for neighbour, status in (("2001:db8:7:7:ffff::1", 429), ("2001:db8:7:8::1", 200)):
        headers = {"X-Forwarded-For": neighbour}
        assert (await desk.ask("GET", "//healthz", headers=headers)).status_code == status


async def test_key_and_token_count_for_one_user(desk: Desk) -> None:
    """They share the user's quota at any address; a poll answered 304 counts too."""
    concert = await desk.concert(waiting_room={"policy": OPEN})
    fan, other = await desk.fan(), await desk.fan()
    before = refusals("user")
    join = {"json": {"concert_id": concert.concert_id}, "headers": new_address()}
    joined = await fan.by_key("POST", "/queue/tokens", **join)
    fan.token = joined.json()["token"]
    response = [left(joined)]
    answers = [await fan.by_key("GET", "/users/me"), await fan.by_token("GET", "/queue/tokens/me")]
    known = {**new_address(), "If-None-Match": answers[-1].headers["etag"]}
    answers.append(await fan.by_token("GET", "/queue/tokens/me", headers={"If-None-Match": "*"}))
    assert answers[-1].status_code == 304
    answers.append(await fan.by_token("GET", "/concerts/x/dates"))  # refused for another reason
    assert answers[-1].status_code == 422
    response += [left(answer) for answer in answers]
    assert response == [USER_BURST, USER_BURST, 2, 1, 0]
    for refused in (
        await fan.by_token("GET", "/queue/tokens/me", headers=known),
        await fan.by_key("GET", "/users/me"),
        await fan.by_token("GET", "/queue/tokens/me/events"),
    ):
        check_refused(refused, "user", USER_BURST)
    assert refusals("user") - before == 3
    assert (await other.by_key("GET", "/users/me")).status_code == 200
    # Calls without a credential don't count for a user.
    assert (await desk.ask("GET", f"/concerts/{concert.concert_id}/queue")).status_code == 200


async def test_refused_call_changes_nothing(desk: Desk) -> None:
    """No money and no place; the same Idempotency-Key works afterwards."""
    concert = await desk.concert(waiting_room={"policy": OPEN})
    fan = await desk.waiting(concert)
    while left(await fan.by_token("GET", "/queue/tokens/me")):
        pass
    before = await desk.digest()
    charges = f"/users/{fan.user_id}/balance/charges"
    for refused in (
        await fan.by_token(
            "POST", charges, json={"amount": 1000}, headers={"Idempotency-Key": "once"}
        ),
        await fan.by_token("DELETE", "/queue/tokens/me"),
        await fan.by_token("POST", charges, content=b"{"),  # the body is not read
    ):
        check_refused(refused, "user", USER_BURST)
    assert await desk.digest() == before


async def test_new_accounts_are_limited(desk: Desk) -> None:
    """An address is limited in new accounts per minute; its existing accounts continue."""
    here = new_address()
    made = [await desk.ask("POST", "/users", json={}, headers=here) for _ in range(PER_MINUTE)]
    assert [answer.status_code for answer in made] == [201] * PER_MINUTE
    before = await desk.digest()
    own = {**here, "Origin": str(desk.http.base_url).rstrip("/")}
    for path, headers in (("/users", here), ("/session", own)):
        refused = await desk.ask("POST", path, json={}, headers=headers)
        assert check_refused(refused, "guest", PER_MINUTE) <= 60 / PER_MINUTE
    assert await desk.digest() == before
    key = made[0].json()["user_key"]
    assert (await desk.ask("GET", "/users/me", key, headers=here)).status_code == 200
    for _ in range(PER_MINUTE * 2):
        assert (await desk.ask("POST", "/users", json={})).status_code == 201


async def test_wrong_operator_keys_are_limited(desk: Desk) -> None:
    """After a number of wrong keys every key from that address is refused, even the right one."""
    here = new_address()
    audit = "/admin/audit"
    for _ in range(PER_MINUTE):  # right keys and expired page sessions don't count
        assert (await desk.operate("GET", audit, headers=here)).status_code == 200
        stale = {**here, "Cookie": "frontrow_operator=1.a.b"}
        assert (await desk.ask("GET", audit, headers=stale)).status_code == 401
    for guess in range(PER_MINUTE):
        check_problem(
            await desk.ask("GET", audit, f"guess-{guess}", headers=here), 401, "credential_invalid"
        )
    for key in ("guess", OPERATOR_KEY):
        refused = await desk.ask("GET", audit, key, headers=here)
        assert check_refused(refused, "credential", PER_MINUTE) <= 60 / PER_MINUTE
    there = new_address()
    check_problem(await desk.ask("GET", audit, "guess", headers=there), 401, "credential_invalid")
    assert (await desk.operate("GET", audit, headers=new_address())).status_code == 200


async def test_connection_stays_open_after_a_refusal(desk: Desk) -> None:
    """The body of a refused call is skipped: the next call on the connection is answered."""
    port = int(str(desk.http.base_url).rpartition(":")[2].rstrip("/"))
    fan = await desk.fan()
    connection = Connection(port)
    for _ in range(USER_BURST):
        assert (await connection.ask("GET", "/users/me", fan.user_key)).status == 200
    writer = connection._writer
    for size in (10, 50_000, 10):
        answer = await connection.ask("POST", "/queue/tokens", fan.user_key, body={"x": "x" * size})
        assert (answer.status, json.loads(answer.body)["code"]) == (429, "rate_limited")
    assert (await connection.ask("GET", "//healthz")).status == 200
    assert connection._writer is writer
    await connection.close()


async def test_stream_counts_as_one_request(desk: Desk) -> None:
    """Opening a stream counts; its duration and its events don't."""
    one = {"policy": {"kind": "max_active", "max_active": 1}}
    concert = await desk.concert(waiting_room=one)
    first, fan = await desk.waiting(concert), await desk.waiting(concert)
    url = "/api/v1/queue/tokens/me/events"
    headers = {"Authorization": f"Bearer {fan.token}"}
    async with asyncio.timeout(60), desk.http.stream("GET", url, headers=headers) as response:
        assert response.status_code == 200
        events = (line async for line in response.aiter_lines() if line.startswith("data:"))
        assert json.loads((await anext(events))[5:])["state"] == "waiting"
        await first.by_token("DELETE", "/queue/tokens/me")
        while json.loads((await anext(events))[5:])["state"] != "admitted":
            pass
        # Joining, opening, and this call.
        assert left(await fan.by_token("GET", "/queue/tokens/me")) == USER_BURST - 3
        await events.aclose()
