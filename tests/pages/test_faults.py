"""An error in a page's own script: it is reported as such, and the page never waits for ever."""

from playwright.async_api import Browser, Route

from testkit.desk import Concert, Desk, eventually
from tests.pages.browser import expect, window
from tests.pages.fans import open_concert, open_seats
from tests.pages.operators import open_console


async def test_script_error_is_shown(browser: Browser, desk: Desk) -> None:
    """After any error in a script the page shows a message and a way to try again."""
    concert = await desk.concert()
    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("Invalid time zone",)
        fan = await open_seats(here, concert)
        change = "UPDATE concert SET timezone = $1 WHERE concert_id = $2"
        await desk.owner.execute(change, "localtime", concert.concert_id)
        await eventually(lambda: has_zone(desk, concert, "localtime"))
        await fan.page.reload()
        await fan.expect_heading("failed")
        await expect(fan.page.get_by_role("alert")).to_have_text(fan.text("refusal.malformed"))
        await fan.passes_checks()
        await desk.owner.execute(change, "Asia/Seoul", concert.concert_id)
        await eventually(lambda: has_zone(desk, concert, "Asia/Seoul"))
        await fan.button("try_again").click()
        await fan.expect_heading("seats.heading")


async def has_zone(desk: Desk, concert: Concert, zone: str) -> bool:
    """Whether the server has read this time zone of a concert; it does so once a second."""
    found = await desk.ask("GET", f"/concerts/{concert.concert_id}")
    return bool(found.json()["timezone"] == zone)


async def test_script_error_is_not_shown_as_a_lost_connection(browser: Browser, desk: Desk) -> None:
    """While waiting: an answer that the script can't show is an error of the page."""
    room = {"policy": {"kind": "max_active", "max_active": 1}}
    concert = await desk.concert(waiting_room=room)
    await desk.buyer(concert)
    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("no text: over.unknown",)
        fan = await open_concert(here, concert)
        await fan.join()
        await fan.expect_heading("wait.heading")

        async def answer(route: Route) -> None:
            await route.fulfill(json={"state": "waiting", "sale": "unknown"})

        await here.context.route("**/api/v1/queue/tokens/me", answer)
        await fan.page.reload()
        await fan.expect_notice(fan.text("refusal.malformed"))
        await expect(fan.page.locator(".hint.bad")).to_be_hidden()


async def test_lost_connection_is_dated_from_its_start(browser: Browser, desk: Desk) -> None:
    """A server that answers with an error is not called a lost connection."""
    room = {"policy": {"kind": "max_active", "max_active": 1}}
    concert = await desk.concert(waiting_room=room)
    await desk.buyer(concert)
    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("ERR_FAILED",)
        await here.context.add_init_script(
            "let minute = 0;"
            "Date.prototype.toISOString = () => `2027-01-01T10:${String(++minute).padStart(2, 0)}Z`"
        )
        fan = await open_concert(here, concert)
        await fan.join()
        await fan.expect_heading("wait.heading")
        tries = 0

        async def fail(route: Route) -> None:
            nonlocal tries
            tries += 1
            if tries > 2:
                await route.fulfill(status=503, json={"code": "unavailable"})
            else:
                await route.abort()

        await here.context.route("**/api/v1/queue/tokens/me*", fail)
        await here.context.route("**/api/v1/queue/tokens/me/events", fail)
        await fan.page.reload()
        hint = fan.page.locator(".hint.bad")
        await expect(hint).to_contain_text("10:01")
        await expect(hint).to_have_text(fan.text("wait.no_answer", time="10:01 AM"))


async def test_unanswered_call_is_not_shown_as_an_error_of_the_page(
    browser: Browser, desk: Desk
) -> None:
    """Also where no other code handles it."""
    concert = await desk.concert()
    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("out of touch",)
        fan = await open_concert(here, concert)
        module = fan.page.locator('link[href$="/shared/api.js"]')
        await fan.page.evaluate(
            "href => { import(href).then(({ OutOfTouch }) => { throw new OutOfTouch(); }); }",
            await module.get_attribute("href"),
        )
        await fan.expect_notice(fan.text("refusal.out_of_touch"))


async def test_download_that_is_cut_off_is_not_shown_as_an_error_of_the_page(
    browser: Browser, desk: Desk
) -> None:
    """The line's export in the console."""
    concert = await desk.concert()
    async with window(browser, str(desk.http.base_url)) as here:
        await here.context.add_init_script(
            "Response.prototype.blob = () => Promise.reject(new TypeError('network error'))"
        )
        operator = await open_console(here, f"/concerts/{concert.concert_id}")
        await operator.button("order.csv").click()
        await operator.expect_notice("refusal.out_of_touch")
