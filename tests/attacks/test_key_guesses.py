"""Guessed operator keys: they slow the guesser, and no operator who has a session."""

from collections.abc import AsyncIterator, Awaitable, Iterator
from itertools import count
from time import monotonic

import pytest
from prometheus_client import REGISTRY

from testkit.database import Database
from testkit.desk import Desk, check_problem, eventually, open_desk
from testkit.serving import OPERATOR_KEY
from testkit.visitors import Visitor, visiting

PER_MINUTE = 4
PATH = "/admin/audit"
LIMITS = {"trusted_proxies": "127.0.0.1", "wrong_operator_keys_per_minute": PER_MINUTE}
_numbers = count(1)


@pytest.fixture(scope="module")
async def desk(module_database: Database) -> AsyncIterator[Desk]:
    """A server behind a proxy on this machine, which names the client."""
    async with open_desk(module_database, **LIMITS) as made:
        yield made


def client(address: str | None = None) -> dict[str, str]:
    """Returns the proxy's header for a client, at a new address unless one is given."""
    return {"X-Forwarded-For": address or f"192.0.2.{next(_numbers)}"}


async def guess(desk: Desk, headers: dict[str, str], key: str | None = None) -> int:
    """Tries a wrong key with a new start, unless one is given; returns the status."""
    tried = key or f"{next(_numbers):08}-guess"
    return (await desk.ask("GET", PATH, tried, headers=headers)).status_code


async def signed_in(visitor: Visitor, headers: dict[str, str]) -> None:
    """Signs the operator in from an address."""
    made = await visitor.ask("POST", "/admin/session", OPERATOR_KEY, headers=headers)
    assert made.status_code == 201


async def test_operator_with_a_session_is_not_locked_out(desk: Desk) -> None:
    """Guesses from the operator's address refuse neither session nor key, on any process."""
    here = client()
    async with (
        open_desk(desk.database, **LIMITS) as second,
        visiting(desk) as operator,
        visiting(second) as colleague,
    ):
        await signed_in(operator, here)

        async def known() -> bool:
            return all([await guess(second, here) == 401 for _ in range(PER_MINUTE * 2)])

        await eventually(known)
        for process in (desk, second):
            for _ in range(PER_MINUTE * 2):
                assert await guess(process, here) == 401
            assert (await process.operate("GET", PATH, headers=here)).status_code == 200
        assert (await operator.ask("GET", PATH, headers=here)).status_code == 200
        await signed_in(colleague, here)
        moved = client()
        assert (await operator.ask("GET", PATH, headers=moved)).status_code == 200
        assert [await guess(desk, moved) for _ in range(PER_MINUTE * 2)] == [401] * PER_MINUTE * 2


async def test_guesser_without_a_session_is_slowed(desk: Desk) -> None:
    """Even with the right key; and again once the session at the address has ended."""
    here = client()
    async with visiting(desk) as operator:
        await signed_in(operator, here)
        assert await guess(desk, here) == 401
        assert (await operator.ask("DELETE", "/admin/session", headers=here)).status_code == 204
    await check_slowed(PER_MINUTE, (guess(desk, here) for _ in count()))
    refused = await desk.operate("GET", PATH, headers=here)
    check_problem(refused, 429, "rate_limited")
    assert (await desk.operate("GET", PATH, headers=client())).status_code == 200


async def check_slowed(burst: int, tried: Iterator[Awaitable[int]]) -> None:
    """Checks that guesses are refused after a burst, and the few that the time allows since."""
    started = monotonic()
    guesses = 0
    for attempt in tried:
        if await attempt == 429:
            break
        guesses += 1
    assert burst <= guesses <= burst * (1 + (monotonic() - started) / 60) + 1


async def test_whole_ipv6_networks_are_slowed(desk: Desk) -> None:
    """A guesser with a /56 or a /48 gets some times the limit of one /64; others are unaffected."""
    await check_slowed(PER_MINUTE, (guess(desk, client("2001:db8:1::1")) for _ in count()))
    for times, network in ((4, "2001:db8:2:{:x}::1"), (10, "2001:db8:3:{:x}00::1")):
        tried = (guess(desk, client(network.format(subnet))) for subnet in range(200))
        await check_slowed(PER_MINUTE * times, tried)
    assert await guess(desk, client("2001:db8:4::1")) == 401


async def test_start_of_a_key_is_slowed_over_all_addresses(desk: Desk) -> None:
    """Many addresses that know the start of a key share one limit, then have two tries each."""
    started = monotonic()
    guesses = [
        [await guess(desk, client(f"198.51.100.{n}"), f"known-start-{n}") for _ in range(2)]
        for n in range(PER_MINUTE * 10)
    ]
    wrong = sum(answers.count(401) for answers in guesses)
    assert PER_MINUTE * 10 <= wrong <= PER_MINUTE * 10 * (1 + (monotonic() - started) / 60) + 1
    assert guesses[-1] == [429, 429]
    assert await guess(desk, client()) == 401
    assert (await desk.operate("GET", PATH, headers=client())).status_code == 200


async def test_guesses_of_others_never_refuse_the_right_key(desk: Desk) -> None:
    """A key that a person chose, with a start that all the world tries."""
    start = OPERATOR_KEY[:8]
    here = client()
    for number in range(PER_MINUTE * 20):
        await guess(desk, client(f"203.0.113.{number}"), f"{start}-{number}")
    assert await guess(desk, client(), f"{start}-again") == 429  # it is being guessed
    for _ in range(3):
        answered = await desk.operate("GET", PATH, headers=here)
        assert answered.status_code == 200
        assert "ratelimit" not in answered.headers
    # After two wrong ones an address can't be distinguished from a guesser, for an hour.
    for number in range(2):
        await guess(desk, here, f"{start}-mistyped-{number}")
    check_problem(await desk.operate("GET", PATH, headers=here), 429, "rate_limited")
    assert (await desk.operate("GET", PATH, headers=client())).status_code == 200


async def test_wrong_keys_are_counted(desk: Desk) -> None:
    """Also those of an address with a session, and of this machine; not the right key."""

    def counted() -> float:
        return REGISTRY.get_sample_value("frontrow_wrong_operator_keys_total") or 0

    here = client()
    async with visiting(desk) as operator:
        await signed_in(operator, here)
    before = counted()
    for headers in (here, {}, client()):
        assert await guess(desk, headers) == 401
    assert (await desk.operate("GET", PATH, headers=here)).status_code == 200
    assert counted() - before == 3
