"""The gate in a real browser: scans while answers are awaited, the camera, the end of a session."""

import asyncio
import json
from datetime import datetime
from zoneinfo import ZoneInfo

from playwright.async_api import Browser, Locator, Route

from frontrow.payments.scanned_text import KEYBOARD_LAYOUT, LENGTH, LETTER_CASE
from testkit.desk import Concert, Desk
from tests.pages.browser import PHONE, expect, window
from tests.pages.operators import Operator, open_console

NEW_YORK = ZoneInfo("America/New_York")


class HeldAnswers:
    """Holds the answers to the check-ins of a window until they are released, by code."""

    def __init__(self) -> None:
        self._released: dict[str, asyncio.Event] = {}
        self.sent: list[str] = []

    def _event(self, code: str) -> asyncio.Event:
        return self._released.setdefault(code, asyncio.Event())

    def release(self, code: str) -> None:
        """Releases the answer to a code."""
        self._event(code).set()

    async def handle(self, route: Route) -> None:
        """Carries a call out and holds its answer."""
        code = json.loads(route.request.post_data or "")["code"]
        self.sent.append(code)
        response = await route.fetch()
        await self._event(code).wait()
        await route.fulfill(response=response)


async def codes_of(desk: Desk, concert: Concert, *numbers: int) -> list[str]:
    """Buys seats and returns the codes of their tickets."""
    buyer = await desk.buyer(concert, 50_000 * len(numbers))
    payment = await buyer.pay(await buyer.hold(concert, *numbers))
    return [ticket["code"] for ticket in payment["tickets"]]


async def scan(operator: Operator, code: str) -> None:
    """Types a code into the element with the focus, as a scanner does."""
    await operator.page.keyboard.insert_text(code)
    await operator.page.keyboard.press("Enter")


async def scan_at(operator: Operator, code: str) -> None:
    """Scans a code with the focus in its field."""
    await operator.field("gate.code").focus()
    await scan(operator, code)


def verdicts(operator: Operator, kind: str) -> Locator:
    """Returns the verdicts of a kind: good, bad or pending."""
    return operator.page.locator(f".answer.{kind}, .scan.{kind}")


async def test_scans_while_answers_are_awaited_have_each_a_verdict(
    browser: Browser, desk: Desk
) -> None:
    """The second scan isn't lost, the first verdict isn't shown for it, and no field is emptied."""
    concert = await desk.concert(title="Queue")
    first, second = await codes_of(desk, concert, 1, 2)
    forged = second[:-1] + ("A" if second[-1] != "A" else "B")
    held = HeldAnswers()
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        operator = await open_console(here, "/gate")
        await here.context.route("**/tickets/check-ins", held.handle)
        verdict, field = operator.page.locator(".verdict"), operator.field("gate.code")
        await expect(field).to_be_focused()
        await scan(operator, first)
        await expect(verdict).to_contain_text(operator.text("gate.checking"))
        await expect(field).to_have_value("")
        await scan(operator, forged)
        await scan(operator, first)  # again, before its first answer
        await expect(verdicts(operator, "pending")).to_have_count(3)
        await operator.passes_checks()
        await operator.page.keyboard.insert_text(second[:70])
        held.release(forged)  # answered before the first
        await expect(verdicts(operator, "bad")).to_contain_text(operator.text("gate.forged"))
        await expect(verdict).to_contain_text(operator.text("gate.checking"))
        held.release(first)
        await expect(verdicts(operator, "good")).to_contain_text(operator.text("gate.let_in"))
        await expect(verdict).to_contain_text(operator.text("gate.already"))
        await expect(verdicts(operator, "pending")).to_have_count(0)
        await expect(field).to_have_value(second[:70])
        held.release(second)
        await scan(operator, second[70:])
        await expect(verdict).to_contain_text(operator.text("gate.let_in"))
        assert held.sent == [first, forged, first, second]
        await operator.passes_checks()


async def test_scan_for_the_kept_show_before_the_shows_are_loaded(
    browser: Browser, desk: Desk
) -> None:
    """A gate that is reloaded admits to its own show only, also while its list of shows loads."""
    await desk.concert(title="Mine")
    other = await desk.concert(title="Other")
    (code,) = await codes_of(desk, other, 1)
    loaded = asyncio.Event()

    async def hold(route: Route) -> None:
        await loaded.wait()
        await route.continue_()

    async with window(browser, str(desk.http.base_url)) as here:
        operator = await open_console(here, "/gate")
        await operator.field("gate.concert").select_option("Mine")
        await operator.field("show").select_option(index=1)
        await here.context.route("**/shows", hold)
        await operator.page.reload()
        await expect(operator.field("gate.code")).to_be_focused()
        await scan(operator, code)
        await expect(operator.page.locator(".verdict")).to_contain_text(
            operator.text("gate.wrong_show")
        )
        # A choice that is made meanwhile is the one that counts.
        await operator.field("gate.concert").select_option("Other")
        loaded.set()
        await expect(operator.field("show").locator("option")).to_have_count(2)
        await scan_at(operator, code)
        await expect(operator.page.locator(".verdict")).to_contain_text(
            operator.text("gate.let_in")
        )


async def test_unanswered_scan_is_repeated_with_its_key(browser: Browser, desk: Desk) -> None:
    """A check-in whose answer was lost is not refused as used when its code is scanned again."""
    concert = await desk.concert(title="Lost")
    (code,) = await codes_of(desk, concert, 1)
    lost: list[str | None] = []

    async def lose(route: Route) -> None:
        lost.append(await route.request.header_value("idempotency-key"))
        await route.fetch()
        await route.abort()

    async with window(browser, str(desk.http.base_url)) as here:
        here.expected = ("ERR_",)
        operator = await open_console(here, "/gate")
        await here.context.route("**/tickets/check-ins", lose)
        await scan_at(operator, code)
        verdict = operator.page.locator(".verdict")
        await expect(verdict).to_contain_text(operator.text("gate.no_answer"))
        await here.context.unroute("**/tickets/check-ins")
        await operator.page.reload()
        async with operator.page.expect_request("**/tickets/check-ins") as again:
            await scan_at(operator, code)
        await expect(verdict).to_contain_text(operator.text("gate.let_in"))
        assert {await (await again.value).header_value("idempotency-key")} == set(lost)
        await scan_at(operator, code)
        await expect(verdict).to_contain_text(operator.text("gate.already"))


async def test_scans_after_the_end_of_the_session_are_checked_after_the_next_sign_in(
    browser: Browser, desk: Desk
) -> None:
    """Scans are kept, also one that the scanner types into the field of the key."""
    concert = await desk.concert(title="Ended")
    first, second = await codes_of(desk, concert, 1, 2)
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        operator = await open_console(here, "/gate")
        await expect(operator.field("gate.code")).to_be_focused()
        await here.context.clear_cookies(name="frontrow_operator")
        await scan(operator, first)
        await operator.expect_heading(operator.text("signin.heading"))
        await expect(operator.field("signin.key")).to_be_focused()
        await operator.passes_checks()
        await operator.page.keyboard.press("Escape")
        await operator.page.keyboard.press("Escape")
        await expect(operator.field("signin.key")).to_be_focused()
        await scan(operator, second)
        await expect(operator.field("signin.key")).to_have_value("")
        await expect(operator.page.locator("#key-wrong")).to_have_text("")
        await operator.sign_in()
        await operator.expect_heading(operator.text("nav.gate"))
        await expect(verdicts(operator, "good")).to_have_count(2)
        await expect(operator.field("gate.code")).to_be_focused()


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
        operator = await open_console(here, "/gate")
        asked: list[str] = []
        operator.page.on("request", lambda sent: asked.append(sent.url))
        await operator.button("camera.start").click()
        await expect(operator.page.locator("video")).to_be_visible()
        await operator.passes_checks()
        await operator.page.evaluate(
            "(code) => (window.shown = code)", payment["tickets"][0]["code"]
        )
        await expect(operator.page.locator(".verdict")).to_contain_text(
            operator.text("gate.let_in")
        )
        readings = "new Promise((done) => setTimeout(done, 600))"  # four readings of the camera
        await operator.page.evaluate(readings)
        await expect(operator.page.locator(".verdict")).to_contain_text(
            operator.text("gate.let_in")
        )
        assert sum(url.endswith("/check-ins") and "/tickets/" in url for url in asked) == 1
        await operator.button("camera.stop").click()
        await expect(operator.page.locator("video")).to_be_hidden()
        assert (
            await operator.page.evaluate("document.querySelector('video').srcObject.active")
            is False
        )


async def scan_with_korean_input(operator: Operator, code: str) -> None:
    """Presses the keys of a code under a Korean input method; Enter ends the last syllable."""
    session = await operator.page.context.new_cdp_session(operator.page)

    async def press(key: str, *, shift: bool = False) -> None:
        modifiers = {"modifiers": 8 if shift else 0, "windowsVirtualKeyCode": 229}
        event = {"type": "rawKeyDown", "key": "Process", "code": key, **modifiers}
        await session.send("Input.dispatchKeyEvent", event)

    for character in code:
        if character.isalpha():
            await press(f"Key{character.upper()}", shift=character.isupper())
        elif character.isdigit():
            await press(f"Digit{character}")
        else:
            await press("Minus", shift=character == "_")
    await session.send("Input.insertText", {"text": "ㅁ" * 100})
    composition = {"text": "아", "selectionStart": 1, "selectionEnd": 1}
    await session.send("Input.imeSetComposition", composition)
    await press("Enter")
    await session.send("Input.insertText", {"text": "아"})  # ends the composition


async def test_codes_of_other_keyboards_are_recognised_or_explained(
    browser: Browser, desk: Desk
) -> None:
    """Korean input, Caps Lock and a prefix, QWERTZ, Tab; the keyboard is named where it matters."""
    concert = await desk.concert(title="Keyboards", timezone="America/New_York")
    korean, caps, german, tab = await codes_of(desk, concert, 1, 2, 3, 4)
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        operator = await open_console(here, "/gate")
        await operator.field("gate.name").fill("North 2")
        await operator.field("gate.code").focus()
        await scan_with_korean_input(operator, korean)
        await expect(verdicts(operator, "good")).to_have_count(1)
        await scan(operator, f"]q1{caps.swapcase()}")
        await expect(verdicts(operator, "good")).to_have_count(2)
        await scan(operator, german.translate(str.maketrans("yzYZ-_", "zyZYß?")))
        await expect(verdicts(operator, "good")).to_have_count(3)
        await operator.page.keyboard.insert_text(tab)
        await operator.page.keyboard.press("Tab")
        await expect(verdicts(operator, "good")).to_have_count(4)
        await expect(operator.field("gate.code")).to_be_focused()
        # With the focus elsewhere: nowhere, and in another field.
        (blurred, named) = await codes_of(desk, concert, 5, 6)
        await operator.page.evaluate("document.activeElement.blur()")
        await operator.page.keyboard.type(blurred)
        await operator.page.keyboard.press("Enter")
        await expect(verdicts(operator, "good")).to_have_count(5)
        await operator.field("gate.name").fill(named)
        await operator.field("gate.name").press("Enter")
        await expect(verdicts(operator, "good")).to_have_count(6)
        await expect(operator.field("gate.name")).to_have_value("North 2")
        answer = operator.page.locator(".answer")
        for text, why in ((korean.upper(), LETTER_CASE), ("ㅁ노", KEYBOARD_LAYOUT), ("12", LENGTH)):
            await scan(operator, text)
            await expect(answer).to_contain_text(operator.text(f"gate.unread: {why}"))
        await operator.passes_checks()
        # A refused ticket is described: its seat, its show and its check-in, in the venue's time.
        await scan(operator, caps)
        await expect(answer).to_contain_text(operator.text("gate.already"))
        listed = await desk.operate("GET", f"/admin/concerts/{concert.concert_id}/shows")
        starts_at: str = listed.json()["shows"][0]["starts_at"]
        start = datetime.fromisoformat(starts_at).astimezone(NEW_YORK)
        for part in ("seat 2", "Keyboards", "gate North 2", f"{start:%B %-d, %Y at %-I:%M}"):
            await expect(answer).to_contain_text(part)
        await operator.passes_checks()
