"""Takes the pictures of a fan's pages for the documents: ``make screenshots``.

They show a simulated sale. This module is not a test, so pytest runs it only when it is
named.
"""

from pathlib import Path
from random import Random

from playwright.async_api import Browser

from testkit.desk import OPEN, Concert, Desk, Fan, starts_at
from tests.pages.browser import PHONE, Window, expect, window
from tests.pages.fans import Visit, open_concert

SCREENS = Path(__file__).parents[2] / "docs" / "guides" / "screens"
WINDOW = {"width": 1100, "height": 760}
AHEAD = 36
SECTIONS = [
    {"name": "Floor", "price": 143_000, "rows": 6, "seats_per_row": 22},
    {"name": "Balcony R", "price": 121_000, "rows": 4, "seats_per_row": 26},
    {"name": "Balcony S", "price": 99_000, "rows": 4, "seats_per_row": 26},
]


async def test_pictures(browser: Browser, desk: Desk) -> None:
    """The list and the seats on a desktop, the line and the payment on a phone."""
    SCREENS.mkdir(exist_ok=True)
    await desk.concert(title="Chamber Nights", artist="The Quiet Four", venue="The Hall, Busan")
    later = {"policy": OPEN, "opens_at": starts_at(3)}
    await desk.concert(title="Summer Songs", venue="Riverside Stage, Seoul", waiting_room=later)
    concert = await desk.concert(
        title="Winter Songs",
        artist="The Night Trains",
        venue="Blue Square, Seoul",
        shows=[{"starts_at": starts_at(30 + day), "sections": SECTIONS} for day in (0, 1, 7)],
        waiting_room={"policy": {"kind": "max_active", "max_active": 12}, "claim_seconds": 600},
    )
    inside = [await desk.buyer(concert) for _ in range(12)]
    await sell(concert, inside[:11])
    address = str(desk.http.base_url)
    async with window(browser, address, viewport=WINDOW, device_scale_factor=1.5) as here:
        await here.open()
        await take_picture(here, "list")
    day = {"viewport": PHONE, "device_scale_factor": 2}
    async with window(browser, address, **day) as here:
        fan = await open_concert(here, concert)
        await take_picture(here, "concert-phone")
        crowd = [await desk.waiting(concert) for _ in range(AHEAD)]
        await waits(fan)
        for one in (*inside, *crowd):
            await one.by_token("DELETE", "/queue/tokens/me")
        await buys(fan)
    night = {"viewport": PHONE, "device_scale_factor": 2, "color_scheme": "dark"}
    async with window(browser, address, locale="ko-KR", **night) as here:
        fan = await open_concert(here, concert, "ko")
        await fan.join()
        await chooses(fan, 5)
        await take_picture(here, "seats-phone-dark")
    async with window(browser, address, viewport=WINDOW, device_scale_factor=1.5) as here:
        fan = await open_concert(here, concert)
        await fan.join()
        await chooses(fan, 6)
        await here.context.pages[0].evaluate("scrollTo(0, 260)")
        await take_picture(here, "seats")


async def sell(concert: Concert, fans: list[Fan]) -> None:
    """Sells and holds some seats of the first show."""
    free = list(range(1, 341))
    Random(11).shuffle(free)  # noqa: S311 - not a secret
    free.sort(key=lambda number: number // 40)
    for index, fan in enumerate(fans):
        seats = [free.pop(0) for _ in range(4)]
        await fan.charge(1_000_000)
        held = await fan.hold(concert, *seats)
        if index % 4:
            await fan.pay(held)


async def waits(fan: Visit) -> None:
    """Waits in the line until admission."""
    await fan.join()
    await fan.expect_heading("wait.heading")
    await expect(fan.page.locator(".ahead")).to_be_visible()
    await take_picture(fan.window, "waiting-phone")
    await fan.survives_reload("wait.heading")


async def chooses(fan: Visit, row: int) -> None:
    """Selects two adjacent seats of the first show."""
    await fan.expect_heading("dates.heading")
    await fan.page.locator("button.show").first.click()
    await fan.expect_heading("seats.heading")
    await expect(fan.page.locator(".section").first).to_be_visible()
    chart = fan.page.get_by_role("application")
    await chart.focus()
    for _ in range(row - 1):
        await chart.press("ArrowDown")
    for _ in range(10):
        await chart.press("ArrowRight")
    await chart.press("Enter")
    await chart.press("ArrowRight")
    await chart.press("Enter")
    await fan.page.evaluate("document.activeElement.blur()")


async def buys(fan: Visit) -> None:
    """From admission to the tickets."""
    await fan.expect_heading("turn.title")
    await take_picture(fan.window, "turn-phone")
    await fan.button("turn.enter").click()
    await fan.expect_heading("dates.heading")
    await take_picture(fan.window, "dates-phone")
    await chooses(fan, 3)
    await fan.button("seats.hold").click()
    await fan.expect_heading("pay.heading")
    await expect(fan.page.locator("button.add")).to_be_visible()
    await take_picture(fan.window, "pay-phone")
    await fan.pay()
    await expect(fan.page.locator(".ticket").first).to_be_visible()
    await take_picture(fan.window, "tickets-phone")


async def take_picture(here: Window, name: str) -> None:
    """Takes a picture of the tab."""
    page = here.context.pages[-1]
    await page.wait_for_load_state("networkidle" if name == "list" else "load")
    await page.wait_for_timeout(300)  # for what is drawn in the next frame
    await page.screenshot(path=SCREENS / f"fan-{name}.png")
