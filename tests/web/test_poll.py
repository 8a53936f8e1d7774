"""The tag of the poll identifies the place and every value that may change."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from frontrow.waiting_room.model import Eta, Status
from frontrow.web.api.line import etag
from testkit.desk import Desk

# The headers that identify the user: a token, or a page's cookie with its concert.
VARY = "authorization, cookie, frontrow-concert"
PATH = "/queue/tokens/me"
AT = datetime(2027, 3, 14, 10, tzinfo=UTC)
PLACE = UUID("6c84fb90-12c4-41e1-840d-725ee2d0e5ee")
STATUS = Status(
    user_id=uuid4(),
    concert_id=uuid4(),
    number=7,
    position=3,
    state="waiting",
    ahead=2,
    eta_seconds=Eta(60, 90),
    poll_after_ms=1_500,
    room_state="open",
    sale="open",
    seats_available=40,
    seats_outnumbered=False,
    issued_at=AT,
    admitted_at=None,
    claimed_at=None,
    expires_at=None,
    reason=None,
)
FINISHED = replace(STATUS, state="finished", ahead=0, eta_seconds=None, reason="expired")


@pytest.mark.parametrize(
    ("before", "change"),
    [
        (STATUS, {"position": None}),
        (STATUS, {"ahead": 1}),
        (STATUS, {"eta_seconds": None}),
        (STATUS, {"eta_seconds": Eta(60, 91)}),
        (STATUS, {"eta_seconds": Eta(61, 90)}),
        (STATUS, {"seats_available": 41}),
        *[(STATUS, {"sale": sale}) for sale in ("ended", "cancelled")],
        (STATUS, {"state": "admitted", "expires_at": AT}),
        *[(STATUS, {"room_state": s}) for s in ("scheduled", "paused", "sold_out", "closed")],
        (
            replace(STATUS, state="admitted", expires_at=AT),
            {"claimed_at": AT, "expires_at": AT + timedelta(microseconds=1)},
        ),
        (FINISHED, {"reason": "paid"}),
        (FINISHED, {"reason": "left"}),
    ],
)
def test_change_has_another_tag(before: Status, change: dict[str, Any]) -> None:
    """Also from expired to paid; jitter alone is not a change."""
    tag = etag(PLACE, 120, before)
    assert etag(PLACE, 120, replace(before, poll_after_ms=1_999)) == tag
    assert etag(PLACE, 120, replace(before, **change)) != tag


def test_other_place_has_another_tag() -> None:
    """Two places with equal status, or two claim windows, which limit the next poll."""
    tags = {etag(place, seconds, STATUS) for place in (PLACE, uuid4()) for seconds in (2, 120)}
    assert len(tags) == 4


async def test_two_undrawn_places_have_different_tags(desk: Desk) -> None:
    """Their statuses are equal, and neither gets 304 for the tag of the other."""
    opens_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    concert = await desk.concert(
        waiting_room={
            "policy": {"kind": "max_active", "max_active": 1},
            "order": "draw",
            "opens_at": opens_at,
        }
    )
    fans = [await desk.waiting(concert) for _ in range(2)]
    answers = [await fan.by_token("GET", PATH) for fan in fans]
    first, second = (answer.json() for answer in answers)
    own = {name for name, value in first.items() if second[name] != value}
    assert own - {"poll_after_ms", "issued_at"} == {"user_id", "number"}
    tags = [answer.headers["etag"] for answer in answers]
    assert [answer.headers["vary"] for answer in answers] == [VARY] * 2
    for fan, known, status in (
        (fans[0], tags[0], 304),
        (fans[0], tags[1], 200),
        (fans[1], tags[0], 200),
        (fans[1], tags[1], 304),
    ):
        answer = await fan.by_token("GET", PATH, headers={"If-None-Match": known})
        assert answer.status_code == status
        assert answer.headers["vary"] == VARY


async def test_shorter_claim_window_changes_the_tag(desk: Desk) -> None:
    """A shorter poll interval is sent: the earlier status with the longer one is not current."""
    room = {"policy": {"kind": "max_active", "max_active": 1}, "session_seconds": 86_400}
    concert = await desk.concert(waiting_room=room)
    await desk.buyer(concert)
    fan = await desk.waiting(concert)
    tag = (await fan.by_token("GET", PATH)).headers["etag"]
    path = f"/admin/concerts/{concert.concert_id}/waiting-room"
    await desk.operate("PUT", path, json={**room, "claim_seconds": 2})
    answer = await fan.by_token("GET", PATH, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.headers["etag"] != tag) == (200, True)
    assert answer.json()["poll_after_ms"] <= 667


async def test_place_that_the_database_lost_is_refused(desk: Desk) -> None:
    """After a restore of an older backup its token is refused; joining works."""
    room = {"policy": {"kind": "max_active", "max_active": 1}}
    concert = await desk.concert(waiting_room=room)
    await desk.buyer(concert)
    lost = await desk.waiting(concert)
    await desk.lose_places(concert, after=1)
    replacing = await desk.waiting(concert)
    assert (await replacing.by_token("GET", PATH)).json()["number"] == 2
    for method, path in (("GET", PATH), ("GET", f"{PATH}/events"), ("DELETE", PATH)):
        answer = await lost.by_token(method, path)
        assert (answer.status_code, answer.json()["code"]) == (401, "credential_invalid"), path
    joined = await lost.by_key("POST", "/queue/tokens", json={"concert_id": concert.concert_id})
    assert (joined.status_code, joined.json()["number"]) == (201, 3)
