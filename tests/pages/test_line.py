"""The line in a real browser: offline, asleep, in two tabs, and without scripts."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from time import monotonic
from typing import Any

from playwright.async_api import Browser, Route

from frontrow.web.i18n.texts import Texts
from frontrow.web.pages.assets import Files
from testkit.chromium import LAN
from testkit.database import Database
from testkit.desk import OPEN, SOON, Concert, Desk, Fan, open_desk
from tests.pages.browser import DESKTOP, PHONE, expect, window
from tests.pages.fans import open_concert

FAR = 8  # users ahead, in a test where streams are opened from 5 ahead
ONE_BY_ONE = {"policy": {"kind": "max_active", "max_active": 1}, "claim_seconds": 600}


async def line(desk: Desk, **room: Any) -> tuple[Concert, Fan]:
    """Creates a concert with a cap of one; returns it with the admitted fan."""
    concert = await desk.concert(title="The Line", waiting_room={**ONE_BY_ONE, **room})
    return concert, await desk.buyer(concert)


async def free_the_slot(inside: Fan) -> None:
    """Leaves as the admitted fan, which frees the slot."""
    assert (await inside.by_token("DELETE", "/queue/tokens/me")).status_code == 204


async def test_page_recovers_after_being_offline(browser: Browser, desk: Desk) -> None:
    """Offline the page shows a message; online again it shows what happened meanwhile."""
    concert, inside = await line(desk)
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        here.expected = ("ERR_INTERNET_DISCONNECTED", "ERR_NETWORK")
        fan = await open_concert(here, concert)
        await fan.join_and_return()
        lost = fan.page.locator(".hint.bad")
        await expect(lost).to_be_hidden()
        await here.context.set_offline(True)
        await expect(lost).to_be_visible()
        await fan.passes_checks()
        await free_the_slot(inside)
        await here.context.set_offline(False)
        await fan.expect_heading("turn.title")


async def test_lost_place_offers_to_join_again(browser: Browser, desk: Desk) -> None:
    """After a restore of an older backup, in an open page and in one that is opened then."""
    concert, _ = await line(desk)
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        fan = await open_concert(here, concert)
        await fan.join_and_return()
        await desk.lose_places(concert, after=1)
        await fan.expect_heading("finished.lost")
        await fan.passes_checks()
        await fan.button("join_again").click()
        await fan.expect_heading("wait.heading")
        await fan.page.close()
        await desk.lose_places(concert, after=1)
        fan = await open_concert(here, concert)
        # The server learns of the loss with its next reading of the line, before or after this.
        await fan.button("join").or_(fan.button("join_again")).click()
        await fan.expect_heading("wait.heading")


async def test_frozen_tab_shows_the_admission_when_it_resumes(browser: Browser, desk: Desk) -> None:
    """Scripts are stopped in a frozen tab; when it resumes it shows the admission at once."""
    concert, inside = await line(desk)
    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("ERR_NETWORK_IO_SUSPENDED", "ERR_")
        fan = await open_concert(here, concert)
        await fan.join_and_return()
        session = await here.context.new_cdp_session(fan.page)
        await session.send("Page.setWebLifecycleState", {"state": "frozen"})
        await free_the_slot(inside)
        await session.send("Page.setWebLifecycleState", {"state": "active"})
        await fan.expect_heading("turn.title")
        await fan.button("turn.enter").click()
        await fan.expect_heading("seats.heading")


async def test_expired_claim_window_is_shown(browser: Browser, desk: Desk) -> None:
    """A fan whose claim window has passed gets a message, and can join again."""
    concert, inside = await line(desk, claim_seconds=1)
    async with window(browser, str(desk.http.base_url)) as here:
        fan = await open_concert(here, concert)
        await fan.join_and_return()
        await free_the_slot(inside)
        await fan.expect_heading("finished.expired")
        await fan.passes_checks()
        await expect(fan.button("join_again")).to_be_visible()


async def test_second_tab_has_the_same_place(browser: Browser, desk: Desk) -> None:
    """Both show the same number; leaving in one tab leaves in both."""
    concert, _ = await line(desk)
    await desk.waiting(concert)
    async with window(browser, str(desk.http.base_url)) as here:
        before = await open_concert(here, concert)
        first = await open_concert(here, concert)
        await first.join()
        await first.expect_heading("wait.heading")
        await before.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await before.expect_heading("wait.heading")
        await before.page.close()
        second = await open_concert(here, concert)
        for tab in (first, second):
            await tab.expect_heading("wait.heading")
            await expect(tab.page.locator(".facts dd").first).to_have_text("3")
            await expect(tab.page.locator(".ahead")).to_have_text("1")
        await second.button("leave").click()
        await (
            second.page.get_by_role("dialog")
            .get_by_role("button", name=second.text("leave"))
            .click()
        )
        for tab in (second, first):
            await tab.expect_heading("finished.left")


async def test_draw_is_announced_and_its_result_shown(browser: Browser, desk: Desk) -> None:
    """Before the draw the page shows its time, and then its result."""
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    room = {"policy": OPEN, "order": "draw", "opens_at": later}
    concert = await desk.concert(waiting_room=room)
    async with window(browser, str(desk.http.base_url)) as here:
        fan = await open_concert(here, concert)
        await fan.join()
        await expect(fan.page.locator(".ahead-label")).to_have_text(fan.text("wait.before_draw"))
        await expect(fan.page.locator(".facts dd").first).to_have_text(
            fan.text("wait.entry", number=1)
        )
        await fan.passes_checks()
        # A fan who returns later is asked to enter; a fan who has just pressed the button isn't.
        await fan.survives_reload("wait.heading")
        await fan.wait_for_script()
        room["opens_at"] = (datetime.now(UTC) + timedelta(seconds=0.5)).isoformat()
        path = f"/admin/concerts/{concert.concert_id}/waiting-room"
        assert (await desk.operate("PUT", path, json=room)).status_code == 200
        await fan.expect_heading("turn.title")


async def test_waiting_tab_has_one_stream(browser: Browser, desk: Desk) -> None:
    """Near the front a tab has one stream and sends no other request."""
    concert, _ = await line(desk)
    async with window(browser, str(desk.http.base_url), fast_polling=False) as here:
        asked: list[str] = []
        fan = await open_concert(here, concert)
        fan.page.on("request", lambda request: asked.append(request.url))
        await fan.join()
        async with asyncio.timeout(SOON):
            while not any(url.endswith("/events") for url in asked):
                await fan.page.wait_for_timeout(50)
        asked.clear()
        await fan.page.wait_for_timeout(2500)
        assert asked == []


async def test_notification_is_opt_in(browser: Browser, desk: Desk) -> None:
    """A notification is shown only to fans who asked for it; no permission is requested before."""
    concert, inside = await line(desk)
    options: dict[str, Any] = {"permissions": ["notifications"]}
    async with window(browser, str(desk.http.base_url), **options) as here:
        await here.context.add_init_script(
            "window.shown = []; window.Notification = class extends EventTarget {"
            "static permission = 'granted'; constructor(title) { super(); shown.push(title); } }"
        )
        fan = await open_concert(here, concert)
        await fan.join_and_return()
        alert = fan.button("wait.alert")
        await expect(alert).to_have_attribute("aria-pressed", "false")
        await alert.click()
        await expect(alert).to_have_attribute("aria-pressed", "true")
        await free_the_slot(inside)
        await fan.expect_heading("turn.title")
        assert await fan.page.evaluate("shown") == [fan.text("turn.title")]


async def test_line_works_without_scripts(browser: Browser, desk: Desk) -> None:
    """The page shows the place, refreshes itself, shows the admission, and can leave the line."""
    concert, inside = await line(desk)
    address = str(desk.http.base_url)
    async with window(
        browser, address, java_script_enabled=False, locale="ko-KR", viewport=PHONE
    ) as here:
        page = await here.open(f"/concerts/{concert.concert_id}")
        await page.get_by_role("button", name="대기열 참여하기").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("대기 중입니다")
        await expect(page.get_by_text("바로 다음 차례입니다.")).to_be_visible()
        assert await page.locator("meta[http-equiv=refresh]").get_attribute("content") == "10"
        await free_the_slot(inside)
        while await page.get_by_role("heading", level=1).text_content() != "입장할 차례입니다":
            await page.reload()
        await page.get_by_role("button", name="대기열 나가기").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("The Line")


async def test_press_before_the_script_is_loaded_counts(browser: Browser, desk: Desk) -> None:
    """The script loads after the page is painted; an earlier press waits for it and counts."""
    concert = await desk.concert()
    async with window(browser, str(desk.http.base_url)) as here:
        asked, may_come = asyncio.Event(), asyncio.Event()

        async def late(route: Route) -> None:
            asked.set()
            await may_come.wait()
            await route.continue_()

        await here.context.route("**/fan/line/concert_page.js", late)
        fan = await open_concert(here, concert)
        await asked.wait()
        await fan.join()
        await expect(fan.button("join")).to_be_visible()
        may_come.set()
        await fan.expect_heading("seats.heading")


async def test_link_on_another_site_leads_to_the_place(browser: Browser, desk: Desk) -> None:
    """With and without scripts; its address is the one of the link."""
    concert, _ = await line(desk)
    address = str(desk.http.base_url)
    elsewhere = f"http://elsewhere.{LAN}:{desk.http.base_url.port}/"
    link = f"{address.rstrip('/')}/concerts/{concert.concert_id}"

    async def other_site(route: Route) -> None:
        await route.fulfill(body=f'<a href="{link}">The Line</a>', content_type="text/html")

    for has_scripts in (True, False):
        options = {"java_script_enabled": has_scripts, "viewport": PHONE}
        async with window(browser, address, **options) as here:
            here.expected = (f"foreign: {elsewhere}", "Cross-Origin-Opener-Policy header")
            fan = await open_concert(here, concert)
            await fan.join()
            await fan.expect_heading("wait.heading")
            await here.context.route(elsewhere, other_site)
            await fan.page.goto(elsewhere)
            await fan.page.get_by_text("The Line").click()
            await fan.expect_heading("wait.heading")
            if has_scripts:
                await fan.wait_for_script()
                assert fan.page.url == link


async def test_refused_cookies_are_reported(browser: Browser, desk: Desk) -> None:
    """Without them a place can't be kept: the page says what to do."""
    concert = await desk.concert()
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:

        async def without_cookies(route: Route) -> None:
            await here.context.clear_cookies()
            await route.continue_()

        await here.context.route("**/api/v1/queue/tokens", without_cookies)
        fan = await open_concert(here, concert)
        await fan.join()
        await fan.expect_notice(fan.text("landing.cookies_refused"))


async def test_tickets_without_scripts_are_explained(browser: Browser, desk: Desk) -> None:
    """A page that only its script can draw says so, and doesn't seem to load."""
    options = {"java_script_enabled": False, "viewport": PHONE}
    async with window(browser, str(desk.http.base_url), **options) as here:
        page = await here.open("/tickets")
        hint = page.locator("noscript .card")
        await expect(hint).to_have_text(Texts("en", "tickets")("tickets.noscript"))
        await expect(hint).to_be_visible()
        await expect(page.locator(".loading")).to_be_hidden()


async def test_seats_without_a_place_lead_to_the_concert(browser: Browser, desk: Desk) -> None:
    """Opened from a bookmark: the address is the concert's, and the page offers to join."""
    concert, _ = await line(desk)
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        here.expected = ("401",)
        fan = await open_concert(here, concert)
        for query in ("", "?show=none"):
            await fan.page.goto(f"{here.address}/concerts/{concert.concert_id}/seats{query}")
            await fan.page.wait_for_url(f"{here.address}/concerts/{concert.concert_id}")
            await expect(fan.button("join")).to_be_visible()


async def test_countdown_after_entering_is_of_the_session(browser: Browser, desk: Desk) -> None:
    """Not of the claim window, which ends with the first call."""
    room = {"policy": OPEN, "claim_seconds": 30, "session_seconds": 600}
    concert = await desk.concert(shows=2, waiting_room=room)
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        await here.context.add_init_script(
            "window.times = new Set();"
            "new MutationObserver(() => times.add(document.querySelector('.session strong')"
            "?.textContent)).observe(document, { childList: true, subtree: true })"
        )
        fan = await open_concert(here, concert)
        await fan.join()
        left = fan.page.locator(".session strong")
        await expect(left).to_have_text(re.compile(r"^(9:\d\d|10:00)$"))
        shown = await fan.page.evaluate("[...times].filter((time) => /\\d/.test(time))")
        assert [time for time in shown if not re.match(r"9:|10:", time)] == []


async def test_page_works_while_the_script_is_missing(browser: Browser, desk: Desk) -> None:
    """The page shows the rendered state, and reloads until a script is available."""
    concert, inside = await line(desk)
    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("ERR_FAILED", "Failed to fetch dynamically imported module")
        fan = await open_concert(here, concert)
        await fan.join_and_return()
        await here.context.route("**/fan/**/*.js", lambda route: route.abort())
        await fan.page.reload()
        await fan.expect_heading("wait.heading")
        await expect(fan.button("wait.alert")).to_be_hidden()
        await free_the_slot(inside)
        await fan.expect_heading("turn.title")
        await expect(fan.page.locator("[data-value=left]")).to_be_hidden()
        await here.context.unroute("**/fan/**/*.js")
        await expect(fan.page.locator("[data-value=left]")).to_have_text(re.compile(r"\d+:\d\d"))


async def test_page_solves_the_proof_of_work(browser: Browser, database: Database) -> None:
    """If accounts need a proof of work, the page solves it."""
    async with open_desk(database, guest_challenge=200) as desk:
        concert = await desk.concert()
        async with window(browser, str(desk.http.base_url)) as here:
            fan = await open_concert(here, concert)
            await fan.join()
            await fan.expect_heading("seats.heading")


async def test_proof_of_work_without_scripts_is_explained(
    browser: Browser, database: Database
) -> None:
    """If joining needs a proof of work and scripts are off, a sentence replaces the button."""
    async with open_desk(database, guest_challenge=200) as desk:
        concert = await desk.concert()
        options = {"java_script_enabled": False, "viewport": PHONE}
        async with window(browser, str(desk.http.base_url), **options) as here:
            fan = await open_concert(here, concert)
            hint = fan.page.locator("noscript .hint")  # text locators don't find it
            await expect(hint).to_have_text(fan.text("landing.needs_script"))
            await expect(hint).to_be_visible()
            await expect(fan.button("join")).to_have_count(0)


async def test_tab_far_back_polls_the_line_document(browser: Browser, desk: Desk) -> None:
    """Far back a tab requests only the line's document, at most every 2 s."""
    concert, inside = await line(desk)
    second, *_ = [await desk.waiting(concert) for _ in range(FAR)]
    source = Files().sources["fan/line/follow.js"].decode()
    near = source.replace("const NEAR = 200;", f"const NEAR = {FAR - 3};")
    assert near != source
    async with window(browser, str(desk.http.base_url), fast_polling=False) as here:

        async def answer(route: Route) -> None:
            await route.fulfill(body=near, content_type="text/javascript")

        await here.context.route("**/fan/line/follow.js", answer)
        asked: list[tuple[str, float]] = []
        fan = await open_concert(here, concert)
        await fan.join_and_return()
        await expect(fan.page.locator(".ahead")).to_have_text(str(FAR))
        fan.page.on("request", lambda request: asked.append((request.url, monotonic())))
        await free_the_slot(inside)
        await expect(fan.page.locator(".ahead")).to_have_text(str(FAR - 1))
        await free_the_slot(second)
        await expect(fan.page.locator(".ahead")).to_have_text(str(FAR - 2))
        assert {url.rpartition("/")[2] for url, _ in asked} == {"queue"}
        assert all(b - a >= 1.9 for (_, a), (_, b) in pairwise(asked))
        asked.clear()
        await desk.lose_places(concert, after=3)
        await fan.expect_heading("finished.lost")
        # Found by the document's last number, not by the tab's own poll each 30 s.
        assert [url.rpartition("/")[2] for url, _ in asked][-2:] == ["queue", "me"]


async def test_landing_page_shows_the_state_of_the_line(browser: Browser, desk: Desk) -> None:
    """On the landing page: the state of the line, and whether joining is possible."""
    address = str(desk.http.base_url)
    paused = await desk.concert(title="Paused")
    await desk.operate("POST", f"/admin/concerts/{paused.concert_id}/waiting-room/pause")
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    scheduled = await desk.concert(title="Soon", waiting_room={"policy": OPEN, "opens_at": soon})
    past = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    closed = await desk.concert(title="Over", waiting_room={"policy": OPEN, "closes_at": past})
    async with window(browser, address, viewport=DESKTOP) as here:
        for concert, key, can_join in (
            (paused, "paused", 1),
            (scheduled, "scheduled", 1),
            (closed, "closed", 0),
        ):
            fan = await open_concert(here, concert)
            badge = fan.page.locator(".badge")
            while await badge.text_content() != fan.text(f"room.{key}"):
                await fan.page.reload()
            await expect(fan.button("join")).to_have_count(can_join)
            await fan.passes_checks()
            await fan.page.close()
