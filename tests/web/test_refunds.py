"""Refunds and cancelled shows over HTTP: answers and refusals."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from testkit.desk import Concert, Desk, Fan, Json, check_problem, eventually, starts_at


async def bought(desk: Desk, *seats: int, **concert: Any) -> tuple[Concert, Fan, Json]:
    """Returns a fan who has spent the whole balance on seats of a new concert."""
    made = await desk.concert(**concert)
    fan = await desk.buyer(made, 50_000 * len(seats))
    return made, fan, await fan.pay(await fan.hold(made, *seats))


async def test_operator_refunds_a_payment(desk: Desk) -> None:
    """POST /admin/payments/{id}/refunds: 201 and the refunded payment; then 200 and the same."""
    concert, fan, payment = await bought(desk, 7, 8)
    path = f"/admin/payments/{payment['payment_id']}/refunds"
    refunded = await desk.operate("POST", path)
    assert refunded.status_code == 201
    body = refunded.json()
    refund = body["refund"]
    tickets = [{**ticket, "code": None} for ticket in payment["tickets"]]
    assert body == {**payment, "state": "refunded", "tickets": tickets, "refund": refund}
    assert refund == {
        "refund_id": refund["refund_id"],
        "amount": 100_000,
        "balance": 100_000,
        "refunded_at": refund["refunded_at"],
        "reason": "operator",
    }
    again = await desk.operate("POST", path)
    assert (again.status_code, again.json()) == (200, body)
    assert (await fan.by_key("GET", f"/payments/{payment['payment_id']}")).json() == body
    me = (await fan.by_key("GET", "/users/me")).json()
    assert (me["balance"], me["payments"]) == (100_000, [body])
    assert [one["state"] for one in me["reservations"]] == ["refunded"]
    assert [(one["state"], one["void_reason"]) for one in me["tickets"]] == [
        ("void", "refunded")
    ] * 2
    transfers = (await fan.by_key("GET", f"/users/{fan.user_id}/balance/transfers")).json()
    assert transfers["transfers"][0] == {
        "transfer_id": refund["refund_id"],
        "kind": "refund",
        "amount": 100_000,
        "balance": 100_000,
        "reference": payment["payment_id"],
        "created_at": refund["refunded_at"],
    }
    other = await desk.buyer(concert, 100_000)
    assert (await other.pay(await other.hold(concert, 7, 8)))["seats"] == [7, 8]


async def test_buyer_refunds_a_payment(desk: Desk) -> None:
    """POST /payments/{id}/refunds, if the concert allows it; the key makes repeating it safe."""
    _, fan, payment = await bought(desk, 1, refundable_until=starts_at(20))
    path = f"/payments/{payment['payment_id']}/refunds"
    headers = {"Idempotency-Key": "changed my mind"}
    first = await fan.by_key("POST", path, headers=headers)
    again = await fan.by_key("POST", path, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert first.json()["refund"]["reason"] == "buyer"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert (await fan.by_key("POST", path)).status_code == 200


async def test_concert_has_the_end_of_refunds(desk: Desk) -> None:
    """refundable_until is set with the concert, changed by PATCH, and public."""
    until = starts_at(20)
    concert = await desk.concert(refundable_until=until)

    async def public_time() -> str | None:
        listed = (await desk.ask("GET", "/concerts")).json()["concerts"]
        (own,) = [one for one in listed if one["concert_id"] == concert.concert_id]
        found: str | None = own["refundable_until"]
        return found

    assert await public_time() == until.replace("+00:00", "Z")
    path = f"/admin/concerts/{concert.concert_id}"
    await desk.operate("PATCH", path, json={"title": "Another"})
    assert await public_time() == until.replace("+00:00", "Z")
    changed = await desk.operate("PATCH", path, json={"refundable_until": None})
    assert changed.json() == {"refundable_until": None}
    assert await public_time() is None


async def test_refund_is_refused(still_desk: Desk) -> None:
    """409 refund_closed if not allowed; 404 for another user's or an unknown payment; 422."""
    desk = still_desk
    _, fan, payment = await bought(desk, 1)
    over = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    _, late, other = await bought(desk, 1, refundable_until=over)
    before = await desk.digest()
    for who, one in ((fan, payment), (late, other)):
        path = f"/payments/{one['payment_id']}/refunds"
        check_problem(await who.by_key("POST", path), 409, "refund_closed")
    for path in (f"/payments/{other['payment_id']}/refunds", f"/payments/{uuid4()}/refunds"):
        check_problem(await fan.by_key("POST", path), 404, "not_found")
    check_problem(
        await desk.operate("POST", f"/admin/payments/{uuid4()}/refunds"),
        404,
        "not_found",
    )
    assert await desk.digest() == before


async def test_key_of_another_refund_is_refused(desk: Desk) -> None:
    """422 for a key that has refunded another payment."""
    payments = [(await bought(desk, 1))[2]["payment_id"] for _ in range(2)]
    headers = {"Idempotency-Key": "once"}
    await desk.operate("POST", f"/admin/payments/{payments[0]}/refunds", headers=headers)
    check_problem(
        await desk.operate("POST", f"/admin/payments/{payments[1]}/refunds", headers=headers),
        422,
        "idempotency_key_reused",
    )


@pytest.mark.parametrize(
    "until", ["tomorrow", "2027-03-07", "2027-03-07T10:00:00", 5, "9999-01-01T00:00:00Z", ""]
)
async def test_invalid_end_of_refunds_is_refused(desk: Desk, until: Any) -> None:
    """refundable_until is an RFC 3339 time with an offset and a valid year."""
    concert = await desk.concert()
    show = {"starts_at": starts_at(), "price": 1}
    for method, path, body in (
        ("PATCH", f"/admin/concerts/{concert.concert_id}", {"refundable_until": until}),
        (
            "POST",
            "/admin/concerts",
            {"title": "The Test", "shows": [show], "refundable_until": until},
        ),
    ):
        answer = await desk.operate(method, path, json=body)
        errors = answer.json()["errors"]
        check_problem(answer, 422, "invalid_request", errors=errors)
        year = isinstance(until, str) and until.startswith("9999")
        assert [error["pointer"] for error in errors] == ["" if year else "/refundable_until"]


async def test_cancelled_show_is_refunded(desk: Desk) -> None:
    """POST and GET …/cancellation: 202 with the progress; upkeep refunds the payments."""
    concert, fan, payment = await bought(desk, 7, 8, shows=2)
    holder = await desk.buyer(concert, 50_000)
    held = await holder.hold(concert, 1)
    path = f"/admin/shows/{concert.shows[0]['show_id']}/cancellation"
    check_problem(await desk.operate("GET", path), 404, "not_found")
    begun = await desk.operate("POST", path)
    assert begun.status_code == 202
    body = begun.json()
    assert (body["show_id"], body["payments_total"]) == (
        concert.shows[0]["show_id"],
        1,
    )

    seats = f"/concerts/{concert.concert_id}/dates/{concert.date}/seats"
    pay = {"reservation_id": held["reservation_id"], "amount": held["amount"]}
    for asking in (
        holder.by_token("POST", "/reservations", json={"date": concert.date, "seats": [9]}),
        holder.by_token("POST", "/payments", json=pay),
    ):
        check_problem(await asking, 409, "show_closed")

    async def is_closed() -> bool:
        return (await holder.by_token("GET", seats)).status_code == 409

    await eventually(is_closed)
    check_problem(await holder.by_token("GET", seats), 409, "show_closed")
    dates = (await holder.by_token("GET", f"/concerts/{concert.concert_id}/dates")).json()
    assert [day["date"] for day in dates["dates"]] == [concert.shows[1]["date"]]

    async def is_done() -> bool:
        return bool((await desk.operate("GET", path)).json()["state"] == "cancelled")

    await eventually(is_done)
    done = (await desk.operate("GET", path)).json()
    assert done == {
        "show_id": concert.shows[0]["show_id"],
        "state": "cancelled",
        "payments_total": 1,
        "payments_refunded": 1,
        "seats_freed": 2,
        "amount_refunded": 100_000,
        "started_at": body["started_at"],
        "finished_at": done["finished_at"],
    }
    again = await desk.operate("POST", path)
    assert (again.status_code, again.json()) == (202, done)
    me = (await fan.by_key("GET", "/users/me")).json()
    assert me["balance"] == 100_000
    assert me["payments"][0]["refund"]["reason"] == "show_cancelled"
    assert {ticket["void_reason"] for ticket in me["tickets"]} == {"show_cancelled"}
    code = payment["tickets"][0]["code"]
    scanned = await desk.operate("POST", "/admin/tickets/check-ins", json={"code": code})
    check_problem(scanned, 409, "ticket_void", reason="show_cancelled")
    sale = f"/admin/shows/{concert.shows[0]['show_id']}"
    reopened = await desk.operate("PATCH", sale, json={"sales_end_at": starts_at(30)})
    check_problem(reopened, 409, "show_closed")


async def test_only_the_operator_cancels_a_show(desk: Desk) -> None:
    """A user's key is refused, and an unknown show is 404."""
    concert = await desk.concert()
    path = f"/admin/shows/{concert.shows[0]['show_id']}/cancellation"
    fan = await desk.fan()
    for method in ("POST", "GET"):
        check_problem(await fan.by_key(method, path), 401, "credential_invalid")
        missing = f"/admin/shows/{uuid4()}/cancellation"
        check_problem(await desk.operate(method, missing), 404, "not_found")
