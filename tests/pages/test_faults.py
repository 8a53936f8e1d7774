"""An error in a page's own script: the page never waits for ever."""

from playwright.async_api import Browser

from testkit.desk import Desk
from tests.pages.browser import expect, window
from tests.pages.fans import enter


async def test_script_error_is_shown(browser: Browser, desk: Desk) -> None:
    """After any error in a script the page shows a message and a way to try again."""
    concert = await desk.concert()
    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("Invalid time zone",)
        fan = await enter(here, concert)
        change = "UPDATE concert SET timezone = $1 WHERE concert_id = $2"
        await desk.owner.execute(change, "localtime", concert.concert_id)
        await fan.page.reload()
        await fan.sees("failed")
        await expect(fan.page.get_by_role("alert")).to_have_text(fan.says("refusal.malformed"))
        await fan.is_well()
        await desk.owner.execute(change, "Asia/Seoul", concert.concert_id)
        await fan.button("try_again").click()
        await fan.sees("seats.heading")
