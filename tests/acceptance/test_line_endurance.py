"""The soak test (``make soak``) for a few seconds, and a control that it detects violations."""

import asyncio
from pathlib import Path

import asyncpg

from benchmarks.soak import Endured, Stage, act, check_result, soak, staged
from testkit.server import scratch
from tests.conftest import FAST

SECONDS = 8.0
SHORT_SECONDS = 0.5
"""Too short for a violation without damage."""


async def test_soak_with_kills_finds_no_violation() -> None:
    """Fans buy in six lines on two servers that are killed at times: the audit finds nothing."""
    endured = await asyncio.to_thread(soak, SECONDS, seed=1, settings=FAST)
    happened = endured.happened
    assert endured.audit == ""
    assert endured.over_admissions == 0
    assert endured.tau_distance == 0
    assert endured.broken == []
    assert endured.left_behind == []
    assert happened["servers killed"] >= 1
    assert happened["requests without an answer"] > 0
    assert happened["draws"] >= 1
    assert happened["payments"] == happened["payments acknowledged"] == happened["paid"] > 0
    assert happened["holds"] == happened["holds acknowledged"] > happened["payments"]
    assert happened["joined"] >= happened["joins acknowledged"] >= happened["called"]
    for end in ("left while waiting", "left from within", "claim windows over", "sessions over"):
        assert happened[end] > 0, end


def shop_and_damage(folder: Path) -> tuple[Stage, Endured]:
    """Runs a short soak without kills, damages its data, and returns what the soak then finds."""
    with staged(folder, 2, FAST) as stage:
        asyncio.run(act(stage, SHORT_SECONDS))
        asyncio.run(damage(stage.database.owner_url))
        endured = asyncio.run(check_result(stage))
        for server in stage.servers:
            assert server.end() == 0
    return stage, endured


async def damage(url: str) -> None:
    """Adds 20 admissions to one line, delays the first admission of another, deletes a payment."""
    connection = await asyncpg.connect(url)
    too_many = await connection.execute(
        "INSERT INTO place (place_id, user_id, joined_at, room_id, number, state, reason,"
        " admitted_at, expires_at, finished_at)"
        " SELECT gen_random_uuid(), gen_random_uuid(), last, 1, 1000000 + n, 'finished', 'left',"
        " last, last + interval '1 second', last + interval '1 day'"
        " FROM (SELECT max(admitted_at) AS last FROM place WHERE room_id = 1) AS l,"
        " generate_series(1, 20) AS n"
    )
    assert too_many == "INSERT 0 20"
    changed = await connection.execute(
        "WITH first AS (SELECT min(number) AS number FROM place WHERE room_id = 3"
        " AND admitted_at = (SELECT min(admitted_at) FROM place WHERE room_id = 3))"
        " UPDATE place SET admitted_at = clock_timestamp() FROM first"
        " WHERE room_id = 3 AND place.number = first.number"
    )
    assert changed == "UPDATE 1"
    gone = await connection.execute(
        "DELETE FROM payment WHERE payment_id = (SELECT payment_id FROM payment LIMIT 1)"
    )
    assert gone == "DELETE 1"
    await connection.close()


async def test_soak_finds_damaged_data() -> None:
    """The control: every check of the soak finds the damaged data."""
    with scratch() as folder:
        stage, endured = await asyncio.to_thread(shop_and_damage, folder)
    assert stage.done == {}
    assert endured.audit != ""
    # The cap is 12, and the last admitted place is one of those admitted.
    assert endured.over_admissions >= 20 + 1 - 12
    assert endured.tau_distance > 0
    payments = endured.happened["payments"], endured.happened["payments acknowledged"]
    assert payments[1] - payments[0] == 1
    assert endured.broken != []
