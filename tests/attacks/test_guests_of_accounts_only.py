"""A sale for users of an issuer: guests try to join it and to hold its seats."""

from typing import Any

from testkit.database import Database
from testkit.desk import Desk, Fan, check_problem, open_desk
from testkit.issuer import AUDIENCE, Issuer, running_issuer


async def test_guests_are_refused(database: Database) -> None:
    """At joining and at holding, also with a place from before; users of the issuer are not."""
    with running_issuer() as issuer:
        settings: dict[str, Any] = {"oidc_issuer": issuer.address, "oidc_audience": AUDIENCE}
        async with open_desk(database, **settings, guests=True) as desk:
            await _try(desk, issuer)


async def _try(desk: Desk, issuer: Issuer) -> None:
    """Lets guests and a user of the issuer try both."""
    closed = await desk.concert(guests=False)
    guest = await desk.fan()
    refused = await guest.by_key("POST", "/queue/tokens", json={"concert_id": closed.concert_id})
    check_problem(refused, 403, "sign_in_required")
    member = Fan(desk, "", issuer.token("member").decode())
    await member.join(closed)
    await member.until("admitted")
    await member.hold(closed, 1)
    later = await desk.concert()
    buyer = await desk.buyer(later)
    path = f"/admin/concerts/{later.concert_id}"
    assert (await desk.operate("PATCH", path, json={"guests": False})).status_code == 200
    for wanted in ({"seats": [1]}, {"count": 1}):
        answer = await buyer.by_token("POST", "/reservations", json={"date": later.date, **wanted})
        check_problem(answer, 403, "sign_in_required")


async def test_server_without_issuer_has_no_such_concerts(database: Database) -> None:
    """A concert that nobody could join is refused."""
    async with open_desk(database) as desk:
        concert = await desk.concert()
        answer = await desk.operate(
            "PATCH", f"/admin/concerts/{concert.concert_id}", json={"guests": False}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert answer.json()["errors"][0]["pointer"] == "/guests"
