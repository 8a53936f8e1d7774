"""An error in a page's own script: the page never waits for ever."""

from playwright.async_api import Browser

from testkit.desk import Desk
from tests.pages.browser import expect, window
from tests.pages.fans import open_seats


async def test_script_error_is_shown(browser: Browser, desk: Desk) -> None:
    """After any error in a script the page shows a message and a way to try again."""
    concert = await desk.concert()
    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("Invalid time zone",)
        fan = await open_seats(here, concert)
        change = "UPDATE concert SET timezone = $1 WHERE concert_id = $2"
        await desk.owner.execute(change, "localtime", concert.concert_id)
        await fan.page.reload()
        await fan.expect_heading("failed")
        await expect(fan.page.get_by_role("alert")).to_have_text(fan.text("refusal.malformed"))
        await fan.passes_checks()
        await desk.owner.execute(change, "Asia/Seoul", concert.concert_id)
        await fan.button("try_again").click()
        await fan.expect_heading("seats.heading")
