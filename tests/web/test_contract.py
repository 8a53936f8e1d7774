"""The HTTP contract, call by call. The client checks the members and headers of each answer."""

import asyncio
import base64
import json
import math
import re
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from frontrow.web.routes import document
from testkit.desk import (
    OPEN,
    Concert,
    Desk,
    Fan,
    Json,
    check_problem,
    eventually,
    starts_at,
)
from testkit.every_call import make_every_call, soon
from tests.buyers import pass_time

ONE_BY_ONE = {"policy": {"kind": "max_active", "max_active": 1}}


def at(value: str) -> datetime:
    """Parses a time of an answer, which is in UTC."""
    assert value.endswith("Z")
    return datetime.fromisoformat(value)


# Users


async def test_guest_gets_a_key(desk: Desk) -> None:
    """POST /users: 201 with an id and a key, of which only the hash is stored."""
    response = await desk.ask("POST", "/users", json={})
    assert response.status_code == 201
    guest = response.json()
    assert set(guest) == {"user_id", "user_key"}
    row = await desk.owner.fetchrow(
        "SELECT * FROM user_key WHERE user_id = $1", UUID(guest["user_id"])
    )
    assert guest["user_key"].encode() not in row["key_hash"]
    assert len(row["key_hash"]) == 32


async def test_user_reads_everything_with_the_key(desk: Desk) -> None:
    """GET /users/me: balance, reservations, payments and tickets, with the key alone."""
    concert = await desk.concert()
    fan = await desk.buyer(concert, 150_000)
    reservation = await fan.hold(concert, 7, 8)
    payment = await fan.pay(reservation)
    me = (await fan.by_key("GET", "/users/me")).json()
    assert me["user_id"] == fan.user_id
    assert (me["balance"], me["currency"]) == (50_000, "KRW")
    assert [r["reservation_id"] for r in me["reservations"]] == [reservation["reservation_id"]]
    assert me["reservations"][0]["state"] == "paid"
    assert me["reservations"][0]["payment_id"] == payment["payment_id"]
    assert me["payments"] == [payment]
    assert [t["number"] for t in me["tickets"]] == [7, 8]
    assert {t["ticket_id"] for t in me["tickets"]} == {t["ticket_id"] for t in payment["tickets"]}


# The line


async def test_joining_returns_a_place_and_its_token(desk: Desk) -> None:
    """POST /queue/tokens: 201 and a JWT for a new place, 200 and the same for a live one."""
    concert = await desk.concert(waiting_room=ONE_BY_ONE)
    fan = await desk.fan()
    first = await fan.by_key("POST", "/queue/tokens", json={"concert_id": concert.concert_id})
    again = await fan.by_key("POST", "/queue/tokens", json={"concert_id": concert.concert_id})
    assert (first.status_code, again.status_code) == (201, 200)
    place = first.json()
    assert place["number"] == again.json()["number"] == 1
    assert place["issued_at"] == again.json()["issued_at"]
    header, claims = (
        json.loads(base64.urlsafe_b64decode(part + "==")) for part in place["token"].split(".")[:2]
    )
    assert header["alg"] == "HS256"
    assert header["kid"]
    assert set(claims) == {"iss", "sub", "jti", "iat", "concert", "room", "number"}
    assert (claims["sub"], claims["concert"], claims["number"]) == (
        fan.user_id,
        concert.concert_id,
        1,
    )
    assert claims["iat"] == at(place["issued_at"]).timestamp()


async def test_waiting_place_has_its_position(desk: Desk) -> None:
    """GET /queue/tokens/me: exact position, users ahead, time of the next poll."""
    concert = await desk.concert(waiting_room=ONE_BY_ONE)
    await desk.buyer(concert)
    fans = [await desk.waiting(concert) for _ in range(3)]
    for ahead, fan in enumerate(fans):
        status = await fan.status()
        eta = status["eta_seconds"]
        assert status == {
            "user_id": fan.user_id,
            "concert_id": concert.concert_id,
            "number": ahead + 2,
            "position": ahead + 2,
            "state": "waiting",
            "ahead": ahead,
            "eta_seconds": eta,
            "poll_after_ms": status["poll_after_ms"],
            "room_state": "open",
            "sale": "open",
            "seats_available": 50,
            "seats_outnumbered": False,
            "issued_at": status["issued_at"],
            "admitted_at": None,
            "claimed_at": None,
            "expires_at": None,
            "reason": None,
        }
        assert 1_000 <= status["poll_after_ms"] <= 2_100
        # There is a forecast once the line has been observed for a second.
        assert eta is None or 1 <= eta["p50"] <= eta["p90"]


async def test_polling_fits_the_claim_window(desk: Desk) -> None:
    """poll_after_ms is at most a third of claim_seconds."""
    concert = await desk.concert(waiting_room={**ONE_BY_ONE, "claim_seconds": 3})
    fan = await desk.waiting(concert)
    assert (await fan.status())["poll_after_ms"] <= 1_000


async def test_user_who_left_is_not_ahead(desk: Desk) -> None:
    """A user who leaves is no longer ahead of the others; numbers stay."""
    concert = await desk.concert(waiting_room=ONE_BY_ONE)
    await desk.buyer(concert)
    leaver, fan = await desk.waiting(concert), await desk.waiting(concert)
    assert (await leaver.by_token("DELETE", "/queue/tokens/me")).status_code == 204

    async def is_next() -> bool:
        return bool((await fan.status())["ahead"] == 0)

    await eventually(is_next)
    status = await fan.status()
    assert (status["number"], status["position"], status["state"]) == (3, 3, "waiting")


async def test_unchanged_status_is_304(desk: Desk) -> None:
    """ETag and If-None-Match on the poll: 304 while nothing changes, 200 after a change."""
    concert = await desk.concert(waiting_room=ONE_BY_ONE)
    first, fan = await desk.buyer(concert), await desk.waiting(concert)

    async def not_modified(form: str) -> bool:
        # A forecast may be published between the two calls.
        seen = await fan.by_token("GET", "/queue/tokens/me")
        assert seen.headers["cache-control"] == "private, no-cache"
        tag = seen.headers["etag"]
        known = {"If-None-Match": form.format(tag)}
        again = await fan.by_token("GET", "/queue/tokens/me", headers=known)
        return (again.status_code, again.headers["etag"]) == (304, tag)

    for form in ("{}", '"other", W/{}', "*"):
        await eventually(partial(not_modified, form))
    tag = (await fan.by_token("GET", "/queue/tokens/me")).headers["etag"]
    await first.by_token("DELETE", "/queue/tokens/me")
    await fan.until("admitted")
    changed = await fan.by_token("GET", "/queue/tokens/me", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


async def test_first_admitted_call_claims_the_place(desk: Desk) -> None:
    """expires_at ends the claim window, then the session; polls don't claim."""
    concert = await desk.concert(
        waiting_room={"policy": OPEN, "claim_seconds": 60, "session_seconds": 300}
    )
    fan = await desk.waiting(concert)
    called = await fan.until("admitted")
    assert called["claimed_at"] is None
    assert at(called["expires_at"]) == at(called["admitted_at"]) + timedelta(seconds=60)
    assert (await fan.status())["claimed_at"] is None
    await fan.by_token("GET", f"/concerts/{concert.concert_id}/dates")
    come = await fan.status()
    assert come["admitted_at"] == called["admitted_at"]
    assert at(come["expires_at"]) == at(come["claimed_at"]) + timedelta(seconds=300)


async def test_hold_extends_the_session(desk: Desk) -> None:
    """A hold extends the session to its own end, but never shortens it."""
    concert = await desk.concert(
        waiting_room={"policy": OPEN, "session_seconds": 60}, hold_seconds=300
    )
    fan = await desk.buyer(concert)
    reservation = await fan.hold(concert, 1)
    assert (await fan.status())["expires_at"] == reservation["held_until"]


@pytest.mark.parametrize("reason", ["paid", "left", "expired"])
async def test_finished_token_has_its_reason(desk: Desk, reason: str) -> None:
    """The status of a finished token is 200 with its reason; expires_at is null."""
    status = await (await finished(desk, reason)).status()
    assert (status["state"], status["reason"]) == ("finished", reason)
    assert status["expires_at"] is None


async def finished(desk: Desk, reason: str) -> Fan:
    """Returns a fan whose place is finished for a reason."""
    concert = await desk.concert()
    fan = await desk.buyer(concert, 50_000)
    match reason:
        case "paid":
            await fan.pay(await fan.hold(concert, 1))
        case "left":
            await fan.by_token("DELETE", "/queue/tokens/me")
        case "expired":
            await pass_time(desk.database, 601)
    return fan


async def test_leaving_frees_the_slot_and_releases_the_seats(desk: Desk) -> None:
    """DELETE /queue/tokens/me: 204, the hold ends, the next user is admitted; rejoining works."""
    concert = await desk.concert(waiting_room=ONE_BY_ONE)
    fan, following = await desk.buyer(concert), await desk.waiting(concert)
    reservation = await fan.hold(concert, 7)
    assert (await fan.by_token("DELETE", "/queue/tokens/me")).status_code == 204
    shown = await fan.by_key("GET", f"/reservations/{reservation['reservation_id']}")
    assert shown.json()["state"] == "released"
    await following.until("admitted")
    await following.hold(concert, 7)
    left = await fan.by_token("DELETE", "/queue/tokens/me")
    check_problem(left, 401, "token_finished", reason="left")
    assert (await fan.join(concert))["number"] == 3


async def test_scheduled_room_admits_nobody(desk: Desk) -> None:
    """Users can join a scheduled room but are not admitted; the concert shows its state."""
    concert = await desk.concert(waiting_room={"policy": OPEN, "opens_at": starts_at(1)})
    fan = await desk.waiting(concert)
    assert await state_of(desk, concert) == "scheduled"
    room = {"policy": OPEN}
    await desk.operate("PUT", f"/admin/concerts/{concert.concert_id}/waiting-room", json=room)
    await fan.until("admitted")
    assert await state_of(desk, concert) == "open"


async def test_paused_room_admits_nobody(desk: Desk) -> None:
    """Paused: admitted users continue, no one is admitted; resumed: admission continues."""
    concert = await desk.concert()
    inside = await desk.buyer(concert)
    room = f"/admin/concerts/{concert.concert_id}/waiting-room"
    paused = await desk.operate("POST", f"{room}/pause")
    assert paused.status_code == 200
    outside = await desk.waiting(concert)
    assert await state_of(desk, concert) == "paused"
    assert await inside.hold(concert, 1)
    assert (await outside.status())["state"] == "waiting"
    resumed = await desk.operate("POST", f"{room}/resume")
    assert resumed.json() == paused.json() == (await desk.operate("GET", room)).json()
    await outside.until("admitted")


async def test_closed_room_refuses_joins(desk: Desk) -> None:
    """After closes_at: joining is 409, waiting places expire, admitted users may finish."""
    concert = await desk.concert(waiting_room=ONE_BY_ONE)
    inside, waiting, late = (
        await desk.buyer(concert, 50_000),
        await desk.waiting(concert),
        await desk.fan(),
    )
    room = {**ONE_BY_ONE, "closes_at": soon(seconds=0.5)}
    await desk.operate("PUT", f"/admin/concerts/{concert.concert_id}/waiting-room", json=room)

    async def is_closed() -> bool:
        return await state_of(desk, concert) == "closed"

    await eventually(is_closed)
    refused = await late.by_key("POST", "/queue/tokens", json={"concert_id": concert.concert_id})
    check_problem(refused, 409, "room_closed")
    assert (await waiting.until("finished"))["reason"] == "expired"
    await inside.pay(await inside.hold(concert, 1))


async def state_of(desk: Desk, concert: Concert) -> str:
    """Returns the public state of a concert's room."""
    listed = (await desk.ask("GET", "/concerts")).json()["concerts"]
    return next(str(c["state"]) for c in listed if c["concert_id"] == concert.concert_id)


# Dates and seats


async def test_concerts_are_listed_without_a_credential(desk: Desk) -> None:
    """GET /concerts needs no credential and has dates, price and state."""
    concert = await desk.concert(shows=2, artist="The Band", venue="The Hall")
    listed = (await desk.ask("GET", "/concerts")).json()["concerts"]
    assert [c for c in listed if c["concert_id"] == concert.concert_id] == [
        {
            "concert_id": concert.concert_id,
            "title": "The Test",
            "artist": "The Band",
            "venue": "The Hall",
            "timezone": "Asia/Seoul",
            "currency": "KRW",
            "max_seats_per_user": 4,
            "first_date": concert.shows[0]["date"],
            "last_date": concert.shows[1]["date"],
            "price_from": 50_000,
            "refundable_until": None,
            "guests": True,
            "sale": "open",
            "state": "open",
        }
    ]


async def test_dates_with_an_available_seat_are_listed(desk: Desk) -> None:
    """GET …/dates omits dates without available seats, unless ?all=true."""
    concert = await desk.concert(shows=2, seats=2)
    fan = await desk.buyer(concert)
    path = f"/concerts/{concert.concert_id}/dates"
    assert [d["date"] for d in (await fan.by_token("GET", path)).json()["dates"]] == [
        show["date"] for show in concert.shows
    ]
    await fan.hold(concert, 1, 2)
    (left,) = (await fan.by_token("GET", path)).json()["dates"]
    assert left["date"] == concert.shows[1]["date"]
    first, second = (await fan.by_token("GET", path, params={"all": "true"})).json()["dates"]
    assert first == {
        "date": concert.date,
        "shows": [
            {
                "show_id": concert.shows[0]["show_id"],
                "starts_at": first["shows"][0]["starts_at"],
                "seats_total": 2,
                "seats_available": 0,
                "sale": "open",
            }
        ],
    }
    assert second == left


async def test_seats_of_a_date_are_listed(desk: Desk) -> None:
    """GET …/seats: number, section, price and state of each; ?available=true filters."""
    sections = [
        {"name": "Stalls", "price": 90_000, "seats": 2},
        {"name": "Circle", "price": 40_000, "seats": 1},
    ]
    concert = await desk.concert(shows=1)
    added = await desk.operate(
        "POST",
        f"/admin/concerts/{concert.concert_id}/shows",
        json={"shows": [{"starts_at": starts_at(60), "sections": sections}]},
    )
    show = added.json()["shows"][0]
    holder, owner = await desk.buyer(concert), await desk.buyer(concert, 90_000)
    for fan, seat in ((holder, 3), (owner, 1)):
        held = await fan.by_token(
            "POST", "/reservations", json={"show_id": show["show_id"], "seats": [seat]}
        )
        assert held.status_code == 201
        if fan is owner:
            await fan.pay(held.json())
    path = f"/concerts/{concert.concert_id}/dates/{show['date']}/seats"
    shown = await holder.by_token("GET", path)
    assert shown.json() == {
        "show_id": show["show_id"],
        "date": show["date"],
        "starts_at": shown.json()["starts_at"],
        "version": shown.json()["version"],
        "complete": True,
        "seats_available": 1,
        "sections": [
            {
                "name": "Stalls", "price": 90_000, "first_number": 1, "last_number": 2,
                "seats_per_row": 2,
            },
            {
                "name": "Circle", "price": 40_000, "first_number": 3, "last_number": 3,
                "seats_per_row": 1,
            },
        ],
        "seats": [
            {"number": 1, "section": "Stalls", "price": 90_000, "state": "sold"},
            {"number": 2, "section": "Stalls", "price": 90_000, "state": "available"},
            {"number": 3, "section": "Circle", "price": 40_000, "state": "held"},
        ],
    }  # fmt: skip
    free = (await holder.by_token("GET", path, params={"available": "true"})).json()
    assert [seat["number"] for seat in free["seats"]] == [2]
    assert free["seats_available"] == 1
    named = await holder.by_token("GET", path, params={"show_id": show["show_id"]})
    assert named.content == shown.content


async def test_unchanged_seat_map_is_304(desk: Desk) -> None:
    """ETag and If-None-Match on seats: 304 until a seat changes."""
    concert = await desk.concert()
    fan = await desk.buyer(concert)
    path = f"/concerts/{concert.concert_id}/dates/{concert.date}/seats"
    tag = (await fan.by_token("GET", path)).headers["etag"]
    same = await fan.by_token("GET", path, headers={"If-None-Match": tag})
    assert (same.status_code, same.headers["etag"]) == (304, tag)
    await fan.hold(concert, 1)
    changed = await fan.by_token("GET", path, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


async def test_seat_map_returns_changes_since_a_version(desk: Desk) -> None:
    """GET …/seats?form=compact&since=: first all seats, then those that may have changed.

    One tag for every form; compressed for clients that accept it.
    """
    concert = await desk.concert(seats=2_000)
    fan = await desk.buyer(concert)
    path = f"/concerts/{concert.concert_id}/dates/{concert.date}/seats"

    async def see(**params: Any) -> httpx2.Response:
        headers = {"Accept-Encoding": params.pop("accept", "gzip")}
        if "known" in params:
            headers["If-None-Match"] = params.pop("known")
        return await fan.by_token("GET", path, params=params, headers=headers)

    first = await see(form="compact")
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["vary"] == "accept-encoding"
    body = first.json()
    assert (body["complete"], body["states"], "seats" in body) == (True, "a" * 2_000, False)
    assert [section["seats_per_row"] for section in body["sections"]] == [2_000]
    for accept in ("identity", "gzip;q=0", "gzip;q=0.000, br"):
        plain = await see(form="compact", accept=accept)
        assert "content-encoding" not in plain.headers
        assert plain.json() == body
    await fan.hold(concert, 7, 8)
    changes = await see(form="compact", since=body["version"])
    assert changes.json() == {
        **{name: body[name] for name in ("show_id", "date", "starts_at")},
        "version": changes.json()["version"],
        "complete": False,
        "seats_available": 1_998,
        "numbers": [7, 8],
        "states": "hh",
    }
    assert changes.json()["version"] != body["version"]
    plain = await see(since=body["version"])
    assert [(seat["number"], seat["state"]) for seat in plain.json()["seats"]] == [
        (7, "held"), (8, "held"),
    ]  # fmt: skip
    tag = changes.headers["etag"]
    assert {one.headers["etag"] for one in (plain, await see(), await see(available=True))} == {tag}
    same = await see(form="compact", since=changes.json()["version"], known=tag)
    assert (same.status_code, same.headers["etag"]) == (304, tag)
    none = await see(form="compact", since=changes.json()["version"])
    assert (none.json()["numbers"], none.json()["states"]) == ([], "")


# Reservations


async def test_seats_are_held(desk: Desk) -> None:
    """POST /reservations: 201 and the reservation, held for five minutes."""
    concert = await desk.concert()
    fan = await desk.buyer(concert)
    held = await fan.hold(concert, 8, 7)
    assert held == {
        "reservation_id": held["reservation_id"],
        "concert_id": concert.concert_id,
        "show_id": concert.shows[0]["show_id"],
        "date": concert.date,
        "starts_at": held["starts_at"],
        "seats": [
            {"number": 7, "section": None, "price": 50_000},
            {"number": 8, "section": None, "price": 50_000},
        ],
        "amount": 100_000,
        "currency": "KRW",
        "state": "held",
        "held_until": held["held_until"],
        "created_at": held["created_at"],
        "payment_id": None,
    }
    assert at(held["held_until"]) == at(held["created_at"]) + timedelta(seconds=300)
    path = f"/reservations/{held['reservation_id']}"
    assert (await fan.by_key("GET", path)).json() == held
    assert (await fan.by_token("GET", path)).json() == held


async def test_show_id_selects_the_show(desk: Desk) -> None:
    """POST /reservations takes a show_id instead of the date, or both."""
    concert = await desk.concert(shows=2)
    fan = await desk.buyer(concert)
    show = concert.shows[1]
    for seat, which in enumerate(({}, {"date": show["date"]}), 1):
        held = await fan.by_token(
            "POST", "/reservations", json={"show_id": show["show_id"], "seats": [seat], **which}
        )
        assert (held.status_code, held.json()["show_id"]) == (201, show["show_id"])


async def test_read_waits_for_the_end_of_a_hold(desk: Desk) -> None:
    """?wait_seconds= answers once the reservation is no longer held, or after that time."""
    concert = await desk.concert()
    fan = await desk.buyer(concert)
    path = f"/reservations/{(await fan.hold(concert, 1))['reservation_id']}"
    up = await fan.by_key("GET", path, params={"wait_seconds": "0.01"})
    assert up.json()["state"] == "held"
    waiting = asyncio.create_task(fan.by_key("GET", path, params={"wait_seconds": 19}))
    assert (await fan.by_token("DELETE", path)).status_code == 204
    assert (await waiting).json()["state"] == "released"


async def test_hold_past_its_time_is_expired(desk: Desk) -> None:
    """A hold past its time is expired and its seat available; releasing it succeeds."""
    concert = await desk.concert(waiting_room={"policy": OPEN, "session_seconds": 3600})
    fan = await desk.buyer(concert)
    path = f"/reservations/{(await fan.hold(concert, 1))['reservation_id']}"
    await pass_time(desk.database, 301)
    assert (await fan.by_key("GET", path)).json()["state"] == "expired"
    assert (await fan.by_key("DELETE", path)).status_code == 204
    await (await desk.buyer(concert)).hold(concert, 1)


@pytest.mark.parametrize("by", ["key", "token"])
async def test_hold_is_released(desk: Desk, by: str) -> None:
    """DELETE /reservations/{id}: 204, also the second time; others may hold the seat at once."""
    concert = await desk.concert()
    fan = await desk.buyer(concert)
    ask = fan.by_key if by == "key" else fan.by_token
    path = f"/reservations/{(await fan.hold(concert, 1))['reservation_id']}"
    assert [(await ask("DELETE", path)).status_code for _ in range(2)] == [204, 204]
    assert (await ask("GET", path)).json()["state"] == "released"
    again = {"date": concert.date, "seats": [1, 2]}
    refused = await fan.by_token("POST", "/reservations", json=again)
    seconds = refused.json()["retry_after_seconds"]
    check_problem(refused, 409, "recently_released", seats=[1], retry_after_seconds=seconds)
    assert 290 <= seconds <= 300
    await (await desk.buyer(concert)).hold(concert, 1)


# Balance


async def test_balance_is_charged_and_read(desk: Desk) -> None:
    """POST …/charges and GET …/balance: the balance after the charge, and the current one."""
    fan = await desk.buyer(await desk.concert())
    path = f"/users/{fan.user_id}/balance"
    charge = await fan.charge(1_000_000_000)
    assert charge == {
        "charge_id": charge["charge_id"],
        "user_id": fan.user_id,
        "amount": 1_000_000_000,
        "balance": 1_000_000_000,
        "created_at": charge["created_at"],
    }
    assert (await fan.charge(1))["balance"] == 1_000_000_001
    assert (await fan.by_token("GET", path)).json() == {
        "user_id": fan.user_id,
        "balance": 1_000_000_001,
        "currency": "KRW",
    }


async def test_transfers_are_listed_by_page(desk: Desk) -> None:
    """GET …/transfers: newest first, by page, with a key or an admitted token."""
    concert = await desk.concert()
    fan = await desk.buyer(concert)
    charges = [await fan.charge(amount) for amount in (50_000, 2, 3)]
    payment = await fan.pay(await fan.hold(concert, 1))
    path = f"/users/{fan.user_id}/balance/transfers"
    first = (await fan.by_key("GET", path, params={"limit": 2})).json()
    rest = (await fan.by_key("GET", path, params={"limit": 2, "after": first["next"]})).json()
    assert rest["next"] is None
    listed = first["transfers"] + rest["transfers"]
    assert [(t["kind"], t["amount"], t["balance"], t["reference"]) for t in listed] == [
        ("payment", 50_000, 5, payment["payment_id"]),
        ("charge", 3, 50_005, None),
        ("charge", 2, 50_002, None),
        ("charge", 50_000, 50_000, None),
    ]
    assert [t["transfer_id"] for t in listed[1:]] == [c["charge_id"] for c in reversed(charges)]
    await fan.join(concert)
    await fan.until("admitted")
    assert (await fan.by_token("GET", path)).json()["transfers"] == listed


# Payments


async def test_reservation_is_paid(desk: Desk) -> None:
    """POST /payments: 201, seats owned, money moved, other holds released, token finished."""
    concert = await desk.concert()
    fan = await desk.buyer(concert, 150_000)
    reservation, other = await fan.hold(concert, 7, 8), await fan.hold(concert, 9)
    payment = await fan.pay(reservation)
    assert payment == {
        "payment_id": payment["payment_id"],
        "reservation_id": reservation["reservation_id"],
        "user_id": fan.user_id,
        "amount": 100_000,
        "currency": "KRW",
        "balance": 50_000,
        "state": "paid",
        "seats": [7, 8],
        "tickets": payment["tickets"],
        "paid_at": payment["paid_at"],
        "refund": None,
    }
    assert [ticket["number"] for ticket in payment["tickets"]] == [7, 8]
    for ticket in payment["tickets"]:
        shown = (await fan.by_key("GET", f"/tickets/{ticket['ticket_id']}")).json()
        assert shown["code"] == ticket["code"]
    released = await fan.by_key("GET", f"/reservations/{other['reservation_id']}")
    assert released.json()["state"] == "released"
    assert (await fan.status())["reason"] == "paid"


async def test_paying_again_returns_the_same_payment(desk: Desk) -> None:
    """The same reservation and amount, with no key or another, and the finished token: 200."""
    concert = await desk.concert()
    fan = await desk.buyer(concert, 150_000)
    reservation = await fan.hold(concert, 7)
    payment = await fan.pay(reservation, headers={"Idempotency-Key": "first"})
    body = {"reservation_id": reservation["reservation_id"], "amount": 50_000}
    for headers in ({}, {"Idempotency-Key": "other"}):
        again = await fan.by_token("POST", "/payments", json=body, headers=headers)
        assert (again.status_code, again.json()) == (200, payment)
        assert "idempotency-replayed" not in again.headers
    assert (await fan.by_key("GET", "/users/me")).json()["balance"] == 100_000


async def test_payments_and_tickets_are_read(desk: Desk) -> None:
    """GET /payments by page, /payments/{id}, /tickets/{id}."""
    concert = await desk.concert(venue="The Hall")
    fan = await desk.buyer(concert, 150_000)
    payments = []
    for seat in (1, 2, 3):
        payments.append(await fan.pay(await fan.hold(concert, seat)))
        await fan.join(concert)
        await fan.until("admitted")
    first = (await fan.by_key("GET", "/payments", params={"limit": 2})).json()
    rest = (await fan.by_key("GET", "/payments", params={"after": first["next"]})).json()
    assert first["payments"] + rest["payments"] == payments[::-1]
    assert rest["next"] is None
    path = f"/payments/{payments[0]['payment_id']}"
    assert (await fan.by_key("GET", path)).json() == payments[0]
    ticket_id = payments[0]["tickets"][0]["ticket_id"]
    ticket = (await fan.by_key("GET", f"/tickets/{ticket_id}")).json()
    assert ticket == {
        "ticket_id": ticket_id,
        "payment_id": payments[0]["payment_id"],
        "concert_id": concert.concert_id,
        "title": "The Test",
        "venue": "The Hall",
        "timezone": "Asia/Seoul",
        "show_id": concert.shows[0]["show_id"],
        "date": concert.date,
        "starts_at": ticket["starts_at"],
        "number": 1,
        "section": None,
        "row": 1,
        "seat": 1,
        "paid_at": payments[0]["paid_at"],
        "state": "valid",
        "checked_in_at": None,
        "void_at": None,
        "void_reason": None,
        "code": payments[0]["tickets"][0]["code"],
    }


# Idempotency-Key

KEY = {"Idempotency-Key": "k" * 255}


async def test_hold_is_replayed(desk: Desk) -> None:
    """The same hold with the same key returns the first answer, marked; another is refused."""
    concert = await desk.concert()
    fan = await desk.buyer(concert)
    body = {"date": concert.date, "seats": [7, 8]}
    first = await fan.by_token("POST", "/reservations", json=body, headers=KEY)
    body["seats"] = [8, 7]
    again = await fan.by_token("POST", "/reservations", json=body, headers=KEY)
    await check_replay(first, again)
    body["seats"] = [9]
    other = await fan.by_token("POST", "/reservations", json=body, headers=KEY)
    check_problem(other, 422, "idempotency_key_reused")


async def test_charge_is_replayed(desk: Desk) -> None:
    """The same charge with the same key moves money once; another amount is refused."""
    fan = await desk.buyer(await desk.concert())
    path = f"/users/{fan.user_id}/balance/charges"
    first = await fan.by_token("POST", path, json={"amount": 5}, headers=KEY)
    await fan.charge(1)
    again = await fan.by_token("POST", path, json={"amount": 5}, headers=KEY)
    await check_replay(first, again)
    other = await fan.by_token("POST", path, json={"amount": 6}, headers=KEY)
    check_problem(other, 422, "idempotency_key_reused")


async def test_finished_token_gets_replays(desk: Desk) -> None:
    """With the finished token the first answers are returned: hold, charge and payment."""
    concert = await desk.concert()
    fan = await desk.buyer(concert)
    asks = [
        (f"/users/{fan.user_id}/balance/charges", {"amount": 50_000}),
        ("/reservations", {"date": concert.date, "seats": [7]}),
    ]
    firsts = [await fan.by_token("POST", p, json=b, headers=KEY) for p, b in asks]
    asks.append(
        ("/payments", {"reservation_id": firsts[1].json()["reservation_id"], "amount": 50_000})
    )
    firsts.append(await fan.by_token("POST", "/payments", json=asks[2][1], headers=KEY))
    assert (await fan.status())["state"] == "finished"
    for first, (path, body) in zip(firsts, asks, strict=True):
        await check_replay(first, await fan.by_token("POST", path, json=body, headers=KEY))


async def test_best_seats_are_held(desk: Desk) -> None:
    """POST /reservations with a count: the best seats of a section, or of the show."""
    section = {"price": 90_000, "seats_per_row": 4}
    sections = [{"name": "Stalls", "rows": 2, **section}, {"name": "Box", "rows": 1, **section}]
    concert = await desk.concert(
        shows=[{"starts_at": starts_at(), "sections": sections}], max_seats_per_user=12
    )
    fan, other = await desk.buyer(concert), await desk.buyer(concert)
    path, date = "/reservations", concert.date
    box = {"date": date, "section": "Box", "count": 2}
    first = await fan.by_token("POST", path, json=box, headers={"Idempotency-Key": "box"})
    assert first.status_code == 201
    assert first.json()["seats"] == [
        {"number": number, "section": "Box", "price": 90_000} for number in (9, 10)
    ]
    again = await fan.by_token("POST", path, json=box, headers={"Idempotency-Key": "box"})
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    anywhere = await other.by_token(
        "POST", path, json={"show_id": concert.shows[0]["show_id"], "count": 3}
    )
    assert [seat["number"] for seat in anywhere.json()["seats"]] == [1, 2, 3]
    few = await fan.by_token("POST", path, json={**box, "count": 3})
    check_problem(few, 409, "seats_unavailable", available=2, together=2)
    scattered = await fan.by_token("POST", path, json={"date": date, "count": 5, "together": False})
    assert [seat["number"] for seat in scattered.json()["seats"]] == [4, 5, 6, 7, 8]
    nowhere = await fan.by_token("POST", path, json={**box, "section": "Balcony"})
    check_problem(nowhere, 404, "not_found")


async def test_released_holds_are_limited(desk: Desk) -> None:
    """Twenty in ten minutes, then 429 with Retry-After."""
    concert = await desk.concert()
    fan = await desk.buyer(concert)
    for seat in range(1, 21):
        held = await fan.hold(concert, seat)
        await fan.by_token("DELETE", f"/reservations/{held['reservation_id']}")
    for wanted in ({"seats": [1]}, {"count": 1}):
        barred = await fan.by_token("POST", "/reservations", json={"date": concert.date, **wanted})
        seconds = int(barred.headers["retry-after"])
        check_problem(barred, 429, "rate_limited")
        assert 590 <= seconds <= 600


async def test_key_can_be_used_again_after_a_refusal(desk: Desk) -> None:
    """Only successful answers are stored."""
    concert = await desk.concert()
    fan = await desk.buyer(concert)
    reservation = await fan.hold(concert, 1)
    body = {"reservation_id": reservation["reservation_id"], "amount": 50_000}
    poor = await fan.by_token("POST", "/payments", json=body, headers=KEY)
    assert poor.status_code == 402
    await fan.charge(50_000)
    paid = await fan.by_token("POST", "/payments", json=body, headers=KEY)
    assert paid.status_code == 201
    assert "idempotency-replayed" not in paid.headers


async def test_idempotency_key_is_per_user_and_operation(desk: Desk) -> None:
    """Two users may use the same key, and so may two operations of one user."""
    concert = await desk.concert()
    held = []
    for seat in (1, 2):
        fan = await desk.buyer(concert)
        await fan.charge(1, headers=KEY)
        held.append(await fan.hold(concert, seat, headers=KEY))
    assert held[0]["reservation_id"] != held[1]["reservation_id"]


async def test_creating_a_concert_is_replayed(desk: Desk) -> None:
    """The operator's POSTs take the key too: create a concert, add shows."""
    body: Json = {"title": "Once", "shows": [{"starts_at": starts_at(), "price": 1}]}
    headers = {"Idempotency-Key": str(uuid4())}
    first = await desk.operate("POST", "/admin/concerts", json=body, headers=headers)
    await check_replay(
        first, await desk.operate("POST", "/admin/concerts", json=body, headers=headers)
    )
    other = await desk.operate(
        "POST", "/admin/concerts", json={**body, "title": "Twice"}, headers=headers
    )
    check_problem(other, 422, "idempotency_key_reused")
    path = f"/admin/concerts/{first.json()['concert_id']}/shows"
    more = {"shows": [{"starts_at": starts_at(31), "price": 1}]}
    added = await desk.operate("POST", path, json=more, headers=headers)
    await check_replay(added, await desk.operate("POST", path, json=more, headers=headers))
    more["shows"][0]["price"] = 2
    other = await desk.operate("POST", path, json=more, headers=headers)
    check_problem(other, 422, "idempotency_key_reused")


async def check_replay(first: httpx2.Response, again: httpx2.Response) -> None:
    """Asserts that the second answer is the first one, marked."""
    assert (first.status_code, again.status_code) == (201, 201), again.text
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()


# The operator


async def test_concert_is_changed(desk: Desk) -> None:
    """PATCH: given fields change, omitted ones stay; the next hold uses the new values."""
    concert = await desk.concert()
    path = f"/admin/concerts/{concert.concert_id}"
    change = {"hold_seconds": 60, "max_seats_per_user": 1}
    changed = await desk.operate("PATCH", path, json=change)
    assert (changed.status_code, changed.json()) == (200, change)
    await desk.operate("PATCH", path, json={"title": "Renamed"})
    fan = await desk.buyer(concert)
    held = await fan.hold(concert, 1)
    assert at(held["held_until"]) == at(held["created_at"]) + timedelta(seconds=60)
    more = await fan.by_token("POST", "/reservations", json={"date": concert.date, "seats": [2]})
    check_problem(more, 409, "seat_limit", limit=1)
    listed = (await desk.ask("GET", "/concerts")).json()["concerts"]
    assert "Renamed" in [c["title"] for c in listed if c["concert_id"] == concert.concert_id]


async def test_shows_are_added(desk: Desk) -> None:
    """POST …/shows: 201; the date is the venue's calendar day."""
    concert = await desk.concert()
    added = await desk.operate(
        "POST",
        f"/admin/concerts/{concert.concert_id}/shows",
        json={"shows": [{"starts_at": "2099-12-31T23:00:00Z", "price": 1}]},
    )
    assert added.status_code == 201
    assert added.json()["concert_id"] == concert.concert_id
    assert [show["date"] for show in added.json()["shows"]] == ["2100-01-01"]


async def test_end_of_a_sale_is_changed(desk: Desk) -> None:
    """PATCH /admin/shows/…: after its end a show is not offered; after a later end it is again."""
    concert = await desk.concert(shows=2)
    fan = await desk.buyer(concert)
    path = f"/admin/shows/{concert.shows[0]['show_id']}"
    ended = await desk.operate("PATCH", path, json={"sales_end_at": soon(seconds=-60)})
    assert ended.status_code == 200
    start = ended.json()["starts_at"]
    assert at(ended.json()["sales_end_at"]) < at(start)
    wanted = {"date": concert.date, "seats": [1]}
    check_problem(await fan.by_token("POST", "/reservations", json=wanted), 409, "show_closed")
    dates = (await fan.by_token("GET", f"/concerts/{concert.concert_id}/dates")).json()["dates"]
    assert [day["date"] for day in dates] == [concert.shows[1]["date"]]
    seats = f"/concerts/{concert.concert_id}/dates/{concert.date}/seats"

    async def is_closed() -> bool:
        return (await fan.by_token("GET", seats)).status_code == 409

    await eventually(is_closed)
    again = (await desk.operate("PATCH", path, json={"sales_end_at": None})).json()
    assert again["sales_end_at"] == again["starts_at"] == start

    async def is_open() -> bool:
        return (await fan.by_token("GET", seats)).status_code == 200

    await eventually(is_open)
    assert (await fan.hold(concert, 1))["state"] == "held"


async def test_waiting_room_is_replaced(desk: Desk) -> None:
    """PUT and GET …/waiting-room: the whole document with its defaults."""
    concert = await desk.concert()
    path = f"/admin/concerts/{concert.concert_id}/waiting-room"
    default = {
        "session_seconds": 600,
        "claim_seconds": 120,
        "opens_at": None,
        "closes_at": None,
        "order": "arrival",
    }
    assert (await desk.operate("GET", path)).json() == {"policy": OPEN, **default}
    for policy in (
        {"kind": "rate", "admit": 50, "every_seconds": 10},
        {"kind": "max_active", "max_active": 7},
        {"kind": "max_active_and_rate", "max_active": 7, "admit": 50, "every_seconds": 10},
        {"kind": "adaptive", "min_active": 2, "max_active": 7, "target_p95_ms": 250},
        OPEN,
    ):
        put = await desk.operate("PUT", path, json={"policy": policy})
        assert put.json() == (await desk.operate("GET", path)).json()
        assert put.json() == {"policy": policy, **default}


async def test_concert_has_defaults(desk: Desk) -> None:
    """50 seats a show, five minutes a hold, four seats a user, a cap of 100."""
    made = await desk.operate(
        "POST",
        "/admin/concerts",
        json={"title": "Plain", "shows": [{"starts_at": starts_at(), "price": 1}]},
    )
    assert set(made.json()) == {"concert_id", "shows"}
    room = await desk.operate("GET", f"/admin/concerts/{made.json()['concert_id']}/waiting-room")
    assert room.json()["policy"] == {"kind": "max_active", "max_active": 100}
    row = await desk.owner.fetchrow(
        "SELECT c.*, s.seats_total FROM concert c JOIN show s USING (concert_id) "
        "WHERE concert_id = $1",
        UUID(made.json()["concert_id"]),
    )
    assert (row["timezone"], row["currency"]) == ("Asia/Seoul", "KRW")
    assert (row["hold_seconds"], row["max_seats_per_user"], row["seats_total"]) == (300, 4, 50)


async def test_statistics_count_the_sale(desk: Desk) -> None:
    """GET …/stats: the line by state, the seats by state, the revenue."""
    concert = await desk.concert(waiting_room={"policy": {"kind": "max_active", "max_active": 2}})
    payer, leaver = await desk.buyer(concert, 100_000), await desk.waiting(concert)
    await payer.pay(await payer.hold(concert, 1, 2))
    await leaver.until("admitted")
    await leaver.by_token("DELETE", "/queue/tokens/me")
    holder, called = await desk.buyer(concert), await desk.waiting(concert)
    await holder.hold(concert, 3)
    await called.until("admitted")
    await desk.waiting(concert)
    stats = await desk.operate("GET", f"/admin/concerts/{concert.concert_id}/stats")
    assert stats.json() == {
        "waiting": 1,
        "called": 2,
        "claimed": 1,
        "cap": 2,
        "finished": {"paid": 1, "left": 1, "expired": 0},
        "no_show_share": 1 / 3,
        "joined_per_minute": 5,
        "admitted_per_minute": 4,
        "finished_per_minute": 2,
        "forecast": {
            "judged": 0,
            "below_p50": None,
            "below_p90": None,
            "median_error_seconds": None,
        },
        "seats": {"total": 50, "available": 47, "held": 1, "sold": 2},
        "revenue": 100_000,
        "holds_expired": 0,
    }


# Operation


async def test_health_is_reported(desk: Desk) -> None:
    """GET /healthz and /readyz."""
    assert (await desk.ask("GET", "//healthz")).json() == {"status": "ok"}
    assert (await desk.ask("GET", "//readyz")).json() == {"status": "ready"}


async def test_metrics_are_reported(desk: Desk) -> None:
    """GET /metrics in Prometheus' text format, with calls and batches."""
    await desk.fan()
    answer = re.compile(
        r'^frontrow_http_requests_total\{call="add_user",status="201"\} [1-9]', re.MULTILINE
    )

    async def is_exported() -> bool:
        return bool(answer.search((await desk.ask("GET", "//metrics")).text))

    await eventually(is_exported)
    response = await desk.ask("GET", "//metrics")
    assert 'frontrow_batch_items_count{lane="user_add"}' in response.text


async def test_valid_request_id_is_returned(desk: Desk) -> None:
    """X-Request-Id is returned if valid, created if missing, and replaced if malformed."""
    for path in ("//healthz", "/concerts", "//nowhere", "/queue/tokens/me"):
        given = await desk.ask("GET", path, headers={"X-Request-Id": "my-id_1.2"})
        assert given.headers["x-request-id"] == "my-id_1.2"
    made = {(await desk.ask("GET", "//healthz")).headers["x-request-id"] for _ in range(2)}
    assert len(made) == 2
    for bad in ("", "a b", "é", "x" * 129, "<script>"):
        other = await desk.ask("GET", "//healthz", headers={"X-Request-Id": bad.encode()})
        assert other.headers["x-request-id"] != bad


async def test_waiting_token_gets_the_time_of_the_next_poll(desk: Desk) -> None:
    """403 not_admitted has the number ahead; Retry-After agrees with poll_after_ms."""
    concert = await desk.concert(waiting_room=ONE_BY_ONE)
    await desk.buyer(concert)
    await desk.waiting(concert)
    fan = await desk.waiting(concert)
    refused = await fan.by_token("GET", f"/concerts/{concert.concert_id}/dates")
    poll_after_ms = refused.json()["poll_after_ms"]
    check_problem(refused, 403, "not_admitted", ahead=1, poll_after_ms=poll_after_ms)
    assert int(refused.headers["retry-after"]) == math.ceil(poll_after_ms / 1000)


async def test_every_documented_success_was_tested(desk: Desk) -> None:
    """Every call and every success of the document was tested."""
    seen = desk.conformance.successes
    seen.clear()
    await make_every_call(desk)
    assert set(seen) == {
        (operation["operationId"], int(status))
        for methods in document()["paths"].values()
        for operation in methods.values()
        for status in operation["responses"]
        if int(status) < 400
    }


async def test_audit_finds_no_violation(desk: Desk) -> None:
    """GET /admin/audit: each invariant with its count; all hold after these tests."""
    found = (await desk.operate("GET", "/admin/audit")).json()
    assert [f["invariant"] for f in found["findings"] if f["violations"]] == []
    assert found["violations"] == 0
    assert found["findings"]
