"""What is on sale, on the first page."""

import pytest
from playwright.async_api import Browser, expect

from tests.pages.browser import DESKTOP, PHONE, accessible, window
from tests.web.fans import Desk


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_list(browser: Browser, desk: Desk, viewport: object, scheme: str) -> None:
    """Each concert with its price; nothing to scroll sideways; no fault that axe-core finds."""
    await desk.concert(title="An evening", venue="The Hall")
    options = {"viewport": viewport, "color_scheme": scheme}
    async with window(browser, str(desk.http.base_url), **options) as here:
        page = await here.open()
        await expect(page.get_by_role("link", name="An evening").first).to_be_visible()
        await expect(page.get_by_text("from ₩50,000").first).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await accessible(page)


async def test_the_language_switch(browser: Browser, desk: Desk) -> None:
    """Korean for a Korean browser; the switch is remembered."""
    async with window(browser, str(desk.http.base_url), locale="ko-KR") as here:
        page = await here.open()
        await expect(page.get_by_role("heading", name="판매 중인 공연")).to_be_visible()
        await page.get_by_role("link", name="English").click()
        await expect(page.get_by_role("heading", name="Concerts on sale")).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("heading", name="Concerts on sale")).to_be_visible()
