"""Visitors of the pages: browsers with cookies, Origin and Sec-Fetch-Site."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from testkit.desk import BASE, SOON, Concert, Desk, Json

UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}


@dataclass
class Visitor:
    """A browser with a cookie jar, at a page of some origin."""

    desk: Desk
    http: httpx2.AsyncClient
    origin: str
    site: str = "same-origin"

    async def ask(
        self, method: str, path: str, credential: str | None = None, **request: Any
    ) -> httpx2.Response:
        """Makes one call of a script, with the headers that a browser adds."""
        headers = httpx2.Headers({"Sec-Fetch-Site": self.site})
        if method in UNSAFE:
            headers["Origin"] = self.origin
        if credential is not None:
            headers["Authorization"] = f"Bearer {credential}"
        headers.update(request.pop("headers", {}))
        response = await self.http.request(method, BASE + path, headers=headers, **request)
        self.desk.conformance.check(response)
        return response

    async def call(
        self, concert: Concert, method: str, path: str, **request: Any
    ) -> httpx2.Response:
        """Makes one call for the place in a concert's line."""
        headers = {"Frontrow-Concert": concert.concert_id, **request.pop("headers", {})}
        return await self.ask(method, path, headers=headers, **request)

    async def sign_in(self) -> Json:
        """Signs in as a guest; returns the session."""
        response = await self.ask("POST", "/session", json={})
        assert response.status_code in (200, 201), response.text
        session: Json = response.json()
        return session

    async def join(self, concert: Concert) -> Json:
        """Joins a line; returns the status."""
        response = await self.ask("POST", "/queue/tokens", json={"concert_id": concert.concert_id})
        assert response.status_code in (200, 201), response.text
        status: Json = response.json()
        return status

    def secrets(self) -> dict[str, str]:
        """Returns the cookies of the browser."""
        return {cookie.name: cookie.value or "" for cookie in self.http.cookies.jar}


@asynccontextmanager
async def visiting(desk: Desk) -> AsyncIterator[Visitor]:
    """Yields a browser without cookies, at a page of the server."""
    address = str(desk.http.base_url).rstrip("/")
    async with httpx2.AsyncClient(base_url=address, timeout=SOON) as http:
        yield Visitor(desk, http, address)
