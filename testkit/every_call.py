"""Every call of the API in the order of one evening, for a test and for the documents."""

import asyncio
from datetime import UTC, datetime, timedelta

from testkit.desk import OPEN, Concert, Desk, Fan, Json, eventually, open_desk, starts_at
from testkit.serving import OPERATOR_KEY
from testkit.visitors import visiting


def soon(*, seconds: float) -> str:
    """Returns a time a moment from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def make_every_call(desk: Desk) -> None:
    """Makes every call of the document, until each documented success was seen."""
    concert = await desk.concert(shows=2)
    fan = await desk.buyer(concert, 100_000)
    base, headers = f"/concerts/{concert.concert_id}", {}
    assert (await fan.join(concert))["number"] == 1
    for path in ("/queue/tokens/me", f"{base}/dates/{concert.date}/seats"):
        headers = {"If-None-Match": (await fan.by_token("GET", path)).headers["etag"]}
        await fan.by_token("GET", path, headers=headers)
    await fan.by_token("GET", f"{base}/dates")
    stream = asyncio.create_task(fan.by_token("GET", "/queue/tokens/me/events"))
    await eventually(lambda: is_streaming(desk))
    released, held = await fan.hold(concert, 1), await fan.hold(concert, 2)
    await fan.by_key("DELETE", f"/reservations/{released['reservation_id']}")
    await fan.by_key("GET", f"/reservations/{held['reservation_id']}")
    payment = await fan.pay(held)
    await stream  # the payment ends it
    await fan.by_token(
        "POST", "/payments", json={"reservation_id": held["reservation_id"], "amount": 50_000}
    )
    ticket_id = payment["tickets"][0]["ticket_id"]
    for path in (
        "/users/me",
        f"/users/{fan.user_id}/balance/transfers",
        "/payments",
        f"/payments/{payment['payment_id']}",
        "/tickets/keys",
        f"/tickets/{ticket_id}",
        f"/tickets/{ticket_id}/qr.svg",
        f"/tickets/{ticket_id}/print",
        f"/tickets/{ticket_id}/calendar.ics",
        "/concerts",
        base,
        "/session",
        "//healthz",
        "//readyz",
        "//metrics",
        "//openapi.json",
        "//docs",
    ):
        await fan.by_key("GET", path)
    for path in ("/concerts", base):
        known = {"If-None-Match": (await desk.ask("GET", path)).headers["etag"]}
        await desk.ask("GET", path, headers=known)
    await desk.operate("PATCH", f"/admin{base}", json={"refundable_until": starts_at(20)})
    refunds = f"/payments/{payment['payment_id']}/refunds"
    for _ in range(2):
        await fan.by_key("POST", refunds, headers={"Idempotency-Key": "back"})
    await fan.by_key("POST", refunds)
    await desk.operate("POST", f"/admin{refunds}")
    again = await buy_again(fan, concert, 2)
    await desk.operate("POST", f"/admin/payments/{again['payment_id']}/refunds")
    scan = {"code": (await buy_again(fan, concert, 3))["tickets"][0]["code"]}
    await desk.operate("POST", "/admin/tickets/check-ins", json=scan)
    await change_keys(desk)
    await proof_of_work_is_required(desk)
    await (await desk.waiting(concert)).by_token("DELETE", "/queue/tokens/me")
    await desk.ask("GET", f"{base}/queue")
    drawn = await desk.concert(
        waiting_room={"order": "draw", "opens_at": soon(seconds=1), "policy": OPEN}
    )
    entrant = await desk.waiting(drawn)
    await entrant.until("admitted")
    await desk.ask("GET", f"/concerts/{drawn.concert_id}/queue/draw")
    await desk.ask("GET", f"/concerts/{drawn.concert_id}/queue/draw/entries")
    room = f"/admin{base}/waiting-room"
    await desk.operate("PUT", room, json={"policy": OPEN})
    for method, path in (
        ("GET", room),
        ("POST", f"{room}/pause"),
        ("POST", f"{room}/resume"),
        ("GET", f"/admin{base}/stats"),
        ("GET", f"/admin{base}/order"),
        ("GET", f"/admin{base}/shows"),
        ("GET", f"/admin{base}/payments"),
        ("GET", f"/admin{base}/holds"),
        ("GET", f"/admin{base}/history"),
        ("GET", f"/admin/lookups/{fan.user_id}"),
        ("GET", "/admin/audit"),
    ):
        await desk.operate(method, path)
    show = {"starts_at": starts_at(90), "price": 1}
    await desk.operate("POST", f"/admin{base}/shows", json={"shows": [show]})
    cancellation = f"/admin/shows/{concert.shows[1]['show_id']}/cancellation"
    for method in ("POST", "GET"):
        await desk.operate(method, cancellation)
    sale = f"/admin/shows/{concert.shows[0]['show_id']}"
    await desk.operate("PATCH", sale, json={"sales_end_at": None})
    await read_show(desk, sale)
    await sign_in_and_out(desk)


async def proof_of_work_is_required(desk: Desk) -> None:
    """Makes the calls that succeed only on a server that requires proof of work."""
    async with open_desk(desk.database, guest_challenge=1) as other:
        other.conformance = desk.conformance
        await other.ask("GET", "/users/challenge")


async def change_keys(desk: Desk) -> None:
    """Makes every successful call about user keys and signing keys."""
    fan = await desk.fan()
    await fan.by_key("DELETE", "/users/me/keys")
    await fan.by_key("POST", "/users/me/keys", json={})
    for method in ("POST", "DELETE"):
        await desk.operate(method, f"/admin/users/{fan.user_id}/keys")
    coming = await desk.operate("POST", "/admin/keys/rotations", json={})
    await desk.operate("POST", f"/admin/keys/{coming.json()['key_id']}/retire")
    await desk.operate("GET", "/admin/keys")
    gone = await desk.fan()
    await gone.by_key("GET", "/users/me/export")
    await gone.by_key("DELETE", "/users/me")


async def read_show(desk: Desk, show: str) -> None:
    """Makes the operator's calls about a show: check-ins, seats, and changed seats."""
    await desk.operate("GET", f"{show}/check-ins")
    seats = await desk.operate("GET", f"{show}/seats")
    known = {"If-None-Match": seats.headers["etag"]}
    await desk.operate("GET", f"{show}/seats", headers=known)


async def sign_in_and_out(desk: Desk) -> None:
    """Starts and ends sessions of a browser, a fan's and the operator's."""
    async with visiting(desk) as visitor:
        for _ in range(2):
            await visitor.sign_in()
        await visitor.ask("DELETE", "/session")
        await visitor.ask("POST", "/admin/session", OPERATOR_KEY)
        await visitor.ask("DELETE", "/admin/session")


async def buy_again(fan: Fan, concert: Concert, seat: int) -> Json:
    """Goes through the line once more; returns the payment."""
    await fan.join(concert)
    await fan.until("admitted")
    return await fan.pay(await fan.hold(concert, seat))


async def is_streaming(desk: Desk) -> bool:
    """Returns whether a stream is open."""
    return "\nfrontrow_streams 1.0\n" in (await desk.ask("GET", "//metrics")).text
