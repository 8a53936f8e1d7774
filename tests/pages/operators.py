"""The actions of an operator in the console, in either language."""

from dataclasses import dataclass

from playwright.async_api import Locator, Page

from frontrow.web.i18n.texts import Texts
from frontrow.web.pages.assets import Files
from testkit.serving import OPERATOR_KEY
from tests.pages.browser import Window, accessible, expect

_SOURCES = Files().sources
PARTS = (
    "common",
    "fan",
    "console",
    *sorted(
        path.removeprefix("catalogs/en/").removesuffix(".json")
        for path in _SOURCES
        if path.startswith("catalogs/en/console_")
    ),
)


@dataclass
class Operator:
    """An operator's tab in the console."""

    page: Page
    window: Window
    language: str = "en"

    def text(self, key: str, **values: object) -> str:
        """Returns a text of the console."""
        return Texts(self.language, *PARTS)(key, **values)

    def button(self, key: str, **values: object) -> Locator:
        """Returns the button with a text; of an open dialog, the dialog's button."""
        named = self.page.get_by_role("button", name=self.text(key, **values), exact=True)
        # A dialog is last in the page, and elements behind it can't be reached.
        return named.last

    def field(self, key: str) -> Locator:
        """Returns the field with a label."""
        return self.page.get_by_label(self.text(key), exact=True)

    def figure(self, key: str) -> Locator:
        """Returns the figure next to a label."""
        term = self.page.locator("dt").get_by_text(self.text(key), exact=True)
        return self.page.locator(".facts > div").filter(has=term).locator("dd").first

    async def go(self, path: str) -> None:
        """Opens a page of the console."""
        await self.page.goto(f"{self.window.address}/console{path}")

    async def expect_heading(self, heading: str) -> None:
        """Waits until the heading has this text."""
        await expect(self.page.get_by_role("heading", level=1)).to_have_text(heading)

    async def expect_notice(self, key: str, **values: object) -> None:
        """Waits until a notice has this text."""
        await expect(self.page.locator("#notices")).to_contain_text(self.text(key, **values))

    async def sign_in(self, key: str = OPERATOR_KEY) -> None:
        """Types a key and presses Enter."""
        await self.field("signin.key").fill(key)
        await self.page.keyboard.press("Enter")

    async def passes_checks(self) -> None:
        """Asserts that nothing scrolls sideways and axe-core finds no serious fault."""
        fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        assert await self.page.evaluate(fits)
        await accessible(self.page)


async def open_console(window: Window, path: str = "", language: str = "en") -> Operator:
    """Signs an operator in on a page of the console."""
    operator = Operator(await window.open(f"/console{path}"), window, language)
    await operator.expect_heading(operator.text("signin.heading"))
    await operator.sign_in()
    await expect(operator.field("signin.key")).to_have_count(0)
    return operator
