"""One client wants a whole sale: with many guests from one address, or by renewing its holds."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import altcha
import httpx2
import pytest

from testkit.database import Database
from testkit.desk import Concert, Desk, Fan, open_desk

GUESTS = 60
SEATS = 400
IPV4_SEATS = 80
NETWORK_SEATS = {64: 20, 56: 80, 48: 200}


@pytest.fixture(scope="module")
async def desk(module_database: Database) -> AsyncIterator[Desk]:
    """A server behind a proxy; proof of work has a test of its own."""
    async with open_desk(module_database, trusted_proxies="127.0.0.1", guest_challenge=0) as made:
        yield made


def from_address(address: str) -> dict[str, str]:
    """Returns the header with which the proxy names a client."""
    return {"X-Forwarded-For": address}


async def crowd(desk: Desk, concert: Concert, people: int) -> list[Fan]:
    """Returns guests who may hold seats."""
    fans = await asyncio.gather(*(desk.waiting(concert) for _ in range(people)))
    await fans[-1].until("admitted")
    return list(fans)


async def grab(
    fans: Sequence[Fan], concert: Concert, addresses: Sequence[str]
) -> tuple[int, list[httpx2.Response]]:
    """Lets each fan ask for four seats; returns the seats held, and the refusals."""

    async def ask(turn: int, fan: Fan) -> httpx2.Response:
        # Half ask for the best seats, half by number from the back.
        wanted: dict[str, Any] = (
            {"count": 4} if turn % 2 else {"seats": [SEATS - 4 * turn - n for n in range(4)]}
        )
        return await fan.by_token(
            "POST",
            "/reservations",
            json={"date": concert.date, **wanted},
            headers=from_address(addresses[turn % len(addresses)]),
        )

    answers = await asyncio.gather(*(ask(turn, fan) for turn, fan in enumerate(fans)))
    held = [answer.json() for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code == 429]
    return sum(len(one["seats"]) for one in held), refused


async def test_public_server_requires_proof_of_work_for_guests(desk: Desk) -> None:
    """Without a setting for it, once other machines can connect: no account for nothing."""
    async with open_desk(desk.database, trusted_proxies="127.0.0.1") as public:
        for path in ("/users", "/session"):
            refused = await public.ask(
                "POST", path, json={}, headers={"Origin": str(public.http.base_url).rstrip("/")}
            )
            assert (refused.status_code, refused.json()["code"]) == (403, "challenge_required")
        challenge = altcha.Challenge.from_dict((await public.ask("GET", "/users/challenge")).json())
        solution = await asyncio.to_thread(altcha.solve_challenge, challenge)
        assert solution is not None
        payload = altcha.Payload(challenge, solution).to_base64()
        answers = [await public.ask("POST", "/users", json={"altcha": payload}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 403]


@pytest.mark.parametrize(
    "addresses",
    [
        ["203.0.113.7"],
        [
            "203.0.113.8",
            "::ffff:203.0.113.8",
            "::ffff:0:203.0.113.8",
            "64:ff9b::203.0.113.8",
            "2002:cb00:7108::1",
            "2001:0:c000:201:8000:63bf:34ff:8ef7",
        ],
    ],
    ids=["plain", "inside IPv6"],
)
async def test_one_ipv4_address_gets_its_limit(desk: Desk, addresses: list[str]) -> None:
    """Sixty guests ask for 240 of 400 seats at once, in all spellings of one address."""
    concert = await desk.concert(seats=SEATS)
    fans = await crowd(desk, concert, GUESTS)
    held, refused = await grab(fans, concert, addresses)
    assert held == IPV4_SEATS
    assert {answer.json()["code"] for answer in refused} == {"rate_limited"}
    assert all(1 <= int(answer.headers["retry-after"]) <= 300 for answer in refused)
    other = await desk.buyer(concert)
    best = {"date": concert.date, "count": 4}
    elsewhere = from_address("203.0.113.99")
    answer = await other.by_token("POST", "/reservations", json=best, headers=elsewhere)
    assert answer.status_code == 201


@pytest.mark.parametrize(("bits", "seats"), NETWORK_SEATS.items())
async def test_ipv6_networks_get_their_limits(desk: Desk, bits: int, seats: int) -> None:
    """Each guest has an address of its own within the network."""
    concert = await desk.concert(seats=SEATS)
    fans = await crowd(desk, concert, GUESTS)
    top = 0x2001_0DB8_0000_0000 + (bits << 16)
    step = {64: 0, 56: 4, 48: 256}[bits]
    addresses = [
        f"{(top + turn * step) >> 48:x}:{(top + turn * step) >> 32 & 0xFFFF:x}"
        f":{(top + turn * step) >> 16 & 0xFFFF:x}:{(top + turn * step) & 0xFFFF:x}::{turn + 1:x}"
        for turn in range(GUESTS)
    ]
    held, refused = await grab(fans, concert, addresses)
    assert held == seats
    assert len(refused) == GUESTS - seats // 4


async def test_hold_cannot_be_renewed_for_free(desk: Desk) -> None:
    """Releasing and holding again, by number or as best seats, with the same or a new place."""
    concert = await desk.concert(seats=8)
    fan = await desk.buyer(concert)
    mine = await fan.hold(concert, 1, 2, 3, 4)
    assert (
        await fan.by_key("DELETE", f"/reservations/{mine['reservation_id']}")
    ).status_code == 204
    again = {"date": concert.date, "seats": [1, 2, 3, 4]}
    refused = await fan.by_token("POST", "/reservations", json=again)
    assert (refused.status_code, refused.json()["code"]) == (409, "recently_released")
    assert refused.json()["seats"] == [1, 2, 3, 4]
    assert 0 < refused.json()["retry_after_seconds"] <= 300
    assert (await fan.by_token("DELETE", "/queue/tokens/me")).status_code == 204
    await fan.join(concert)
    await fan.until("admitted")
    assert (await fan.by_token("POST", "/reservations", json=again)).status_code == 409
    best = await fan.by_token("POST", "/reservations", json={"date": concert.date, "count": 4})
    assert sorted(seat["number"] for seat in best.json()["seats"]) == [5, 6, 7, 8]
    other = await desk.buyer(concert)
    await other.hold(concert, 1, 2, 3, 4)
