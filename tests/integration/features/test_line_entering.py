"""Claims and sessions: the first admitted call, and when a session ends."""

import asyncio
from datetime import timedelta

import msgspec

from frontrow.errors import CredentialInvalid, NotAdmitted, TokenFinished
from frontrow.services import Services
from frontrow.waiting_room.policy import MaxActivePolicy
from testkit.database import Database
from tests.buyers import (
    Owner,
    buyer,
    join,
    make_concert,
    pass_time,
    refused,
)
from tests.integration.features.stored_places import forged, place_row

ONE = MaxActivePolicy(max_active=1)


async def test_enter_while_waiting(services: Services, database: Database) -> None:
    """A waiting place may not act."""
    made = await make_concert(services)
    place = await join(services, made.concert_id)
    async with refused(database, NotAdmitted):
        await services.rooms.enter(place)


async def test_first_admitted_call_claims(services: Services, owner: Owner) -> None:
    """The session begins with it, and later calls don't move its end; a poll is no such call."""
    made = await make_concert(services, session_seconds=600, claim_seconds=120)
    place = await buyer(services, made.concert_id)
    called = await services.rooms.status(place)
    assert called.admitted_at is not None
    assert called.claimed_at is None
    assert called.expires_at == called.admitted_at + timedelta(seconds=120)
    await asyncio.gather(*[services.rooms.enter(place) for _ in range(5)])
    claimed = await services.rooms.status(place)
    assert claimed.claimed_at is not None
    assert claimed.admitted_at == called.admitted_at
    assert claimed.expires_at == claimed.claimed_at + timedelta(seconds=600)
    before = await place_row(owner, place)
    await services.rooms.enter(place)
    assert await place_row(owner, place) == before
    assert before["session_until"] == claimed.expires_at


async def test_unclaimed_place_ends(services: Services, database: Database) -> None:
    """An unclaimed place ends, without any upkeep."""
    made = await make_concert(services, claim_seconds=120)
    place = await buyer(services, made.concert_id)
    await pass_time(database, 90)
    assert (await services.rooms.status(place)).state == "admitted"
    await pass_time(database, 30)
    status = await services.rooms.status(place)
    assert (status.state, status.reason, status.expires_at) == ("finished", "expired", None)
    async with refused(database, TokenFinished, reason="expired"):
        await services.rooms.enter(place)


async def test_session_ends_at_its_time(services: Services, database: Database) -> None:
    """A session ends at its time, without any upkeep."""
    made = await make_concert(services, session_seconds=600)
    place = await buyer(services, made.concert_id)
    await services.rooms.enter(place)
    await pass_time(database, 598)
    await services.rooms.enter(place)
    await pass_time(database, 2)
    assert (await services.rooms.status(place)).reason == "expired"
    async with refused(database, TokenFinished, reason="expired"):
        await services.rooms.enter(place)


async def test_enter_with_a_forged_place(services: Services, database: Database) -> None:
    """A token of another place at the same number, or of no place, claims nothing."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    async with refused(database, CredentialInvalid):
        await services.rooms.enter(forged(place))
    async with refused(database, CredentialInvalid):
        await services.rooms.enter(msgspec.structs.replace(place, number=99))


async def test_batch_of_calls_has_separate_outcomes(services: Services) -> None:
    """Each call of a batch has its own outcome."""
    made = await make_concert(services, policy=MaxActivePolicy(max_active=2))
    called = [await buyer(services, made.concert_id) for _ in range(2)]
    waiting = await join(services, made.concert_id)
    await services.reservations.leave(called[1])
    got = await asyncio.gather(
        *[services.rooms.enter(place) for place in (*called, waiting, forged(called[0]))],
        return_exceptions=True,
    )
    assert [type(answer) for answer in got] == [
        type(None),
        TokenFinished,
        NotAdmitted,
        CredentialInvalid,
    ]


async def test_hold_extends_the_session(
    services: Services, database: Database, owner: Owner
) -> None:
    """To the end of the hold, at most one hold time beyond the session."""
    made = await make_concert(services, session_seconds=60, hold_seconds=100)
    place = await buyer(services, made.concert_id)
    show = made.shows[0]
    first, _ = await services.reservations.hold(place, show, [1], None)
    row = await place_row(owner, place)
    assert row["session_until"] == row["claimed_at"] + timedelta(seconds=60)
    assert first.held_until == first.created_at + timedelta(seconds=100)
    assert row["expires_at"] == first.held_until

    await pass_time(database, 90)
    second, _ = await services.reservations.hold(place, show, [2], None)
    row = await place_row(owner, place)
    assert second.held_until == row["session_until"] + timedelta(seconds=100)
    assert row["expires_at"] == second.held_until

    await pass_time(database, 50)
    third, _ = await services.reservations.hold(place, show, [3], None)
    row = await place_row(owner, place)
    assert third.held_until == row["expires_at"] == row["session_until"] + timedelta(seconds=100)
    await pass_time(database, 21)
    async with refused(database, TokenFinished, reason="expired"):
        await services.reservations.hold(place, show, [4], None)


async def test_short_hold_keeps_the_session(services: Services, owner: Owner) -> None:
    """A hold that ends before the session doesn't change it."""
    made = await make_concert(services, session_seconds=600, hold_seconds=10)
    place = await buyer(services, made.concert_id)
    await services.reservations.hold(place, made.shows[0], [1], None)
    row = await place_row(owner, place)
    assert row["expires_at"] == row["session_until"]
