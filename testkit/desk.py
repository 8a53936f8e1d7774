"""Fans and an operator, over HTTP. Every answer is validated against the OpenAPI document."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx2

from frontrow.web.routes import document
from testkit.conformance import Conformance
from testkit.database import Database, digest_by
from testkit.serving import OPERATOR_KEY, serving

Json = dict[str, Any]
BASE = "/api/v1"
OPEN = {"kind": "open"}
_SUMS = {"stock", "sold_delta"}
SOON = 60
"""Time limit in seconds for what a test waits for."""
DEADLINE_SECONDS = 1.5
"""For a server whose database fails: calls before and after that hold on a busy machine."""


def starts_at(days: int = 30, hours: int = 0) -> str:
    """Returns the start of a show: 10:00 UTC, 19:00 in Seoul, some days from now."""
    day = datetime.now(UTC).replace(hour=10, minute=0, second=0, microsecond=0)
    return (day + timedelta(days=days, hours=hours)).isoformat()


@dataclass(frozen=True)
class Concert:
    """A concert on sale."""

    concert_id: str
    shows: list[Json]

    @property
    def date(self) -> str:
        """Returns the day of the first show."""
        return str(self.shows[0]["date"])


@dataclass
class Desk:
    """The server as a client sees it, and its database as its owner does."""

    http: httpx2.AsyncClient
    database: Database
    owner: asyncpg.Connection
    conformance: Conformance = field(default_factory=lambda: Conformance(document()))

    async def ask(
        self, method: str, path: str, credential: str | None = None, **request: Any
    ) -> httpx2.Response:
        """Makes one request; ``credential`` goes into the Authorization header."""
        headers = dict(request.pop("headers", {}))
        if credential is not None:
            headers["Authorization"] = f"Bearer {credential}"
        url = path if path.startswith("//") else BASE + path
        response = await self.http.request(
            method, url.replace("//", "/"), headers=headers, **request
        )
        self.conformance.check(response)
        return response

    async def operate(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """Makes one request of the operator."""
        return await self.ask(method, path, OPERATOR_KEY, **request)

    async def concert(
        self, *, shows: int | list[Json] = 1, seats: int = 50, **others: Any
    ) -> Concert:
        """Puts a concert on sale: a show a day, and an open line unless given otherwise."""
        if isinstance(shows, int):
            shows = [
                {"starts_at": starts_at(30 + day), "price": 50_000, "seats": seats}
                for day in range(shows)
            ]
        response = await self.operate(
            "POST",
            "/admin/concerts",
            json={
                "title": "The Test",
                "waiting_room": {"policy": OPEN},
                "shows": shows,
                **others,
            },
        )
        assert response.status_code == 201, response.text
        made = response.json()
        return Concert(made["concert_id"], made["shows"])

    async def fan(self) -> "Fan":
        """Creates a guest."""
        made = (await self.ask("POST", "/users", json={})).json()
        return Fan(self, made["user_id"], made["user_key"])

    async def waiting(self, concert: Concert) -> "Fan":
        """Creates a guest with a place in the line."""
        fan = await self.fan()
        await fan.join(concert)
        return fan

    async def buyer(self, concert: Concert, balance: int = 0) -> "Fan":
        """Creates a guest who is admitted and has claimed; with a charged ``balance``."""
        fan = await self.waiting(concert)
        await fan.until("admitted")
        assert (await fan.by_token("GET", f"/users/{fan.user_id}/balance")).status_code == 200
        if balance:
            await fan.charge(balance)
        return fan

    async def lose_places(self, concert: Concert, *, after: int) -> None:
        """Removes the places behind a number, like a restore of an older backup."""
        await self.owner.execute(
            "WITH room AS ("
            "UPDATE waiting_room SET issued = $1 WHERE concert_id = $2 RETURNING room_id) "
            "DELETE FROM place USING room WHERE place.room_id = room.room_id AND number > $1",
            after,
            concert.concert_id,
        )

    async def cut_connections(self) -> None:
        """Ends all connections of the server to its database."""
        await self.owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    async def digest(self) -> dict[str, str | None]:
        """Returns a digest of the database, to compare it before and after a call.

        Without the statistics that the server's upkeep writes meanwhile.
        """
        found = await digest_by(self.owner)
        return {table: rows for table, rows in found.items() if table not in _SUMS}


def check_problem(response: httpx2.Response, status: int, code: str, **members: Any) -> None:
    """Fails unless the answer is exactly this problem (RFC 9457), with these further members."""
    problem = response.json()
    assert (response.status_code, problem.get("code")) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    plain = {name: problem.pop(name) for name in ("type", "title", "status", "detail", "code")}
    assert plain["status"] == status
    assert plain["type"] == f"/docs#{code}"
    assert plain["title"]
    assert plain["detail"]
    assert problem == members


async def eventually(condition: Callable[[], Awaitable[object]]) -> None:
    """Waits for a condition by repeated requests."""
    async with asyncio.timeout(SOON):
        while not await condition():  # noqa: ASYNC110 - the condition is the server's
            await asyncio.sleep(0.01)


@dataclass
class Fan:
    """A guest with a key, and with a token after joining a line."""

    desk: Desk
    user_id: str
    user_key: str
    token: str = ""

    async def by_key(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """Makes one request with the user key."""
        return await self.desk.ask(method, path, self.user_key, **request)

    async def by_token(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """Makes one request with the queue token."""
        return await self.desk.ask(method, path, self.token, **request)

    async def join(self, concert: Concert) -> Json:
        """Joins a line; returns the status."""
        response = await self.by_key(
            "POST", "/queue/tokens", json={"concert_id": concert.concert_id}
        )
        assert response.status_code in (200, 201), response.text
        status: Json = response.json()
        self.token = status["token"]
        return status

    async def status(self) -> Json:
        """Polls the place; returns the status."""
        status: Json = (await self.by_token("GET", "/queue/tokens/me")).json()
        return status

    async def until(self, state: str) -> Json:
        """Polls, more often than a fan may, until the place is in a state."""
        status: Json = {}

        async def is_there() -> bool:
            status.update(await self.status())
            return bool(status["state"] == state)

        await eventually(is_there)
        return status

    async def hold(self, concert: Concert, *seats: int, **request: Any) -> Json:
        """Holds seats of the first show; returns the reservation."""
        response = await self.by_token(
            "POST", "/reservations", json={"date": concert.date, "seats": seats}, **request
        )
        assert response.status_code == 201, response.text
        reservation: Json = response.json()
        return reservation

    async def charge(self, amount: int, **request: Any) -> Json:
        """Charges the wallet; returns the charge."""
        response = await self.by_token(
            "POST", f"/users/{self.user_id}/balance/charges", json={"amount": amount}, **request
        )
        assert response.status_code == 201, response.text
        charge: Json = response.json()
        return charge

    async def pay(self, reservation: Json, **request: Any) -> Json:
        """Pays a reservation; returns the payment."""
        response = await self.by_token(
            "POST",
            "/payments",
            json={"reservation_id": reservation["reservation_id"], "amount": reservation["amount"]},
            **request,
        )
        assert response.status_code == 201, response.text
        payment: Json = response.json()
        return payment


@asynccontextmanager
async def open_desk(database: Database, **settings: Any) -> AsyncIterator[Desk]:
    """Yields a server on a database, with a client."""
    owner = await asyncpg.connect(database.owner_url)
    try:
        async with (
            serving(database, **settings) as address,
            httpx2.AsyncClient(base_url=address, timeout=SOON) as http,
        ):
            yield Desk(http, database, owner)
    finally:
        await owner.close()
