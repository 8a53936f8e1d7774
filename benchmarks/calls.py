"""The scenarios of ``benchmarks.http``: each call with its requests, in a house of its own."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
import msgspec

from benchmarks import house
from benchmarks.load import Request
from benchmarks.servers import API, OPERATOR_KEY, record


class Scenario(msgspec.Struct, frozen=True):
    """The requests of one call."""

    call: str
    requests: list[Request]
    refused: bool = False
    seen: bool = False
    """The server has verified each token before, as is usual in the middle of a buyer's path."""
    once: bool = False
    """Each request can be sent only once: the run ends before they are used up."""


def arenas(
    pool: asyncpg.Pool, people: int, port: int
) -> list[Callable[[], Coroutine[Any, Any, Scenario]]]:
    """Returns makers of the scenarios with 50,000 seats, some of them held."""

    async def arena(name: str, *, knows: bool) -> Scenario:
        full = await house.fill(pool, people, admitted=True, seats=50_000)
        await house.hold_one_each(pool, full)
        path = f"{API}/concerts/{full.concert_id}/dates/{full.shows[0].date}/seats?form=compact"
        known = await asyncio.to_thread(record, Request("GET", path, full.tokens[0]), port)
        tag = dict(known.headers)["etag"]
        header = f"If-None-Match: {tag}\r\n" if knows else "Accept-Encoding: gzip\r\n"
        requests = [Request("GET", path, token, headers=header) for token in full.tokens]
        return Scenario(name, requests, seen=True)

    async def arena_unchanged() -> Scenario:
        return await arena("seat map of 50,000, unchanged", knows=True)

    async def arena_whole() -> Scenario:
        return await arena("seat map of 50,000, compact", knows=False)

    return [arena_unchanged, arena_whole]


def holds(pool: asyncpg.Pool, people: int) -> list[Callable[[], Coroutine[Any, Any, Scenario]]]:
    """Returns makers of the scenarios that hold a seat each: a named one, and the best."""

    async def hold() -> Scenario:
        full = await house.fill(pool, people, admitted=True, shows=2)
        requests = [
            Request(
                "POST", f"{API}/reservations", full.tokens[i % len(full.tokens)],
                b'{"show_id":"%b","seats":[%d]}' % (str(show.show_id).encode(), number),
            )
            for i, (show, number) in enumerate(
                (show, number) for show in full.shows for number in range(1, 100_001)
            )
        ]  # fmt: skip
        return Scenario("hold", requests, seen=True, once=True)

    async def hold_best() -> Scenario:
        full = await house.fill(pool, people, admitted=True, shows=2)
        requests = [
            Request(
                "POST", f"{API}/reservations", full.tokens[i % len(full.tokens)],
                b'{"show_id":"%b","count":1}' % str(full.shows[i % 2].show_id).encode(),
            )
            for i in range(200_000)
        ]  # fmt: skip
        return Scenario("hold, best seats", requests, seen=True, once=True)

    return [hold, hold_best]


def scenarios(
    pool: asyncpg.Pool, scale: float, port: int
) -> list[Callable[[], Coroutine[Any, Any, Scenario]]]:
    """Returns makers of the scenarios, in running order; each fills its own house."""

    def n(count: int) -> int:
        return max(1000, int(count * scale))

    async def poll_seen() -> Scenario:
        full = await house.fill(pool, n(20_000), admitted=False)
        requests = [Request("GET", f"{API}/queue/tokens/me", token) for token in full.tokens]
        return Scenario("status poll, token seen before", requests, seen=True)

    async def poll_unseen() -> Scenario:
        full = await house.fill(pool, n(250_000), admitted=False)
        requests = [Request("GET", f"{API}/queue/tokens/me", token) for token in full.tokens]
        return Scenario("status poll, token never seen", requests, once=True)

    async def seats() -> Scenario:
        full = await house.fill(pool, n(20_000), admitted=True, seats=50)
        path = f"{API}/concerts/{full.concert_id}/dates/{full.shows[0].date}/seats"
        requests = [Request("GET", path, token) for token in full.tokens]
        return Scenario("seats of a date", requests, seen=True)

    async def join() -> Scenario:
        full = await house.fill(pool, 1, admitted=False)
        body = b'{"concert_id":"%b"}' % str(full.concert_id).encode()
        keys = await house.add_users(pool, n(200_000))
        requests = [Request("POST", f"{API}/queue/tokens", key, body) for key in keys]
        return Scenario("join", requests, once=True)

    async def refused() -> Scenario:
        full = await house.fill(pool, n(20_000), admitted=True, seats=50)
        await house.hold_one_each(pool, full)
        body = b'{"show_id":"%b","seats":[7]}' % str(full.shows[0].show_id).encode()
        requests = [Request("POST", f"{API}/reservations", t, body) for t in full.tokens]
        return Scenario("hold, refused", requests, seen=True, refused=True)

    async def pay() -> Scenario:
        full = await house.fill(pool, n(100_000), admitted=True, balance=10_000)
        reservations = await house.hold_one_each(pool, full)
        requests = [
            Request(
                "POST", f"{API}/payments", token,
                b'{"reservation_id":"%b","amount":1000}' % str(reservation).encode(),
            )
            for token, reservation in zip(full.tokens, reservations, strict=True)
        ]  # fmt: skip
        return Scenario("pay", requests, seen=True, once=True)

    async def check_in() -> Scenario:
        full = await house.fill(pool, 1, admitted=True)
        codes = await house.give_tickets(pool, full, n(100_000))
        requests = [
            Request(
                "POST", f"{API}/admin/tickets/check-ins", OPERATOR_KEY,
                b'{"code":"%b","gate":"North 2","show_id":"%b"}'
                % (code.encode(), str(full.shows[0].show_id).encode()),
            )
            for code in codes
        ]  # fmt: skip
        return Scenario("check-in", requests, once=True)

    return [
        poll_seen,
        *arenas(pool, n(20_000), port),
        poll_unseen,
        seats,
        join,
        *holds(pool, n(20_000)),
        refused,
        pay,
        check_in,
    ]
