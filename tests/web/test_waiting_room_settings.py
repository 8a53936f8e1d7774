"""Invalid settings of a waiting room over HTTP: each error names its field, nothing changes."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from testkit.desk import OPEN, Concert, Desk, Fan, Json, check_problem

KEEP: Json = {
    "policy": {"kind": "max_active_and_rate", "max_active": 7, "admit": 5, "every_seconds": 60},
    "session_seconds": 300,
    "claim_seconds": 60,
    "order": "arrival",
}


def at(seconds: float) -> str:
    """Returns a time from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def room(concert: Concert) -> str:
    """Returns the path of the concert's waiting room."""
    return f"/admin/concerts/{concert.concert_id}/waiting-room"


def pointers(response: httpx2.Response) -> list[str]:
    """Returns the fields that the errors name."""
    return [error["pointer"] for error in response.json()["errors"]]


async def refused(desk: Desk, concert: Concert, body: Json, *where: str) -> None:
    """Asserts that a body is refused for these fields; GET and the database are unchanged."""
    before = (await desk.operate("GET", room(concert))).json()
    stood = await _stored(desk)
    response = await desk.operate("PUT", room(concert), json=body)
    check_problem(response, 422, "invalid_request", errors=response.json().get("errors"))
    assert pointers(response) == list(where)
    assert all(error["detail"] for error in response.json()["errors"])
    assert (await desk.operate("GET", room(concert))).json() == before
    assert await _stored(desk) == stood


async def _stored(desk: Desk) -> list[Any]:
    """Returns all lines with the history of their policies and their draws."""
    return [
        await desk.owner.fetch(f"SELECT * FROM {table} ORDER BY room_id")  # noqa: S608 - from here
        for table in ("waiting_room", "policy_change", "draw")
    ]


@pytest.fixture(scope="module")
async def concert(desk: Desk) -> Concert:
    """A concert with its own settings of the line."""
    return await desk.concert(waiting_room={**KEEP, "opens_at": at(3_600), "closes_at": at(7_200)})


BOTH = {"kind": "max_active_and_rate", "max_active": 5, "admit": 5, "every_seconds": 5}
ADAPTIVE = {"kind": "adaptive", "min_active": 2, "max_active": 9, "target_p95_ms": 200}


@pytest.mark.parametrize(
    ("policy", "where"),
    [
        *[
            ({**policy, field: value}, f"/{field}")
            for policy, fields in (
                ({"kind": "max_active", "max_active": 5}, ("max_active",)),
                ({"kind": "rate", "admit": 5, "every_seconds": 5}, ("admit", "every_seconds")),
                (BOTH, ("max_active", "admit", "every_seconds")),
                (ADAPTIVE, ("min_active", "max_active", "target_p95_ms")),
            )
            for field in fields
            for value in (0, -1, 1.5, "5", None, True, 10_000_000)
        ],
        ({**ADAPTIVE, "min_active": 10}, "/min_active"),
        ({**ADAPTIVE, "admit": 1}, "/admit"),
        ({**OPEN, "max_active": 5}, "/max_active"),
        ({"kind": "lottery"}, "/kind"),
        ({"kind": None}, "/kind"),
        ({"kind": 3}, "/kind"),
        ({}, ""),
        ([], ""),
        (None, ""),
        ("open", ""),
    ],
)
async def test_invalid_policy_is_refused(
    desk: Desk, concert: Concert, policy: Any, where: str
) -> None:
    """Zero, negative, too large, of another type, minimum above maximum, unknown: by field."""
    await refused(desk, concert, {**KEEP, "policy": policy}, f"/policy{where}")


@pytest.mark.parametrize("missing", ["min_active", "max_active", "target_p95_ms"])
async def test_incomplete_policy_is_refused(desk: Desk, concert: Concert, missing: str) -> None:
    """The missing field of a policy is named, with a message."""
    policy = {name: value for name, value in ADAPTIVE.items() if name != missing}
    response = await desk.operate("PUT", room(concert), json={"policy": policy})
    check_problem(response, 422, "invalid_request", errors=response.json()["errors"])
    (error,) = response.json()["errors"]
    assert missing in error["pointer"] + error["detail"]
    assert (await desk.operate("GET", room(concert))).json()["policy"] == KEEP["policy"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        *[({"session_seconds": value}, "/session_seconds") for value in (0, -1, 86_401, "9", None)],
        *[({"claim_seconds": value}, "/claim_seconds") for value in (0, -1, 3_601, 0.5, None)],
        ({"order": "lottery"}, "/order"),
        ({"order": None}, "/order"),
        ({"opens_at": "tomorrow"}, "/opens_at"),
        ({"opens_at": "2099-05-01T19:00:00"}, "/opens_at"),
        ({"closes_at": 4_000_000_000}, "/closes_at"),
        ({"closes_at": "9999-12-31T23:59:59-09:00"}, "/closes_at"),
        ({"paused": True}, "/paused"),
        ({"max_active": 5}, "/max_active"),
    ],
)
async def test_invalid_field_is_refused(
    desk: Desk, concert: Concert, change: Json, where: str
) -> None:
    """Out of bounds, of another type, without a time zone, unknown: by field."""
    await refused(desk, concert, {**KEEP, **change}, where)


@pytest.mark.parametrize(
    ("opens", "closes", "where"),
    [
        (-1, None, "/opens_at"),
        (-86_400, 3_600, "/opens_at"),
        (None, -1, "/closes_at"),
        (3_600, 3_599, "/closes_at"),
        (3_600, 3_600, "/closes_at"),
        (3_600, -3_600, "/closes_at"),
    ],
)
async def test_past_or_contradictory_times_are_refused(
    desk: Desk, concert: Concert, opens: float | None, closes: float | None, where: str
) -> None:
    """A line can't open or close in the past, nor close before it opens or at that moment."""
    now = datetime.now(UTC)
    times = {
        name: (now + timedelta(seconds=seconds)).isoformat()
        for name, seconds in (("opens_at", opens), ("closes_at", closes))
        if seconds is not None
    }
    await refused(desk, concert, {**KEEP, **times}, where)


async def test_times_are_compared_across_time_zones(desk: Desk, concert: Concert) -> None:
    """Times are compared as moments, not as texts."""
    times = {"opens_at": "2099-05-01T10:00:00Z", "closes_at": "2099-05-01T18:59:59+09:00"}
    await refused(desk, concert, {**KEEP, **times}, "/closes_at")
    times["closes_at"] = "2099-05-01T09:00:01-01:00"
    done = await desk.operate("PUT", room(await desk.concert()), json={**KEEP, **times})
    assert done.status_code == 200
    assert done.json()["closes_at"] == "2099-05-01T10:00:01Z"


async def test_past_opening_may_stay(desk: Desk) -> None:
    """An opening that has passed is not an error when another setting is changed."""
    opens_at = at(0.3)
    sale = await desk.concert(waiting_room={**KEEP, "opens_at": opens_at})
    await (await desk.waiting(sale)).until("admitted")
    body = {**KEEP, "opens_at": opens_at, "claim_seconds": 99}
    changed = await desk.operate("PUT", room(sale), json=body)
    assert (changed.status_code, changed.json()["claim_seconds"]) == (200, 99)
    await refused(desk, sale, {**body, "opens_at": at(-0.05)}, "/opens_at")


# A draw ------------------------------------------------------------------------------------------


async def test_draw_needs_an_opening(desk: Desk, concert: Concert) -> None:
    """Without an opening there is no time of the draw."""
    await refused(desk, concert, {**KEEP, "order": "draw"}, "/opens_at")
    unscheduled = await desk.concert()
    await refused(desk, unscheduled, {**KEEP, "order": "draw"}, "/opens_at")


async def test_open_line_cannot_be_drawn(desk: Desk) -> None:
    """Users in an open line keep their places, whatever opening is requested."""
    sale = await desk.concert(waiting_room={"policy": {"kind": "max_active", "max_active": 1}})
    await desk.buyer(sale)
    waiting = await desk.waiting(sale)
    for times in ({"opens_at": at(3_600)}, {}):
        await refused(desk, sale, {**KEEP, "order": "draw", **times}, "/order")
    assert (await waiting.status())["position"] == 2


async def test_draw_can_be_changed_before_the_opening(desk: Desk) -> None:
    """Before the first admission a draw can be added and removed; users who joined stay."""
    opens_at = at(3_600)
    sale = await desk.concert(waiting_room={**KEEP, "opens_at": opens_at})
    fan = await desk.waiting(sale)
    draw = {**KEEP, "order": "draw", "opens_at": opens_at}
    for order, position in (("draw", None), ("arrival", 1), ("draw", None)):
        put = await desk.operate("PUT", room(sale), json={**draw, "order": order})
        assert (put.status_code, put.json()["order"]) == (200, order)
        assert (await fan.status())["position"] == position
    # The opening can't be removed as long as the line is to be drawn.
    await refused(desk, sale, {**KEEP, "order": "draw"}, "/opens_at")


async def test_policy_is_required(desk: Desk, concert: Concert) -> None:
    """Setting a line requires its policy; a new concert has a default one."""
    without = {name: value for name, value in KEEP.items() if name != "policy"}
    for body in ({}, without):
        await refused(desk, concert, body, "")
    sale = await desk.concert(waiting_room={})
    answer = (await desk.operate("GET", room(sale))).json()
    assert answer["policy"] == {"kind": "max_active", "max_active": 100}


async def test_concert_with_an_invalid_line_is_refused(desk: Desk) -> None:
    """The same errors for a new concert, below ``/waiting_room``."""
    before = await desk.owner.fetchval("SELECT count(*) FROM concert")
    for fault, where in (
        ({"opens_at": at(-1)}, "/opens_at"),
        ({"closes_at": at(-1)}, "/closes_at"),
        ({"order": "draw"}, "/opens_at"),
        ({"policy": {**ADAPTIVE, "min_active": 10}}, "/policy/min_active"),
    ):
        response = await desk.operate(
            "POST",
            "/admin/concerts",
            json={
                "title": "x",
                "waiting_room": fault,
                "shows": [{"starts_at": at(86_400), "price": 1}],
            },
        )
        assert response.status_code == 422, response.text
        assert pointers(response) == [f"/waiting_room{where}"]
    assert await desk.owner.fetchval("SELECT count(*) FROM concert") == before


# Who may -----------------------------------------------------------------------------------------

CALLS = [("GET", ""), ("PUT", ""), ("POST", "/pause"), ("POST", "/resume")]


@pytest.fixture(scope="module")
async def fan(desk: Desk) -> Fan:
    """An admitted guest."""
    return await desk.buyer(await desk.concert())


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_only_the_operator_configures_a_line(
    desk: Desk, concert: Concert, fan: Fan, method: str, path: str
) -> None:
    """No credential, an invalid one, a user's key or token: 401, and nothing is changed."""
    stood = await _stored(desk)
    body = {"json": {"policy": OPEN}} if method == "PUT" else {}
    for credential, code in (
        (None, "credential_missing"),
        ("not-the-key", "credential_invalid"),
        (fan.user_key, "credential_invalid"),
        (fan.token, "credential_invalid"),
    ):
        response = await desk.ask(method, room(concert) + path, credential, **body)
        check_problem(response, 401, code)
    assert await _stored(desk) == stood


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_unknown_concert_is_not_found(desk: Desk, method: str, path: str) -> None:
    """404 for the operator only."""
    nowhere = Concert("00000000-0000-4000-8000-000000000000", [])
    body = {"json": {"policy": OPEN}} if method == "PUT" else {}
    check_problem(await desk.operate(method, room(nowhere) + path, **body), 404, "not_found")


async def test_simultaneous_settings_are_stored_whole(desk: Desk) -> None:
    """Of two simultaneous settings one is stored, complete; GET agrees with the database."""
    sale = await desk.concert()
    bodies = [
        {**KEEP, "session_seconds": n, "claim_seconds": n, "policy": {**BOTH, "admit": n}}
        for n in range(100, 120)
    ]
    answers = await asyncio.gather(*(desk.operate("PUT", room(sale), json=body) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    stored = (await desk.operate("GET", room(sale))).json()
    whole = [{**body, "opens_at": None, "closes_at": None} for body in bodies]
    assert stored in whole
    history = await desk.owner.fetchval(
        """SELECT count(*) FROM policy_change JOIN waiting_room USING (room_id)
        WHERE concert_id = $1::uuid""",
        sale.concert_id,
    )
    assert history == 21


# Versions ----------------------------------------------------------------------------------------


async def test_outdated_version_is_not_replaced(desk: Desk) -> None:
    """412 with the current tag, and nothing is changed; with that tag the change succeeds."""
    sale = await desk.concert(waiting_room=KEEP)
    first = (await desk.operate("GET", room(sale))).headers["etag"]
    body = {**KEEP, "claim_seconds": 61}
    changed = await desk.operate("PUT", room(sale), json=body, headers={"If-Match": first})
    assert (changed.status_code, changed.json()["claim_seconds"]) == (200, 61)
    second = changed.headers["etag"]
    assert second != first
    before = await _stored(desk)
    late = {"json": {**KEEP, "claim_seconds": 62}, "headers": {"If-Match": first}}
    check_problem(
        await desk.operate("PUT", room(sale), **late), 412, "version_conflict", etag=second
    )
    assert await _stored(desk) == before
    late["headers"] = {"If-Match": second}
    changed = await desk.operate("PUT", room(sale), **late)
    assert (changed.status_code, changed.json()["claim_seconds"]) == (200, 62)


@pytest.mark.parametrize("header", [None, "*", "{etag}", "W/{etag}", '"999", {etag}'])
async def test_matching_version_is_replaced(desk: Desk, header: str | None) -> None:
    """Without the header, with any version, or with the current one in a list: replaced."""
    sale = await desk.concert(waiting_room=KEEP)
    etag = (await desk.operate("GET", room(sale))).headers["etag"]
    headers = {} if header is None else {"If-Match": header.format(etag=etag)}
    changed = await desk.operate("PUT", room(sale), json=KEEP, headers=headers)
    assert changed.status_code == 200


@pytest.mark.parametrize("header", ["", "1", '"999"', '"x"', '"1', "nonsense, *"])
async def test_other_version_is_not_replaced(desk: Desk, header: str) -> None:
    """Unknown or malformed tags match nothing."""
    sale = await desk.concert(waiting_room=KEEP)
    etag = (await desk.operate("GET", room(sale))).headers["etag"]
    refused = await desk.operate("PUT", room(sale), json=KEEP, headers={"If-Match": header})
    check_problem(refused, 412, "version_conflict", etag=etag)


async def test_pausing_keeps_the_version(desk: Desk) -> None:
    """Pausing and resuming change nothing that GET returns, and therefore not the tag."""
    sale = await desk.concert(waiting_room=KEEP)
    shown = await desk.operate("GET", room(sale))
    for call in ("pause", "resume"):
        answer = await desk.operate("POST", f"{room(sale)}/{call}")
        assert (answer.json(), answer.headers["etag"]) == (shown.json(), shown.headers["etag"])
