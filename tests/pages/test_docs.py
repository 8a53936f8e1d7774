"""``/docs`` in a real browser: the reader of the API, and the explanations of its error codes."""

from playwright.async_api import Browser

from testkit.desk import Desk
from tests.pages.browser import PHONE, expect, window


async def test_call_is_sent_from_the_reader(browser: Browser, desk: Desk) -> None:
    """The reader shows the calls under the strict policy, and sends one to this server."""
    concert = await desk.concert(title="Tried out")
    async with window(browser, str(desk.http.base_url)) as here:
        page = await here.open("/docs")
        await page.locator("#operations-Line-queue_document .opblock-summary-control").click()
        call = page.locator("#operations-Line-queue_document")
        await call.get_by_role("button", name="Try it out").click()
        await call.get_by_placeholder("concert_id").fill(concert.concert_id)
        await call.get_by_role("button", name="Execute", exact=True).click()
        await expect(call.locator(".live-responses-table")).to_contain_text(concert.concert_id)


async def test_type_of_a_problem_leads_to_its_explanation(browser: Browser, desk: Desk) -> None:
    """With scripts, once the reader has been drawn above it; and without scripts."""
    for scripts in (True, False):
        options = {"java_script_enabled": scripts, "viewport": PHONE}
        async with window(browser, str(desk.http.base_url), **options) as here:
            page = await here.open("/docs#token_finished")
            if scripts:
                await expect(page.locator(".opblock-tag").first).to_be_visible()
            await expect(page.locator("#token_finished")).to_contain_text("reason")
            await expect(page.locator("#token_finished")).to_be_in_viewport()
