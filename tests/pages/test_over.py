"""Ended shows and sales: every page shows it and offers nothing that can't be bought."""

import re

from playwright.async_api import Browser

from testkit.desk import Concert, Desk
from tests.pages.browser import PHONE, expect, window
from tests.pages.fans import open_concert, open_seats

ENDED = {"starts_at": "2020-03-01T10:00:00Z", "price": 50_000}
MARCH = {"starts_at": "2126-03-01T10:00:00Z", "price": 50_000}
MAY = {"starts_at": "2126-05-01T10:00:00Z", "price": 50_000}


async def cancel(desk: Desk, concert: Concert, show: int = 0) -> None:
    """Cancels a show."""
    path = f"/admin/shows/{concert.shows[show]['show_id']}/cancellation"
    assert (await desk.operate("POST", path)).status_code in (200, 201, 202)


async def test_ended_date_is_not_offered(browser: Browser, desk: Desk) -> None:
    """Of several shows those on sale are offered, with the year; a single one immediately."""
    several = await desk.concert(shows=[ENDED, MARCH, MAY])
    one = await desk.concert(shows=[ENDED, MARCH])
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        fan = await open_concert(here, several)
        await fan.join()
        await fan.expect_heading("dates.heading")
        await expect(fan.page.locator(".dates h2")).to_have_text(
            [re.compile("March 1, 2126"), re.compile("May 1, 2126")]
        )
        fan = await open_seats(here, one)
        await expect(fan.page.locator(".when")).to_contain_text("March 1, 2126")
        await expect(fan.button("seats.other_date")).to_have_count(0)


async def test_ended_sale_is_shown(browser: Browser, desk: Desk) -> None:
    """The line is not offered; an admitted fan gets the message instead of dates and seats."""
    concert = await desk.concert()
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        fan = await open_seats(here, concert)
        await cancel(desk, concert)
        await fan.page.reload()
        await fan.expect_heading("over.cancelled")
        await fan.passes_checks()
        await fan.button("leave").click()
        await fan.page.get_by_role("dialog").get_by_role("button", name=fan.text("leave")).click()
        await fan.expect_heading("finished.left")
        await expect(fan.page.get_by_role("main")).to_contain_text(fan.text("over.cancelled"))
        await expect(fan.button("join_again")).to_have_count(0)
        fan = await open_concert(here, concert)
        await expect(fan.page.get_by_role("main")).to_contain_text(fan.text("over.cancelled"))
        await expect(fan.button("join")).to_have_count(0)


async def test_sale_that_ends_while_waiting_is_shown(browser: Browser, desk: Desk) -> None:
    """A waiting fan's page shows it without a reload; if the sale resumes, the place is kept."""
    room = {"policy": {"kind": "max_active", "max_active": 1}, "claim_seconds": 600}
    concert = await desk.concert(waiting_room=room)
    await desk.buyer(concert)
    show = f"/admin/shows/{concert.shows[0]['show_id']}"
    async with window(browser, str(desk.http.base_url)) as here:
        fan = await open_concert(here, concert)
        await fan.join_and_return()
        await desk.operate("PATCH", show, json={"sales_end_at": "2020-03-01T10:00:00Z"})
        await fan.expect_heading("over.ended")
        await fan.passes_checks()
        await desk.operate("PATCH", show, json={"sales_end_at": None})
        await fan.expect_heading("wait.heading")


async def test_show_that_ends_while_choosing_is_shown(browser: Browser, desk: Desk) -> None:
    """The remaining dates replace the map; a message if none remain."""
    concert = await desk.concert(shows=[MARCH, MAY])
    async with window(browser, str(desk.http.base_url)) as here:
        fan = await open_concert(here, concert)
        await fan.join()
        await fan.page.locator("button.show").first.click()
        await fan.expect_heading("seats.heading")
        await expect(fan.page.locator(".section")).to_be_visible()
        await cancel(desk, concert)
        await fan.expect_heading("dates.heading")
        await fan.expect_notice(fan.text("refusal.show_closed"))
        await expect(fan.page.locator("button.show")).to_have_count(1)
        await fan.page.locator("button.show").click()
        await fan.expect_heading("seats.heading")
        await cancel(desk, concert, show=1)
        await fan.expect_heading("over.cancelled")
