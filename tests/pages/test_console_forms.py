"""Input in the console's forms while an answer is awaited, and over the end of the session."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from playwright.async_api import Browser, Route

from testkit.desk import Desk, Json
from tests.pages.browser import PHONE, expect, window
from tests.pages.operators import Operator, open_console


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


async def test_concert_is_created_once_over_a_reload(browser: Browser, desk: Desk) -> None:
    """The same form, sent again after a lost outcome and a reload, creates no second concert."""

    async def lose_outcome(route: Route) -> None:
        await route.fetch()
        await route.fulfill(status=500, json={"code": "internal_error"})

    async def create() -> None:
        await operator.field("new.title").fill("Once")
        await operator.field("house.price").fill("50000")
        await operator.field("new.show").fill(f"{NEXT_YEAR}-05-01T19:30")
        await operator.button("new.create").click()

    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("500",)
        operator = await open_console(here, "/new")
        await here.context.route("**/admin/concerts", lose_outcome, times=1)
        await create()
        await expect(operator.page.locator("form > .wrong")).to_have_text(
            operator.text("refusal.internal_error")
        )
        await operator.page.reload()
        await create()
        await operator.expect_heading("Once")
        listed: Json = (await desk.ask("GET", "/concerts")).json()
        assert [each["title"] for each in listed["concerts"]].count("Once") == 1


async def test_refused_cookie_of_a_sign_in_is_explained(browser: Browser, desk: Desk) -> None:
    """A browser that keeps no cookies isn't asked for the key again and again without a reason."""

    async def without_cookie(route: Route) -> None:
        await route.fulfill(status=201, json={"expires_at": "2126-01-01T00:00:00Z"})

    async with window(browser, str(desk.http.base_url)) as here:
        await here.context.route("**/admin/session", without_cookie)
        operator = Operator(await here.open("/console/gate"), here)
        await operator.expect_heading(operator.text("signin.heading"))
        await operator.sign_in()
        await expect(operator.page.locator("#key-wrong")).to_have_text(
            operator.text("signin.no_cookie")
        )
        await here.context.unroute("**/admin/session")
        await operator.sign_in()
        await operator.expect_heading(operator.text("nav.gate"))


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


BERLIN = ZoneInfo("Europe/Berlin")
NEXT_YEAR = datetime.now(UTC).year + 1


def last_sunday(month: int) -> date:
    """Returns the last Sunday of a month of 31 days, next year."""
    end = date(NEXT_YEAR, month, 31)
    return end - timedelta(days=(end.weekday() + 1) % 7)


def half_past_two(day: date, *, fold: int = 0) -> datetime:
    """Returns half past two in the night in Berlin, if twice the first or second time."""
    return datetime(day.year, day.month, day.day, 2, 30, tzinfo=BERLIN, fold=fold)


async def test_times_that_the_clocks_skip_or_repeat_are_asked_about(
    browser: Browser, desk: Desk
) -> None:
    """A skipped time is refused in its field, a repeated one asks which; so is the year 20."""
    skipped, repeated = half_past_two(last_sunday(3)), half_past_two(last_sunday(10), fold=1)
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        operator = await open_console(here, "/new")
        sent: list[str] = []
        operator.page.on(
            "request", lambda one: sent.append(one.url) if one.method == "POST" else None
        )
        await operator.field("new.title").fill("Clocks")
        await operator.field("house.price").fill("50000")
        start, closes = operator.field("new.show"), operator.field("new.closes")
        question = operator.page.get_by_label(operator.text("time.which"))
        await start.fill(f"{skipped:%Y-%m-%dT%H:%M}")
        await closes.fill(f"{repeated - timedelta(days=1):%Y-%m-%dT%H:%M}")
        note = operator.page.locator(".note .wrong")
        await expect(note).to_have_count(0)
        await operator.field("new.timezone").fill("Europe/Berlin")
        await expect(note).to_have_text(operator.text("time.skipped"))
        await operator.passes_checks()
        await operator.button("new.create").click()
        await expect(start).to_be_focused()
        await start.fill("0020-05-01T19:00")
        await operator.field("new.title").focus()
        years = "fault: it must be in the years 1970 to 9000"
        await expect(note).to_have_text(operator.text(years))
        await operator.button("new.create").click()
        await start.fill(f"{repeated:%Y-%m-%dT%H:%M}")
        await expect(note).to_have_count(0)
        await expect(question.locator("option")).to_have_count(3)
        await operator.passes_checks()
        await operator.button("new.create").click()
        await expect(question).to_be_focused()
        assert sent == []
        await question.select_option(str(int(repeated.timestamp() * 1000)))
        await closes.fill(f"{repeated:%Y-%m-%dT%H:%M}")
        await question.last.select_option(str(int(repeated.timestamp() * 1000)))
        await operator.button("new.create").click()
        await operator.expect_heading("Clocks")
        # The times form shows the stored one of the two moments, and keeps it.
        await expect(question).to_have_value(str(int(repeated.timestamp() * 1000)))
        concert = f"/admin/concerts/{operator.page.url.rpartition('/')[2]}"
        shows: Json = (await desk.operate("GET", f"{concert}/shows")).json()
        room: Json = (await desk.operate("GET", f"{concert}/waiting-room")).json()
        for moment in (shows["shows"][0]["starts_at"], room["closes_at"]):
            assert datetime.fromisoformat(moment) == repeated.astimezone(UTC)
        first = half_past_two(last_sunday(10))
        await question.select_option(str(int(first.timestamp() * 1000)))
        await operator.button("times.apply").click()
        await operator.button("times.apply").click()
        await operator.expect_notice("times.done")
        room = (await desk.operate("GET", f"{concert}/waiting-room")).json()
        assert datetime.fromisoformat(room["closes_at"]) == first.astimezone(UTC)


async def test_show_in_the_past_needs_a_confirmation(browser: Browser, desk: Desk) -> None:
    """The dialog names the times that have passed; after cancelling nothing is sent."""
    async with window(browser, str(desk.http.base_url)) as here:
        operator = await open_console(here, "/new")
        await operator.field("new.title").fill("Past")
        await operator.field("house.price").fill("50000")
        await operator.field("new.show").fill("2021-05-01T19:30")
        await operator.button("new.create").click()
        dialog = operator.page.locator("dialog")
        await expect(dialog).to_contain_text(operator.text("new.past"))
        await expect(dialog).to_contain_text("Saturday, May 1, 2021 at 7:30 PM")
        await operator.passes_checks()
        await operator.button("cancel").click()
        await expect(dialog).to_have_count(0)
        await operator.expect_heading(operator.text("new.heading"))
        await operator.button("new.create").click()
        await operator.button("new.create").click()
        await operator.expect_heading("Past")
