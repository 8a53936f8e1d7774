"""Input in the console's forms while an answer is awaited, and over the end of the session."""

import asyncio
from datetime import datetime

from playwright.async_api import Browser, Route

from testkit.desk import Desk, Json
from tests.pages.browser import PHONE, expect, window
from tests.pages.operators import open_console


async def test_filled_form_is_kept_when_the_session_ends(browser: Browser, desk: Desk) -> None:
    """A long form is sent after another sign-in, as it was filled in."""
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        operator = await open_console(here, "/new")
        await operator.field("new.title").fill("Kept")
        await operator.field("house.price").fill("50000")
        await here.context.clear_cookies(name="frontrow_operator")
        await operator.button("new.create").click()
        await operator.expect_heading(operator.text("signin.heading"))
        await operator.passes_checks()
        await operator.sign_in("not-the-key")
        await expect(operator.page.locator("#key-wrong")).to_have_text(
            operator.text("signin.wrong")
        )
        await operator.sign_in()
        await operator.expect_heading("Kept")
        # A page that polls keeps its form too.
        await operator.page.locator("#max_active").fill("77")
        await here.context.clear_cookies(name="frontrow_operator")
        await operator.expect_heading(operator.text("signin.heading"))
        await operator.sign_in()
        await operator.expect_heading("Kept")
        await expect(operator.page.locator("#max_active")).to_have_value("77")


async def test_input_during_a_change_is_kept_and_applied_after_it(
    browser: Browser, desk: Desk
) -> None:
    """A time that is changed and applied while the first change is awaited is applied as well."""
    concert = await desk.concert(title="Twice", timezone="Asia/Seoul")
    path = f"/admin/concerts/{concert.concert_id}/waiting-room"
    released = asyncio.Event()

    async def hold(route: Route) -> None:
        if route.request.method == "PUT":
            await released.wait()
        await route.continue_()

    async with window(browser, str(desk.http.base_url)) as here:
        operator = await open_console(here, f"/concerts/{concert.concert_id}")
        await here.context.route("**/waiting-room", hold)
        closes, apply = operator.field("times.closes_at"), operator.button("times.apply")
        await closes.fill("2126-01-01T09:00")
        await apply.click()
        await apply.click()
        await expect(apply).to_have_attribute("aria-busy", "true")
        await closes.fill("2127-01-01T09:00")
        await closes.press("Enter")
        released.set()
        await expect(operator.page.locator("dialog")).to_be_visible()  # for the second change
        await expect(closes).to_have_value("2127-01-01T09:00")
        stored: Json = (await desk.operate("GET", path)).json()
        assert datetime.fromisoformat(stored["closes_at"]).year == 2126
        await apply.click()
        await operator.expect_notice("times.done")
        await expect(apply).not_to_have_attribute("aria-busy", "true")
        stored = (await desk.operate("GET", path)).json()
        assert stored["closes_at"] == "2127-01-01T00:00:00Z"


async def test_later_lookup_is_shown_whatever_answer_comes_first(
    browser: Browser, desk: Desk
) -> None:
    """A look-up during another one isn't dropped; a late answer doesn't replace its result."""
    concert = await desk.concert(title="Looked up")
    buyer = await desk.buyer(concert, 50_000)
    payment = await buyer.pay(await buyer.hold(concert, 1))
    unknown = "0198c5a4-7f3a-4c5e-9d5b-0e6f7a8b9c0d"
    released, answered = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        response = await route.fetch()
        await released.wait()
        await route.fulfill(response=response)
        answered.set()

    async with window(browser, str(desk.http.base_url)) as here:
        operator = await open_console(here, "/lookup")
        await here.context.route(f"**/lookups/{unknown}", hold)
        for sought in (unknown, payment["payment_id"]):
            await operator.field("lookup.id").fill(sought)
            await operator.field("lookup.id").press("Enter")
        found = operator.page.locator(".payment")
        await expect(found).to_contain_text(payment["payment_id"])
        released.set()
        await answered.wait()
        await operator.page.evaluate("new Promise((done) => setTimeout(done, 50))")
        await expect(found).to_contain_text(payment["payment_id"])
