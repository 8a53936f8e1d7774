"""Takes the pictures of the console for the documents: ``make screenshots``.

They show a simulated sale after an hour. This module is not a test, so pytest runs it only when
it is named.
"""

from pathlib import Path
from random import Random

from playwright.async_api import Browser

from testkit.desk import Concert, Desk, Fan, Json, starts_at
from tests.buyers import pass_time
from tests.pages.browser import DESKTOP, PHONE, Window, expect, window
from tests.pages.operators import Operator, open_console

SCREENS = Path(__file__).parents[2] / "docs" / "guides" / "screens"
MINUTES = 50
STALLS = {"name": "Stalls", "price": 90_000, "rows": 8, "seats_per_row": 20}
BALCONY = {"name": "Balcony", "price": 60_000, "rows": 4, "seats_per_row": 24}


async def test_pictures(browser: Browser, desk: Desk) -> None:
    """Each screen on a desktop in light mode; some on a phone in dark mode, in Korean."""
    SCREENS.mkdir(exist_ok=True)
    shows = [{"starts_at": starts_at(30 + day), "sections": [STALLS, BALCONY]} for day in range(2)]
    await desk.concert(title="Chamber Nights", venue="The Hall, Busan")
    concert = await desk.concert(
        title="Winter Songs",
        artist="The Night Trains",
        venue="Blue Square, Seoul",
        shows=shows,
        waiting_room={"policy": {"kind": "max_active", "max_active": 12}},
    )
    payments = await simulate_an_hour(desk, concert)
    address = str(desk.http.base_url)
    async with window(browser, address, viewport=DESKTOP) as here:
        await take_desktop_pictures(here, concert, payments)
    night = {"viewport": PHONE, "locale": "ko-KR", "color_scheme": "dark"}
    async with window(browser, address, **night) as here:
        await take_phone_pictures(here, concert, payments)


async def simulate_an_hour(desk: Desk, concert: Concert) -> list[Json]:
    """Simulates a rush that ends slowly: users join, are admitted, hold, buy or leave by minute."""
    dice = Random(7)  # noqa: S311 - not a secret
    free, inside, waiting = list(range(1, 257)), list[Fan](), list[Fan]()
    payments: list[Json] = []
    dice.shuffle(free)
    for minute in range(MINUTES):
        joining = max(1, 9 - minute // 6 + dice.randint(-1, 2))
        waiting += [await desk.waiting(concert) for _ in range(joining)]
        for _ in range(min(len(inside), dice.randint(1, 3))):
            fan = inside.pop(0)
            if dice.random() < 0.25:
                await fan.by_token("DELETE", "/queue/tokens/me")
            else:
                payments.append(await buy(fan, concert, free))
        while waiting and (await waiting[0].status())["state"] != "waiting":
            inside.append(waiting.pop(0))
            await inside[-1].by_token("GET", f"/concerts/{concert.concert_id}/dates")
        if minute < MINUTES - 1:
            await pass_time(desk.database, 60)
    for fan in inside[:6]:
        await fan.hold(concert, free.pop(), free.pop())
    await desk.operate("POST", f"/admin/payments/{payments[-2]['payment_id']}/refunds")
    return payments


async def buy(fan: Fan, concert: Concert, free: list[int]) -> Json:
    """Buys two random seats."""
    await fan.charge(180_000)
    return await fan.pay(await fan.hold(concert, free.pop(), free.pop()))


async def take_desktop_pictures(here: Window, concert: Concert, payments: list[Json]) -> None:
    """Every screen."""
    operator = Operator(await here.open("/console"), here)
    await operator.expect_heading(operator.text("signin.heading"))
    await operator.sign_in()
    await take_picture(operator, "concerts", "", ".facts dd")
    base = f"/concerts/{concert.concert_id}"
    await take_picture(operator, "room", base, ".chart canvas", whole=True)
    await take_picture(operator, "seats", f"{base}/seats", ".map", whole=True)
    await take_picture(operator, "sales", f"{base}/sales", ".payment")
    await operator.go("/new")
    await operator.field("new.title").fill("Summer Songs")
    await operator.field("house.price").fill("90000")
    await operator.page.evaluate("document.activeElement.blur()")
    await take_picture(operator, "new", None, ".map", whole=True)
    await operator.go("/audit")
    await operator.button("audit.run").click()
    await take_picture(operator, "audit", None, ".answer.good")
    await operator.go("/gate")
    await check_in(operator, payments[0])
    await take_picture(operator, "gate", None, ".answer.good")


async def take_phone_pictures(here: Window, concert: Concert, payments: list[Json]) -> None:
    """The live room, and the gate with a ticket that is already checked in."""
    operator = await open_console(here, language="ko")
    await take_picture(operator, "room-phone", f"/concerts/{concert.concert_id}", ".chart canvas")
    await operator.go("/gate")
    await check_in(operator, payments[0])
    await take_picture(operator, "gate-phone", None, ".answer.bad")


async def check_in(operator: Operator, payment: Json) -> None:
    """Types a code and presses Enter."""
    await operator.field("gate.code").fill(payment["tickets"][0]["code"])
    await operator.page.keyboard.press("Enter")


async def take_picture(
    operator: Operator, name: str, path: str | None, sign: str, *, whole: bool = False
) -> None:
    """Takes a picture of a page when a sign of its completion is visible."""
    if path is not None:
        await operator.go(path)
    await expect(operator.page.locator(sign).first).to_be_visible()
    await operator.page.wait_for_timeout(300)  # for what is drawn in the next frame
    await operator.page.screenshot(path=SCREENS / f"console-{name}.png", full_page=whole)
