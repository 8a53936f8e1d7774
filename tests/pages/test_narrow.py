"""Pages on narrow screens, with large text and the longest texts; and in the user's colours.

One window walks all pages of a language: each is opened once, then measured in all sizes.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.async_api import APIResponse, Browser, Page

from testkit.desk import BASE, Concert, Desk, Json, starts_at
from testkit.serving import OPERATOR_KEY
from tests.pages.browser import Window, expect, window
from tests.pages.fans import open_seats

WIDTHS = (320, 360, 430)
HEIGHT = 640
TEXT_SIZES = (100, 200)
"""Per cent of the browser's own (WCAG 2.2, 1.4.4 demands 200)."""
MAX = {"kind": "max_active", "max_active": 1}
OPEN = {"policy": {"kind": "open"}, "claim_seconds": 3600, "session_seconds": 86_400}
SHUT = {"policy": MAX, "claim_seconds": 3600}
MOST = 1_000_000_000
"""The highest amount of a payment."""

MEASURE = """size => {
    const root = document.documentElement;
    root.style.fontSize = `${size}%`;
    const width = root.clientWidth, faults = [];
    const named = (e) => `${e.localName}.${e.className} "${e.textContent.trim().slice(0, 30)}"`;
    const scrolls = (e) => e && e !== root && (
        /auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
    if (root.scrollWidth > width) {
        const wide = [...document.querySelectorAll("body *")].filter((e) =>
            e.getBoundingClientRect().right > width + 1 && !scrolls(e.parentElement));
        faults.push(`${root.scrollWidth} px wide: ${wide.slice(-3).map(named).join(", ")}`);
    }
    const isUncovered = (control, block) => {
        control.scrollIntoView({ block });
        const { left, right, top, height } = control.getBoundingClientRect();
        const at = document.elementFromPoint((left + right) / 2, top + Math.min(height, 40) / 2);
        return at && (control.contains(at) || at.contains(control) || at.closest("label"));
    };
    const shown = document.querySelector("dialog[open]") ?? document;
    for (const control of shown.querySelectorAll("button, a.button, input, select, summary")) {
        if (!control.checkVisibility() || scrolls(control.parentElement)) continue;
        const { left, right } = control.getBoundingClientRect();
        if (left < 0 || right > width + 1) faults.push(`outside: ${named(control)}`);
        else if (!isUncovered(control, "center") && !isUncovered(control, "start"))
            faults.push(`covered: ${named(control)}`);
        else if (!control.matches("input, select") && control.scrollWidth > control.clientWidth + 1)
            faults.push(`cut off: ${named(control)}`);
    }
    return faults;
}"""
"""Returns what doesn't fit: the page, or a control that can't be reached by scrolling down."""

SOME_FRAMES = """() => new Promise((ready) => {
    const count = (left) => (left ? requestAnimationFrame(() => count(left - 1)) : ready());
    count(5);
})"""

SHORTENED = """async texts => {
    const { href } = document.querySelector('link[href$="/seats/map.js"]');
    const { shortened } = await import(href);
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = "600 14px system-ui";
    return texts.every((text) => {
        const short = shortened(pen, text, 260);
        const isWhole = pen.measureText(text).width <= 260;
        return pen.measureText(short).width <= 260 && short.isWellFormed()
            && (isWhole ? short === text : /…$/.test(short) && short.length > 9);
    });
}"""
"""Whether names of sections fit above their seats on the map, which is drawn on a canvas."""


@dataclass
class Walk:
    """One window in which every page is measured."""

    page: Page
    window: Window
    language: str
    faults: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    async def ask(
        self, method: str, path: str, concert: Concert | None = None, **body: Any
    ) -> Json:
        """Makes a call of the API as the browser."""
        headers = {"Origin": self.window.address, "Content-Type": "application/json"}
        if concert is not None:
            headers["Frontrow-Concert"] = concert.concert_id
        response: APIResponse = await self.window.context.request.fetch(
            f"{self.window.address}{BASE}{path}",
            method=method,
            data=json.dumps(body) if method == "POST" else None,
            headers=headers,
        )
        assert response.ok, await response.text()
        return dict(await response.json())

    async def join(self, concert: Concert) -> None:
        """Joins the line of a concert as the browser."""
        await self.ask("POST", "/queue/tokens", concert_id=concert.concert_id)

    async def see(self, name: str, path: str | None, sign: str) -> None:
        """Measures a page once a sign of its completion is visible."""
        if path is not None:
            await self.page.goto(self.window.address + path)
        await expect(self.page.locator(sign).first).to_be_visible()
        await expect(self.page.locator("html")).to_have_attribute("lang", self.language)
        for width in WIDTHS:
            await self.page.set_viewport_size({"width": width, "height": HEIGHT})
            for size in TEXT_SIZES:
                faults = await self.page.evaluate(MEASURE, size)
                if faults:  # what a script resizes follows the page by some frames
                    await self.page.evaluate(SOME_FRAMES)
                    faults = await self.page.evaluate(MEASURE, size)
                for fault in faults:
                    self.faults.append(f"{name}, {width} px, {size} %: {fault}")
        await self.page.evaluate("document.documentElement.style.fontSize = ''")
        self.seen.append(name)


@dataclass(frozen=True)
class Hall:
    """Concerts with the longest texts, one for each state of a page."""

    landing: Concert
    waiting: Concert
    turn: Concert
    dates: Concert
    seats: Concert
    paid: Concert
    ended: Concert

    @property
    def path(self) -> str:
        """Returns the path of the concert whose tickets are sold."""
        return f"/concerts/{self.paid.concert_id}"


def texts(language: str) -> dict[str, str]:
    """Returns the longest texts of a concert, each one word."""
    letter = {"en": "W", "ko": "뷁"}[language]
    return dict.fromkeys(("title", "artist", "venue"), letter * 200)


def shows(language: str, count: int = 1, days: int = 30) -> list[Json]:
    """Returns shows with the longest names of sections, and all classes of price."""
    letter = {"en": "M", "ko": "구"}[language]
    names = [letter * 100, letter * 36, *"ABCDEF"]
    sections = [
        {"name": name, "price": MOST // 4 - index, "rows": 2, "seats_per_row": 30}
        for index, name in enumerate(names)
    ]
    return [
        {"starts_at": starts_at(days, hours=2 * hour), "sections": sections}
        for hour in range(count)
    ]


async def build(desk: Desk, language: str) -> Hall:
    """Creates the concerts."""
    far = {"timezone": "America/Argentina/ComodRivadavia", "max_seats_per_user": 100}

    async def concert(room: Json = OPEN, count: int = 1, **others: Any) -> Concert:
        these = {"shows": shows(language, count), **texts(language), **far, **others}
        return await desk.concert(waiting_room=room, **these)

    return Hall(
        landing=await concert({**OPEN, "opens_at": starts_at(3), "order": "draw"}),
        waiting=await concert(SHUT),
        turn=await concert(),
        dates=await concert(count=4),
        seats=await concert(),
        paid=await concert(refundable_until=starts_at(20)),
        ended=await concert(),
    )


async def walk_fan(walk: Walk, desk: Desk, hall: Hall) -> None:
    """A fan's pages, from the list to a refunded ticket."""
    page = walk.page
    await walk.ask("POST", "/session")
    await walk.see("list", "/", ".concert")
    await walk.see("nothing bought", "/tickets", ".panel")
    await walk.see("nowhere", "/nothing", "[role=alert]")
    await walk.see("landing", f"/concerts/{hall.landing.concert_id}", "h1")
    await walk.see("unknown", f"/concerts/{hall.landing.shows[0]['show_id']}", "[role=alert]")
    for _ in range(3):
        await desk.waiting(hall.waiting)
    for concert in (hall.waiting, hall.turn, hall.dates, hall.seats, hall.paid, hall.ended):
        await walk.join(concert)
    await walk.see("waiting", f"/concerts/{hall.waiting.concert_id}", ".ahead")
    await walk.see("turn", f"/concerts/{hall.turn.concert_id}", ".view-turn h1")
    for concert in (hall.dates, hall.seats):
        await walk.ask("GET", f"/concerts/{concert.concert_id}/dates")
    await walk.see("dates", f"/concerts/{hall.dates.concert_id}/seats", "button.show")
    await walk.see("seats", f"/concerts/{hall.seats.concert_id}/seats", ".section")
    assert await page.evaluate(SHORTENED, ["M" * 100, "구" * 36, "Stalls", "👩" * 50])
    await page.locator("summary").first.click()
    chart = page.get_by_role("application")
    await chart.press("Enter")
    await walk.see("seat chosen", None, ".bar button")
    await page.locator(".session button").click()
    await walk.see("confirmation", None, "dialog")
    await page.keyboard.press("Escape")
    await page.locator(".bar button").click()
    await walk.see("checkout", None, "button.add")
    await desk.owner.execute(
        "UPDATE show SET sales_end_at = now() WHERE show_id = $1",
        hall.ended.shows[0]["show_id"],
    )
    await walk.see("ended", f"/concerts/{hall.ended.concert_id}", "h1")


async def buy(walk: Walk, concert: Concert, *seats: int) -> Json:
    """Buys seats as the browser."""
    user = (await walk.ask("GET", "/session"))["user_id"]
    path = f"/users/{user}/balance/charges"
    held = await walk.ask("POST", "/reservations", concert, date=concert.date, seats=list(seats))
    await walk.ask("POST", path, concert, amount=MOST)
    paying = {"reservation_id": held["reservation_id"], "amount": held["amount"]}
    return await walk.ask("POST", "/payments", concert, **paying)


async def walk_tickets(walk: Walk, desk: Desk, hall: Hall) -> Json:
    """The pages after two purchases, one of which is refunded; returns the other."""
    refunded = await buy(walk, hall.turn, 1)
    await desk.operate("POST", f"/admin/payments/{refunded['payment_id']}/refunds")
    payment = await buy(walk, hall.paid, 1, 2, 61)
    await walk.see("finished", f"/concerts/{hall.paid.concert_id}", ".view-finished h1")
    await walk.see("paid", f"/tickets?paid={payment['payment_id']}", ".ticket.void")
    ticket = payment["tickets"][0]["ticket_id"]
    await walk.see("print", f"{BASE}/tickets/{ticket}/print", "svg")
    return payment


async def check_in(desk: Desk, payment: Json) -> None:
    """Checks the first ticket of a purchase in, at a gate with the longest name."""
    scan = {"code": payment["tickets"][0]["code"], "gate": "W" * 100}
    assert (await desk.operate("POST", "/admin/tickets/check-ins", json=scan)).is_success


async def walk_console(walk: Walk, hall: Hall, payment: Json) -> None:
    """The pages of an operator."""
    page = walk.page
    await walk.see("sign-in", "/console", "input")
    await page.locator("input").first.fill(OPERATOR_KEY)
    await page.keyboard.press("Enter")
    await walk.see("concerts", None, ".facts dd")
    await walk.see("room", f"/console{hall.path}", ".chart canvas")
    await walk.see("seating", f"/console{hall.path}/seats", ".map")
    await walk.see("sales", f"/console{hall.path}/sales", ".payment")
    await walk.see("lookup", f"/console/lookup?id={payment['payment_id']}", "input")
    await page.locator("input").first.fill(payment["payment_id"])
    await page.keyboard.press("Enter")
    await walk.see("found", None, ".payment")
    await walk.see("new", "/console/new", ".map")
    await walk.see("audit", "/console/audit", "main button")
    await walk.see("gate", "/console/gate", "#code")
    await page.locator("#code").fill(payment["tickets"][0]["code"])
    await page.keyboard.press("Enter")
    await walk.see("verdict", None, ".answer")


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_every_page_fits_a_narrow_screen(browser: Browser, desk: Desk, language: str) -> None:
    """Nothing scrolls sideways, and every control can be reached, also with text at 200 %."""
    hall = await build(desk, language)
    options = {"locale": {"en": "en-GB", "ko": "ko-KR"}[language]}
    async with window(browser, str(desk.http.base_url), **options) as here:
        walk = Walk(await here.open(), here, language)
        await walk_fan(walk, desk, hall)
        payment = await walk_tickets(walk, desk, hall)
        await check_in(desk, payment)
        await walk_console(walk, hall, payment)
    assert len(walk.seen) == 27
    assert not walk.faults, "\n".join(walk.faults)


async def test_forced_colours_keep_the_prices_apart(browser: Browser, desk: Desk) -> None:
    """Each class of price and each state of a seat has its own colour, on the map's background."""
    concert = await desk.concert(shows=shows("en"))
    dark = {"forced_colors": "active", "color_scheme": "dark"}
    async with window(browser, str(desk.http.base_url), **dark) as here:
        fan = await open_seats(here, concert)
        assert await fan.page.evaluate("matchMedia('(forced-colors: active)').matches")
        colours = """selector => [...document.querySelectorAll(selector)]
            .map((e) => getComputedStyle(e).backgroundColor)"""
        swatches = await fan.page.evaluate(colours, ".section .swatch")
        assert (len(swatches), len(set(swatches))) == (8, 6)
        (surface,) = await fan.page.evaluate(colours, ".map")
        marks = await fan.page.evaluate(colours, ".mark.free, .mark.chosen")
        assert len({*marks, *swatches, surface}) == 1 + 6 + 1
        keys = await fan.page.evaluate(colours, ".key")
        assert set(keys) == {surface}
