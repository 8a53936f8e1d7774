"""A fan's whole path in a real browser: in both languages, on a phone and on a desktop."""

import re

import pytest
from playwright.async_api import Browser

from testkit.desk import Desk, Fan
from tests.pages.browser import DESKTOP, PHONE, expect, window
from tests.pages.fans import Visit, open_seats, until_sold

ONE_BY_ONE = {"policy": {"kind": "max_active", "max_active": 1}, "claim_seconds": 600}


@pytest.mark.parametrize(
    ("language", "options"),
    [
        ("en", {"locale": "en-GB", "viewport": DESKTOP, "color_scheme": "light"}),
        ("ko", {"locale": "ko-KR", "viewport": PHONE, "color_scheme": "dark"}),
    ],
    ids=["english-desktop-light", "korean-phone-dark"],
)
async def test_whole_path_works(
    browser: Browser, desk: Desk, language: str, options: dict[str, object]
) -> None:
    """From the list to the ticket; each screen passes its checks and survives a reload."""
    concert = await desk.concert(
        title="An evening", venue="The Hall", shows=2, waiting_room=ONE_BY_ONE
    )
    first = await desk.buyer(concert)
    address = str(desk.http.base_url)
    async with window(browser, address, **options) as here:
        fan = Visit(await here.open(), here, concert, language)
        await opens_the_concert(fan)
        await waits(fan, first)
        await chooses(fan)
        await buys(fan)
        await until_sold(desk, concert, 1)
        await fan.page.goto(f"{here.address}/concerts/{concert.concert_id}")
        await fan.expect_heading("finished.paid")
        await expect(fan.page.get_by_role("main")).to_contain_text("An evening")
        await fan.passes_checks()


async def opens_the_concert(fan: Visit) -> None:
    """Opens a concert from the list of concerts."""
    await fan.expect_heading("concerts")
    await fan.passes_checks()
    link = fan.page.locator(f"a[href='/concerts/{fan.concert.concert_id}']")
    await expect(link).to_have_text("An evening")
    await link.click()
    await expect(fan.page.get_by_role("heading", level=1)).to_have_text("An evening")
    await fan.passes_checks()


async def waits(fan: Visit, inside: Fan) -> None:
    """Joins the line, waits until the admitted fan has left, and enters."""
    await fan.join()
    await fan.expect_heading("wait.heading")
    await expect(fan.page.locator(".ahead-label")).to_have_text(fan.text("wait.next_up"))
    await expect(fan.page).to_have_title(re.compile("0.*An evening"))
    await fan.passes_checks()
    await fan.survives_reload("wait.heading")
    await inside.by_token("DELETE", "/queue/tokens/me")
    await fan.expect_heading("turn.title")
    await fan.passes_checks()
    await fan.survives_reload("turn.title")
    await fan.button("turn.enter").click()


async def chooses(fan: Visit) -> None:
    """Selects a date and a seat."""
    await fan.expect_heading("dates.heading")
    await fan.passes_checks()
    await fan.survives_reload("dates.heading")
    await fan.page.locator("button.show").first.click()
    await fan.expect_heading("seats.heading")
    await fan.survives_reload("seats.heading")
    await expect(fan.page.locator(".section")).to_contain_text("₩50,000")
    await fan.tap(8)
    await expect(fan.page.locator(".bar .chosen")).to_contain_text("₩50,000")
    await fan.passes_checks()
    await fan.button("seats.hold").click()


async def buys(fan: Visit) -> None:
    """Adds money, pays, and gets a ticket."""
    await fan.expect_heading("pay.heading")
    await expect(fan.page.locator(".left")).to_have_text(re.compile(r"^4:\d\d$"))
    await fan.passes_checks()
    await fan.survives_reload("pay.heading")
    await fan.button("pay.add", amount="₩50,000").click()
    await fan.button("pay.pay", amount="₩50,000").click()
    await fan.expect_heading("paid.heading")
    await expect(fan.page.locator(".ticket h3")).to_contain_text("8")
    code = fan.page.locator("img.qr")
    assert await code.evaluate("(image) => image.decode().then(() => image.naturalWidth > 0)")
    await fan.passes_checks()
    await fan.survives_reload("paid.heading")


async def test_ticket_can_be_printed_and_added_to_a_calendar(browser: Browser, desk: Desk) -> None:
    """The printable page needs no script; the calendar file is valid; both need only the cookie."""
    concert = await desk.concert(title="To print")
    async with window(browser, str(desk.http.base_url)) as here:
        fan = await open_seats(here, concert)
        await fan.choose(2)
        await fan.button("seats.hold").click()
        await fan.expect_heading("pay.heading")
        await fan.pay()
        async with fan.page.expect_popup() as opened:
            await fan.page.get_by_role("link", name=fan.text("tickets.print")).click()
        await expect((await opened.value).get_by_text("To print").first).to_be_visible()
        async with fan.page.expect_download() as download:
            await fan.page.get_by_role("link", name=fan.text("tickets.calendar")).click()
        assert (await (await download.value).path()).read_text().startswith("BEGIN:VCALENDAR")


async def test_double_press_counts_once(browser: Browser, desk: Desk) -> None:
    """Adding money and paying, each pressed twice at once, happen once."""
    concert = await desk.concert()
    async with window(browser, str(desk.http.base_url)) as here:
        fan = await open_seats(here, concert)
        await fan.choose(1, 2)
        await fan.button("seats.hold").click()
        await fan.page.locator("button.add").dblclick()
        await fan.page.locator("button.pay").dblclick()
        await fan.expect_heading("paid.heading")
        await expect(fan.page.locator(".ticket")).to_have_count(2)
        await expect(fan.page.locator(".panel strong")).to_have_text("₩0")
        me = await fan.page.evaluate("fetch('/api/v1/users/me').then((a) => a.json())")
        assert [payment["amount"] for payment in me["payments"]] == [100_000]


async def test_scripts_cannot_read_secrets(browser: Browser, desk: Desk) -> None:
    """No script can read the key or the token; no URL contains them."""
    concert = await desk.concert()
    async with window(browser, str(desk.http.base_url)) as here:
        fan = await open_seats(here, concert)
        cookies = {cookie["name"]: cookie for cookie in await here.context.cookies()}
        assert all(c["httpOnly"] and c["sameSite"] == "Strict" for c in cookies.values())
        secrets = [cookie["value"] for cookie in cookies.values()]
        assert len(secrets) == 2
        readable = await fan.page.evaluate(
            """JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage },
                location.href, performance.getEntries().map((entry) => entry.name)])"""
        )
        assert not any(secret in readable for secret in secrets)


async def test_buyer_refunds_a_purchase(browser: Browser, desk: Desk) -> None:
    """If the concert allows it, the buyer refunds a purchase after confirming."""
    concert = await desk.concert(title="Soon refunded", refundable_until="2126-01-01T00:00:00Z")
    async with window(browser, str(desk.http.base_url)) as here:
        fan = await open_seats(here, concert)
        await fan.choose(1)
        await fan.button("seats.hold").click()
        await fan.pay()
        await fan.expect_heading("paid.heading")
        await expect(fan.page).to_have_title(re.compile("Soon refunded"))
        await fan.button("refund.ask").click()
        await fan.button("cancel").click()
        await expect(fan.page.locator(".ticket.valid")).to_have_count(1)
        await fan.button("refund.ask").click()
        await (
            fan.page.get_by_role("dialog")
            .get_by_role("button", name=fan.text("refund.ask"))
            .click()
        )
        await fan.expect_notice("₩50,000")
        await expect(fan.page.locator(".ticket.void")).to_contain_text(
            fan.text("tickets.void.refunded")
        )
        calendar = fan.page.get_by_role("link", name=fan.text("tickets.calendar_remove"))
        await expect(calendar).to_have_attribute("download", "ticket.ics")
        await fan.passes_checks()


async def test_signing_out_removes_the_fans_data(browser: Browser, desk: Desk) -> None:
    """After confirming, no data of the fan is left in the browser, and its key is revoked."""
    concert = await desk.concert()
    async with window(browser, str(desk.http.base_url)) as here:
        fan = await open_seats(here, concert)
        cookies = await here.context.cookies()
        (key,) = [cookie["value"] for cookie in cookies if cookie["name"] == "frontrow_user"]
        await fan.page.goto(f"{here.address}/tickets")
        await fan.button("tickets.forget").click()
        await (
            fan.page.get_by_role("dialog")
            .get_by_role("button", name=fan.text("tickets.forget"))
            .click()
        )
        await fan.expect_heading("concerts")
        assert await fan.page.evaluate("sessionStorage.length") == 0
        assert await here.context.cookies() == []
        assert (await desk.ask("GET", "/users/me", key)).status_code == 401


async def test_language_choice_is_stored(browser: Browser, desk: Desk) -> None:
    """The choice is stored, and returns to the same page."""
    async with window(browser, str(desk.http.base_url), locale="ko-KR") as here:
        page = await here.open("/tickets")
        await expect(page.get_by_role("heading", level=1)).to_have_text("내 티켓")
        await page.get_by_role("link", name="English").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("My tickets")
        await page.reload()
        await expect(page.get_by_role("heading", level=1)).to_have_text("My tickets")
