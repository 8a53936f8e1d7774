"""The operator's console in a real browser: a whole sale, with checks of each screen."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from playwright.async_api import Browser, Route

from testkit.desk import Concert, Desk, Fan, Json, eventually
from tests.pages.browser import DESKTOP, PHONE, expect, window
from tests.pages.operators import Operator, open_console

TITLE = "Winter Songs"


async def test_whole_sale_is_run_from_the_console(browser: Browser, desk: Desk) -> None:
    """From signing in to a cancelled show: actions take effect and events are shown."""
    async with window(browser, str(desk.http.base_url), viewport=DESKTOP) as here:
        operator = Operator(await here.open("/console"), here)
        await signs_in(operator)
        concert = await creates(operator, desk)
        fans = await runs_the_line(operator, desk, concert)
        payments = await watches_the_sale(operator, concert, fans)
        await refunds(operator, desk, concert, payments[0])
        await checks_in(operator, payments)
        await runs_the_audit(operator)
        await cancels(operator, desk, concert)


async def test_signed_out_operator_is_asked_for_the_key(browser: Browser, desk: Desk) -> None:
    """An operator who is not signed in is asked for the key, without a refused call."""
    async with window(browser, str(desk.http.base_url)) as here:
        refused: list[str] = []
        here.context.on("response", lambda r: refused.append(r.url) if r.status >= 400 else None)
        operator = Operator(await here.open("/console"), here)
        await operator.expect_heading(operator.text("signin.heading"))
        assert refused == []


async def signs_in(operator: Operator) -> None:
    """Signs in, first with a wrong key: the error is at the field."""
    await operator.expect_heading(operator.text("signin.heading"))
    await operator.passes_checks()
    await operator.sign_in("not-the-key")
    await expect(operator.page.locator("#key-wrong")).to_have_text(operator.text("signin.wrong"))
    await operator.sign_in()
    await operator.expect_heading(operator.text("nav.concerts"))
    await operator.passes_checks()


async def creates(operator: Operator, desk: Desk) -> Concert:
    """Creates a concert with two sections; an error that only the server finds is at its field."""
    await operator.page.get_by_role("link", name=operator.text("concerts.new")).click()
    await operator.field("new.title").fill(TITLE)
    await operator.field("house.price").fill("50000")
    await operator.button("house.add").click()
    for key, value in (("name", "Balcony"), ("price", "30000"), ("seats_per_row", "6")):
        await operator.field(f"house.{key}").last.fill(value)
    summary = operator.text("house.summary", count=206, worth="₩10,180,000")
    await expect(operator.page.locator("#house-summary")).to_have_text(summary)
    await operator.page.locator("#max_active").fill("1")
    gone = datetime.now(UTC) - timedelta(days=2)
    await operator.field("new.opens").fill(gone.strftime("%Y-%m-%dT%H:%M"))
    await operator.passes_checks()
    await operator.button("new.create").click()
    fault = operator.page.locator("[data-pointer='/waiting_room/opens_at'] .wrong")
    await expect(fault).to_have_text(operator.text("fault: it has passed"))
    await expect(operator.field("new.opens")).to_be_focused()
    await operator.field("new.opens").fill("")
    await operator.button("new.create").click()
    await operator.expect_heading(TITLE)
    concert_id = operator.page.url.rpartition("/")[2]
    shows: Json = (await desk.operate("GET", f"/admin/concerts/{concert_id}/shows")).json()
    return Concert(concert_id, shows["shows"])


async def runs_the_line(operator: Operator, desk: Desk, concert: Concert) -> list[Fan]:
    """Reads the waiting users, pauses and resumes, and admits the others by another policy."""
    fans = [await desk.buyer(concert, 100_000)]
    fans += [await desk.waiting(concert) for _ in range(2)]
    await expect(operator.figure("fact.waiting")).to_have_text("2")
    await expect(operator.figure("fact.in")).to_have_text(operator.text("of", some=1, all=1))
    await expect(operator.page.locator(".chart canvas")).to_have_count(2)
    await operator.passes_checks()
    await operator.button("pause").click()
    await expect(operator.page.locator("dialog")).to_contain_text(operator.text("pause.meaning"))
    await operator.passes_checks()
    await operator.button("cancel").click()
    await expect(operator.page.locator("dialog")).to_have_count(0)
    await operator.button("pause").click()
    await operator.button("pause").click()
    await operator.expect_notice("pause.done")
    await expect(operator.page.locator(".badge").first).to_have_text(operator.text("room.paused"))
    queue = f"/concerts/{concert.concert_id}/queue"
    assert (await desk.ask("GET", queue)).json()["state"] == "paused"
    await operator.button("resume").click()
    await operator.expect_notice("resume.done")
    await operator.page.locator("#max_active").fill("3")
    await operator.button("policy.apply").click()
    await operator.button("policy.apply").click()
    await operator.expect_notice("policy.done")
    for fan in fans[1:]:
        await fan.until("admitted")
        await fan.by_token("GET", f"/concerts/{concert.concert_id}/dates")
        await fan.charge(100_000)
    await expect(operator.figure("fact.waiting")).to_have_text("0")
    return fans


async def watches_the_sale(operator: Operator, concert: Concert, fans: list[Fan]) -> list[Json]:
    """The map shows a hold and a payment as they happen; a seat shows its state."""
    await operator.page.get_by_role("link", name=operator.text("tab.seats")).click()
    await expect(operator.figure("free")).to_have_text("206")
    held = [await fan.hold(concert, number) for number, fan in enumerate(fans, 1)]
    await expect(operator.figure("held")).to_have_text("3")
    payments = [await fan.pay(hold) for fan, hold in zip(fans[:2], held[:2], strict=True)]
    await expect(operator.figure("sold")).to_have_text("2")
    chart = operator.page.get_by_role("application")
    await chart.focus()
    await chart.press("ArrowRight")
    await expect(operator.page.locator(".seat-line")).to_contain_text(operator.text("sold"))
    await operator.passes_checks()
    return payments


async def refunds(operator: Operator, desk: Desk, concert: Concert, payment: Json) -> None:
    """Refunds a payment; the remaining hold is about to end."""
    await operator.page.get_by_role("link", name=operator.text("tab.sales")).click()
    await expect(operator.figure("revenue")).to_have_text("₩100,000")
    await expect(operator.page.locator("tbody").nth(1).locator("tr")).to_have_count(1)
    await expect(operator.page.locator("tbody").nth(1)).to_contain_text(re.compile(r"[34]:\d\d"))
    await operator.passes_checks()
    item = operator.page.locator(".payment").filter(has_text=payment["payment_id"])
    await item.get_by_role("button").click()
    await operator.button("refund").click()
    await operator.expect_notice("refund.done", amount="₩50,000")
    await expect(item.locator(".badge")).to_have_text(operator.text("payment.refunded"))
    stats = await desk.operate("GET", f"/admin/concerts/{concert.concert_id}/stats")
    assert stats.json()["revenue"] == 50_000
    await operator.go(f"/lookup?id={payment['user_id']}")
    await expect(operator.page.locator(".payment")).to_contain_text(payment["payment_id"])
    await operator.passes_checks()


async def checks_in(operator: Operator, payments: list[Json]) -> None:
    """Types codes: checked in, then already used, void, forged, each with a large message."""
    await operator.go("/gate")
    refunded, good = (payment["tickets"][0]["code"] for payment in payments)
    await operator.field("gate.concert").select_option(TITLE)
    await operator.field("show").select_option(index=1)
    counted = operator.figure("gate.in")
    await expect(counted).to_have_text(operator.text("of", some=0, all=1))
    for code, verdict in (
        (good, "gate.let_in"),
        (good, "gate.already"),
        (refunded, "gate.void"),
        (good[:-1] + ("A" if good[-1] != "A" else "B"), "gate.forged"),
    ):
        await operator.field("gate.code").fill(code)
        await operator.page.keyboard.press("Enter")
        await expect(operator.page.locator(".verdict")).to_contain_text(operator.text(verdict))
        await expect(operator.field("gate.code")).to_be_focused()
    await expect(counted).to_have_text(operator.text("of", some=1, all=1))
    await operator.passes_checks()


async def runs_the_audit(operator: Operator) -> None:
    """Every invariant holds, with the number of checked rows."""
    await operator.page.get_by_role("link", name=operator.text("nav.audit")).click()
    await operator.button("audit.run").click()
    await expect(operator.page.locator(".answer.good")).to_be_visible()
    assert await operator.page.locator("tbody tr").count() > 20
    await operator.passes_checks()


async def cancels(operator: Operator, desk: Desk, concert: Concert) -> None:
    """Cancels after typing the title; the page shows the progress of the refunds."""
    await operator.go(f"/concerts/{concert.concert_id}/seats")
    await operator.button("cancel_show").click()
    await expect(operator.button("cancel_show")).to_be_disabled()
    await operator.passes_checks()
    await operator.page.locator("#typed").fill("Winter")
    await expect(operator.button("cancel_show")).to_be_disabled()
    await operator.page.locator("#typed").fill(TITLE)
    await operator.button("cancel_show").click()
    message = operator.text("cancelled.so_far", some=1, all=1, seats=1, amount="₩50,000")
    await expect(operator.page.get_by_role("status").filter(has_text=message)).to_be_visible()
    await expect(operator.figure("free")).to_have_text("206")

    async def is_available() -> bool:
        path = f"/admin/concerts/{concert.concert_id}/stats"
        return bool((await desk.operate("GET", path)).json()["revenue"] == 0)

    await eventually(is_available)


async def test_every_screen_fits_a_phone(browser: Browser, desk: Desk) -> None:
    """In Korean, in dark mode, 360 pixels wide: no sideways scrolling, no accessibility fault."""
    concert = await desk.concert(title=TITLE, venue="블루스퀘어")
    buyer = await desk.buyer(concert, 50_000)
    payment = await buyer.pay(await buyer.hold(concert, 1))
    await (await desk.buyer(concert)).hold(concert, 2)
    options = {"locale": "ko-KR", "viewport": PHONE, "color_scheme": "dark"}
    async with window(browser, str(desk.http.base_url), **options) as here:
        operator = await open_console(here, language="ko")
        base = f"/concerts/{concert.concert_id}"
        for path, title, sign in (
            ("", operator.text("nav.concerts"), ".facts dd"),
            ("/new", operator.text("new.heading"), ".map"),
            (base, TITLE, ".chart canvas"),
            (f"{base}/seats", TITLE, ".map"),
            (f"{base}/sales", TITLE, ".payment"),
            (f"/lookup?id={payment['payment_id']}", operator.text("nav.lookup"), ".payment"),
            ("/gate", operator.text("nav.gate"), "#code"),
            ("/audit", operator.text("nav.audit"), "button.primary"),
        ):
            await operator.go(path)
            await operator.expect_heading(title)
            await expect(operator.page.locator(sign).first).to_be_visible()
            await operator.passes_checks()


async def test_signing_out_ends_every_tab(browser: Browser, desk: Desk) -> None:
    """Each page asks for the key and then continues; signing out ends it in every tab."""
    concert = await desk.concert(title="Signed")
    path = f"/concerts/{concert.concert_id}"
    async with window(browser, str(desk.http.base_url)) as here:
        operator = await open_console(here, path)
        await operator.expect_heading("Signed")
        other = Operator(await here.open("/console/gate"), here)
        await other.expect_heading(other.text("nav.gate"))
        await other.button("sign_out").click()
        await other.expect_heading(other.text("signin.heading"))
        # The tab that polls finds out without a reload.
        await operator.expect_heading(operator.text("signin.heading"))
        await operator.sign_in()
        await operator.expect_heading("Signed")
        assert "frontrow_operator" not in await operator.page.evaluate("document.cookie")


async def test_times_of_a_line_are_edited_in_the_venues_time_zone(
    browser: Browser, desk: Desk
) -> None:
    """In the venue's time zone; an unchanged time keeps its seconds; an invalid one is reported."""
    opens = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3, seconds=7)
    room = {
        "policy": {"kind": "rate", "admit": 5, "every_seconds": 9},
        "opens_at": opens.isoformat(),
    }
    concert = await desk.concert(title="Timed", timezone="Asia/Seoul", waiting_room=room)
    path = f"/admin/concerts/{concert.concert_id}/waiting-room"
    before: Json = (await desk.operate("GET", path)).json()
    options = {"locale": "ko-KR", "viewport": PHONE, "timezone_id": "America/New_York"}
    async with window(browser, str(desk.http.base_url), **options) as here:
        operator = await open_console(here, f"/concerts/{concert.concert_id}", "ko")
        seoul = opens.astimezone(ZoneInfo("Asia/Seoul"))
        opening, closing = operator.field("times.opens_at"), operator.field("times.closes_at")
        await expect(opening).to_have_value(f"{seoul:%Y-%m-%dT%H:%M}")
        await expect(closing).to_have_value("")
        await expect(operator.page.locator("main")).to_contain_text("Asia/Seoul")
        await closing.fill(f"{seoul - timedelta(days=1):%Y-%m-%dT%H:%M}")
        await operator.button("times.apply").click()
        await operator.passes_checks()
        await operator.button("times.apply").click()
        fault = operator.page.locator("[data-pointer='/closes_at'] .wrong")
        await expect(fault).to_have_text(operator.text("fault: it must be after opens_at"))
        await expect(closing).to_be_focused()
        assert (await desk.operate("GET", path)).json() == before
        await closing.fill(f"{seoul + timedelta(days=1):%Y-%m-%dT%H:%M}")
        await operator.button("times.apply").click()
        await operator.button("times.apply").click()
        await operator.expect_notice("times.done")
        closes = (opens + timedelta(days=1)).replace(second=0)
        stored: Json = (await desk.operate("GET", path)).json()
        assert datetime.fromisoformat(stored["closes_at"]) == closes
        assert {**stored, "closes_at": None} == before
        await opening.fill("")
        await operator.button("times.apply").click()
        await operator.button("times.apply").click()
        await expect(operator.page.locator(".badge").first).to_have_text(operator.text("room.open"))
        stored = (await desk.operate("GET", path)).json()
        assert stored["opens_at"] is None
        assert datetime.fromisoformat(stored["closes_at"]) == closes


async def test_change_of_another_operator_is_kept(browser: Browser, desk: Desk) -> None:
    """The policy form names the other change, keeps its input, and then changes only that."""
    policy = {"kind": "rate", "admit": 5, "every_seconds": 9}
    concert = await desk.concert(title="Shared", timezone="Asia/Seoul")
    path = f"/admin/concerts/{concert.concert_id}/waiting-room"
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        operator = await open_console(here, f"/concerts/{concert.concert_id}")
        await operator.expect_heading("Shared")
        others: Json = {"policy": policy, "claim_seconds": 77, "closes_at": "2126-01-01T00:00:00Z"}
        await desk.operate("PUT", path, json=others)
        stored: Json = (await desk.operate("GET", path)).json()
        await operator.page.locator("#policy-kind").select_option("max_active")
        await operator.page.locator("#max_active").fill("8")
        await operator.button("policy.apply").click()
        await operator.button("policy.apply").click()
        conflict = operator.page.locator("form .wrong[role=alert]")
        await expect(conflict).to_contain_text(operator.text("settings.conflict"))
        await expect(conflict).to_contain_text("Policy: No limit → Rate limit, Users: 5")
        await expect(conflict).to_contain_text("Time to enter after the call (seconds): 120 → 77")
        await expect(conflict).to_contain_text("Closes at: none → Jan 1, 2126, 9:00")
        await expect(conflict).to_be_focused()
        await operator.passes_checks()
        await expect(operator.page.locator("#max_active")).to_have_value("8")
        await expect(operator.field("times.closes_at")).to_have_value("2126-01-01T09:00")
        assert (await desk.operate("GET", path)).json() == stored
        await operator.button("policy.apply").click()
        await operator.button("policy.apply").click()
        await operator.expect_notice("policy.done")
        await expect(conflict).to_have_count(0)
        changed = {"kind": "max_active", "max_active": 8}
        assert (await desk.operate("GET", path)).json() == {**stored, "policy": changed}


async def test_lost_answer_is_not_a_conflict(browser: Browser, desk: Desk) -> None:
    """A change that was stored but not confirmed is sent again without a conflict."""
    concert = await desk.concert(title="Lost answer", timezone="Asia/Seoul")
    path = f"/admin/concerts/{concert.concert_id}/waiting-room"
    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("ERR_",)
        operator = await open_console(here, f"/concerts/{concert.concert_id}")
        lost: list[str] = []

        async def lose(route: Route) -> None:
            if route.request.method == "PUT" and not lost:
                await route.fetch()
                lost.append(route.request.url)
                await route.abort()
            else:
                await route.continue_()

        await here.context.route("**/waiting-room", lose)
        await operator.field("times.closes_at").fill("2126-01-01T09:00")
        await operator.button("times.apply").click()
        await operator.button("times.apply").click()
        await operator.expect_notice("times.done")
        assert len(lost) == 1
        assert (await desk.operate("GET", path)).json()["closes_at"] == "2126-01-01T00:00:00Z"


async def test_line_export_is_saved(browser: Browser, desk: Desk) -> None:
    """As CSV and as JSON, under the name of the concert's line."""
    concert = await desk.concert(title="In order")
    await desk.buyer(concert)
    async with window(browser, str(desk.http.base_url)) as here:
        operator = await open_console(here, f"/concerts/{concert.concert_id}")
        for kind, start in (("csv", "number,"), ("json", '{"places":[{')):
            async with operator.page.expect_download() as download:
                await operator.button(f"order.{kind}").click()
            saved = await download.value
            assert saved.suggested_filename == f"order-{concert.concert_id}.{kind}"
            assert (await saved.path()).read_text().startswith(start)


async def test_unknown_concert_is_reported(browser: Browser, desk: Desk) -> None:
    """The page shows a message."""
    async with window(browser, str(desk.http.base_url)) as here:
        operator = await open_console(here, "/concerts/0198c5a4-7f3a-4c5e-9d5b-0e6f7a8b9c0d/seats")
        await operator.expect_heading(operator.text("failed"))
        message = operator.page.get_by_text(operator.text("refusal.not_found"))
        await expect(message).to_be_visible()
