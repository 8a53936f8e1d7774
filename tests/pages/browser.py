"""A real browser: Debian's Chromium, driven by Playwright, against a real server.

Everything that a page must never do is noted while it runs and fails the test at its end: an error
on the console, a request to another host.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PATIENCE_MS = 20_000
"""For what takes a moment on a machine that has nothing else to do."""


@dataclass
class Window:
    """One browser's window with cookies of its own, and what went wrong in it."""

    context: BrowserContext
    address: str
    faults: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()
    """What a test provokes: console messages with these words are no faults."""

    async def open(self, path: str = "/") -> Page:
        """A tab at a page of the server."""
        page = await self.context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", self._see)
        await page.goto(self.address + path)
        return page

    def check(self) -> None:
        """Fails if something went wrong that no test provoked."""
        assert [f for f in self.faults if not any(word in f for word in self.expected)] == []

    def _hear(self, message: ConsoleMessage) -> None:
        # A refused call is told on the console by the browser itself; the page says it in words.
        if message.type in ("error", "warning") and "status of" not in message.text:
            self.faults.append(f"console: {message.text}")

    def _see(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and not request.url.startswith(self.address):
            self.faults.append(f"foreign: {request.url}")


@asynccontextmanager
async def window(browser: Browser, address: str, **options: Any) -> AsyncIterator[Window]:
    """A window on a server, checked when it is closed."""
    options.setdefault("locale", "en-GB")
    options.setdefault("viewport", DESKTOP)
    context = await browser.new_context(**options)
    opened = Window(context, address.rstrip("/"))
    try:
        yield opened
        opened.check()
    finally:
        await context.close()


async def accessible(page: Page) -> None:
    """Fails for a serious or critical fault that axe-core finds."""
    found = await Axe().run(page)
    faults = [
        (fault["id"], [node["html"] for node in fault["nodes"]])
        for fault in found.response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert faults == []
