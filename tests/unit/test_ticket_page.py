"""The printable ticket: its QR code, its page, its calendar entry."""

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from icalendar import Calendar

from frontrow.payments.model import Revision, Ticket
from frontrow.payments.ticket_code import TicketCode
from frontrow.web.openapi.examples import CODE
from frontrow.web.tickets.calendar import calendar as entry
from frontrow.web.tickets.print_page import POLICY, page, qr_svg
from tests.qr import scan

TICKET = Ticket(
    ticket_id=UUID("2c1f9e4d-6a7b-4c8d-9e0f-1a2b3c4d5e60"),
    payment_id=UUID(int=1),
    concert_id=UUID(int=2),
    title="An evening",
    venue="The Hall",
    timezone="Asia/Seoul",
    show_id=UUID(int=3),
    date=date(2027, 3, 14),
    starts_at=datetime(2027, 3, 14, 10, 30, tzinfo=UTC),
    number=67,
    section="Stalls",
    row=4,
    seat=7,
    paid_at=datetime(2026, 11, 22, 10, 2, 11, tzinfo=UTC),
    state="valid",
    checked_in_at=None,
    void_at=None,
    void_reason=None,
    code=CODE,
)
FIRST = Revision(0, TICKET.paid_at, cancelled=False)


class _Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, Mapping[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def calendar(ticket: Ticket, language: str, revision: Revision = FIRST) -> bytes:
    """Returns the file of a ticket's entry."""
    return entry(ticket, revision, language)[1]


def event_of(content: bytes) -> Any:
    """Returns the only event of a calendar without errors."""
    whole = Calendar.from_ical(content)
    assert whole.errors == []
    (event,) = whole.walk("VEVENT")
    return event


def test_scanner_reads_the_code() -> None:
    """For any code, a scanner reads exactly that code."""
    for number in range(100):
        key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"%d" % number).digest())
        expected = TicketCode("21fe31df", TICKET.ticket_id, TICKET.show_id, number)
        code = expected.signed(key.sign(expected.payload()))
        assert scan(qr_svg(code, "Code").decode()) == [code]


def test_qr_code_is_coarse() -> None:
    """Version 8, 49 modules a side and a margin of four: as coarse as possible."""
    assert 'viewBox="0 0 57 57"' in qr_svg(CODE, "Code").decode()


def test_page_describes_the_ticket() -> None:
    """The time is local to the venue; the printed code is the ticket's."""
    text = page(TICKET, CODE, "en")
    visible = " ".join(_Page(text).text.split())
    for expected in (
        "An evening", "Date Sunday, 14 March 2027", "Time 19:30 (Asia/Seoul)", "Venue The Hall",
        "Section Stalls", "Row 4", "Seat 7", str(TICKET.ticket_id),
    ):  # fmt: skip
        name, _, value = expected.partition(" ")
        assert expected in visible or f"{name}{value}" in visible
    assert scan(re.findall("<svg.*?</svg>", text, re.DOTALL)[0]) == [CODE]
    assert "Used" not in visible


def test_page_fetches_nothing() -> None:
    """No script, no fetched file, and the style that the policy allows."""
    text = page(TICKET, CODE, "en")
    shown = _Page(text)
    assert {tag for tag, _ in shown.tags}.isdisjoint({"script", "img", "link", "iframe", "object"})
    for _, attributes in shown.tags:
        assert not {name for name in attributes if name.startswith("on") or name == "style"}
        assert not {"src", "href", "srcset"} & set(attributes)
    (style,) = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'".encode() in POLICY
    assert POLICY.startswith(b"default-src 'none'; ")


def test_page_escapes_markup() -> None:
    """The operator's texts are escaped."""
    evil = "<script>alert(1)</script>\"'&"
    text = page(msgspec.structs.replace(TICKET, title=evil, venue=evil, section=evil), CODE, "en")
    assert [tag for tag, _ in _Page(text).tags].count("script") == 0
    assert _Page(text).text.count(evil) == 4


def test_page_of_a_used_ticket_has_the_time() -> None:
    """With the time at the venue."""
    used = datetime(2027, 3, 14, 10, 2, tzinfo=UTC)
    text = page(msgspec.structs.replace(TICKET, state="used", checked_in_at=used), CODE, "en")
    assert "Used at 19:02 on Sunday, 14 March 2027." in _Page(text).text


def test_page_is_translated_to_korean() -> None:
    """Every text except the operator's; no English is left."""
    used = datetime(2027, 3, 14, 10, 2, tzinfo=UTC)
    ticket = msgspec.structs.replace(
        TICKET, title="저녁", venue="극장", section="나", state="used", checked_in_at=used
    )
    text = page(ticket, CODE, "ko")
    visible = _Page(text).text
    for expected in (
        "저녁: 티켓", "날짜", "2027년 3월 14일 일요일", "19:30 (Asia/Seoul)", "장소", "극장",
        "구역", "열", "좌석", "2027년 3월 14일 일요일 19:02에 입장한 티켓입니다.", "티켓 QR 코드",
    ):  # fmt: skip
        assert expected in visible
    assert '<html lang="ko">' in text
    shown = re.sub(r"<style>.*?</style>|Asia/Seoul|QR", "", text, flags=re.DOTALL)
    left = _Page(shown).text.replace(str(TICKET.ticket_id), "")
    assert re.findall("[A-Za-z]+", left) == []


def test_missing_values_are_omitted() -> None:
    """A show without a section or a venue has no empty lines."""
    text = page(msgspec.structs.replace(TICKET, venue=None, section=None), CODE, "en")
    assert "Venue" not in text
    assert "Section" not in text


def test_calendar_has_the_show() -> None:
    """One event at the show's time, with a stable id and without the code."""
    content = calendar(TICKET, "en")
    assert content == calendar(TICKET, "en")
    assert CODE.encode()[:20] not in content.replace(b"\r\n ", b"")
    event = event_of(content)
    assert event["UID"] == str(TICKET.ticket_id)
    assert event["DTSTART"].dt == TICKET.starts_at
    assert b"DTSTART:20270314T103000Z\r\n" in content
    assert event["DTSTAMP"].dt == TICKET.paid_at
    assert (event["SUMMARY"], event["LOCATION"]) == ("An evening", "The Hall")
    assert event["DESCRIPTION"] == "Section Stalls, Row 4, Seat 7"
    assert (event["STATUS"], event["SEQUENCE"]) == ("CONFIRMED", 0)
    assert event["ORGANIZER"] == f"urn:uuid:{TICKET.concert_id}"
    assert Calendar.from_ical(content)["METHOD"] == "PUBLISH"


def test_calendar_is_translated_to_korean() -> None:
    """The texts are Korean except the operator's; the id is the same."""
    event = event_of(calendar(TICKET, "ko"))
    assert event["DESCRIPTION"] == "Stalls 4열 7번"
    plain = event_of(calendar(msgspec.structs.replace(TICKET, section=None), "ko"))
    assert plain["DESCRIPTION"] == "4열 7번"
    assert event["UID"] == str(TICKET.ticket_id)


def test_void_ticket_cancels_its_calendar_entry() -> None:
    """A message that cancels the same entry, with a later sequence and time (RFC 5546, 3.2.5)."""
    void_at = datetime(2027, 1, 1, tzinfo=UTC)
    void = msgspec.structs.replace(TICKET, state="void", void_at=void_at, void_reason="refunded")
    method, content = entry(void, Revision(1, void_at, cancelled=True), "en")
    assert method == Calendar.from_ical(content)["METHOD"] == "CANCEL"
    event = event_of(content)
    assert event["UID"] == str(TICKET.ticket_id)
    assert (event["STATUS"], event["SEQUENCE"]) == ("CANCELLED", 1)
    assert event["DTSTAMP"].dt == void_at
    assert event["ORGANIZER"] == event_of(calendar(TICKET, "en"))["ORGANIZER"]


@pytest.mark.parametrize("control", [*map(chr, range(0x20)), "\x7f"])
def test_calendar_has_no_control_characters(control: str) -> None:
    """A text may contain line breaks and tabs only (RFC 5545, 3.3.11)."""
    texts = dict.fromkeys(("title", "venue", "section"), f"a{control}b")
    content = calendar(msgspec.structs.replace(TICKET, **texts), "en")
    lines = content.replace(b"\r\n ", b"").split(b"\r\n")
    assert [line for line in lines if re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", line)] == []
    assert {line.split(b":")[0] for line in lines} >= {b"SUMMARY", b"LOCATION", b"DESCRIPTION"}


@pytest.mark.parametrize("title", ["a\r\nSTATUS:CANCELLED", "a;b,c\\d", "é" * 200, "\u2028"])
def test_calendar_escapes_line_breaks(title: str) -> None:
    """Line breaks in the operator's texts do not create calendar lines."""
    event = event_of(calendar(msgspec.structs.replace(TICKET, title=title), "en"))
    assert str(event["SUMMARY"]).replace("\r\n", "\n") == title.replace("\r\n", "\n")
    assert event["STATUS"] == "CONFIRMED"
