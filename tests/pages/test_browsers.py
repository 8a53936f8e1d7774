"""Older browsers, and pages over http in a local network, which is no secure context."""

from playwright.async_api import Browser

from frontrow.web.i18n.texts import Texts
from testkit.chromium import LAN
from testkit.database import Database
from testkit.desk import Desk, open_desk
from tests.pages.browser import PHONE, expect, window
from tests.pages.fans import open_concert, open_seats
from tests.pages.operators import open_console

IGNORED = ("Cross-Origin-Opener-Policy header",)
"""The browser reports that it ignores this header outside a secure context."""
WITHOUT_NEWER_FUNCTIONS = "delete AbortSignal.any"


def lan_address(desk: Desk) -> str:
    """Returns a server's address on the local network."""
    return f"http://front.{LAN}:{desk.http.base_url.port}"


async def test_seats_are_bought_without_a_secure_context(browser: Browser, desk: Desk) -> None:
    """Over http at a host of the network, in a browser without ``AbortSignal.any``."""
    concert = await desk.concert(seats=4)
    async with window(browser, lan_address(desk), viewport=PHONE) as here:
        here.expected = IGNORED
        await here.context.add_init_script(WITHOUT_NEWER_FUNCTIONS)
        fan = await open_seats(here, concert)
        assert not await fan.page.evaluate("isSecureContext || 'any' in AbortSignal")
        await fan.button("best.take").click()
        await fan.expect_heading("pay.heading")
        await fan.pay()


async def test_ticket_is_checked_in_without_a_secure_context(browser: Browser, desk: Desk) -> None:
    """At the gate, over http at a host of the network."""
    concert = await desk.concert(seats=4)
    buyer = await desk.buyer(concert, 50_000)
    payment = await buyer.pay(await buyer.hold(concert, 1))
    async with window(browser, lan_address(desk), viewport=PHONE) as here:
        here.expected = IGNORED
        operator = await open_console(here, "/gate")
        await operator.field("gate.code").fill(payment["tickets"][0]["code"])
        await operator.page.keyboard.press("Enter")
        verdict = operator.page.locator(".verdict")
        await expect(verdict).to_contain_text(operator.text("gate.let_in"))


async def test_proof_of_work_is_solved_without_a_secure_context(
    browser: Browser, database: Database
) -> None:
    """The page has a library for the browser's ``crypto.subtle``, which is missing there."""
    async with open_desk(database, guest_challenge=200) as desk:
        concert = await desk.concert()
        async with window(browser, lan_address(desk)) as here:
            here.expected = IGNORED
            fan = await open_concert(here, concert)
            assert await fan.page.evaluate("crypto.subtle === undefined")
            await fan.join()
            await fan.expect_heading("seats.heading")


async def test_old_browser_is_reported(browser: Browser, desk: Desk) -> None:
    """Where a function is missing that every supported browser has, the page says so."""
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        await here.context.add_init_script("delete window.reportError")
        page = await here.open("/tickets")
        await expect(page.get_by_text(Texts("en", "common")("old_browser"))).to_be_visible()
    async with window(browser, str(desk.http.base_url)) as here:
        page = await here.open("/tickets")
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await expect(page.locator("#old-browser")).to_be_hidden()
