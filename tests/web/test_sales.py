"""The operator's view of a sale: shows, payments, holds, look-ups, history, check-ins."""

from typing import Any
from uuid import uuid4

import pytest

from testkit.desk import Concert, Desk, Fan, Json, check_problem, eventually
from tests.buyers import pass_time

ONE_BY_ONE = {"policy": {"kind": "max_active", "max_active": 1}}


async def bought(desk: Desk, concert: Concert, *seats: int) -> tuple[Fan, Json]:
    """Returns a new fan with a purchase."""
    fan = await desk.buyer(concert, 50_000 * len(seats))
    return fan, await fan.pay(await fan.hold(concert, *seats))


async def operator_answer(desk: Desk, path: str, **params: Any) -> Json:
    """Returns the operator's answer."""
    response = await desk.operate("GET", f"/admin{path}", params=params)
    assert response.status_code == 200, response.text
    found: Json = response.json()
    return found


async def test_shows_have_their_sales(desk: Desk) -> None:
    """GET …/shows: seats by state and revenue of each show; no revenue of a cancelled one."""
    concert = await desk.concert(shows=2)
    await bought(desk, concert, 1, 2)
    await (await desk.buyer(concert)).hold(concert, 3)
    cancelled = concert.shows[1]["show_id"]
    await desk.operate("POST", f"/admin/shows/{cancelled}/cancellation")
    first, second = (await operator_answer(desk, f"/concerts/{concert.concert_id}/shows"))["shows"]
    assert (first["show_id"], first["date"]) == (concert.shows[0]["show_id"], concert.date)
    assert first["seats"] == {"total": 50, "available": 47, "held": 1, "sold": 2}
    assert (first["revenue"], first["cancelled_at"]) == (100_000, None)
    assert first["sales_end_at"] == first["starts_at"]
    assert second["seats"] == {"total": 50, "available": 0, "held": 0, "sold": 0}
    assert second["cancelled_at"] is not None


async def test_payments_of_a_concert_are_listed(desk: Desk) -> None:
    """GET …/payments: newest first, by page, each once; of this concert only; without codes."""
    concert, other = await desk.concert(), await desk.concert()
    made = [await bought(desk, concert, number) for number in range(1, 6)]
    await bought(desk, other, 1)
    path = f"/concerts/{concert.concert_id}/payments"
    pages: list[list[str]] = []
    after: Json = {}
    while True:
        page = await operator_answer(desk, path, limit=2, **after)
        pages.append([payment["payment_id"] for payment in page["payments"]])
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    newest = [payment["payment_id"] for _, payment in reversed(made)]
    assert pages == [newest[:2], newest[2:4], newest[4:]]
    fan, payment = made[-1]
    (one,) = (await operator_answer(desk, path, limit=1))["payments"]
    (ticket,) = payment["tickets"]
    assert one["tickets"] == [
        {
            "ticket_id": ticket["ticket_id"],
            "number": 5,
            "state": "valid",
            "checked_in_at": None,
            "gate": None,
        }
    ]
    assert (one["user_id"], one["amount"], one["state"]) == (fan.user_id, 50_000, "paid")
    assert (one["show_id"], one["refunded_at"]) == (concert.shows[0]["show_id"], None)
    assert ticket["code"] not in str(one)
    # A page after a payment of another concert is empty, not the first page.
    assert await operator_answer(desk, path, after=str(uuid4())) == {"payments": [], "next": None}


async def test_id_is_looked_up(desk: Desk) -> None:
    """GET /admin/lookups/…: by payment, reservation, ticket or user, with its current state."""
    concert = await desk.concert()
    fan, payment = await bought(desk, concert, 1, 2)
    used, kept = payment["tickets"]
    scan = {"code": used["code"], "gate": "North"}
    await desk.operate("POST", "/admin/tickets/check-ins", json=scan)
    ids = (payment["payment_id"], payment["reservation_id"], kept["ticket_id"], fan.user_id)
    for any_id in ids:
        (found,) = (await operator_answer(desk, f"/lookups/{any_id}"))["payments"]
        assert found["payment_id"] == payment["payment_id"]
        assert [ticket["state"] for ticket in found["tickets"]] == ["used", "valid"]
        assert found["tickets"][0]["gate"] == "North"
    _, other = await bought(desk, concert, 3)
    await desk.operate("POST", f"/admin/payments/{other['payment_id']}/refunds")
    (found,) = (await operator_answer(desk, f"/lookups/{other['payment_id']}"))["payments"]
    assert (found["state"], found["refund_reason"]) == ("refunded", "operator")
    assert [ticket["state"] for ticket in found["tickets"]] == ["void"]


async def test_holds_are_listed_by_their_end(desk: Desk) -> None:
    """GET …/holds: the earliest end first, as many as requested; no ended or paid ones."""
    concert, other = await desk.concert(), await desk.concert()
    await (await desk.buyer(other)).hold(other, 1)
    await bought(desk, concert, 1)
    held = [await (await desk.buyer(concert)).hold(concert, number) for number in (2, 3, 4)]
    path = f"/concerts/{concert.concert_id}/holds"
    found = (await operator_answer(desk, path))["holds"]
    assert [hold["reservation_id"] for hold in found] == [one["reservation_id"] for one in held]
    assert [hold["seats"] for hold in found] == [[2], [3], [4]]
    assert found[0]["held_until"] == held[0]["held_until"]
    assert (await operator_answer(desk, path, limit=1))["holds"] == found[:1]
    await pass_time(desk.database, 600)
    assert (await operator_answer(desk, path))["holds"] == []


async def test_history_has_the_last_hour(desk: Desk) -> None:
    """GET …/history: joins, admissions, payments and ends by minute, and the counts then."""
    concert = await desk.concert(waiting_room=ONE_BY_ONE)
    payer, leaver = await desk.buyer(concert, 50_000), await desk.waiting(concert)
    gives_up, stays = await desk.waiting(concert), await desk.waiting(concert)
    await gives_up.by_token("DELETE", "/queue/tokens/me")
    await pass_time(desk.database, 180)  # all of that was three minutes ago
    await payer.pay(await payer.hold(concert, 1))
    await leaver.until("admitted")
    await leaver.by_token("DELETE", "/queue/tokens/me")
    await stays.until("admitted")
    told_of = (await operator_answer(desk, f"/concerts/{concert.concert_id}/history", minutes=10))[
        "minutes"
    ]
    assert len(told_of) == 10
    kinds = ("joined", "called", "paid", "gone", "gave_up")
    # The events before and after the change of time may be on both sides of a full minute.
    before, after = told_of[:8], told_of[8:]
    assert [sum(minute[kind] for minute in before) for kind in kinds] == [4, 1, 0, 0, 1]
    assert [sum(minute[kind] for minute in after) for kind in kinds] == [0, 2, 1, 1, 0]
    assert [(told_of[n]["waiting"], told_of[n]["admitted"]) for n in (0, 7, 9)] == [
        (0, 0), (2, 1), (0, 1),
    ]  # fmt: skip
    line_now = await operator_answer(desk, f"/concerts/{concert.concert_id}/stats")
    assert (line_now["waiting"], line_now["called"]) == (0, 1)


async def test_history_of_an_empty_line_is_zero(desk: Desk) -> None:
    """An hour of zeros, the current minute last."""
    concert = await desk.concert()
    found = await operator_answer(desk, f"/concerts/{concert.concert_id}/history")
    times = [minute["at"] for minute in found["minutes"]]
    assert (len(times), times) == (60, sorted(times))
    assert times[-1][:16] == found["as_of"][:16]
    assert {value for one in found["minutes"] for key, value in one.items() if key != "at"} == {0}


async def test_operator_reads_the_seats_of_a_show(desk: Desk) -> None:
    """GET …/shows/{id}/seats: without a place, the same as for a buyer, in each form."""
    concert = await desk.concert(shows=1)
    fan = await desk.buyer(concert)
    show_id = concert.shows[0]["show_id"]
    theirs = f"/concerts/{concert.concert_id}/dates/{concert.date}/seats"
    mine = f"/admin/shows/{show_id}/seats"
    for params in ({}, {"available": "true"}, {"form": "compact"}):
        a_buyer = await fan.by_token("GET", theirs, params=params)
        operator = await desk.operate("GET", mine, params=params)
        assert operator.content == a_buyer.content
        assert operator.headers["etag"] == a_buyer.headers["etag"]
    version = operator.json()["version"]
    etag = {"If-None-Match": operator.headers["etag"]}
    assert (await desk.operate("GET", mine, headers=etag)).status_code == 304
    await fan.hold(concert, 7, 8)
    changed = await desk.operate("GET", mine, params={"form": "compact", "since": version})
    assert (changed.json()["numbers"], changed.json()["states"]) == ([7, 8], "hh")
    await desk.operate("POST", f"/admin/shows/{show_id}/cancellation")

    async def is_free() -> bool:
        seats = (await desk.operate("GET", mine, params={"form": "compact"})).json()
        return bool(seats["states"] == "a" * 50)

    await eventually(is_free)


async def test_check_ins_are_counted(desk: Desk) -> None:
    """GET …/check-ins: the valid tickets; void ones don't count."""
    concert = await desk.concert()
    _, payment = await bought(desk, concert, 1, 2)
    _, other = await bought(desk, concert, 3)
    await desk.operate("POST", f"/admin/payments/{other['payment_id']}/refunds")
    scan = {"code": payment["tickets"][0]["code"]}
    await desk.operate("POST", "/admin/tickets/check-ins", json=scan)
    show_id = concert.shows[0]["show_id"]
    found = await operator_answer(desk, f"/shows/{show_id}/check-ins")
    assert found == {"show_id": show_id, "tickets": 2, "checked_in": 1}


OF_A_CONCERT = [f"/concerts/{{id}}/{what}" for what in ("shows", "payments", "holds", "history")]
OF_A_SHOW = ["/shows/{id}/seats", "/shows/{id}/check-ins"]


@pytest.mark.parametrize("path", [*OF_A_CONCERT, *OF_A_SHOW, "/lookups/{id}"])
async def test_unknown_id_is_not_found(desk: Desk, path: str) -> None:
    """An unknown id is 404, a malformed one 422; without the operator's key 401."""
    known = f"/admin{path}".format(id=uuid4())
    check_problem(await desk.operate("GET", known), 404, "not_found")
    response = await desk.operate("GET", f"/admin{path}".format(id="x"))
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    check_problem(await desk.ask("GET", known), 401, "credential_missing")
    fan = await desk.fan()
    check_problem(await fan.by_key("GET", known), 401, "credential_invalid")


@pytest.mark.parametrize(
    ("path", "query", "pointer"),
    [
        ("/concerts/{concert}/payments", "limit=0", "limit"),
        ("/concerts/{concert}/payments", "limit=101", "limit"),
        ("/concerts/{concert}/payments", "after=x", "after"),
        ("/concerts/{concert}/holds", "limit=201", "limit"),
        ("/concerts/{concert}/holds", "limit=0", "limit"),
        ("/concerts/{concert}/history", "minutes=0", "minutes"),
        ("/concerts/{concert}/history", "minutes=241", "minutes"),
        ("/concerts/{concert}/history", "hours=1", "hours"),
        ("/concerts/{concert}/shows", "all=true", "all"),
        ("/shows/{show}/seats", "since=x", "since"),
        ("/shows/{show}/seats", "available=true&form=compact", ""),
        ("/shows/{show}/seats", "show_id={show}", "show_id"),
    ],
)
async def test_invalid_query_is_refused(desk: Desk, path: str, query: str, pointer: str) -> None:
    """Each bound of the queries: 422 with its name."""
    concert = await desk.concert()
    named = {"concert": concert.concert_id, "show": concert.shows[0]["show_id"]}
    response = await desk.operate("GET", f"/admin{path}?{query}".format(**named))
    assert response.status_code == 422, response.text
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
