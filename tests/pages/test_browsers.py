"""Older browsers, and pages over http in a local network, which is no secure context."""

from playwright.async_api import Browser

from testkit.chromium import LAN
from testkit.desk import Desk
from tests.pages.browser import PHONE, window
from tests.pages.fans import open_seats

WITHOUT_NEWER_FUNCTIONS = "delete AbortSignal.any"


async def test_seats_are_bought_without_a_secure_context(browser: Browser, desk: Desk) -> None:
    """Over http at a host of the network, in a browser without ``AbortSignal.any``."""
    concert = await desk.concert(seats=4)
    address = f"http://front.{LAN}:{desk.http.base_url.port}"
    async with window(browser, address, viewport=PHONE) as here:
        here.expected = ("Cross-Origin-Opener-Policy header",)  # ignored there
        await here.context.add_init_script(WITHOUT_NEWER_FUNCTIONS)
        fan = await open_seats(here, concert)
        assert not await fan.page.evaluate("isSecureContext || 'any' in AbortSignal")
        await fan.button("best.take").click()
        await fan.expect_heading("pay.heading")
        await fan.pay()
