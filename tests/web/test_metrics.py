"""The metrics of a line over HTTP: correct values, from one process and from two."""

import math
import os
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import httpx2
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from frontrow.upkeep import jobs
from frontrow.upkeep.admission import Admission
from frontrow.waiting_room.policy import MaxActivePolicy
from testkit.connection import Connection, connections_by_worker
from testkit.database import Database
from testkit.desk import BASE, SOON, Concert, Desk, check_problem, eventually, open_desk
from testkit.server import FrontrowServer, serving, until
from testkit.serving import OPERATOR_KEY
from tests.buyers import join, make_concert, services_on

ONE: Any = {"policy": {"kind": "max_active", "max_active": 1}}
TASKS = {
    "admission", "snapshot", "draw", "closing", "adaptation", "pace", "counts", "fold", "expiry",
    "places", "ticket_keys", "token_keys", "credentials", "refunds",
}  # fmt: skip

Samples: TypeAlias = dict[str, float]
"""Values by metric name, followed by the values of its labels."""


def read(text: str, concert_id: str | None = None) -> Samples:
    """Returns the samples of one concert, without its label, or those without a concert."""
    return {
        " ".join([one.name, *(v for k, v in sorted(one.labels.items()) if k != "concert")]): (
            one.value
        )
        for family in text_string_to_metric_families(text)
        for one in family.samples
        if one.labels.get("concert") == concert_id and not one.name.endswith("_created")
    }


async def samples(desk: Desk, concert: Concert | None = None) -> Samples:
    """Returns the samples that the server exports now."""
    text = (await desk.ask("GET", "//metrics")).text
    return read(text, None if concert is None else concert.concert_id)


async def until_exported(desk: Desk, concert: Concert | None, **wanted: float) -> None:
    """Waits until these values are exported; names are without ``frontrow_``."""
    found: Samples = {}

    async def is_exported() -> bool:
        found.clear()
        found.update(await samples(desk, concert))
        return all(found.get(f"frontrow_{name}") == value for name, value in wanted.items())

    try:
        await eventually(is_exported)
    except TimeoutError:
        pytest.fail(f"{wanted} expected, {found} exported")


@pytest.fixture
async def quick_desk(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """A server that counts seats and places all the time."""
    monkeypatch.setattr(jobs, "_COUNT_PLACES_SECONDS", 0.05)
    monkeypatch.setattr(jobs, "_SCAN_REST", 0.0)
    async with open_desk(database, stock_seconds=0.05) as made:
        yield made


async def test_line_is_counted_from_join_to_payment(quick_desk: Desk) -> None:
    """Join, admission, claim, leave, hold, payment, next admission: each number is right."""
    desk = quick_desk
    concert = await desk.concert(seats=10, waiting_room=ONE)
    first = await desk.buyer(concert, balance=100_000)
    leaver, following = [await desk.waiting(concert) for _ in range(2)]
    await until_exported(desk, concert, joined_total=3, admitted_total=1, line_waiting=2)
    await until_exported(
        desk, concert, line_active=1, line_claimed=1, line_cap=1, seats_available=10
    )
    assert "frontrow_finished_total left" not in await samples(desk, concert)
    assert (await leaver.by_token("DELETE", "/queue/tokens/me")).status_code == 204
    await until_exported(desk, concert, **{"finished_total left": 1, "line_waiting": 1})
    reservation = await first.hold(concert, 3, 4)
    await until_exported(desk, concert, seats_held=2, seats_available=8)
    await first.pay(reservation)
    await following.until("admitted")
    await until_exported(desk, concert, line_claimed=0)
    await following.charge(1)
    await until_exported(
        desk,
        concert,
        **{
            "line_claimed": 1,
            "joined_total": 3,
            "admitted_total": 2,
            "finished_total paid": 1,
            "finished_total left": 1,
            "line_waiting": 0,
            "line_active": 1,
            "line_cap": 1,
            "line_rate": math.inf,
            "seats": 10,
            "seats_held": 0,
            "seats_available": 8,
        },
    )
    assert (await following.by_token("DELETE", "/queue/tokens/me")).status_code == 204
    await until_exported(
        desk, concert, **{"finished_total left": 2, "line_active": 0, "line_claimed": 0}
    )
    states = {
        name: value for name, value in (await samples(desk, concert)).items() if "state" in name
    }
    assert states == {
        f"frontrow_line_state {state}": float(state == "open")
        for state in ("scheduled", "open", "paused", "sold_out", "closed")
    }


async def test_replay_is_not_counted(quick_desk: Desk) -> None:
    """Joining or paying again gets the same answer and counts nothing."""
    desk = quick_desk
    concert = await desk.concert()
    fan = await desk.buyer(concert, balance=50_000)
    await fan.join(concert)
    reservation = await fan.hold(concert, 1)
    await fan.pay(reservation)
    body = {name: reservation[name] for name in ("reservation_id", "amount")}
    assert (await fan.by_token("POST", "/payments", json=body)).status_code == 200
    counted = {"joined_total": 1, "admitted_total": 1, "finished_total paid": 1}
    await until_exported(desk, concert, **counted)


async def test_state_and_bounds_are_exported(quick_desk: Desk) -> None:
    """A pause, a rate, an adaptive cap; the forecast of the last in line."""
    desk = quick_desk
    concert = await desk.concert(waiting_room=ONE)
    await desk.buyer(concert)
    for _ in range(3):
        await desk.waiting(concert)
    path = f"/admin/concerts/{concert.concert_id}/waiting-room"
    name = "frontrow_line_eta_seconds "

    async def forecast() -> bool:
        return (await samples(desk, concert))[f"{name}p50"] > 0

    await eventually(forecast)
    found = await samples(desk, concert)
    assert 1 < found[f"{name}p50"] <= found[f"{name}p90"]
    await desk.operate("POST", f"{path}/pause")
    await until_exported(desk, concert, **{"line_state paused": 1, "line_state open": 0})
    assert math.isnan((await samples(desk, concert))[f"{name}p50"])
    await desk.operate("POST", f"{path}/resume")
    await until_exported(desk, concert, **{"line_state paused": 0, "line_state open": 1})
    rate = {"kind": "max_active_and_rate", "max_active": 1, "admit": 30, "every_seconds": 60}
    await desk.operate("PUT", path, json={"policy": rate})
    await until_exported(desk, concert, line_cap=1, line_rate=0.5)
    adaptive = {"kind": "adaptive", "min_active": 1, "max_active": 1, "target_p95_ms": 1000}
    await desk.operate("PUT", path, json={"policy": adaptive})
    await until_exported(desk, concert, line_cap=1, line_rate=math.inf)


async def test_forecasts_are_judged(quick_desk: Desk) -> None:
    """The number of judged forecasts, and the shares that the statistics report."""
    desk = quick_desk
    concert = await desk.concert(waiting_room=ONE)
    inside = await desk.buyer(concert)
    following = await desk.waiting(concert)
    path = f"/admin/concerts/{concert.concert_id}/stats"

    async def is_recorded() -> bool:
        return bool(await desk.owner.fetchval("SELECT count(*) FROM forecast"))

    await eventually(is_recorded)
    assert (await samples(desk, concert))["frontrow_forecasts_judged"] == 0
    assert (await inside.by_token("DELETE", "/queue/tokens/me")).status_code == 204
    await following.until("admitted")

    async def is_judged() -> bool:
        return (await samples(desk, concert))["frontrow_forecasts_judged"] > 0

    await eventually(is_judged)
    forecast = (await desk.operate("GET", path)).json()["forecast"]
    await until_exported(
        desk,
        concert,
        **{
            "forecasts_judged": forecast["judged"],
            "forecast_share p50": forecast["below_p50"],
            "forecast_share p90": forecast["below_p90"],
        },
    )


async def test_ended_line_is_not_exported(quick_desk: Desk) -> None:
    """It is exported while it has places; not when the show is sold out and all have finished."""
    desk = quick_desk
    concert, other = await desk.concert(seats=1), await desk.concert()
    fan, late = await desk.buyer(concert, balance=50_000), await desk.buyer(concert)
    await until_exported(desk, concert, line_active=2)
    await fan.pay(await fan.hold(concert, 1))
    await until_exported(desk, concert, **{"line_state sold_out": 1, "line_active": 1})
    assert (await late.by_token("DELETE", "/queue/tokens/me")).status_code == 204

    async def is_dropped() -> bool:
        return not await samples(desk, concert)

    await eventually(is_dropped)
    await until_exported(desk, other, **{"line_state open": 1, "line_active": 0})
    assert REGISTRY.get_sample_value("frontrow_joined_total", {"concert": concert.concert_id}) == 2


async def test_draw_is_counted(quick_desk: Desk) -> None:
    """Once, when it is drawn; before that the line is scheduled."""
    desk = quick_desk
    before = (await samples(desk))["frontrow_draws_total"]
    opens_at = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    room = {"policy": {"kind": "open"}, "order": "draw", "opens_at": opens_at}
    concert = await desk.concert(waiting_room=room)
    await desk.waiting(concert)
    await until_exported(desk, concert, **{"line_state open": 1, "admitted_total": 1})
    assert (await samples(desk))["frontrow_draws_total"] == before + 1


async def test_upkeep_is_timed(quick_desk: Desk) -> None:
    """Each task has run; the lines were read just now."""
    desk = quick_desk
    await desk.concert()

    async def all_ran() -> bool:
        found = await samples(desk)
        counts = {task: found.get(f"frontrow_upkeep_seconds_count {task}", 0) for task in TASKS}
        return min(counts.values()) > 1

    await eventually(all_ran)
    found = await samples(desk)
    names = [name.split()[1] for name in found if name.startswith("frontrow_upkeep_seconds_count")]
    assert set(names) >= TASKS  # also slow ones, and those of other servers in this process
    seen = found["frontrow_snapshot_timestamp_seconds"]
    # The tolerance is for a machine that is busy with other tests.
    assert datetime.now(UTC).timestamp() - 5 < seen <= datetime.now(UTC).timestamp()


async def test_admission_delay_is_counted(database: Database) -> None:
    """Counted once for each signal that admits a place; not without an admission or a signal."""

    def counted() -> tuple[float, float]:
        name = "frontrow_admission_delay_seconds"
        return tuple(REGISTRY.get_sample_value(f"{name}_{end}") or 0 for end in ("count", "sum"))  # type: ignore[return-value]

    async with services_on(database) as services:
        made = await make_concert(services, policy=MaxActivePolicy(max_active=1))
        admission = Admission(services)
        count, seconds = counted()
        first = await join(services, made.concert_id)
        assert await admission.run_once(await services.admission_signal.wait(10)) == 1
        assert counted()[0] == count + 1
        await join(services, made.concert_id)
        assert await admission.run_once(await services.admission_signal.wait(10)) == 0
        assert counted()[0] == count + 1
        await services.reservations.leave(first)
        assert await admission.run_once(await services.admission_signal.wait(10)) == 1
        found = counted()
        assert found[0] == count + 2
        assert 0 < found[1] - seconds < 10
        assert services.admission_signal.woken_at == {}


TOKEN = "the-metrics-token-of-the-tests"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - a setting; the tests listen on loopback


@pytest.mark.parametrize("host", ["127.0.0.1", EVERYWHERE])
async def test_metrics_need_their_token(database: Database, host: str) -> None:
    """If it is set, on any address; neither another token nor the operator key will do."""
    async with open_desk(database, host=host, metrics_token=TOKEN) as desk:
        check_problem(await desk.ask("GET", "//metrics"), 401, "credential_missing")
        for wrong in (TOKEN[:-1], TOKEN + "x", OPERATOR_KEY):
            check_problem(await desk.ask("GET", "//metrics", wrong), 401, "credential_invalid")
        given = await desk.ask("GET", "//metrics", TOKEN)
        assert given.status_code == 200
        assert "frontrow_streams" in given.text


async def test_public_server_without_a_token_refuses_its_metrics(database: Database) -> None:
    """On an address that other machines can connect to; the operator key isn't accepted."""
    async with open_desk(database, host=EVERYWHERE) as desk:
        check_problem(await desk.ask("GET", "//metrics"), 401, "credential_missing")
        refused = await desk.ask("GET", "//metrics", OPERATOR_KEY)
        check_problem(refused, 401, "credential_invalid")


# Two processes -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[FrontrowServer]:
    """A server with two workers."""
    with serving(workers=2) as running:
        yield running


async def guests(connection: Connection, concert: dict[str, Any], count: int) -> list[str]:
    """Returns the tokens of new guests in a line."""
    tokens = []
    for _ in range(count):
        key = (await connection.ask("POST", "/users", body={})).json()["user_key"]
        body = {"concert_id": concert["concert_id"]}
        answer = await connection.ask("POST", "/queue/tokens", key, body=body)
        assert answer.status == 201
        tokens.append(answer.json()["token"])
    return tokens


async def test_two_workers_are_combined(server: FrontrowServer) -> None:
    """Either worker exports what both did, and what both see of a line once."""
    concert = await server.concert(seats=20, **ONE)
    concert_id = concert["concert_id"]
    async with connections_by_worker(server.port, 1) as sides:
        for (connection,) in sides:
            await guests(connection, concert, 3)
        wanted = {
            "frontrow_joined_total": 6,
            "frontrow_admitted_total": 1,
            "frontrow_line_waiting": 5,
            "frontrow_line_active": 1,
            "frontrow_line_cap": 1,
            "frontrow_line_state open": 1,
            "frontrow_seats": 20,
            "frontrow_seats_available": 20,
        }
        for (connection,) in sides:

            async def is_exported(connection: Connection = connection) -> bool:
                text = (await connection.ask("GET", "//metrics")).body.decode()
                found = read(text, concert_id)
                return {name: found.get(name) for name in wanted} == wanted

            await eventually(is_exported)


async def test_streams_of_a_killed_worker_do_not_count(server: FrontrowServer) -> None:
    """Streams of a killed worker are not open; its counters stay."""
    concert = await server.concert(**ONE)
    concert_id = concert["concert_id"]
    connection = Connection(server.port)
    _, waiting = await guests(connection, concert, 2)

    async def now() -> tuple[float, float | None]:
        text = (await connection.ask("GET", "//metrics")).body.decode()
        return read(text)["frontrow_streams"], read(text, concert_id).get("frontrow_joined_total")

    async with httpx2.AsyncClient(timeout=SOON) as http:
        url = f"http://127.0.0.1:{server.port}{BASE}/queue/tokens/me/events"
        headers = {"Authorization": f"Bearer {waiting}"}
        async with http.stream("GET", url, headers=headers) as response:
            assert response.status_code == 200

            async def is_open() -> bool:
                return await now() == (1, 2)

            await eventually(is_open)
            dead = server.workers()
            for pid in dead:
                os.kill(pid, signal.SIGKILL)
    until(lambda: server.ready() and not dead & server.workers())
    await connection.close()

    async def is_forgotten() -> bool:
        return await now() == (0, 2)

    await eventually(is_forgotten)
    await connection.close()
