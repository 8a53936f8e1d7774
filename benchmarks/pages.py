"""The pages in a real browser: ``python -m benchmarks.pages [--loads 15]``.

Starts ``frontrow serve`` with one worker and Debian's Chromium without a window, on loopback. Each
load has a browser with an empty cache. Prints a table and writes a JSON file. Exits 1 if a goal is
missed.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import msgspec
from playwright.async_api import Browser, BrowserContext, Page, ViewportSize, async_playwright
from rich.console import Console
from rich.table import Table

from benchmarks.servers import API, OPERATOR_KEY, free_port, serving, traversable
from benchmarks.timing import machine
from testkit.chromium import ARGUMENTS
from tools.programs import find_browser

RESULTS = Path(__file__).with_name("results") / "pages.json"
PHONE: ViewportSize = {"width": 360, "height": 740}
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
SLOWDOWN = 4
"""Of the browser's CPU: a phone some years old."""
MOST_FIRST_LOAD_MS = 300
MOST_MAP_MS = 500
MOST_REQUESTS_PER_SECOND = 0.5
WATCHED_SECONDS = 20
FAR = 400
"""Users ahead, for a tab that waits far back."""
SECTIONS, ROWS, SEATS_A_ROW = 50, 20, 50
FRAMES = 120
_STEP_PX = 60

# Runs before any script of the page: records when an element has been drawn, some frames later.
_NOTE_WHEN = """
(() => {
    const [selector, frames] = %s;
    const after = (left, time) => {
        if (left) requestAnimationFrame((next) => after(left - 1, next));
        else window.drawnAt = time;
    };
    const look = () => document.querySelector(selector) && (after(frames), true);
    const observer = new MutationObserver(() => look() && observer.disconnect());
    observer.observe(document, { childList: true, subtree: true });
})()
"""
_FIRST_PAINT = 'performance.getEntriesByName("first-contentful-paint")[0]?.startTime'
_SCROLL = """
([frames, step]) => new Promise((resolve) => {
    const map = document.querySelector(".map");
    const times = [];
    const next = (time) => {
        times.push(time);
        map.scrollTop += step;
        if (times.length <= frames) requestAnimationFrame(next);
        else resolve(times.slice(1).map((each, index) => each - times[index]));
    };
    requestAnimationFrame(next);
})
"""


class Figure(msgspec.Struct, frozen=True):
    """A measured figure, with its goal if there is one."""

    what: str
    median: float
    worst: float
    unit: str
    goal: float | None = None

    @property
    def is_met(self) -> bool:
        """Returns whether the median is within the goal."""
        return self.goal is None or self.median <= self.goal


class Opened(NamedTuple):
    """A page, and the element that must exist before it can be used."""

    what: str
    url: str
    selector: str
    goal: float | None


class House:
    """Concerts on sale, created over the API."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._http = httpx2.Client(base_url=self.address + API, timeout=60)

    def concert(self, policy: dict[str, Any], show: dict[str, Any]) -> str:
        """Puts a concert with one show on sale; returns its id."""
        starts_at = (datetime.now(UTC) + timedelta(days=30)).isoformat()
        answer = self._http.post(
            "/admin/concerts",
            json={
                "title": "Benchmark",
                "waiting_room": {"policy": policy, "claim_seconds": 3600},
                "shows": [{"starts_at": starts_at, **show}],
            },
            headers={"Authorization": f"Bearer {OPERATOR_KEY}"},
        )
        answer.raise_for_status()
        concert_id: str = answer.json()["concert_id"]
        return concert_id

    def queue(self, concert_id: str, people: int) -> None:
        """Adds waiting users."""
        for _ in range(people):
            key = self._http.post("/users", json={}).json()["user_key"]
            joined = self._http.post(
                "/queue/tokens",
                json={"concert_id": concert_id},
                headers={"Authorization": f"Bearer {key}"},
            )
            joined.raise_for_status()


async def tab(context: BrowserContext, *, slowdown: float = 1) -> Page:
    """Opens a tab with a slowed-down CPU."""
    page = await context.new_page()
    session = await context.new_cdp_session(page)
    await session.send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
    return page


async def drawn_at(page: Page, url: str) -> float:
    """Opens a page; returns when it was drawn, in ms from the start of its navigation."""
    await page.goto(url)
    return await until_known(page, "window.drawnAt")


async def until_known(page: Page, expression: str) -> float:
    """Returns the value of an expression, once it has one."""
    milliseconds: float | None = None
    while milliseconds is None:  # the pages' policy forbids waiting for a function inside
        await asyncio.sleep(0.05)
        milliseconds = await page.evaluate(expression)
    return milliseconds


def watch(selector: str, frames: int) -> str:
    """Returns the script that records when an element has been drawn."""
    return _NOTE_WHEN % json.dumps([selector, frames])


async def first_loads(browser: Browser, page: Opened, loads: int) -> Figure:
    """Measures the time until a page can be used, with an empty cache.

    What is rendered by the server can be used when it is first painted: links and forms.
    """
    times = []
    for _ in range(loads):
        context = await browser.new_context(viewport=PHONE)
        opened = await tab(context, slowdown=SLOWDOWN)
        await opened.goto(page.url)
        await opened.locator(page.selector).first.wait_for()
        times.append(await until_known(opened, _FIRST_PAINT))
        await context.close()
    return figure(page.what, times, "ms", page.goal)


async def maps(browser: Browser, url: str, loads: int) -> list[Figure]:
    """Measures the seats of an arena: until they are drawn, and the smoothness of scrolling."""
    found = []
    for slowdown in (1, SLOWDOWN):
        drawn, frames = [], []
        for _ in range(loads):
            context = await browser.new_context(viewport=DESKTOP)
            await context.add_init_script(watch(".map canvas", 2))
            page = await tab(context, slowdown=slowdown)
            await page.goto(url)
            await page.locator("button.large").click()
            await page.wait_for_url("**/seats")
            await page.locator(".map").wait_for()
            drawn.append(await drawn_at(page, f"{url}/seats"))
            frames += await page.evaluate(_SCROLL, [FRAMES, _STEP_PX])
            await context.close()
        with_cpu = "" if slowdown == 1 else f", {slowdown}× CPU slowdown"
        goal = MOST_MAP_MS if slowdown == 1 else None
        found.append(figure(f"a map of 50,000 seats is drawn{with_cpu}", drawn, "ms", goal))
        found.append(figure(f"a frame while it scrolls{with_cpu}", frames, "ms", None))
    return found


async def waiting(browser: Browser, url: str, what: str) -> Figure:
    """Measures the requests of a waiting tab."""
    context = await browser.new_context(viewport=PHONE)
    page = await tab(context)
    await page.goto(url)
    await page.locator("button.large").click()
    await page.locator(".view-waiting").wait_for()
    await page.wait_for_timeout(3000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.wait_for_timeout(WATCHED_SECONDS * 1000)
    await context.close()
    rate = len(asked) / WATCHED_SECONDS
    return Figure(what, rate, rate, "requests/s", MOST_REQUESTS_PER_SECOND)


def figure(what: str, values: list[float], unit: str, goal: float | None) -> Figure:
    """Returns the median and the worst of some values."""
    return Figure(what, statistics.median(values), max(values), unit, goal)


async def measure(house: House, loads: int) -> list[Figure]:
    """Returns all figures."""
    open_room = {"kind": "open"}
    one_by_one = {"kind": "max_active", "max_active": 1}
    small = house.concert(open_room, {"price": 50_000})
    hall = [
        {
            "name": f"Block {n}",
            "price": 50_000 + n // 10,
            "rows": ROWS,
            "seats_per_row": SEATS_A_ROW,
        }
        for n in range(SECTIONS)
    ]
    arena = house.concert(open_room, {"sections": hall})
    near, far = (house.concert(one_by_one, {"price": 50_000}) for _ in range(2))
    house.queue(near, 2)
    house.queue(far, FAR + 1)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_browser(), args=ARGUMENTS)
        line, goal = f"{house.address}/concerts/", MOST_FIRST_LOAD_MS
        pages = (
            Opened("the baseline: a page of one word", f"{house.address}/healthz", "pre", None),
            Opened("first load of the list", house.address, ".concerts a", goal),
            Opened("first load of a concert", line + small, "form button", goal),
        )
        figures = [
            # An extra load in front: a browser's very first page takes longer.
            *[await first_loads(browser, page, loads) for page in (pages[0], *pages)][1:],
            *await maps(browser, line + arena, loads),
            await waiting(browser, line + near, "a tab near the front, beside its stream"),
            await waiting(browser, line + far, f"a tab with {FAR} people ahead"),
        ]
        await browser.close()
    return figures


def show(figures: list[Figure]) -> None:
    """Prints a table."""
    table = Table("", "median", "worst", "goal")
    for each in figures:
        goal = "" if each.goal is None else f"≤ {each.goal:g} {each.unit}"
        marked = goal if each.is_met else f"{goal} MISSED"
        table.add_row(each.what, f"{each.median:.3g} {each.unit}", f"{each.worst:.3g}", marked)
    Console(width=120).print(table)


def main() -> int:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=15, help="of each page")
    loads = parser.parse_args().loads
    if find_browser() is None:
        print("there is no Chromium here: make chromium-headless-shell")
        return 1
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="frontrow-bench-") as folder,
        traversable(Path(folder)) as data_dir,
        serving(data_dir, port),
    ):
        figures = asyncio.run(measure(House(port), loads))
    show(figures)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_bytes(
        msgspec.json.format(
            msgspec.json.encode({"figures": figures, "machine": machine()}), indent=1
        )
    )
    return 0 if all(each.is_met for each in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
