"""Bad input: each refusal is the contract's, and changes nothing."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from frontrow.web.calls import Call, Who
from frontrow.web.openapi.field_examples import EXAMPLES
from frontrow.web.routes import CALLS
from testkit.desk import OPEN, Concert, Desk, Fan, Json, check_problem, eventually, starts_at
from testkit.serving import OPERATOR_KEY
from tests.buyers import pass_time

JSON = {"Content-Type": "application/json"}
CHARGES = "/users/{user_id}/balance/charges"


@dataclass(frozen=True)
class Sale:
    """Two concerts, and a buyer of the first with 10,000 in the wallet, who holds seat 50."""

    concert: Concert
    other: Concert
    fan: Fan
    held: Json


@pytest.fixture(scope="module")
async def sale(still_desk: Desk) -> Sale:
    """The sale that refused requests are about. They don't change it, so the tests share it."""
    lasting: Json = {
        "hold_seconds": 3600,
        "waiting_room": {"policy": OPEN, "session_seconds": 86_400},
    }
    concert = await still_desk.concert(shows=2, **lasting)
    other = await still_desk.concert(**lasting)
    fan = await still_desk.buyer(concert, 10_000)
    return Sale(concert, other, fan, await fan.hold(concert, 50))


@pytest.fixture(scope="module")
def desk(still_desk: Desk) -> Desk:
    """A server without upkeep."""
    return still_desk


async def refused(
    desk: Desk, request: Awaitable[httpx2.Response], status: int, code: str, **members: Any
) -> httpx2.Response:
    """Asserts that a request is refused and that nothing has changed."""
    before = await desk.digest()
    response = await request
    check_problem(response, status, code, **members)
    assert await desk.digest() == before
    return response


async def invalid(desk: Desk, request: Awaitable[httpx2.Response], pointer: str) -> None:
    """Asserts that a request is refused because of one member."""
    before = await desk.digest()
    response = await request
    errors = response.json().get("errors")
    assert errors is not None, response.text
    check_problem(response, 422, "invalid_request", errors=errors)
    assert [error["pointer"] for error in errors] == [pointer], errors
    assert all(error["detail"] for error in errors)
    assert await desk.digest() == before


def ask_call(
    desk: Desk, call: Call, credential: str | None, **params: str
) -> Awaitable[httpx2.Response]:
    """Makes a call with its examples."""
    path = call.path.format_map({**EXAMPLES, **params})
    body = {} if call.body is None else {"json": call.example}
    return desk.ask(call.method, path, credential, **body)


def real_path(call: Call, sale: Sale) -> str:
    """Returns the path of a call for the concert and the buyer of the sale."""
    return call.path.format_map(
        {**EXAMPLES, "concert_id": sale.concert.concert_id, "user_id": sale.fan.user_id}
    )


def call_name(call: Call) -> str:
    """Returns a call's name, for the test's id."""
    return call.name


WITH_CREDENTIAL = [call for call in CALLS if call.who is not Who.NOBODY]
BY_TOKEN = [call for call in CALLS if "token" in call.who.value or "admitted" in call.who.value]
BY_ADMITTED = [call for call in CALLS if "admitted" in call.who.value]
BY_KEY = [call for call in CALLS if "key" in call.who.value]
WITH_BODY = [call for call in CALLS if call.body is not None]
# Includes calls without fields: an unknown field is an error there too.
TAKES_BODY = [call for call in CALLS if call.method != "GET"]
NOTHING_REQUIRED = {"add_user", "change_concert", "exchange_key", "rotate_key", "sign_in"}


# Bodies


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'amount': 1}",
        b'{"amount": 1} {}',
        b'{"amount": 1,}',
        b'{"amount": NaN}',
        b'{"amount": 01}',
        b'{"date": "\xff"}',
        b'{"date": "\xed\xa0\x80"}',
        b"\xff\xfe{\x00}\x00",
        b"nul",
        b"\x00",
        b'{"x": ' + b"[" * 30_000,
        b'{"x":' * 10_000,
    ],
    ids=range(14),
)
async def test_malformed_json_is_refused(desk: Desk, sale: Sale, body: bytes) -> None:
    """Malformed JSON is 400 malformed, including invalid UTF-8 and endless nesting."""
    request = sale.fan.by_token("POST", "/reservations", content=body, headers=JSON)
    await refused(desk, request, 400, "malformed")


async def test_deeply_nested_json_is_refused(desk: Desk, sale: Sale) -> None:
    """A body nested too deeply is malformed although it is valid JSON; the server continues."""
    nested = b'{"seats": [7], "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    request = sale.fan.by_token("POST", "/reservations", content=nested, headers=JSON)
    await refused(desk, request, 400, "malformed")


@pytest.mark.parametrize("body", ["[]", "5", "null", '"x"', "true"])
async def test_body_of_another_type_is_refused(desk: Desk, sale: Sale, body: str) -> None:
    """JSON of another type is 422 at the root."""
    request = sale.fan.by_token("POST", "/reservations", content=body, headers=JSON)
    await invalid(desk, request, "")


@pytest.mark.parametrize("call", TAKES_BODY, ids=call_name)
async def test_unknown_field_is_refused(desk: Desk, sale: Sale, call: Call) -> None:
    """An unknown field in a body is an error in every call."""
    credential = credential_for(call, sale.fan)
    path = real_path(call, sale)
    body = {**(call.example or {}), "a/b~c": 1}
    await invalid(desk, desk.ask(call.method, path, credential, json=body), "/a~1b~0c")


def credential_for(call: Call, fan: Fan) -> str | None:
    """Returns the credential of a fan, or of the operator, for a call."""
    if call.who is Who.NOBODY:
        return None
    if call.who is Who.OPERATOR:
        return OPERATOR_KEY
    return fan.user_key if call.who is Who.USER else fan.token


@pytest.mark.parametrize("call", CALLS, ids=call_name)
async def test_unknown_parameter_is_refused(desk: Desk, sale: Sale, call: Call) -> None:
    """An unknown query parameter is an error in every call."""
    path = real_path(call, sale)
    body = {} if call.body is None else {"json": call.example}
    request = desk.ask(
        call.method, path, credential_for(call, sale.fan), params={"extra": "1"}, **body
    )
    await invalid(desk, request, "extra")


MONEY: list[Any] = [
    0,
    -1,
    1_000_000_001,
    10**30,
    -(10**30),
    1.5,
    1e30,
    True,
    False,
    None,
    "5",
    [],
    {},
]


@pytest.mark.parametrize("amount", ["2298.0", "2.298e3", "22980E-1"])
async def test_integer_may_be_written_as_a_decimal(desk: Desk, amount: str) -> None:
    """JSON Schema knows no difference between 2298 and 2298.0; the answer says 2298."""
    fan = await desk.buyer(await desk.concert())
    body, path = f'{{"amount": {amount}}}'.encode(), CHARGES.format(user_id=fan.user_id)
    charged = await fan.by_token("POST", path, content=body, headers=JSON)
    assert charged.status_code == 201, charged.text
    assert charged.text.count('"amount":2298,') == 1
    nested = f'{{"title": "x", "shows": [{{"starts_at": "{starts_at()}", "price": {amount}}}]}}'
    made = await desk.operate("POST", "/admin/concerts", content=nested.encode(), headers=JSON)
    assert made.status_code == 201, made.text


@pytest.mark.parametrize("amount", MONEY)
async def test_invalid_amount_is_refused(desk: Desk, sale: Sale, amount: Any) -> None:
    """An amount is an integer from 1 to 1,000,000,000: in charges, payments and prices."""
    fan = sale.fan
    path = CHARGES.format(user_id=fan.user_id)
    await invalid(desk, fan.by_token("POST", path, json={"amount": amount}), "/amount")
    pay = {"reservation_id": sale.held["reservation_id"], "amount": amount}
    await invalid(desk, fan.by_token("POST", "/payments", json=pay), "/amount")
    if amount is not None:  # a price is optional if there are sections
        show = {"starts_at": starts_at(), "price": amount}
        new = desk.operate("POST", "/admin/concerts", json={"title": "x", "shows": [show]})
        await invalid(desk, new, "/shows/0/price")


@pytest.mark.parametrize(
    "call", [call for call in WITH_BODY if call.name not in NOTHING_REQUIRED], ids=call_name
)
async def test_missing_field_is_refused(desk: Desk, sale: Sale, call: Call) -> None:
    """A missing required field is 422 at the object."""
    path = real_path(call, sale)
    await invalid(desk, desk.ask(call.method, path, credential_for(call, sale.fan), json={}), "")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 415),
        ("", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/json-patch+json", 415),
        ("application/jsonx", 415),
        ("application/json; charset=utf-8", 422),
        ("Application/JSON", 422),
    ],
)
async def test_other_content_type_is_refused(
    desk: Desk, sale: Sale, content_type: str | None, status: int
) -> None:
    """A body with another content type is 415; parameters and case don't matter."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    request = sale.fan.by_token("POST", "/reservations", content=b"{}", headers=headers)
    if status == 415:
        await refused(desk, request, 415, "unsupported_media_type")
    else:
        await invalid(desk, request, "")


async def chunks(size: int) -> AsyncIterator[bytes]:
    """Yields a body without a Content-Length."""
    for _ in range(size // 10_000):
        yield b" " * 10_000


async def test_optional_body_may_be_missing_but_not_malformed(desk: Desk, sale: Sale) -> None:
    """No body and {} are the same; malformed JSON and other content types are refused as usual."""
    path = f"/admin/concerts/{sale.concert.concert_id}/waiting-room/resume"
    bodies: list[Json] = [{}, {"content": b""}, {"json": {}}]
    for body in bodies:
        assert (await desk.operate("POST", path, **body)).status_code == 200
    malformed = desk.operate("POST", path, content=b"{{{", headers=JSON)
    await refused(desk, malformed, 400, "malformed")
    as_text = desk.operate("POST", path, content=b"{}", headers={"Content-Type": "text/plain"})
    await refused(desk, as_text, 415, "unsupported_media_type")
    await invalid(desk, desk.operate("POST", path, json=None, content=b"[]", headers=JSON), "")


async def test_long_unknown_name_is_shortened_in_the_answer(desk: Desk) -> None:
    """An unknown name is returned, but shortened."""
    request = desk.ask("POST", "/users", json={"x" * 60_000: 1})
    for response in (await request, await desk.ask("GET", "/concerts", params={"x" * 10_000: 1})):
        assert response.status_code == 422
        assert len(response.content) < 2_000


@pytest.mark.parametrize("call", TAKES_BODY, ids=call_name)
async def test_large_body_is_refused(desk: Desk, sale: Sale, call: Call) -> None:
    """200 kB are 413 in every call, with or without a Content-Length."""
    credential = credential_for(call, sale.fan)
    path = real_path(call, sale)
    for content in (b" " * 200_000, chunks(200_000)):
        request = desk.ask(call.method, path, credential, content=content, headers=JSON)
        await refused(desk, request, 413, "too_large")


async def test_body_of_10_mb_is_refused_early(desk: Desk, sale: Sale) -> None:
    """The body is refused as soon as it is too large; the server remains usable."""
    for content in (b" " * 10_000_000, chunks(10_000_000)):
        request = sale.fan.by_token("POST", "/reservations", content=content, headers=JSON)
        await refused(desk, request, 413, "too_large")
    assert (await sale.fan.status())["state"] == "admitted"


async def test_body_of_the_largest_size_is_accepted(desk: Desk) -> None:
    """64 KiB are accepted, one byte more is refused."""
    taken = await desk.ask("POST", "/users", content=b"{}" + b" " * 65_534, headers=JSON)
    assert taken.status_code == 201
    request = desk.ask("POST", "/users", content=b"{}" + b" " * 65_535, headers=JSON)
    await refused(desk, request, 413, "too_large")


@pytest.mark.parametrize("value", [7, "7", "", None, True, [], {}])
async def test_malformed_id_is_refused(desk: Desk, sale: Sale, value: Any) -> None:
    """An id in a body must be a UUID."""
    request = sale.fan.by_key("POST", "/queue/tokens", json={"concert_id": value})
    await invalid(desk, request, "/concert_id")
    body = {"reservation_id": value, "amount": 1}
    await invalid(desk, sale.fan.by_token("POST", "/payments", json=body), "/reservation_id")


# Parameters


@pytest.mark.parametrize(
    ("path", "query", "pointer"),
    [
        ("/payments", "limit=0", "limit"),
        ("/payments", "limit=101", "limit"),
        ("/payments", "limit=-1", "limit"),
        ("/payments", "limit=", "limit"),
        ("/payments", "limit=x", "limit"),
        ("/payments", "limit=1.5", "limit"),
        ("/payments", "limit=99999999999999999999", "limit"),
        ("/payments", "limit=2&limit=3", "limit"),
        ("/payments", "after=x", "after"),
        ("/payments", "after=null", "after"),
        ("/users/{user_id}/balance/transfers", "limit=101", "limit"),
        ("/users/{user_id}/balance/transfers", "after=x", "after"),
        ("/users/{user_id}/balance/transfers", "after=-1", "after"),
        ("/users/{user_id}/balance/transfers", "after=99999999999", "after"),
        ("/users/{user_id}/balance/transfers", "after=" + "1" * 65, "after"),
        ("/reservations/{reservation_id}", "wait_seconds=-1", "wait_seconds"),
        ("/reservations/{reservation_id}", "wait_seconds=30.1", "wait_seconds"),
        ("/reservations/{reservation_id}", "wait_seconds=nan", "wait_seconds"),
        ("/reservations/{reservation_id}", "wait_seconds=inf", "wait_seconds"),
        ("/reservations/{reservation_id}", "wait_seconds=long", "wait_seconds"),
        ("/reservations/not-an-id", "", "reservation_id"),
        ("/payments/1", "", "payment_id"),
        ("/tickets/%00", "", "ticket_id"),
        ("/tickets/%ff", "", "ticket_id"),
        ("/users/me2/balance/transfers", "", "user_id"),
    ],
)
async def test_invalid_parameter_is_refused(
    desk: Desk, sale: Sale, path: str, query: str, pointer: str
) -> None:
    """An invalid parameter of the path or the query is 422."""
    ids = {"user_id": sale.fan.user_id, "reservation_id": sale.held["reservation_id"]}
    await invalid(desk, sale.fan.by_key("GET", f"{path.format_map(ids)}?{query}"), pointer)


@pytest.mark.parametrize("query", ["limit=%ff", "%80=1", "&".join(["a=1"] * 1000)])
async def test_malformed_query_is_refused(desk: Desk, sale: Sale, query: str) -> None:
    """Invalid UTF-8 or too many parameters are 400 malformed."""
    request = sale.fan.by_key("GET", f"/payments?{query}")
    await refused(desk, request, 400, "malformed")


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/concerts/{concert_id}/dates?all=maybe", "all"),
        ("/concerts/{concert_id}/dates?all=true&all=true", "all"),
        ("/concerts/x/dates", "concert_id"),
        ("/concerts/{concert_id}/dates/{date}/seats?available=2", "available"),
        ("/concerts/{concert_id}/dates/{date}/seats?show_id=7", "show_id"),
        ("/concerts/{concert_id}/dates/{date}/seats?form=short", "form"),
        ("/concerts/{concert_id}/dates/{date}/seats?since=7", "since"),
        ("/concerts/{concert_id}/dates/{date}/seats?since=", "since"),
        ("/concerts/{concert_id}/dates/{date}/seats?since=0a1b2c3d-1-2%0a", ""),
        ("/concerts/{concert_id}/dates/{date}/seats?since=0a1b2c3d-1-" + "9" * 17, "since"),
        ("/concerts/{concert_id}/dates/{date}/seats?form=compact&available=true", ""),
        ("/concerts/{concert_id}/dates/2027-02-30/seats", "date"),
        ("/concerts/{concert_id}/dates/2027-1-1/seats", "date"),
        ("/concerts/{concert_id}/dates/tomorrow/seats", "date"),
        ("/concerts/{concert_id}/dates/2027-01-01T00:00:00Z/seats", "date"),
    ],
)
async def test_invalid_parameter_of_an_admitted_call_is_refused(
    desk: Desk, sale: Sale, path: str, pointer: str
) -> None:
    """Invalid concerts, dates and flags are 422."""
    full = path.format(concert_id=sale.concert.concert_id, date=sale.concert.date)
    await invalid(desk, sale.fan.by_token("GET", full), pointer)


# Seats and dates


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"seats": [0]}, "/seats/0"),
        ({"seats": [1, -1]}, "/seats/1"),
        ({"seats": [2**31]}, "/seats/0"),
        ({"seats": []}, "/seats"),
        ({"seats": [7, 7]}, ""),
        ({"seats": list(range(1, 102))}, "/seats"),
        ({"seats": 7}, "/seats"),
        ({"seats": None}, ""),
        ({"seats": ["7"]}, "/seats/0"),
        ({"seats": [7.5]}, "/seats/0"),
        ({"seats": [True]}, "/seats/0"),
        ({"date": "2027-02-30"}, "/date"),
        ({"date": "14.03.2027"}, "/date"),
        ({"date": ""}, "/date"),
        ({"date": 20270314}, "/date"),
        ({"date": None}, ""),
        ({"show_id": "7"}, "/show_id"),
        ({"show_id": 7}, "/show_id"),
    ],
)
async def test_invalid_seats_and_dates_are_refused(
    desk: Desk, sale: Sale, change: Json, pointer: str
) -> None:
    """Seat numbers below 1, no seats, duplicates, other types, malformed dates: 422."""
    body = {"date": sale.concert.date, "seats": [7], **change}
    await invalid(desk, sale.fan.by_token("POST", "/reservations", json=body), pointer)


@pytest.mark.parametrize(
    ("wish", "pointer"),
    [
        ({}, ""),
        ({"count": 0}, "/count"),
        ({"count": 101}, "/count"),
        ({"count": "2"}, "/count"),
        ({"count": 1.5}, "/count"),
        ({"count": True}, "/count"),
        ({"count": 2, "seats": [7, 8]}, ""),
        ({"seats": [7], "section": "Stalls"}, ""),
        ({"seats": [7], "together": False}, ""),
        ({"section": "Stalls"}, ""),
        ({"count": 2, "section": ""}, "/section"),
        ({"count": 2, "section": "x" * 101}, "/section"),
        ({"count": 2, "section": "a\u0000b"}, "/section"),
        ({"count": 2, "together": "yes"}, "/together"),
        ({"count": 2, "row": 1}, "/row"),
    ],
)
async def test_invalid_best_seats_request_is_refused(
    desk: Desk, sale: Sale, wish: Json, pointer: str
) -> None:
    """No or an invalid count, a count beside named seats, a section without a count: 422."""
    body = {"date": sale.concert.date, **wish}
    await invalid(desk, sale.fan.by_token("POST", "/reservations", json=body), pointer)


@pytest.mark.parametrize(
    "change",
    [
        {"seats": [51]},
        {"seats": [7, 51]},
        {"date": "2020-01-01"},
        {"show_id": str(uuid4())},
    ],
)
async def test_unknown_seat_date_or_show_is_not_found(desk: Desk, sale: Sale, change: Json) -> None:
    """Seat 51, a date without a show, an unknown show: 404."""
    body = {"date": sale.concert.date, "seats": [7], **change}
    request = sale.fan.by_token("POST", "/reservations", json=body)
    await refused(desk, request, 404, "not_found")


async def test_date_without_a_show_is_not_found(desk: Desk, sale: Sale) -> None:
    """GET …/seats for a date without a show, or for a show on another date: 404."""
    path = f"/concerts/{sale.concert.concert_id}/dates"
    other_day = {"show_id": sale.concert.shows[1]["show_id"]}
    await refused(desk, sale.fan.by_token("GET", f"{path}/2020-01-01/seats"), 404, "not_found")
    request = sale.fan.by_token("GET", f"{path}/{sale.concert.date}/seats", params=other_day)
    await refused(desk, request, 404, "not_found")


async def test_date_with_several_shows_needs_a_show_id(desk: Desk) -> None:
    """Without a show_id, a date with several shows is 409 and lists them."""
    concert = await desk.concert()
    path = f"/admin/concerts/{concert.concert_id}/shows"
    later = {"starts_at": starts_at(30, hours=3), "price": 1}
    added = (await desk.operate("POST", path, json={"shows": [later]})).json()["shows"]
    assert added[0]["date"] == concert.date
    shows = [concert.shows[0]["show_id"], added[0]["show_id"]]
    fan = await desk.buyer(concert)
    body = {"date": concert.date, "seats": [7]}
    seats = f"/concerts/{concert.concert_id}/dates/{concert.date}/seats"
    for request in (fan.by_token("POST", "/reservations", json=body), fan.by_token("GET", seats)):
        await refused(desk, request, 409, "show_ambiguous", shows=shows)
    for show in shows:
        assert (await fan.by_token("GET", seats, params={"show_id": show})).status_code == 200


async def test_show_after_its_sale_is_closed(desk: Desk) -> None:
    """After sales_end_at a hold or a seat map is 409 show_closed, and the date is not listed."""
    over = {"starts_at": starts_at(), "sales_end_at": starts_at(-1), "price": 1}
    concert = await desk.concert(shows=[over])
    fan = await desk.buyer(concert)
    request = fan.by_token("POST", "/reservations", json={"date": concert.date, "seats": [7]})
    await refused(desk, request, 409, "show_closed")
    path = f"/concerts/{concert.concert_id}/dates"
    for query in ("", "?form=compact", f"?show_id={concert.shows[0]['show_id']}"):
        seats = await fan.by_token("GET", f"{path}/{concert.date}/seats{query}")
        check_problem(seats, 409, "show_closed")
    assert (await fan.by_token("GET", path)).json() == {"dates": []}
    (day,) = (await fan.by_token("GET", path, params={"all": "true"})).json()["dates"]
    assert [(show["seats_available"], show["sale"]) for show in day["shows"]] == [(0, "ended")]
    line = (await desk.ask("GET", f"/concerts/{concert.concert_id}/queue")).json()
    assert (line["sale"], line["seats_available"]) == ("ended", 0)
    assert (await fan.status())["sale"] == "ended"


async def test_taken_seat_is_refused(desk: Desk, sale: Sale) -> None:
    """A seat held or owned, also by the same user, is 409 and named; nothing is held."""
    other = await desk.buyer(sale.concert)
    body = {"date": sale.concert.date, "seats": [49, 50]}
    for fan in (sale.fan, other):
        request = fan.by_token("POST", "/reservations", json=body)
        await refused(desk, request, 409, "seat_taken", seats=[50])


async def test_seats_above_the_limit_are_refused(desk: Desk) -> None:
    """Held and owned seats of all the user's places count: 409 seat_limit."""
    concert = await desk.concert()
    fan = await desk.buyer(concert, 50_000)
    for seats in ([1, 2, 3, 4, 5],):
        request = fan.by_token("POST", "/reservations", json={"date": concert.date, "seats": seats})
        await refused(desk, request, 409, "seat_limit", limit=4)
    await fan.pay(await fan.hold(concert, 1))
    await fan.join(concert)
    await fan.until("admitted")
    await fan.hold(concert, 2, 3)
    request = fan.by_token("POST", "/reservations", json={"date": concert.date, "seats": [4, 5]})
    await refused(desk, request, 409, "seat_limit", limit=4)
    await fan.hold(concert, 4)


# Credentials


@pytest.mark.parametrize("call", WITH_CREDENTIAL, ids=call_name)
async def test_missing_credential_is_refused(desk: Desk, call: Call) -> None:
    """Every call that needs a credential is 401 without one."""
    response = await refused(desk, ask_call(desk, call, None), 401, "credential_missing")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("call", WITH_CREDENTIAL, ids=call_name)
async def test_credential_of_another_kind_is_refused(desk: Desk, sale: Sale, call: Call) -> None:
    """Malformed and unknown credentials, and each kind that a call doesn't accept, are 401."""
    wrong = ["x", "frk_" + "x" * 43, "x" * 5000, "a.b.c"]
    if call.who is not Who.OPERATOR:
        wrong.append(OPERATOR_KEY)
    if call not in BY_KEY:
        wrong.append(sale.fan.user_key)
    if call not in BY_TOKEN:
        wrong.append(sale.fan.token)
    for credential in wrong:
        response = await refused(desk, ask_call(desk, call, credential), 401, "credential_invalid")
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([("Authorization", "Basic eDp5")], "credential_missing"),
        ([("Authorization", "")], "credential_missing"),
        ([("Authorization", "Bearer")], "credential_missing"),
        ([("Authorization", b"Bearer \xff\xfe")], "credential_invalid"),
        ([("Authorization", "Bearer frk_é".encode())], "credential_invalid"),
    ],
)
async def test_malformed_authorization_is_refused(
    desk: Desk, headers: list[tuple[str, Any]], code: str
) -> None:
    """Another scheme or an empty one counts as missing; other characters are an invalid key."""
    request = desk.http.build_request("GET", "/api/v1/users/me", headers=headers)
    await refused(desk, desk.http.send(request), 401, code)


async def test_two_credentials_are_refused(desk: Desk, sale: Sale) -> None:
    """Two Authorization headers are refused, even if both are valid."""
    headers = [("Authorization", f"Bearer {sale.fan.user_key}")] * 2
    request = desk.http.build_request("GET", "/api/v1/users/me", headers=headers)
    await refused(desk, desk.http.send(request), 401, "credential_invalid")


async def test_scheme_is_case_insensitive(desk: Desk, sale: Sale) -> None:
    """The scheme is case-insensitive (RFC 9110, section 11.1)."""
    for scheme in ("bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {sale.fan.user_key}"}
        assert (await desk.ask("GET", "/users/me", headers=headers)).status_code == 200


async def test_forged_token_is_refused(desk: Desk, sale: Sale) -> None:
    """A token of another key, altered, unsigned or of another algorithm is 401."""
    header, claims, signature = sale.fan.token.split(".")
    named_header, named_claims = decoded(header), decoded(claims)
    other_key = OctKey.import_key(b"x" * 32)
    forged = [
        jwt.encode(named_header, named_claims, other_key),
        jwt.encode({**named_header, "kid": "other"}, named_claims, other_key),
        ".".join((header, encoded({**named_claims, "number": 1}), signature)),
        ".".join((encoded({**named_header, "alg": "none"}), claims, "")),
        ".".join((encoded({**named_header, "alg": "HS512"}), claims, signature)),
        ".".join((encoded({"alg": "HS256"}), claims, signature)),
        ".".join((header, claims, signature[:-4] + "AAAA")),
        f"{header}.{claims}",
        sale.fan.token + "x",
    ]
    for token in forged:
        for path in ("/queue/tokens/me", f"/concerts/{sale.concert.concert_id}/dates"):
            await refused(desk, desk.ask("GET", path, token), 401, "credential_invalid")


def decoded(part: str) -> Json:
    """Decodes a part of a JWT."""
    value: Json = json.loads(base64.urlsafe_b64decode(part + "=="))
    return value


def encoded(value: Json) -> str:
    """Encodes a part of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.fixture(scope="module", params=["paid", "left", "expired"])
async def finished(desk: Desk, request: pytest.FixtureRequest) -> tuple[Fan, str]:
    """A fan whose token is finished, and the reason."""
    concert = await desk.concert()
    fan = await desk.buyer(concert, 50_000)
    match request.param:
        case "paid":
            await fan.pay(await fan.hold(concert, 1))
        case "left":
            await fan.by_token("DELETE", "/queue/tokens/me")
        case "expired":
            await pass_time(desk.database, 601)
            # Wait for admission to store it and its relatives, so that nothing changes later.
            await eventually(
                lambda: desk.owner.fetchval(
                    "SELECT NOT EXISTS (SELECT FROM place WHERE state = 'admitted' "
                    "AND expires_at < clock_timestamp())"
                )
            )
    return fan, request.param


@pytest.mark.parametrize(
    "call", [call for call in BY_TOKEN if call.name != "queue_status"], ids=call_name
)
async def test_finished_token_is_refused(desk: Desk, finished: tuple[Fan, str], call: Call) -> None:
    """Every call except the poll refuses a finished token with the reason."""
    fan, reason = finished
    request = ask_call(desk, call, fan.token, user_id=fan.user_id)
    response = await refused(desk, request, 401, "token_finished", reason=reason)
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("call", BY_ADMITTED, ids=call_name)
async def test_waiting_token_is_not_admitted(desk: Desk, queuer: Fan, call: Call) -> None:
    """Every admitted call is 403 for a waiting token, with the time of the next poll."""
    before = await desk.digest()
    response = await ask_call(desk, call, queuer.token, user_id=queuer.user_id)
    check_problem(
        response,
        403,
        "not_admitted",
        ahead=0,
        poll_after_ms=response.json()["poll_after_ms"],
    )
    assert 1 <= int(response.headers["retry-after"]) <= 3
    assert await desk.digest() == before


@pytest.fixture(scope="module")
async def queuer(desk: Desk) -> Fan:
    """A waiting fan, next in line."""
    one = {"policy": {"kind": "max_active", "max_active": 1}, "session_seconds": 86_400}
    concert = await desk.concert(waiting_room=one)
    await desk.buyer(concert)
    return await desk.waiting(concert)


async def test_token_of_another_concert_is_not_allowed(desk: Desk, sale: Sale) -> None:
    """A token is valid for its own concert only: 403 not_allowed."""
    path = f"/concerts/{sale.other.concert_id}/dates"
    other_show = {"show_id": sale.other.shows[0]["show_id"], "seats": [7]}
    for request in (
        sale.fan.by_token("GET", path),
        sale.fan.by_token("GET", f"{path}/{sale.other.date}/seats"),
        sale.fan.by_token("POST", "/reservations", json=other_show),
    ):
        await refused(desk, request, 403, "not_allowed")


async def test_token_of_another_concert_cannot_use_a_reservation(desk: Desk, sale: Sale) -> None:
    """Another line's token can't read, release or pay a reservation, which stays held."""
    fan = await desk.buyer(sale.concert)
    held = await fan.hold(sale.concert, 40)
    await fan.join(sale.other)
    await fan.until("admitted")
    await fan.charge(50_000)
    path = f"/reservations/{held['reservation_id']}"
    pay = {"reservation_id": held["reservation_id"], "amount": held["amount"]}
    for request in (
        fan.by_token("GET", path),
        fan.by_token("DELETE", path),
        fan.by_token("POST", "/payments", json=pay),
    ):
        await refused(desk, request, 403, "not_allowed")
    assert (await fan.by_key("GET", path)).json() == held


async def test_objects_of_another_user_are_not_found(desk: Desk, sale: Sale) -> None:
    """Another user's balance, reservation, payment and ticket are 404."""
    buyer = await desk.buyer(sale.concert, 50_000)
    payment = await buyer.pay(await buyer.hold(sale.concert, 30))
    fan = await desk.buyer(sale.concert, 100_000)
    reservation = f"/reservations/{sale.held['reservation_id']}"
    balance = f"/users/{sale.fan.user_id}/balance"
    pay = {"reservation_id": sale.held["reservation_id"], "amount": sale.held["amount"]}
    paid = {"reservation_id": payment["reservation_id"], "amount": payment["amount"]}
    for request in (
        fan.by_token("GET", balance),
        fan.by_token("POST", f"{balance}/charges", json={"amount": 1}),
        fan.by_token("GET", f"{balance}/transfers"),
        fan.by_key("GET", f"{balance}/transfers"),
        fan.by_token("GET", reservation),
        fan.by_key("GET", reservation),
        fan.by_token("DELETE", reservation),
        fan.by_key("DELETE", reservation),
        fan.by_token("POST", "/payments", json=pay),
        fan.by_token("POST", "/payments", json=paid),
        fan.by_key("GET", f"/payments/{payment['payment_id']}"),
        fan.by_key("POST", f"/payments/{payment['payment_id']}/refunds"),
        fan.by_key("GET", f"/tickets/{payment['tickets'][0]['ticket_id']}"),
    ):
        await refused(desk, request, 404, "not_found")


@pytest.mark.parametrize("call", [call for call in CALLS if call.params], ids=call_name)
async def test_unknown_id_is_not_found(desk: Desk, sale: Sale, call: Call) -> None:
    """An unknown id is 404 in every call; the token's own concert is checked first."""
    ids = dict.fromkeys(call.params, str(uuid4())) | {"date": "2027-03-14"}
    request = ask_call(desk, call, credential_for(call, sale.fan), **ids)
    if "concert_id" in call.params and call.who is Who.ADMITTED:
        await refused(desk, request, 403, "not_allowed")
    else:
        await refused(desk, request, 404, "not_found")


async def test_joining_an_unknown_concert_is_not_found(desk: Desk, sale: Sale) -> None:
    """POST /queue/tokens for an unknown concert is 404."""
    request = sale.fan.by_key("POST", "/queue/tokens", json={"concert_id": str(uuid4())})
    await refused(desk, request, 404, "not_found")


# Paying


async def test_wrong_amount_is_refused(desk: Desk, sale: Sale) -> None:
    """An amount other than the reservation's is 422 with the expected amount."""
    for amount in (1, 49_999, 50_001, 1_000_000_000):
        body = {"reservation_id": sale.held["reservation_id"], "amount": amount}
        request = sale.fan.by_token("POST", "/payments", json=body)
        await refused(desk, request, 422, "amount_mismatch", expected=50_000)


async def test_insufficient_balance_is_refused(desk: Desk) -> None:
    """Insufficient balance is 402; the hold stays, so the user can charge and pay."""
    concert = await desk.concert()
    fan = await desk.buyer(concert, 49_999)
    held = await fan.hold(concert, 7)
    body = {"reservation_id": held["reservation_id"], "amount": 50_000}
    request = fan.by_token("POST", "/payments", json=body)
    await refused(
        desk, request, 402, "insufficient_balance", balance=49_999, amount=50_000, shortfall=1
    )
    poor = await desk.buyer(concert)
    none = await poor.hold(concert, 8)
    request = poor.by_token(
        "POST", "/payments", json={**body, "reservation_id": none["reservation_id"]}
    )
    await refused(
        desk, request, 402, "insufficient_balance", balance=0, amount=50_000, shortfall=50_000
    )
    await fan.charge(1)
    assert (await fan.pay(held))["balance"] == 0


async def test_ended_reservation_is_refused(desk: Desk) -> None:
    """Paying a released hold is 409, an expired one 410; releasing a paid one is 409."""
    concert = await desk.concert()
    fan = await desk.buyer(concert, 500_000)
    released, ended = [await fan.hold(concert, seat) for seat in (1, 2)]
    await fan.by_key("DELETE", f"/reservations/{released['reservation_id']}")
    await pass_time(desk.database, 301)
    paid = await fan.hold(concert, 3)
    for reservation, status, code, members in (
        (released, 409, "reservation_closed", {"state": "released"}),
        (ended, 410, "hold_expired", {}),
    ):
        body = {"reservation_id": reservation["reservation_id"], "amount": 50_000}
        request = fan.by_token("POST", "/payments", json=body)
        await refused(desk, request, status, code, **members)
    await fan.pay(paid)
    await fan.join(concert)
    await fan.until("admitted")
    await fan.charge(1)
    path = f"/reservations/{paid['reservation_id']}"
    other_amount = {"reservation_id": paid["reservation_id"], "amount": 50_001}
    for request in (
        fan.by_key("DELETE", path),
        fan.by_token("DELETE", path),
        fan.by_token("POST", "/payments", json=other_amount),
    ):
        await refused(desk, request, 409, "reservation_closed", state="paid")


# Idempotency-Key


@pytest.mark.parametrize("call", [call for call in CALLS if call.idempotent], ids=call_name)
async def test_invalid_idempotency_key_is_refused(desk: Desk, sale: Sale, call: Call) -> None:
    """A key has 1 to 255 printable characters and is given once."""
    path = real_path(call, sale)
    credential = credential_for(call, sale.fan)
    for keys in ([b""], [b"k" * 256], [b"a\tb"], ["ü".encode()], [b"a", b"a"]):
        request = desk.http.build_request(
            call.method,
            f"/api/v1{path}",
            json=call.example,
            headers=[
                (b"Authorization", f"Bearer {credential}".encode()),
                *[(b"Idempotency-Key", key) for key in keys],
            ],
        )
        await invalid(desk, desk.http.send(request), "Idempotency-Key")


async def test_calls_without_a_key_ignore_it(desk: Desk) -> None:
    """A key that would be invalid is ignored by calls that take none."""
    headers = {"Idempotency-Key": "k" * 300}
    assert (await desk.ask("POST", "/users", json={}, headers=headers)).status_code == 201
    assert (await desk.ask("GET", "/concerts", headers=headers)).status_code == 200


# The operator


SHOW = {"starts_at": "2099-01-01T00:00:00Z", "price": 1}
SECTION = {"name": "Stalls", "price": 1, "seats": 1}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"title": ""}, "/title"),
        ({"title": "x" * 201}, "/title"),
        ({"title": "a\u0000b"}, "/title"),
        ({"title": " \t"}, "/title"),
        ({"title": 5}, "/title"),
        ({"title": "two\nlines"}, "/title"),
        ({"title": "a\n"}, "/title"),
        ({"title": "\u001b[2J"}, "/title"),
        ({"title": "\u009b31m"}, "/title"),
        ({"title": "a\u202eb"}, "/title"),
        ({"title": "a\u2028b"}, "/title"),
        ({"title": "\u200b\u2060\ufeff \u3164"}, "/title"),
        ({"title": "\U000e0041" * 3}, "/title"),
        ({"artist": "\u200d"}, "/artist"),
        ({"venue": "a\tb"}, "/venue"),
        (
            {
                "shows": [
                    {"starts_at": SHOW["starts_at"], "sections": [{**SECTION, "name": "\u3164"}]}
                ]
            },
            "/shows/0/sections/0/name",
        ),
        ({"artist": "x" * 201}, "/artist"),
        ({"venue": "\u0000"}, "/venue"),
        ({"timezone": "Mars/Olympus"}, "/timezone"),
        ({"timezone": "localtime"}, "/timezone"),
        ({"timezone": "../../etc/passwd"}, "/timezone"),
        ({"timezone": ""}, "/timezone"),
        ({"currency": "krw"}, "/currency"),
        ({"currency": "USD"}, "/currency"),
        ({"hold_seconds": 0}, "/hold_seconds"),
        ({"hold_seconds": 3601}, "/hold_seconds"),
        ({"hold_seconds": 1.5}, "/hold_seconds"),
        ({"max_seats_per_user": 0}, "/max_seats_per_user"),
        ({"max_seats_per_user": 101}, "/max_seats_per_user"),
        ({"shows": []}, "/shows"),
        ({"shows": [SHOW] * 401}, "/shows"),
        ({"shows": [{**SHOW, "seats": 100_000}] * 3}, ""),
        ({"shows": [{**SHOW, "seats": 0}]}, "/shows/0/seats"),
        ({"shows": [{**SHOW, "seats": 100_001}]}, "/shows/0/seats"),
        ({"shows": [{"starts_at": SHOW["starts_at"]}]}, "/shows/0"),
        ({"shows": [{**SHOW, "sections": [SECTION]}]}, "/shows/0"),
        ({"shows": [SHOW, {**SHOW, "starts_at": "2099-01-01T00:00:00"}]}, "/shows/1/starts_at"),
        ({"shows": [{**SHOW, "starts_at": "2099-01-01"}]}, "/shows/0/starts_at"),
        ({"shows": [{**SHOW, "starts_at": 4070908800}]}, "/shows/0/starts_at"),
        ({"shows": [{**SHOW, "starts_at": "9999-12-31T23:59:59-12:00"}]}, "/shows/0"),
        ({"shows": [{**SHOW, "starts_at": "0001-01-01T00:00:00+12:00"}]}, "/shows/0"),
        ({"shows": [{**SHOW, "starts_at": "0020-05-01T19:00:00Z"}]}, "/shows/0"),
        ({"shows": [{**SHOW, "sales_end_at": "0999-12-31T23:59:59Z"}]}, "/shows/0"),
        ({"refundable_until": "0202-05-01T19:00:00Z"}, ""),
        ({"waiting_room": {"opens_at": "0020-05-01T19:00:00Z"}}, "/waiting_room/opens_at"),
        ({"waiting_room": {"closes_at": "0020-05-01T19:00:00Z"}}, "/waiting_room/closes_at"),
        ({"shows": [{"starts_at": SHOW["starts_at"], "sections": []}]}, "/shows/0/sections"),
        (
            {"shows": [{"starts_at": SHOW["starts_at"], "sections": [SECTION], "seats": 2}]},
            "/shows/0",
        ),
        (
            {"shows": [{"starts_at": SHOW["starts_at"], "sections": [{**SECTION, "price": 0}]}]},
            "/shows/0/sections/0/price",
        ),
        (
            {
                "shows": [
                    {
                        "starts_at": SHOW["starts_at"],
                        "sections": [
                            {**SECTION, "seats": 60_000},
                            {**SECTION, "name": "Circle", "seats": 60_000},
                        ],
                    }
                ]
            },
            "/shows/0",
        ),
        (
            {"shows": [{"starts_at": SHOW["starts_at"], "sections": [{**SECTION, "rows": 2}]}]},
            "/shows/0/sections/0",
        ),
        ({"waiting_room": {"session_seconds": 0}}, "/waiting_room/session_seconds"),
        ({"waiting_room": {"session_seconds": 86_401}}, "/waiting_room/session_seconds"),
        ({"waiting_room": {"claim_seconds": 0}}, "/waiting_room/claim_seconds"),
        ({"waiting_room": {"claim_seconds": 3601}}, "/waiting_room/claim_seconds"),
        ({"waiting_room": {"policy": {"kind": "none"}}}, "/waiting_room/policy/kind"),
        ({"waiting_room": {"policy": {}}}, "/waiting_room/policy"),
        ({"waiting_room": {"policy": {"kind": "open", "x": 1}}}, "/waiting_room/policy/x"),
        (
            {"waiting_room": {"policy": {"kind": "max_active", "max_active": 0}}},
            "/waiting_room/policy/max_active",
        ),
        (
            {"waiting_room": {"policy": {"kind": "rate", "admit": 1, "every_seconds": 0}}},
            "/waiting_room/policy/every_seconds",
        ),
        (
            {"waiting_room": {"opens_at": starts_at(2), "closes_at": starts_at(1)}},
            "/waiting_room/closes_at",
        ),
        ({"waiting_room": None}, "/waiting_room"),
    ],
)
async def test_invalid_concert_is_refused(desk: Desk, change: Json, pointer: str) -> None:
    """Each bound of a new concert; a refused request creates nothing."""
    body = {"title": "x", "shows": [SHOW], "waiting_room": {"policy": OPEN}, **change}
    await invalid(desk, desk.operate("POST", "/admin/concerts", json=body), pointer)


async def test_invalid_change_is_refused(desk: Desk, sale: Sale) -> None:
    """PATCH has the same bounds; null is invalid."""
    path = f"/admin/concerts/{sale.concert.concert_id}"
    for body, pointer in (
        ({"title": ""}, "/title"),
        ({"title": None}, "/title"),
        ({"hold_seconds": 3601}, "/hold_seconds"),
        ({"max_seats_per_user": 0}, "/max_seats_per_user"),
        ({"shows": []}, "/shows"),
    ):
        await invalid(desk, desk.operate("PATCH", path, json=body), pointer)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"sales_end_at": "tomorrow"}, "/sales_end_at"),
        ({"sales_end_at": "2027-03-14T19:30:00"}, "/sales_end_at"),
        ({"sales_end_at": "9999-12-31T23:59:59-12:00"}, ""),
        ({"sales_end_at": None, "starts_at": starts_at()}, "/starts_at"),
    ],
)
async def test_invalid_end_of_a_sale_is_refused(
    desk: Desk, sale: Sale, body: Json, pointer: str
) -> None:
    """The end is required, as a time that has a representation everywhere."""
    path = f"/admin/shows/{sale.concert.shows[0]['show_id']}"
    await invalid(desk, desk.operate("PATCH", path, json=body), pointer)


async def test_end_of_the_sale_of_an_unknown_show_is_not_found(desk: Desk, sale: Sale) -> None:
    """A concert's id is not a show's id."""
    path = f"/admin/shows/{sale.concert.concert_id}"
    request = desk.operate("PATCH", path, json={"sales_end_at": None})
    await refused(desk, request, 404, "not_found")


# Paths and methods


@pytest.mark.parametrize("path", ["//nothing", "/nothing", "/queue/tokens/me/x"])
async def test_unknown_path_is_not_found(desk: Desk, path: str) -> None:
    """An unknown path is 404, as a problem."""
    for method in ("GET", "POST"):
        await refused(desk, desk.ask(method, path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/users", "POST"),
        ("POST", "/queue/tokens/me", "DELETE, GET, HEAD"),
        ("OPTIONS", "/concerts", "GET, HEAD"),
        ("DELETE", "//healthz", "GET, HEAD"),
        ("TRACE", "//metrics", "GET, HEAD"),
    ],
)
async def test_unknown_method_is_refused(desk: Desk, method: str, path: str, allow: str) -> None:
    """A path with other methods is 405 with those methods."""
    response = await refused(desk, desk.ask(method, path), 405, "method_not_allowed")
    assert response.headers["allow"] == allow


async def test_audit_finds_no_violation(desk: Desk) -> None:
    """After all these tests every invariant holds."""
    found = (await desk.operate("GET", "/admin/audit")).json()
    assert [f["invariant"] for f in found["findings"] if f["violations"]] == []
