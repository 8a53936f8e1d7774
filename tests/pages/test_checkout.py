"""Paying for a hold in a real browser: lost answers, and money that another tab spends."""

import re
from typing import Any

from playwright.async_api import Browser, Route

from testkit.desk import Desk, eventually
from tests.pages.browser import PHONE, Window, expect, window
from tests.pages.fans import Visit, open_concert, open_seats

CHARGES = "**/balance/charges"
CHARGE = """async ([user, concert, amount]) => {
    const headers = { "Content-Type": "application/json", "Frontrow-Concert": concert };
    const [path, body] = [`/api/v1/users/${user}/balance/charges`, JSON.stringify({ amount })];
    return (await fetch(path, { method: "POST", headers, body })).status;
}"""
"""Adds money as another tab would."""


async def open_hold(here: Window, desk: Desk) -> Visit:
    """Holds a seat of a new concert in a new tab, and waits until the balance is shown."""
    fan = await open_seats(here, await desk.concert())
    await fan.choose(1)
    await fan.button("seats.hold").click()
    await fan.expect_heading("pay.heading")
    await expect(fan.button("pay.add", amount="₩50,000")).to_be_visible()
    return fan


async def own_data(fan: Visit) -> Any:
    """Returns what the server knows about the browser's user."""
    return await fan.page.evaluate("fetch('/api/v1/users/me').then((answer) => answer.json())")


async def charged_amounts(fan: Visit) -> list[int]:
    """Returns the charges of the browser's user, the last one first."""
    path = f"/api/v1/users/{(await own_data(fan))['user_id']}/balance/transfers"
    found: Any = await fan.page.evaluate(
        "(path) => fetch(path).then((answer) => answer.json())", path
    )
    return [each["amount"] for each in found["transfers"] if each["kind"] == "charge"]


async def test_charge_spent_on_another_hold_is_made_again(browser: Browser, desk: Desk) -> None:
    """Two holds in one browser: after the charge for one was spent on the other, both are paid."""
    async with window(browser, str(desk.http.base_url)) as here:
        first = await open_hold(here, desk)
        second = await open_hold(here, desk)
        await first.button("pay.add", amount="₩50,000").click()
        await expect(first.button("pay.pay", amount="₩50,000")).to_be_visible()
        await second.page.reload()
        await second.button("pay.pay", amount="₩50,000").click()
        await second.expect_heading("paid.heading")
        await first.button("pay.pay", amount="₩50,000").click()
        await first.expect_notice(first.text("refusal.insufficient_balance"))
        await first.button("pay.add", amount="₩50,000").click()
        await first.button("pay.pay", amount="₩50,000").click()
        await first.expect_heading("paid.heading")
        assert [each["amount"] for each in (await own_data(first))["payments"]] == [50_000] * 2
        assert await charged_amounts(first) == [50_000] * 2


async def test_charge_is_of_the_amount_that_was_shown(browser: Browser, desk: Desk) -> None:
    """If another tab has added money meanwhile, the page shows what is missing now."""
    async with window(browser, str(desk.http.base_url)) as here:
        fan = await open_hold(here, desk)
        user = (await own_data(fan))["user_id"]
        assert await fan.page.evaluate(CHARGE, [user, fan.concert.concert_id, 20_000]) == 201
        await fan.button("pay.add", amount="₩50,000").click()
        await fan.expect_notice(fan.text("pay.changed", amount="₩30,000"))
        await fan.button("pay.add", amount="₩30,000").click()
        await fan.pay_from_balance()
        assert await charged_amounts(fan) == [30_000, 20_000]


async def test_replayed_charge_shows_the_present_balance(browser: Browser, desk: Desk) -> None:
    """The charge whose answer was lost is spent elsewhere before it is repeated."""
    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("ERR_FAILED",)
        second = await open_hold(here, desk)
        first = await open_hold(here, desk)

        async def lose_the_answer(route: Route) -> None:
            await route.fetch()
            await second.page.reload()
            await second.pay_from_balance()
            await route.abort()

        await first.page.route(CHARGES, lose_the_answer, times=1)
        async with first.page.expect_response(
            lambda answer: answer.headers.get("idempotency-replayed") == "true"
        ):
            await first.button("pay.add", amount="₩50,000").click()
        await expect(first.button("pay.add", amount="₩50,000")).to_be_enabled()
        await expect(first.page.locator("dd").last).to_have_text("₩0")
        await first.pay()
        assert await charged_amounts(first) == [50_000] * 2


async def test_charge_is_made_once_over_a_reload(browser: Browser, desk: Desk) -> None:
    """A reload while the charge is under way repeats it with the same key."""
    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("ERR_FAILED", "ERR_ABORTED")
        fan = await open_hold(here, desk)
        keys: list[str | None] = []

        async def delay(route: Route) -> None:
            keys.append(route.request.headers.get("idempotency-key"))
            if len(keys) == 1:
                await fan.page.reload()  # the browser gives this request up
            else:
                await route.continue_()

        await fan.page.route(CHARGES, delay)
        await fan.button("pay.add", amount="₩50,000").click()
        await fan.expect_heading("pay.heading")
        await fan.pay()
        assert len(keys) == 2
        assert keys[0] == keys[1] is not None


async def test_back_leads_from_the_payment_to_the_seats(browser: Browser, desk: Desk) -> None:
    """Each step back shows the view before, with the hold and the way to its payment."""
    concert = await desk.concert(shows=2)
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        fan = await open_concert(here, concert)
        await fan.join()
        await fan.page.locator("button.show").first.click()
        await fan.expect_heading("seats.heading")
        await fan.choose(1)
        await fan.button("seats.hold").click()
        await fan.expect_heading("pay.heading")
        await fan.survives_reload("pay.heading")
        card = fan.page.locator(".hold")
        await fan.page.go_back()
        await fan.expect_heading("seats.heading")
        await expect(card).to_contain_text("seat 1 · ₩50,000")
        await fan.tap(2)
        await fan.expect_notice(fan.text("holding.first"))
        await expect(fan.button("seats.hold")).to_be_hidden()
        await fan.passes_checks()
        await fan.page.go_back()
        await fan.expect_heading("dates.heading")
        await expect(card).to_be_visible()
        for key in ("seats.heading", "pay.heading"):
            await fan.page.go_forward()
            await fan.expect_heading(key)
        await fan.page.go_back()
        await fan.button("holding.pay").click()
        await fan.expect_heading("pay.heading")
        await fan.button("pay.release").click()
        await fan.expect_heading("seats.heading")
        await expect(card).to_have_count(0)
        await fan.page.go_back()
        await fan.expect_heading("dates.heading")
        await expect(card).to_have_count(0)


async def test_tickets_page_leads_to_the_payment_of_a_hold(browser: Browser, desk: Desk) -> None:
    """An active hold is listed with its concert and its time, until it ends."""
    concert = await desk.concert(title="Held evening")
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        fan = await open_seats(here, concert)
        await fan.choose(3)
        await fan.button("seats.hold").click()
        await fan.expect_heading("pay.heading")
        await fan.page.goto(f"{here.address}/tickets")
        card = fan.page.locator(".hold")
        await expect(card.get_by_role("heading")).to_have_text("Held evening")
        await expect(card).to_contain_text(re.compile(r"seat 3 · ₩50,000.*[45]:\d\d"))
        await fan.passes_checks()
        await card.get_by_role("link", name=fan.text("holding.pay")).click()
        await fan.expect_heading("pay.heading")
        await fan.button("pay.release").click()
        await fan.expect_heading("seats.heading")
        await fan.page.goto(f"{here.address}/tickets")
        await expect(fan.page.get_by_text(fan.text("tickets.none"))).to_be_visible()
        await expect(card).to_have_count(0)


async def test_payment_continues_after_a_lost_connection(browser: Browser, desk: Desk) -> None:
    """Money that is added offline is added once the connection is back; nothing else meanwhile."""
    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("ERR_INTERNET_DISCONNECTED",)
        fan = await open_hold(here, desk)
        failed: list[str] = []
        fan.page.on("requestfailed", lambda request: failed.append(request.url))
        await here.context.set_offline(True)
        await fan.page.locator("button.add").click()
        hint = fan.page.locator(".hint", has_text=fan.text("pay.retrying"))
        await expect(hint).to_be_visible()
        await expect(fan.button("pay.release")).to_be_disabled()

        async def many_attempts_failed() -> bool:
            return sum(url.endswith("/users/me") for url in failed) > 4

        await eventually(many_attempts_failed)
        await here.context.set_offline(False)
        await fan.pay_from_balance()
        await fan.expect_heading("paid.heading")
        assert await charged_amounts(fan) == [50_000]
