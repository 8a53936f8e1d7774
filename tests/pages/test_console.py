"""The operator's console in a real browser: a whole sale, with checks of each screen."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from playwright.async_api import Browser, Route

from testkit.desk import Concert, Desk, Fan, Json, eventually
from tests.pages.browser import DESKTOP, PHONE, expect, window
from tests.pages.operators import Shift, begin

TITLE = "Winter Songs"


async def test_whole_sale_is_run_from_the_console(browser: Browser, desk: Desk) -> None:
    """From signing in to a cancelled show: actions take effect and events are shown."""
    async with window(browser, str(desk.http.base_url), viewport=DESKTOP) as here:
        shift = Shift(await here.open("/console"), here)
        await signs_in(shift)
        concert = await creates(shift, desk)
        fans = await runs_the_line(shift, desk, concert)
        payments = await watches_the_sale(shift, concert, fans)
        await refunds(shift, desk, concert, payments[0])
        await checks_in(shift, payments)
        await runs_the_audit(shift)
        await cancels(shift, desk, concert)


async def test_signed_out_operator_is_asked_for_the_key(browser: Browser, desk: Desk) -> None:
    """An operator who is not signed in is asked for the key, without a refused call."""
    async with window(browser, str(desk.http.base_url)) as here:
        refused: list[str] = []
        here.context.on("response", lambda r: refused.append(r.url) if r.status >= 400 else None)
        shift = Shift(await here.open("/console"), here)
        await shift.sees(shift.says("signin.heading"))
        assert refused == []


async def signs_in(shift: Shift) -> None:
    """Signs in, first with a wrong key: the error is at the field."""
    await shift.sees(shift.says("signin.heading"))
    await shift.is_well()
    await shift.sign_in("not-the-key")
    await expect(shift.page.locator("#key-wrong")).to_have_text(shift.says("signin.wrong"))
    await shift.sign_in()
    await shift.sees(shift.says("nav.concerts"))
    await shift.is_well()


async def creates(shift: Shift, desk: Desk) -> Concert:
    """Creates a concert with two sections; an error that only the server finds is at its field."""
    await shift.page.get_by_role("link", name=shift.says("concerts.new")).click()
    await shift.field("new.title").fill(TITLE)
    await shift.field("house.price").fill("50000")
    await shift.button("house.add").click()
    for key, value in (("name", "Balcony"), ("price", "30000"), ("seats_per_row", "6")):
        await shift.field(f"house.{key}").last.fill(value)
    summary = shift.says("house.summary", count=206, worth="₩10,180,000")
    await expect(shift.page.locator("#house-summary")).to_have_text(summary)
    await shift.page.locator("#max_active").fill("1")
    gone = datetime.now(UTC) - timedelta(days=2)
    await shift.field("new.opens").fill(gone.strftime("%Y-%m-%dT%H:%M"))
    await shift.is_well()
    await shift.button("new.create").click()
    fault = shift.page.locator("[data-pointer='/waiting_room/opens_at'] .wrong")
    await expect(fault).to_have_text(shift.says("fault: it has passed"))
    await expect(shift.field("new.opens")).to_be_focused()
    await shift.field("new.opens").fill("")
    await shift.button("new.create").click()
    await shift.sees(TITLE)
    concert_id = shift.page.url.rpartition("/")[2]
    shows: Json = (await desk.operate("GET", f"/admin/concerts/{concert_id}/shows")).json()
    return Concert(concert_id, shows["shows"])


async def runs_the_line(shift: Shift, desk: Desk, concert: Concert) -> list[Fan]:
    """Reads the waiting users, pauses and resumes, and admits the others by another policy."""
    fans = [await desk.buyer(concert, 100_000)]
    fans += [await desk.waiting(concert) for _ in range(2)]
    await expect(shift.figure("fact.waiting")).to_have_text("2")
    await expect(shift.figure("fact.in")).to_have_text(shift.says("of", some=1, all=1))
    await expect(shift.page.locator(".chart canvas")).to_have_count(2)
    await shift.is_well()
    await shift.button("pause").click()
    await expect(shift.page.locator("dialog")).to_contain_text(shift.says("pause.meaning"))
    await shift.is_well()
    await shift.button("cancel").click()
    await expect(shift.page.locator("dialog")).to_have_count(0)
    await shift.button("pause").click()
    await shift.button("pause").click()
    await shift.hears("pause.done")
    await expect(shift.page.locator(".badge").first).to_have_text(shift.says("room.paused"))
    queue = f"/concerts/{concert.concert_id}/queue"
    assert (await desk.ask("GET", queue)).json()["state"] == "paused"
    await shift.button("resume").click()
    await shift.hears("resume.done")
    await shift.page.locator("#max_active").fill("3")
    await shift.button("policy.apply").click()
    await shift.button("policy.apply").click()
    await shift.hears("policy.done")
    for fan in fans[1:]:
        await fan.until("admitted")
        await fan.by_token("GET", f"/concerts/{concert.concert_id}/dates")
        await fan.charge(100_000)
    await expect(shift.figure("fact.waiting")).to_have_text("0")
    return fans


async def watches_the_sale(shift: Shift, concert: Concert, fans: list[Fan]) -> list[Json]:
    """The map shows a hold and a payment as they happen; a seat shows its state."""
    await shift.page.get_by_role("link", name=shift.says("tab.seats")).click()
    await expect(shift.figure("free")).to_have_text("206")
    held = [await fan.hold(concert, number) for number, fan in enumerate(fans, 1)]
    await expect(shift.figure("held")).to_have_text("3")
    payments = [await fan.pay(hold) for fan, hold in zip(fans[:2], held[:2], strict=True)]
    await expect(shift.figure("sold")).to_have_text("2")
    chart = shift.page.get_by_role("application")
    await chart.focus()
    await chart.press("ArrowRight")
    await expect(shift.page.locator(".seat-line")).to_contain_text(shift.says("sold"))
    await shift.is_well()
    return payments


async def refunds(shift: Shift, desk: Desk, concert: Concert, payment: Json) -> None:
    """Refunds a payment; the remaining hold is about to end."""
    await shift.page.get_by_role("link", name=shift.says("tab.sales")).click()
    await expect(shift.figure("revenue")).to_have_text("₩100,000")
    await expect(shift.page.locator("tbody").nth(1).locator("tr")).to_have_count(1)
    await expect(shift.page.locator("tbody").nth(1)).to_contain_text(re.compile(r"[34]:\d\d"))
    await shift.is_well()
    item = shift.page.locator(".payment").filter(has_text=payment["payment_id"])
    await item.get_by_role("button").click()
    await shift.button("refund").click()
    await shift.hears("refund.done", amount="₩50,000")
    await expect(item.locator(".badge")).to_have_text(shift.says("payment.refunded"))
    stats = await desk.operate("GET", f"/admin/concerts/{concert.concert_id}/stats")
    assert stats.json()["revenue"] == 50_000
    await shift.go(f"/lookup?id={payment['user_id']}")
    await expect(shift.page.locator(".payment")).to_contain_text(payment["payment_id"])
    await shift.is_well()


async def checks_in(shift: Shift, payments: list[Json]) -> None:
    """Types codes: checked in, then already used, void, forged, each with a large message."""
    await shift.go("/gate")
    refunded, good = (payment["tickets"][0]["code"] for payment in payments)
    await shift.field("gate.concert").select_option(TITLE)
    await shift.field("show").select_option(index=1)
    counted = shift.figure("gate.in")
    await expect(counted).to_have_text(shift.says("of", some=0, all=1))
    for code, verdict in (
        (good, "gate.let_in"),
        (good, "gate.already"),
        (refunded, "gate.void"),
        (good[:-1] + ("A" if good[-1] != "A" else "B"), "gate.forged"),
    ):
        await shift.field("gate.code").fill(code)
        await shift.page.keyboard.press("Enter")
        await expect(shift.page.locator(".verdict")).to_contain_text(shift.says(verdict))
        await expect(shift.field("gate.code")).to_be_focused()
    await expect(counted).to_have_text(shift.says("of", some=1, all=1))
    await shift.is_well()


async def runs_the_audit(shift: Shift) -> None:
    """Every invariant holds, with the number of checked rows."""
    await shift.page.get_by_role("link", name=shift.says("nav.audit")).click()
    await shift.button("audit.run").click()
    await expect(shift.page.locator(".answer.good")).to_be_visible()
    assert await shift.page.locator("tbody tr").count() > 20
    await shift.is_well()


async def cancels(shift: Shift, desk: Desk, concert: Concert) -> None:
    """Cancels after typing the title; the page shows the progress of the refunds."""
    await shift.go(f"/concerts/{concert.concert_id}/seats")
    await shift.button("cancel_show").click()
    await expect(shift.button("cancel_show")).to_be_disabled()
    await shift.is_well()
    await shift.page.locator("#typed").fill("Winter")
    await expect(shift.button("cancel_show")).to_be_disabled()
    await shift.page.locator("#typed").fill(TITLE)
    await shift.button("cancel_show").click()
    message = shift.says("cancelled.so_far", some=1, all=1, seats=1, amount="₩50,000")
    await expect(shift.page.get_by_role("status").filter(has_text=message)).to_be_visible()
    await expect(shift.figure("free")).to_have_text("206")

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
        shift = await begin(here, language="ko")
        base = f"/concerts/{concert.concert_id}"
        for path, title, sign in (
            ("", shift.says("nav.concerts"), ".facts dd"),
            ("/new", shift.says("new.heading"), ".map"),
            (base, TITLE, ".chart canvas"),
            (f"{base}/seats", TITLE, ".map"),
            (f"{base}/sales", TITLE, ".payment"),
            (f"/lookup?id={payment['payment_id']}", shift.says("nav.lookup"), ".payment"),
            ("/gate", shift.says("nav.gate"), "#code"),
            ("/audit", shift.says("nav.audit"), "button.primary"),
        ):
            await shift.go(path)
            await shift.sees(title)
            await expect(shift.page.locator(sign).first).to_be_visible()
            await shift.is_well()


async def test_signing_out_ends_every_tab(browser: Browser, desk: Desk) -> None:
    """Each page asks for the key and then continues; signing out ends it in every tab."""
    concert = await desk.concert(title="Signed")
    path = f"/concerts/{concert.concert_id}"
    async with window(browser, str(desk.http.base_url)) as here:
        shift = await begin(here, path)
        await shift.sees("Signed")
        other = Shift(await here.open("/console/gate"), here)
        await other.sees(other.says("nav.gate"))
        await other.button("sign_out").click()
        await other.sees(other.says("signin.heading"))
        # The tab that polls finds out without a reload.
        await shift.sees(shift.says("signin.heading"))
        await shift.sign_in()
        await shift.sees("Signed")
        assert "frontrow_operator" not in await shift.page.evaluate("document.cookie")


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
        shift = await begin(here, f"/concerts/{concert.concert_id}", "ko")
        seoul = opens.astimezone(ZoneInfo("Asia/Seoul"))
        opening, closing = shift.field("times.opens_at"), shift.field("times.closes_at")
        await expect(opening).to_have_value(f"{seoul:%Y-%m-%dT%H:%M}")
        await expect(closing).to_have_value("")
        await expect(shift.page.locator("main")).to_contain_text("Asia/Seoul")
        await closing.fill(f"{seoul - timedelta(days=1):%Y-%m-%dT%H:%M}")
        await shift.button("times.apply").click()
        await shift.is_well()
        await shift.button("times.apply").click()
        fault = shift.page.locator("[data-pointer='/closes_at'] .wrong")
        await expect(fault).to_have_text(shift.says("fault: it must be after opens_at"))
        await expect(closing).to_be_focused()
        assert (await desk.operate("GET", path)).json() == before
        await closing.fill(f"{seoul + timedelta(days=1):%Y-%m-%dT%H:%M}")
        await shift.button("times.apply").click()
        await shift.button("times.apply").click()
        await shift.hears("times.done")
        closes = (opens + timedelta(days=1)).replace(second=0)
        stands: Json = (await desk.operate("GET", path)).json()
        assert datetime.fromisoformat(stands["closes_at"]) == closes
        assert {**stands, "closes_at": None} == before
        await opening.fill("")
        await shift.button("times.apply").click()
        await shift.button("times.apply").click()
        await expect(shift.page.locator(".badge").first).to_have_text(shift.says("room.open"))
        stands = (await desk.operate("GET", path)).json()
        assert stands["opens_at"] is None
        assert datetime.fromisoformat(stands["closes_at"]) == closes


async def test_change_of_another_operator_is_kept(browser: Browser, desk: Desk) -> None:
    """The policy form names the other change, keeps its input, and then changes only that."""
    policy = {"kind": "rate", "admit": 5, "every_seconds": 9}
    concert = await desk.concert(title="Shared", timezone="Asia/Seoul")
    path = f"/admin/concerts/{concert.concert_id}/waiting-room"
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        shift = await begin(here, f"/concerts/{concert.concert_id}")
        await shift.sees("Shared")
        others: Json = {"policy": policy, "claim_seconds": 77, "closes_at": "2126-01-01T00:00:00Z"}
        await desk.operate("PUT", path, json=others)
        stored: Json = (await desk.operate("GET", path)).json()
        await shift.page.locator("#policy-kind").select_option("max_active")
        await shift.page.locator("#max_active").fill("8")
        await shift.button("policy.apply").click()
        await shift.button("policy.apply").click()
        conflict = shift.page.locator("form .wrong[role=alert]")
        await expect(conflict).to_contain_text(shift.says("settings.conflict"))
        await expect(conflict).to_contain_text("Policy: No limit → Rate limit, Users: 5")
        await expect(conflict).to_contain_text("Time to enter after the call (seconds): 120 → 77")
        await expect(conflict).to_contain_text("Closes at: none → Jan 1, 2126, 9:00")
        await expect(conflict).to_be_focused()
        await shift.is_well()
        await expect(shift.page.locator("#max_active")).to_have_value("8")
        await expect(shift.field("times.closes_at")).to_have_value("2126-01-01T09:00")
        assert (await desk.operate("GET", path)).json() == stored
        await shift.button("policy.apply").click()
        await shift.button("policy.apply").click()
        await shift.hears("policy.done")
        await expect(conflict).to_have_count(0)
        changed = {"kind": "max_active", "max_active": 8}
        assert (await desk.operate("GET", path)).json() == {**stored, "policy": changed}


async def test_lost_answer_is_not_a_conflict(browser: Browser, desk: Desk) -> None:
    """A change that was stored but not confirmed is sent again without a conflict."""
    concert = await desk.concert(title="Lost answer", timezone="Asia/Seoul")
    path = f"/admin/concerts/{concert.concert_id}/waiting-room"
    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("ERR_",)
        shift = await begin(here, f"/concerts/{concert.concert_id}")
        lost: list[str] = []

        async def lose(route: Route) -> None:
            if route.request.method == "PUT" and not lost:
                await route.fetch()
                lost.append(route.request.url)
                await route.abort()
            else:
                await route.continue_()

        await here.context.route("**/waiting-room", lose)
        await shift.field("times.closes_at").fill("2126-01-01T09:00")
        await shift.button("times.apply").click()
        await shift.button("times.apply").click()
        await shift.hears("times.done")
        assert len(lost) == 1
        assert (await desk.operate("GET", path)).json()["closes_at"] == "2126-01-01T00:00:00Z"


CAMERA = """() => {
    window.BarcodeDetector = class {
        async detect() { return window.shown ? [{ rawValue: window.shown }] : []; }
    };
    const view = document.createElement("canvas");
    const pen = view.getContext("2d");
    setInterval(() => pen.fillRect(0, 0, 10, 10), 50);
    navigator.mediaDevices.getUserMedia = async () => view.captureStream(20);
}"""
"""A barcode detector and a camera, which this browser lacks."""


async def test_camera_checks_a_code_once(browser: Browser, desk: Desk) -> None:
    """A code in view is checked once, for any time; closing the camera ends its stream."""
    concert = await desk.concert(title="On camera")
    buyer = await desk.buyer(concert, 50_000)
    payment = await buyer.pay(await buyer.hold(concert, 1))
    async with window(browser, str(desk.http.base_url)) as here:
        await here.context.add_init_script(f"({CAMERA})()")
        shift = await begin(here, "/gate")
        asked: list[str] = []
        shift.page.on("request", lambda sent: asked.append(sent.url))
        await shift.button("camera.start").click()
        await expect(shift.page.locator("video")).to_be_visible()
        await shift.is_well()
        await shift.page.evaluate("(code) => (window.shown = code)", payment["tickets"][0]["code"])
        await expect(shift.page.locator(".verdict")).to_contain_text(shift.says("gate.let_in"))
        readings = "new Promise((done) => setTimeout(done, 600))"  # four readings of the camera
        await shift.page.evaluate(readings)
        await expect(shift.page.locator(".verdict")).to_contain_text(shift.says("gate.let_in"))
        assert sum(url.endswith("/check-ins") and "/tickets/" in url for url in asked) == 1
        await shift.button("camera.stop").click()
        await expect(shift.page.locator("video")).to_be_hidden()
        assert (
            await shift.page.evaluate("document.querySelector('video').srcObject.active") is False
        )


async def test_line_export_is_saved(browser: Browser, desk: Desk) -> None:
    """As CSV and as JSON, under the name of the concert's line."""
    concert = await desk.concert(title="In order")
    await desk.buyer(concert)
    async with window(browser, str(desk.http.base_url)) as here:
        shift = await begin(here, f"/concerts/{concert.concert_id}")
        for kind, start in (("csv", "number,"), ("json", '{"places":[{')):
            async with shift.page.expect_download() as download:
                await shift.button(f"order.{kind}").click()
            saved = await download.value
            assert saved.suggested_filename == f"order-{concert.concert_id}.{kind}"
            assert (await saved.path()).read_text().startswith(start)


async def test_unknown_concert_is_reported(browser: Browser, desk: Desk) -> None:
    """The page shows a message."""
    async with window(browser, str(desk.http.base_url)) as here:
        shift = await begin(here, "/concerts/0198c5a4-7f3a-4c5e-9d5b-0e6f7a8b9c0d/seats")
        await shift.sees(shift.says("failed"))
        message = shift.page.get_by_text(shift.says("refusal.not_found"))
        await expect(message).to_be_visible()
