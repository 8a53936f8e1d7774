"""Choosing seats in a real browser: races, expiry, keyboard, large maps."""

import asyncio
import re

import pytest
from playwright.async_api import Browser, Route

from testkit.desk import Concert, Desk, eventually
from tests.pages.browser import PHONE, expect, window
from tests.pages.fans import open_concert, open_seats, until_sold

HOLDS = "**/api/v1/reservations"
HOLD = """async ([concert, show]) => {
    const headers = { "Content-Type": "application/json", "Frontrow-Concert": concert };
    const body = JSON.stringify({ show_id: show, seats: [40] });
    return (await fetch("/api/v1/reservations", { method: "POST", headers, body })).status;
}"""
"""Holds seat 40 as another tab would."""
RELEASE = "(id) => fetch(`/api/v1/reservations/${id}`, { method: 'DELETE' })"


@pytest.fixture(scope="module")
async def concert(desk: Desk) -> Concert:
    """A concert with an open line."""
    return await desk.concert(title="The Rush")


async def test_two_fans_race_for_one_seat(browser: Browser, desk: Desk) -> None:
    """One gets it; the other gets a message, keeps the place, and can choose on the new map."""
    concert, address = await desk.concert(), str(desk.http.base_url)
    async with window(browser, address) as one, window(browser, address, viewport=PHONE) as two:
        first, second = await open_seats(one, concert), await open_seats(two, concert)
        for fan in (first, second):
            await fan.choose(5)
        # So that neither page shows the other's seat before the button is pressed.
        await second.page.route("**/seats?*", lambda route: route.abort())
        await first.button("seats.hold").click()
        await first.expect_heading("pay.heading")
        await second.button("seats.hold").click()
        await second.expect_notice(second.text("refusal.seat_taken"))
        await second.page.unroute("**/seats?*")
        await expect(second.page.locator(".section")).to_contain_text(
            second.text("section.left", count=49)
        )
        await second.expect_heading("seats.heading")
        await expect(second.page.locator(".bar .chosen")).to_have_text(
            second.text("seats.none_chosen")
        )
        await second.tap(5)
        await second.expect_notice(second.text("seats.is_held", seat="seat 5"))
        await second.tap(6)
        await second.button("seats.hold").click()
        for fan in (first, second):
            await fan.pay()
        await until_sold(desk, concert, 2)
        two.expected = ("ERR_FAILED",)


async def test_seat_taken_by_another_fan_is_deselected(
    browser: Browser, desk: Desk, concert: Concert
) -> None:
    """A selected seat that another fan holds is shown as taken at once, and is deselected."""
    async with window(browser, str(desk.http.base_url)) as here:
        fan = await open_seats(here, concert)
        await fan.choose(10, 11)
        other = await desk.buyer(concert)
        await other.hold(concert, 11)
        await fan.expect_notice(fan.text("seats.lost", count=1, seats="seat 11"))
        await expect(fan.page.locator(".bar .chosen")).to_contain_text(
            fan.text("seats.chosen", count=1)
        )


async def test_expired_hold_is_shown(browser: Browser, desk: Desk) -> None:
    """The page shows the expiry without a reload, and then the seats."""
    concert = await desk.concert(hold_seconds=2)
    async with window(browser, str(desk.http.base_url)) as here:
        fan = await open_seats(here, concert)
        await fan.choose(1)
        await fan.button("seats.hold").click()
        await fan.expect_heading("pay.heading")
        await fan.expect_notice(fan.text("refusal.hold_expired"))
        await fan.expect_heading("seats.heading")
        await expect(fan.page.locator(".section")).to_contain_text(
            fan.text("section.left", count=50)
        )


async def test_released_seats_are_available(browser: Browser, desk: Desk, concert: Concert) -> None:
    """The seats are available again and others can be selected."""
    async with window(browser, str(desk.http.base_url)) as here:
        fan = await open_seats(here, concert)
        await fan.choose(20)
        await fan.button("seats.hold").click()
        await fan.button("pay.release").click()
        await fan.expect_heading("seats.heading")


async def test_seats_above_the_limit_cannot_be_chosen(
    browser: Browser, desk: Desk, concert: Concert
) -> None:
    """The map keeps to the limit; what another tab has held is refused, and shown."""
    async with window(browser, str(desk.http.base_url)) as here:
        fan = await open_seats(here, concert)
        await fan.choose(30, 31, 32, 33, 34)
        await fan.expect_notice(fan.text("seats.limit", count=4))
        chosen = fan.page.locator(".bar .chosen")
        await expect(chosen).to_contain_text(fan.text("seats.chosen", count=4))
        await fan.tap(33)
        await fan.tap(35)
        await expect(chosen).to_contain_text(fan.text("seats.chosen", count=4))
        status = await fan.page.evaluate(HOLD, [concert.concert_id, concert.shows[0]["show_id"]])
        assert status == 201
        await fan.button("seats.hold").click()
        await fan.expect_notice(fan.text("refusal.seat_limit", limit=4))
        await fan.expect_heading("pay.heading")
        await expect(fan.page.locator("ul.lines > li")).to_have_text([re.compile("40")])


async def test_choice_is_fixed_while_a_hold_is_asked_for(
    browser: Browser, desk: Desk, concert: Concert
) -> None:
    """A seat that is pressed meanwhile is not dropped silently, and no second hold is made."""
    async with window(browser, str(desk.http.base_url)) as here:
        fan = await open_seats(here, concert)
        await fan.choose(41)
        asked = 0
        answer = asyncio.Event()

        async def delay(route: Route) -> None:
            nonlocal asked
            asked += 1
            await answer.wait()
            await route.continue_()

        await fan.page.route(HOLDS, delay)
        await fan.button("seats.hold").click()
        await fan.page.get_by_role("application").press("Enter")
        await fan.expect_notice(fan.text("seats.asking"))
        await expect(fan.button("best.take")).to_be_disabled()
        await fan.button("best.take").click(force=True)
        await expect(fan.page.locator(".bar .chosen")).to_have_text(fan.text("seats.asking"))
        answer.set()
        await fan.expect_heading("pay.heading")
        assert asked == 1
        await expect(fan.page.locator("ul.lines > li")).to_have_text([re.compile("41")])


async def test_hold_that_was_asked_for_offline_is_made_later(
    browser: Browser, desk: Desk, concert: Concert
) -> None:
    """The page says that nothing is certain, and asks again when the connection is back."""
    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("ERR_INTERNET_DISCONNECTED",)
        fan = await open_seats(here, concert)
        await fan.choose(45)
        failed: list[str] = []
        fan.page.on("requestfailed", lambda request: failed.append(request.method))
        await here.context.set_offline(True)
        await fan.button("seats.hold").click()
        await expect(fan.page.locator(".bar .chosen")).to_have_text(fan.text("seats.retrying"))

        async def many_attempts_failed() -> bool:
            return failed.count("POST") > 4  # after which a read gives up

        await eventually(many_attempts_failed)
        await here.context.set_offline(False)
        await fan.expect_heading("pay.heading")
        await expect(fan.page.locator("ul.lines > li")).to_have_text([re.compile("45")])


async def test_choice_survives_a_reload(browser: Browser, desk: Desk) -> None:
    """The chosen seats stay chosen; a request without an answer is named, and its key kept."""
    concert = await desk.concert()
    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("ERR_FAILED",)
        fan = await open_seats(here, concert)
        await fan.choose(46, 47)
        await fan.survives_reload("seats.heading")
        chosen = fan.page.locator(".bar .chosen")
        await expect(chosen).to_contain_text(fan.text("seats.chosen", count=2))
        await expect(fan.page.locator("#notices")).to_be_empty()
        keys: list[str] = []

        async def lose(route: Route) -> None:
            keys.append(route.request.headers["idempotency-key"])
            await route.abort()

        await fan.page.route(HOLDS, lose)
        await fan.button("seats.hold").click()
        await expect(chosen).to_have_text(fan.text("seats.retrying"))
        await fan.survives_reload("seats.heading")
        await fan.expect_notice(fan.text("seats.unanswered"))
        await expect(chosen).to_contain_text(fan.text("seats.chosen", count=2))
        other = await desk.buyer(concert)
        await other.hold(concert, 47)
        await fan.expect_notice(fan.text("seats.lost", count=1, seats="seat 47"))
        await other.by_token("DELETE", "/queue/tokens/me")
        free = fan.text("section.left", count=50)
        await expect(fan.page.locator(".section")).to_contain_text(free)
        await fan.page.unroute(HOLDS)
        async with fan.page.expect_request(HOLDS) as sent:
            await fan.tap(47)
            await fan.button("seats.hold").click()
        assert {(await sent.value).headers["idempotency-key"], *keys} == {keys[0]}
        await fan.expect_heading("pay.heading")


async def test_replayed_hold_that_has_ended_is_not_shown(browser: Browser, desk: Desk) -> None:
    """The page reads the hold of the replayed answer, and asks for a new one with a new key."""
    concert = await desk.concert()
    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("ERR_FAILED",)
        fan = await open_seats(here, concert)
        await fan.choose(1)
        keys: list[str] = []

        async def lose_the_first_answer(route: Route) -> None:
            keys.append(route.request.headers["idempotency-key"])
            if len(keys) > 1:
                await route.continue_()
                return
            held = await (await route.fetch()).json()
            await fan.page.evaluate(RELEASE, held["reservation_id"])
            await route.abort()

        await fan.page.route(HOLDS, lose_the_first_answer)
        await fan.button("seats.hold").click()
        await fan.expect_notice(f"seat 1: {fan.text('refusal.recently_released')}")
        await expect(fan.page.locator(".bar .chosen")).to_have_text(fan.text("seats.none_chosen"))
        await fan.expect_heading("seats.heading")
        first, second, third = keys
        assert first == second != third


async def test_show_without_seats_offers_none(browser: Browser, desk: Desk) -> None:
    """No best seats are offered, and none of a full section; a seat that returns is, at once."""
    hall = [
        {"name": "Stalls", "price": 90_000, "seats": 1},
        {"name": "Box", "price": 1, "seats": 1},
    ]
    show = {"starts_at": "2126-03-14T10:00:00Z", "sections": hall}
    concert = await desk.concert(shows=[show])
    other = await desk.buyer(concert)
    held = await other.hold(concert, 1, 2)
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        fan = await open_seats(here, concert)
        await expect(fan.page.get_by_text(fan.text("seats.sold_out"))).to_be_visible()
        await expect(fan.button("best.take")).to_be_hidden()
        await fan.passes_checks()
        await other.by_token("DELETE", f"/reservations/{held['reservation_id']}")
        await expect(fan.button("best.take")).to_be_visible()
        await expect(fan.page.get_by_label(fan.text("best.count")).locator("option")).to_have_text(
            ["1", "2"]
        )
        await (await desk.buyer(concert)).hold(concert, 2)
        await expect(fan.page.get_by_label(fan.text("best.count")).locator("option")).to_have_text(
            ["1"]
        )
        options = fan.page.get_by_label(fan.text("best.where")).locator("option:not(:disabled)")
        await expect(options).to_have_text([fan.text("best.anywhere"), "Stalls"])


async def test_best_seats_are_adjacent(browser: Browser, desk: Desk) -> None:
    """Two adjacent seats with one press; if there are none, a message with what is available."""
    hall = [{"name": "Stalls", "price": 90_000, "rows": 2, "seats_per_row": 3}]
    show = {"starts_at": "2126-03-14T10:00:00Z", "sections": hall}
    concert = await desk.concert(shows=[show], max_seats_per_user=6)
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        fan = await open_seats(here, concert)
        await fan.page.get_by_label(fan.text("best.count")).select_option("5")
        await fan.button("best.take").click()
        await fan.expect_notice(fan.text("refusal.seats_unavailable", available=6, together=3))
        await fan.page.get_by_label(fan.text("best.count")).select_option("2")
        await fan.page.get_by_label(fan.text("best.where")).select_option("Stalls")
        await fan.button("best.take").click()
        await fan.expect_heading("pay.heading")
        await expect(fan.page.locator("ul.lines > li")).to_have_count(2)


async def test_number_of_seats_is_limited(browser: Browser, desk: Desk) -> None:
    """The number of seats is limited by the concert, minus the fan's seats."""
    concert = await desk.concert(max_seats_per_user=2)
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        fan = await open_seats(here, concert)
        for offered in (["1", "2"], ["1"]):
            options = fan.page.get_by_label(fan.text("best.count")).locator("option")
            await expect(options).to_have_text(offered)
            await fan.page.get_by_label(fan.text("best.count")).select_option("1")
            await fan.button("best.take").click()
            await fan.expect_heading("pay.heading")
            await fan.pay()
            fan = await open_concert(here, concert)
            await fan.button("join_again").click()
            await fan.expect_heading("seats.heading")
        await expect(fan.page.get_by_role("main")).to_contain_text(
            fan.text("seats.no_more", count=2)
        )
        await expect(fan.button("best.take")).to_have_count(0)
        await fan.passes_checks()


async def test_row_is_shown_as_one_line(browser: Browser, desk: Desk) -> None:
    """A row is one line with its middle in view; a longer row can be scrolled."""
    concert = await desk.concert(seats=50)
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        fan = await open_seats(here, concert)
        chart = fan.page.get_by_role("application")
        middle = await chart.evaluate(
            "(map) => [map.scrollLeft, (map.scrollWidth - map.clientWidth) / 2]"
        )
        assert middle[0] > 0
        assert abs(middle[0] - middle[1]) <= 1
        await expect(fan.page.get_by_text(fan.text("map.sideways"))).to_be_visible()
        await expect(fan.page.get_by_text(fan.text("map.broken"))).to_be_hidden()
        box = await chart.bounding_box()
        assert box is not None
        # The best two, 25 and 26, are on either side of the middle: no need to scroll.
        for aside in (-13, 13):
            x, y = box["width"] / 2 + aside, 44 + 40 + 13
            await chart.click(position={"x": x, "y": y})
        await fan.page.get_by_text(fan.text("list.heading")).click()
        for number in (25, 26):
            pressed = fan.page.get_by_role("button", name=f"seat {number}, ₩50,000, chosen")
            await expect(pressed).to_be_visible()
        await fan.tap(20)
        await fan.tap(21)
        await expect(fan.page.locator(".bar .chosen")).to_contain_text("₩200,000")
        await fan.passes_checks()
        endless = await desk.concert(seats=150)
        fan = await open_seats(here, endless)
        await expect(fan.page.get_by_text(fan.text("map.broken"))).to_be_visible()
        await expect(fan.page.get_by_text(fan.text("map.sideways"))).to_be_hidden()


async def test_seats_can_be_chosen_by_keyboard_and_list(browser: Browser, desk: Desk) -> None:
    """Arrow keys move between seats and rows, with announcements; the list has the same seats."""
    hall = [
        {"name": "Stalls", "price": 90_000, "rows": 2, "seats_per_row": 3},
        {"name": "Circle", "price": 60_000, "rows": 2, "seats_per_row": 5},
    ]
    concert = await desk.concert(shows=[{"starts_at": "2126-03-14T10:00:00Z", "sections": hall}])
    async with window(browser, str(desk.http.base_url)) as here:
        fan = await open_seats(here, concert)
        chart, announcer = fan.page.get_by_role("application"), fan.page.locator("#announcer")
        await chart.focus()
        for key, text in (
            ("ArrowDown", "Stalls, row 2, seat 1, ₩90,000, free"),
            ("ArrowRight", "Stalls, row 2, seat 2, ₩90,000, free"),
            ("ArrowDown", "Circle, row 1, seat 3, ₩60,000, free"),
            ("ArrowUp", "Stalls, row 2, seat 2, ₩90,000, free"),
            ("ArrowUp", "Stalls, row 1, seat 2, ₩90,000, free"),
            ("ArrowUp", "Stalls, row 1, seat 2, ₩90,000, free"),
            ("Enter", "Stalls, row 1, seat 2, ₩90,000, chosen"),
        ):
            await chart.press(key)
            await expect(announcer).to_have_text(text)
        await fan.page.get_by_text(fan.text("list.heading")).click()
        await fan.page.get_by_label(fan.text("list.section")).select_option("Circle")
        await fan.page.get_by_label(fan.text("list.row"), exact=True).select_option("2")
        seat = fan.page.get_by_role("button", name="Circle, row 2, seat 1, ₩60,000, free")
        await seat.focus()
        await seat.press("Enter")
        await expect(fan.page.locator(".bar .chosen")).to_contain_text("₩150,000")
        await fan.passes_checks()
        await fan.button("seats.hold").press("Enter")
        await fan.expect_heading("pay.heading")


async def test_arena_draws_only_visible_seats(browser: Browser, desk: Desk) -> None:
    """20,000 seats: only the visible ones are drawn, and the last one can be reached."""
    hall = [
        {"name": f"Block {n}", "price": 50_000 + n, "rows": 20, "seats_per_row": 50}
        for n in range(1, 21)
    ]
    concert = await desk.concert(shows=[{"starts_at": "2126-03-14T10:00:00Z", "sections": hall}])
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        fan = await open_seats(here, concert)
        canvas = await fan.page.locator("canvas").bounding_box()
        assert canvas is not None
        assert canvas["width"] <= PHONE["width"]
        assert canvas["height"] <= PHONE["height"]
        await fan.page.locator(".section").last.click()
        chart = fan.page.get_by_role("application")
        await chart.press("Enter")
        await expect(fan.page.locator(".bar .chosen")).to_contain_text("₩50,020")
        assert await chart.evaluate("(map) => map.scrollTop > 10000")
