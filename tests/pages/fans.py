"""The actions of a fan on the pages, in either language."""

from dataclasses import dataclass
from typing import Any

from playwright.async_api import Locator, Page

from frontrow.web.i18n.texts import Texts
from testkit.desk import Concert, Desk, eventually
from tests.pages.browser import Window, accessible, expect

PARTS = ("common", "fan", "list", "line", "shop", "tickets")


@dataclass
class Visit:
    """A fan on a concert's page."""

    page: Page
    window: Window
    concert: Concert
    language: str = "en"

    def text(self, key: str, **values: object) -> str:
        """Returns a text of the pages."""
        return Texts(self.language, *PARTS)(key, **values)

    def button(self, key: str, **values: object) -> Locator:
        """Returns the button with a text."""
        return self.page.get_by_role("button", name=self.text(key, **values), exact=True)

    async def expect_heading(self, key: str, **values: object) -> None:
        """Waits until the heading has this text."""
        heading = self.page.get_by_role("heading", level=1)
        await expect(heading).to_have_text(self.text(key, **values))

    async def expect_notice(self, words: str) -> None:
        """Waits until a notice has this text."""
        await expect(self.page.locator("#notices")).to_contain_text(words)

    async def join(self) -> None:
        """Presses the button to join."""
        await self.button("join").click()

    async def join_and_return(self) -> None:
        """Joins and reloads: the page then treats the fan as returning, not as joining."""
        await self.join()
        await self.expect_heading("wait.heading")
        await self.survives_reload("wait.heading")
        await self.wait_for_script()

    async def wait_for_script(self) -> None:
        """Waits until the script updates what the server has rendered."""
        await expect(self.button("wait.alert")).to_be_visible()

    async def choose(self, *numbers: int) -> None:
        """Selects seats on the map with the keyboard, starting at seat 1."""
        chart = self.page.get_by_role("application")
        await chart.focus()
        at = 1
        for number in numbers:
            for _ in range(number - at):
                await chart.press("ArrowRight")
            await chart.press("Enter")
            at = number

    async def tap(self, number: int, seats: int = 50) -> None:
        """Taps a seat on the map of a show without sections."""
        await expect(self.page.locator(".map")).to_be_visible()
        hall = [{"first_number": 1, "last_number": seats, "seats_per_row": seats}]
        point: dict[str, float] = await self.page.evaluate(
            """async ([sections, number]) => {
                const { href } = document.querySelector('link[href$="/seats/layout.js"]');
                const { layOut, centreOf } = await import(href);
                const map = document.querySelector(".map");
                const { x, y } = centreOf(layOut(sections, map.clientWidth), number);
                map.scrollLeft = x - map.clientWidth / 2;
                return { x: x - map.scrollLeft, y };
            }""",
            [hall, number],
        )
        await self.page.locator(".map").click(position=point)  # type: ignore[arg-type]

    async def pay(self) -> None:
        """Adds the missing amount and pays."""
        await self.page.locator("button.add").click()
        await self.pay_from_balance()

    async def pay_from_balance(self) -> None:
        """Pays with the money that is there."""
        await self.page.locator("button.pay").click()
        await self.page.wait_for_url("**/tickets?paid=*")

    async def passes_checks(self) -> None:
        """Asserts that nothing scrolls sideways and axe-core finds no serious fault."""
        fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        assert await self.page.evaluate(fits)
        await accessible(self.page)

    async def survives_reload(self, key: str, **values: object) -> None:
        """Reloads the page and waits for the same heading."""
        await self.page.reload()
        await self.expect_heading(key, **values)


async def open_concert(window: Window, concert: Concert, language: str = "en") -> Visit:
    """Opens a concert's page as a fan."""
    page = await window.open(f"/concerts/{concert.concert_id}")
    return Visit(page, window, concert, language)


async def open_seats(window: Window, concert: Concert) -> Visit:
    """Joins a concert with one show and an open line; returns when the seats are shown."""
    there = await open_concert(window, concert)
    await there.join()
    await there.expect_heading("seats.heading")
    await expect(there.page.locator(".section").first).to_be_visible()
    return there


async def until_sold(desk: Desk, concert: Concert, seats: int) -> None:
    """Waits until this number of seats is sold."""

    async def sold() -> bool:
        stats: Any = (
            await desk.operate("GET", f"/admin/concerts/{concert.concert_id}/stats")
        ).json()
        return bool(stats["seats"]["sold"] == seats)

    await eventually(sold)
