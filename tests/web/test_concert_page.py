"""A concert's page as the server renders it, and its forms, for a browser without scripts."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from frontrow.db.server import EmbeddedServer
from testkit.database import Database
from testkit.desk import (
    DEADLINE_SECONDS,
    OPEN,
    Concert,
    Desk,
    eventually,
    open_desk,
    starts_at,
)
from testkit.visitors import Visitor, visiting
from tests.web.test_trouble import unreachable

ONE_BY_ONE = {"policy": {"kind": "max_active", "max_active": 1}}


@pytest.fixture
async def visitor(desk: Desk) -> AsyncIterator[Visitor]:
    """A browser on a page of the server."""
    async with visiting(desk) as made:
        yield made


async def open_page(
    visitor: Visitor, concert: Concert | str, language: str = "en"
) -> httpx2.Response:
    """Opens the page."""
    concert_id = concert if isinstance(concert, str) else concert.concert_id
    response = await visitor.http.get(
        f"/concerts/{concert_id}", headers={"Accept-Language": language}
    )
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert len(response.headers.get_list("x-request-id")) == 1
    return response


async def send(visitor: Visitor, concert: Concert, do: str, **headers: str) -> None:
    """Sends the page's form."""
    path = f"/concerts/{concert.concert_id}"
    response = await visitor.http.post(
        path,
        data={"do": do},
        headers={"Origin": visitor.origin, "Sec-Fetch-Site": "same-origin", **headers},
    )
    assert (response.status_code, response.headers["location"]) == (303, path)


def values(response: httpx2.Response) -> dict[str, str]:
    """Returns the values on the page by name, which its script will update."""
    shown = response.text.partition("<script")[0]
    return dict(re.findall(r'data-value="(\w+)">(.+?)</', shown))


def heading(response: httpx2.Response) -> str:
    """Returns the heading."""
    return str(re.findall("<h1.*?>(.*?)</h1>", response.text)[0])


async def test_forms_join_and_leave(desk: Desk, visitor: Visitor) -> None:
    """The forms join and leave; the page shows the place, and refreshes itself meanwhile."""
    concert = await desk.concert(title="Them & <b>us</b>", waiting_room=ONE_BY_ONE)
    inside = await desk.buyer(concert)
    before = await open_page(visitor, concert)
    assert "First come, first served. Your place is kept" in before.text
    assert heading(before) == "Them &amp; &lt;b&gt;us&lt;/b&gt;"
    assert 'http-equiv="refresh"' not in before.text
    await send(visitor, concert, "join")
    waiting = await open_page(visitor, concert)
    assert heading(waiting) == "You are in line"
    assert "You are next." in waiting.text
    assert values(waiting)["number"] == "2"
    assert '<meta http-equiv="refresh" content="10">' in waiting.text
    assert "바로 다음 차례입니다." in (await open_page(visitor, concert, "ko")).text
    await inside.by_token("DELETE", "/queue/tokens/me")
    while heading(turn := await open_page(visitor, concert)) != "It is your turn":
        pass
    assert 'http-equiv="refresh"' in turn.text
    await send(visitor, concert, "leave")
    assert list(visitor.secrets()) == ["frontrow_user"]
    assert heading(await open_page(visitor, concert)) == heading(before)


async def test_place_joined_over_the_api_is_shown(desk: Desk, visitor: Visitor) -> None:
    """The form keeps a place that was joined over the API; a finished one has its reason."""
    concert = await desk.concert()
    await visitor.sign_in()
    number = (await visitor.join(concert))["number"]
    await send(visitor, concert, "join")
    assert (await visitor.call(concert, "GET", "/queue/tokens/me")).json()["number"] == number
    token = visitor.secrets()[f"frontrow_place_{concert.concert_id.replace('-', '')}"]
    await desk.ask("DELETE", "/queue/tokens/me", token)
    assert heading(await open_page(visitor, concert)) == "You left the line"


@pytest.mark.parametrize("how", ["ended", "cancelled"])
async def test_ended_sale_is_shown_and_refuses_joins(
    desk: Desk, visitor: Visitor, how: str
) -> None:
    """The page shows it and offers no line; a waiting user sees it too, and can leave."""
    messages = {
        "ended": "The sale of this concert has ended.",
        "cancelled": "This concert is cancelled.",
    }
    concert = await desk.concert(waiting_room=ONE_BY_ONE)
    await desk.buyer(concert)
    await send(visitor, concert, "join")
    show = f"/admin/shows/{concert.shows[0]['show_id']}"
    if how == "ended":
        await desk.operate("PATCH", show, json={"sales_end_at": starts_at(-1)})
    else:
        await desk.operate("POST", f"{show}/cancellation")

    async def is_shown() -> bool:
        return heading(await open_page(visitor, concert)) == messages[how]

    await eventually(is_shown)
    assert 'value="leave"' in (await open_page(visitor, concert)).text
    await send(visitor, concert, "leave")
    landing = (await open_page(visitor, concert)).text.partition("<script")[0]
    assert messages[how] in landing
    assert "<form" not in landing
    assert "All seats are sold" not in landing
    await send(visitor, concert, "join")
    assert list(visitor.secrets()) == ["frontrow_user"]


async def test_page_before_a_draw_shows_its_time(desk: Desk, visitor: Visitor) -> None:
    """Before the draw there is no position; the time is the venue's."""
    opens = datetime.now(UTC).replace(hour=10, minute=0, microsecond=0) + timedelta(days=2)
    room = {"policy": OPEN, "order": "draw", "opens_at": opens.isoformat()}
    concert = await desk.concert(waiting_room=room)
    landing = (await open_page(visitor, concert)).text.partition("<script")[0]
    assert "put in order by a draw" in landing
    assert "First come, first served. Your place" not in landing
    await send(visitor, concert, "join")
    response = await open_page(visitor, concert)
    shown = response.text
    assert values(response)["number"] == "entry 1"
    assert f"Sales open {opens:%a, %B}\N{NO-BREAK SPACE}{opens.day}, 19:00." in shown


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
async def test_form_of_another_site_is_ignored(
    desk: Desk, visitor: Visitor, headers: dict[str, str]
) -> None:
    """A form of another site neither joins nor leaves."""
    concert = await desk.concert()
    await send(visitor, concert, "join", **headers)
    assert visitor.secrets() == {}
    await send(visitor, concert, "join")
    await send(visitor, concert, "leave", **headers)
    assert len(visitor.secrets()) == 2


@pytest.mark.parametrize("do", ["", "pay", "j" * 2000])
async def test_unknown_form_is_ignored(desk: Desk, visitor: Visitor, do: str) -> None:
    """An unknown form does nothing."""
    concert = await desk.concert()
    await send(visitor, concert, do)
    assert visitor.secrets() == {}


async def test_unknown_concert_is_not_found(visitor: Visitor) -> None:
    """404 with a message, also instead of its seats."""
    for unknown in ("0198c5a4-7f3a-4c5e-9d5b-0e6f7a8b9c0d", "x", "%00", "%ff"):
        response = await open_page(visitor, unknown)
        assert response.status_code == 404
        assert "What you are looking for no longer exists." in response.text
        seats = await visitor.http.get(f"/concerts/{unknown}/seats")
        assert seats.status_code == 404
        assert "What you are looking for no longer exists." in seats.text


async def test_page_recovers_after_a_lost_database(
    engine: EmbeddedServer, database: Database
) -> None:
    """The page shows it and refreshes itself, so that the place is shown after recovery."""
    async with (
        open_desk(database, deadline_seconds=DEADLINE_SECONDS) as desk,
        visiting(desk) as visitor,
    ):
        concert = await desk.concert(waiting_room=ONE_BY_ONE)
        await desk.buyer(concert)
        await send(visitor, concert, "join")
        with unreachable(engine):
            await desk.cut_connections()
            away = await open_page(visitor, concert)
            assert away.status_code == 503
            assert "nothing is done twice" in away.text
            assert 'http-equiv="refresh"' in away.text
            listed = await visitor.http.get("/")
            assert listed.status_code == 503
            assert 'http-equiv="refresh"' in listed.text
            await send(visitor, concert, "leave")

        async def is_back() -> bool:
            return heading(await open_page(visitor, concert)) == "You are in line"

        await eventually(is_back)


async def test_form_creates_no_account_without_a_proof_of_work(database: Database) -> None:
    """If a proof of work is required, a form creates no account; the page is unchanged."""
    settings: dict[str, Any] = {"guest_challenge": 10}
    async with open_desk(database, **settings) as desk, visiting(desk) as visitor:
        concert = await desk.concert()
        await send(visitor, concert, "join")
        assert visitor.secrets() == {}
        assert heading(await open_page(visitor, concert)) == "The Test"


async def test_proof_of_work_needs_scripts(module_database: Database) -> None:
    """A user without an account is asked to turn on scripts; one with an account joins by form."""
    async with open_desk(module_database, guest_challenge=20) as desk, visiting(desk) as visitor:
        concert = await desk.concert()
        hint = r'<noscript><p class="hint warn">(.*?)</p></noscript>\s.*\s<form .*class="scripted"'
        shown = await open_page(visitor, concert)
        assert re.findall(hint, shown.text)[0].startswith("Joining needs JavaScript here")
        korean = await open_page(visitor, concert, "ko")
        assert "자바스크립트가 필요합니다" in re.findall(hint, korean.text)[0]
        await send(visitor, concert, "join")
        assert list(visitor.secrets()) == []


async def test_link_on_another_site_is_finished_here(desk: Desk) -> None:
    """The browser sends no cookie then: a page of this origin loads the address again, once."""
    concert = await desk.concert()
    path = f"/concerts/{concert.concert_id}"
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
        first = await desk.http.get(f"{path}?from=%22%3E&x=1", headers=headers)
        assert (first.status_code, first.headers["cache-control"]) == (200, "no-store")
        assert first.headers["content-security-policy"].startswith("default-src 'none'")
        (address,) = re.findall(r'http-equiv="refresh" content="0;url=([^"]+)"', first.text)
        assert address == f"{path}?from=%22%3E&amp;x=1&amp;arrived=1"
        second = await desk.http.get(address.replace("&amp;", "&"), headers=headers)
        assert heading(second) == "The Test"
        assert 'http-equiv="refresh"' not in second.text
    for headers in (
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
        {},
    ):
        assert heading(await desk.http.get(path, headers=headers)) == "The Test"


async def test_refused_cookies_are_reported_without_scripts(desk: Desk, visitor: Visitor) -> None:
    """Back from the form without any cookie; not at the first visit."""
    concert = await desk.concert()
    path = f"/concerts/{concert.concert_id}"
    text = "Your browser keeps no cookies of this site"
    back = {
        "Sec-Fetch-Site": "same-origin",
        "Sec-Fetch-User": "?1",
        "Referer": f"{visitor.origin}{path}",
    }
    assert text in (await desk.http.get(path, headers=back)).text
    for name, value in (
        ("Referer", f"{visitor.origin}/"),
        ("Sec-Fetch-User", ""),
        ("Cookie", "frontrow_lang=en"),
    ):
        shown = (await desk.http.get(path, headers=back | {name: value})).text.partition("<script")
        assert text not in shown[0], name
