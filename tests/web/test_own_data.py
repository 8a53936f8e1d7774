"""A user's data over HTTP: export and erasure."""

from testkit.desk import Desk, check_problem


async def test_export_has_all_data_of_a_user(desk: Desk) -> None:
    """One document with all data, for the user alone and not cacheable."""
    concert = await desk.concert()
    fan = await desk.buyer(concert, 50_000)
    paid = await fan.pay(await fan.hold(concert, 7))
    response = await fan.by_key("GET", "/users/me/export")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "private, no-store"
    found = response.json()
    assert found["user_id"] == fan.user_id
    assert [p["payment_id"] for p in found["payments"]] == [paid["payment_id"]]
    assert [t["number"] for t in found["tickets"]] == [7]
    assert [(t["kind"], t["amount"]) for t in found["transfers"]] == [
        ("charge", 50_000), ("payment", 50_000),
    ]  # fmt: skip
    assert [(p["state"], p["reason"]) for p in found["places"]] == [("finished", "paid")]
    assert found["places"][0]["joined_at"].endswith("Z")
    assert fan.user_key not in response.text
    check_problem(await fan.by_token("GET", "/users/me/export"), 401, "credential_invalid")


async def test_erasure_ends_key_token_and_holds(desk: Desk) -> None:
    """Key and token end at once, held seats are available; bought tickets still admit."""
    concert = await desk.concert()
    fan = await desk.buyer(concert, 50_000)
    ticket = (await fan.pay(await fan.hold(concert, 1)))["tickets"][0]
    await fan.join(concert)
    await fan.until("admitted")
    await fan.hold(concert, 2)
    assert (await fan.by_key("DELETE", "/users/me")).status_code == 204
    for method, path in (("GET", "/users/me"), ("DELETE", "/users/me")):
        check_problem(await fan.by_key(method, path), 401, "credential_invalid")
    joining = {"json": {"concert_id": concert.concert_id}}
    check_problem(await fan.by_key("POST", "/queue/tokens", **joining), 401, "credential_invalid")
    dates = f"/concerts/{concert.concert_id}/dates"
    check_problem(await fan.by_token("GET", dates), 401, "token_finished", reason="left")
    other = await desk.buyer(concert)
    assert (await other.hold(concert, 2))["state"] == "held"
    let_in = await desk.operate("POST", "/admin/tickets/check-ins", json={"code": ticket["code"]})
    assert let_in.status_code == 200


async def test_remaining_balance_prevents_erasure(desk: Desk) -> None:
    """409 balance_remains, and nothing has changed."""
    concert = await desk.concert()
    fan = await desk.buyer(concert, 1_000)
    refused = await fan.by_key("DELETE", "/users/me")
    check_problem(refused, 409, "balance_remains", balance=1_000)
    assert (await fan.status())["state"] == "admitted"
    assert (await fan.by_key("GET", "/users/me")).json()["balance"] == 1_000


async def test_token_of_a_pruned_place_is_finished(desk: Desk) -> None:
    """After pruning the token has ended: the poll says so, other calls are 401 token_finished."""
    concert = await desk.concert()
    fan = await desk.buyer(concert)
    await fan.by_token("DELETE", "/queue/tokens/me")
    pruned = await desk.owner.fetchval(
        """SELECT waiting_room_prune(room_id, clock_timestamp(), 9) FROM waiting_room
        WHERE concert_id = $1""",
        concert.concert_id,
    )
    assert pruned == 1
    gone = await fan.until("finished")
    assert gone["reason"] == "expired"
    dates = f"/concerts/{concert.concert_id}/dates"
    for method, path, body in (
        ("GET", dates, {}),
        ("DELETE", "/queue/tokens/me", {}),
        ("POST", "/reservations", {"json": {"date": concert.date, "seats": [1]}}),
    ):
        answer = await fan.by_token(method, path, **body)
        check_problem(answer, 401, "token_finished", reason="expired")
    assert (await fan.join(concert))["number"] == 2


async def test_audit_finds_no_violation(desk: Desk) -> None:
    """After all these tests every invariant holds."""
    found = (await desk.operate("GET", "/admin/audit")).json()
    assert [f["invariant"] for f in found["findings"] if f["violations"]] == []
