"""Tickets over HTTP: their forms, and their check-in."""

import base64
from dataclasses import dataclass
from typing import Any

import pytest
from icalendar import Calendar

from frontrow.payments.ticket_code import verify
from frontrow.payments.ticket_keys import read_keys
from testkit.desk import Concert, Desk, Fan, Json, check_problem, starts_at
from testkit.serving import OPERATOR_KEY
from tests.qr import scan

FORMS = ("", "/qr.svg", "/print", "/calendar.ics")
GATE = "/admin/tickets/check-ins"


@dataclass
class Bought:
    """A ticket and its owner."""

    concert: Concert
    fan: Fan
    ticket: Json

    @property
    def path(self) -> str:
        """Returns the path of the ticket."""
        return f"/tickets/{self.ticket['ticket_id']}"

    @property
    def code(self) -> str:
        """Returns the code that a gate scans."""
        return str(self.ticket["code"])


async def buy(desk: Desk, **concert: Any) -> Bought:
    """Buys seat 7 as a new fan."""
    made = await desk.concert(**concert)
    fan = await desk.buyer(made, 50_000)
    payment = await fan.pay(await fan.hold(made, 7))
    return Bought(made, fan, payment["tickets"][0])


async def void(desk: Desk, bought: Bought) -> None:
    """Makes a ticket void, as a refund does."""
    await desk.owner.execute(
        "UPDATE ticket SET void_at = clock_timestamp(), void_reason = 'refunded'"
        " WHERE ticket_id = $1",
        bought.ticket["ticket_id"],
    )


async def test_ticket_is_checked_in_once(desk: Desk) -> None:
    """POST /admin/tickets/check-ins: 200, then 409 with time and gate; the owner sees it used."""
    bought = await buy(desk)
    show = bought.concert.shows[0]
    scan = {"code": bought.code, "gate": "North 2", "show_id": show["show_id"]}
    first = await desk.operate("POST", GATE, json=scan)
    assert first.status_code == 200
    done = first.json()
    assert done == {
        "ticket_id": bought.ticket["ticket_id"],
        "concert_id": bought.concert.concert_id,
        "title": "The Test",
        "show_id": show["show_id"],
        "date": bought.concert.date,
        "starts_at": done["starts_at"],
        "number": 7,
        "section": None,
        "row": 1,
        "seat": 7,
        "checked_in_at": done["checked_in_at"],
        "gate": "North 2",
    }
    check_problem(
        await desk.operate("POST", GATE, json={"code": bought.code}),
        409,
        "already_checked_in",
        **{"concert_title" if name == "title" else name: done[name] for name in done},
    )
    ticket = (await bought.fan.by_key("GET", bought.path)).json()
    assert (ticket["state"], ticket["checked_in_at"]) == ("used", done["checked_in_at"])


async def test_check_in_is_replayed(desk: Desk) -> None:
    """Same Idempotency-Key, same scan: the same 200, marked; another scan: 422."""
    bought = await buy(desk)
    scan, key = {"code": bought.code}, {"Idempotency-Key": bought.code}
    first = await desk.operate("POST", GATE, json=scan, headers=key)
    assert "idempotency-replayed" not in first.headers
    again = await desk.operate("POST", GATE, json=scan, headers=key)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    other = await desk.operate("POST", GATE, json={**scan, "gate": "South"}, headers=key)
    check_problem(other, 422, "idempotency_key_reused")


async def test_invalid_ticket_is_refused(desk: Desk) -> None:
    """Another show's or concert's, a void, forged or altered ticket: each has its refusal."""
    bought, other = await buy(desk), await buy(desk)
    mine = {
        "show_id": bought.concert.shows[0]["show_id"],
        "concert_id": bought.concert.concert_id,
    }
    for name, wrong in (
        ("show_id", other.concert.shows[0]["show_id"]),
        ("concert_id", other.concert.concert_id),
    ):
        response = await desk.operate("POST", GATE, json={"code": bought.code, name: wrong})
        check_problem(response, 409, "wrong_show", **mine)
    await void(desk, bought)
    response = await desk.operate("POST", GATE, json={"code": bought.code})
    check_problem(response, 409, "ticket_void", reason="refunded")
    for code in ("", bought.code[:-1], bought.code + "A", other.code[:100] + bought.code[100:]):
        check_problem(await desk.operate("POST", GATE, json={"code": code}), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"code": 7}, "/code"),
        ({"code": None}, "/code"),
        ({"code": "A" * 1001}, "/code"),
        ({"code": "A", "gate": ""}, "/gate"),
        ({"code": "A", "gate": "\0"}, "/gate"),
        ({"code": "A", "gate": "g" * 101}, "/gate"),
        ({"code": "A", "show_id": "today"}, "/show_id"),
        ({"code": "A", "concert_id": 1}, "/concert_id"),
        ({"code": "A", "door": "2"}, "/door"),
    ],
)
async def test_malformed_scan_is_refused(desk: Desk, body: Json, pointer: str) -> None:
    """Missing, of the wrong type, too long, unknown: 422 with the field."""
    response = await desk.operate("POST", GATE, json=body)
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


async def test_ticket_has_every_form(desk: Desk) -> None:
    """Its code as an image, a page that loads nothing, and a calendar entry."""
    bought = await buy(desk, title="The <Test>", venue="The Hall")
    qr, printed, calendar = [await bought.fan.by_key("GET", bought.path + f) for f in FORMS[1:]]
    assert qr.headers["content-type"] == "image/svg+xml"
    assert scan(qr.text) == [bought.code]
    assert printed.headers["content-type"] == "text/html; charset=utf-8"
    assert "<h1>The &lt;Test&gt;</h1>" in printed.text
    assert scan(printed.text[printed.text.index("<svg") : printed.text.index("</svg>") + 6]) == [
        bought.code
    ]
    assert printed.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert calendar.headers["content-type"] == "text/calendar; charset=utf-8; method=PUBLISH"
    assert bought.ticket["ticket_id"] in calendar.headers["content-disposition"]
    (event,) = Calendar.from_ical(calendar.content).walk("VEVENT")
    assert str(event["UID"]) == bought.ticket["ticket_id"]
    assert calendar.headers["cache-control"] == "private, no-cache"
    for response in (qr, printed):
        assert response.headers["cache-control"] == "private, max-age=300"
    for response in (qr, printed, calendar):
        assert response.headers["vary"] == "authorization, cookie, accept-language"
        assert response.headers["x-content-type-options"] == "nosniff"


async def test_ticket_has_section_row_and_seat(desk: Desk) -> None:
    """Section, row and seat in the row, also in the answer to a check-in."""
    sections = [
        {"name": "Stalls", "price": 50_000, "rows": 2, "seats_per_row": 3},
        {"name": "Balcony", "price": 50_000, "rows": 3, "seats_per_row": 4},
    ]
    concert = await desk.concert(shows=[{"starts_at": starts_at(), "sections": sections}])
    fan = await desk.buyer(concert, 200_000)
    payment = await fan.pay(await fan.hold(concert, 1, 6, 7, 18))
    places = []
    for ticket in payment["tickets"]:
        shown = (await fan.by_key("GET", f"/tickets/{ticket['ticket_id']}")).json()
        done = (await desk.operate("POST", GATE, json={"code": ticket["code"]})).json()
        place = [shown[name] for name in ("section", "row", "seat")]
        assert [done[name] for name in ("section", "row", "seat")] == place
        places.append(place)
    assert places == [["Stalls", 1, 1], ["Stalls", 2, 3], ["Balcony", 1, 1], ["Balcony", 3, 4]]


async def test_void_ticket_has_no_code(desk: Desk) -> None:
    """Image and page are 409 with the reason; the calendar entry is cancelled."""
    bought = await buy(desk)
    await void(desk, bought)
    shown = (await bought.fan.by_key("GET", bought.path)).json()
    assert (shown["state"], shown["code"], shown["void_reason"]) == ("void", None, "refunded")
    for form in ("/qr.svg", "/print"):
        response = await bought.fan.by_key("GET", bought.path + form)
        check_problem(response, 409, "ticket_void", reason="refunded")
    calendar = await bought.fan.by_key("GET", bought.path + "/calendar.ics")
    assert calendar.headers["content-type"] == "text/calendar; charset=utf-8; method=CANCEL"
    assert "METHOD:CANCEL" in calendar.text
    assert "STATUS:CANCELLED" in calendar.text


async def calendar_entry(bought: Bought) -> Any:
    """Returns a ticket's entry in a calendar."""
    response = await bought.fan.by_key("GET", bought.path + "/calendar.ics")
    (event,) = Calendar.from_ical(response.content).walk("VEVENT")
    return event


async def test_changes_raise_the_sequence_of_the_calendar_entry(desk: Desk) -> None:
    """A new title, a cancelled show and a refund; an unchanged concert doesn't."""
    bought, other = await buy(desk, title="Before"), await buy(desk)
    path = f"/admin/concerts/{bought.concert.concert_id}"
    entries = [await calendar_entry(bought)]
    changes: list[Json] = [{"title": "Before"}, {"hold_seconds": 7}, {"title": "After"}]
    for change in changes:
        assert (await desk.operate("PATCH", path, json=change)).status_code == 200
        entries.append(await calendar_entry(bought))
    # The show is cancelled before its refunds.
    await desk.owner.execute(
        "UPDATE show SET cancelled_at = now(), sales_end_at = now() WHERE show_id = $1",
        bought.concert.shows[0]["show_id"],
    )
    entries.append(await calendar_entry(bought))
    await void(desk, bought)
    entries.append(await calendar_entry(bought))
    assert (await desk.operate("PATCH", path, json={"title": "Late"})).status_code == 200
    entries.append(await calendar_entry(bought))
    assert [entry["SEQUENCE"] for entry in entries] == [0, 0, 0, 1, 2, 2, 3]
    stamps = [entry["DTSTAMP"].dt for entry in entries]
    assert stamps == sorted(stamps)
    assert [str(entry["STATUS"]) for entry in entries] == ["CONFIRMED"] * 4 + ["CANCELLED"] * 3
    assert [str(entry["SUMMARY"]) for entry in entries[2:4]] == ["Before", "After"]
    assert (await calendar_entry(other))["SEQUENCE"] == 0


async def test_ticket_is_in_the_language_of_the_browser(desk: Desk) -> None:
    """The browser's language, unless one was chosen on a page; each is cached separately."""
    bought = await buy(desk)
    korean = {"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8"}
    chosen = {**korean, "Cookie": "frontrow_language=en"}
    for form, words, sentence in (
        ("/print", "Show this code at the door.", "입장할 때 이 코드를 보여 주세요."),
        ("/calendar.ics", "Row 1\\, Seat 7", "1열 7번"),
        ("/qr.svg", "QR code of the ticket", "티켓 QR 코드"),
    ):
        for headers, language in (({}, "en"), (korean, "ko"), (chosen, "en")):
            shown = await bought.fan.by_key("GET", bought.path + form, headers=headers)
            assert (words if language == "en" else sentence) in shown.text
            assert shown.headers["content-language"] == language
            assert shown.headers["vary"] == "authorization, cookie, accept-language"


async def test_ticket_of_another_user_is_not_found(desk: Desk) -> None:
    """Another user, no key, or a token gets none of its forms."""
    bought, other = await buy(desk), await desk.fan()
    for form in FORMS:
        path = bought.path + form
        check_problem(await other.by_key("GET", path), 404, "not_found")
        check_problem(await desk.ask("GET", path), 401, "credential_missing")
        check_problem(await desk.ask("GET", path, OPERATOR_KEY), 401, "credential_invalid")
        check_problem(await bought.fan.by_token("GET", path), 401, "credential_invalid")


async def test_published_keys_verify_a_code(desk: Desk) -> None:
    """GET /tickets/keys: what a gate needs to verify a code without the server."""
    bought = await buy(desk)
    response = await desk.ask("GET", "/tickets/keys")
    assert response.headers["cache-control"] == "public, max-age=5"
    keys = read_keys(response.text)
    said = verify(bought.code, keys)
    assert str(said.ticket_id) == bought.ticket["ticket_id"]
    assert (str(said.show_id), said.number) == (bought.concert.shows[0]["show_id"], 7)
    secrets = await desk.owner.fetch("SELECT secret FROM signing_key WHERE purpose = 'ticket'")
    for row in secrets:
        encoded = base64.urlsafe_b64encode(row["secret"]).decode().rstrip("=")
        assert encoded not in response.text


async def test_only_the_operator_checks_in(desk: Desk) -> None:
    """A user's key or token is refused, and the ticket is unchanged."""
    bought = await buy(desk)
    for credential in (bought.fan.user_key, bought.fan.token):
        refused = await desk.ask("POST", GATE, credential, json={"code": bought.code})
        check_problem(refused, 401, "credential_invalid")
    assert (await bought.fan.by_key("GET", bought.path)).json()["state"] == "valid"
