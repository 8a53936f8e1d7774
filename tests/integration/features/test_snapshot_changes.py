"""The snapshot reads what has changed: no change is missed, and unchanged lines aren't read."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from frontrow.services import Services
from frontrow.waiting_room import snapshot as snapshot_module
from frontrow.waiting_room.line import Line
from frontrow.waiting_room.policy import MaxActivePolicy
from frontrow.waiting_room.snapshot_queries import LineRow, queries
from testkit.database import Database
from tests.buyers import (
    ConcertOnSale,
    Owner,
    admit_all,
    buyer,
    join,
    make_concert,
    pass_time,
    services_on,
)

ONE = MaxActivePolicy(max_active=1)


def soon(seconds: float) -> datetime:
    """Returns a time from now."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.fixture
async def other(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Services]:
    """A second process, which reads no lines in turn: it must find each change."""
    monkeypatch.setattr(snapshot_module, "_IN_TURN", 1)
    async with services_on(database) as opened:
        yield opened


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The rooms of each read of lines."""
    read, seen = queries.lines, []

    async def lines(*args: Any, **named: Any) -> Sequence[LineRow]:
        rows = await read(*args, **named)
        seen.append(sorted(row.room_id for row in rows))
        return rows

    monkeypatch.setattr(queries, "lines", lines)
    return seen


async def concerts(services: Services, count: int, **settings: Any) -> list[ConcertOnSale]:
    """Creates concerts; the first one only takes the turn of each read."""
    return [await make_concert(services, **settings) for _ in range(count)]


async def seen_by(process: Services, made: ConcertOnSale) -> Line:
    """Returns a line after the process's next refresh."""
    snapshot = process.rooms.snapshot
    snapshot._turn = 0
    await snapshot.refresh()
    return snapshot.by_concert[made.concert_id]


async def test_unchanged_lines_are_read_in_turn_only(
    services: Services, other: Services, reads: list[list[int]]
) -> None:
    """One line each time, all of them one after the other."""
    await concerts(services, 4)
    await other.rooms.snapshot.refresh()
    other.rooms.snapshot._turn = 0
    reads.clear()
    for _ in range(8):
        await other.rooms.snapshot.refresh()
    rooms = sorted(other.rooms.snapshot.lines)
    assert reads == [[room] for room in rooms] * 2


async def test_every_change_of_a_quiet_line_is_found(services: Services, other: Services) -> None:
    """The operator's changes; joins, an admission and leavers elsewhere."""
    _, made = await concerts(services, 2)
    rooms, concert_id = services.rooms, made.concert_id
    assert (await seen_by(other, made)).state == "open"
    await rooms.pause(concert_id, paused=True)
    assert (await seen_by(other, made)).state == "paused"
    await rooms.pause(concert_id, paused=False)
    assert (await seen_by(other, made)).state == "open"
    settings = await rooms.settings(concert_id)
    await rooms.configure(concert_id, settings)
    assert (await seen_by(other, made)).policy_version == 2
    await join(services, concert_id)
    assert (await seen_by(other, made)).waiting == 1
    assert await admit_all(services, concert_id) == 1
    line = await seen_by(other, made)
    assert (line.serving, line.waiting) == (1, 0)
    await join(services, concert_id)
    leaver = await join(services, concert_id)
    await services.reservations.leave(leaver)
    line = await seen_by(other, made)
    assert (line.issued, line.waiting, list(line.left)) == (3, 1, [leaver.number])
    await admit_all(services, concert_id)
    line = await seen_by(other, made)
    assert (line.serving, line.waiting) == (2, 0)


async def set_unnoticed(owner: Owner, made: ConcertOnSale, column: str) -> None:
    """Sets a time of a line to now, as if it had always been that: no change is noted."""
    async with owner.transaction():
        await owner.execute("ALTER TABLE waiting_room DISABLE TRIGGER waiting_room_changed")
        await owner.execute(
            f"UPDATE waiting_room SET {column} = clock_timestamp() WHERE concert_id = $1",  # noqa: S608
            made.concert_id,
        )
        await owner.execute("ALTER TABLE waiting_room ENABLE TRIGGER waiting_room_changed")


async def test_opening_and_closing_are_found_without_a_change(
    services: Services, other: Services, owner: Owner
) -> None:
    """The times pass, and no row is written."""
    await make_concert(services)
    made = await make_concert(services, opens_at=soon(3_600), closes_at=soon(7_200))
    states = [(await seen_by(other, made)).state]
    for column in ("opens_at", "closes_at"):
        await set_unnoticed(owner, made, column)
        states.append((await seen_by(other, made)).state)
    assert states == ["scheduled", "open", "closed"]


async def test_draw_is_due_without_a_change(
    services: Services, other: Services, owner: Owner
) -> None:
    """At its opening, although nobody has joined."""
    await make_concert(services)
    made = await make_concert(services, opens_at=soon(3_600), order="draw")
    assert not (await seen_by(other, made)).draw_due
    await set_unnoticed(owner, made, "opens_at")
    line = await seen_by(other, made)
    assert line.draw_due
    assert other.rooms.snapshot.draws_due == {line.room_id}


async def test_closed_line_has_work_while_places_wait(
    services: Services, other: Services, database: Database
) -> None:
    """It is filed from its closing until its places are finished."""
    _, made = await concerts(services, 2, policy=ONE, closes_at=soon(60))
    await buyer(services, made.concert_id)
    await join(services, made.concert_id)
    snapshot = other.rooms.snapshot
    line = await seen_by(other, made)
    assert (snapshot.waiting, snapshot.closings) == ({line.room_id}, set())
    await pass_time(database, 60)
    line = await seen_by(other, made)
    assert (snapshot.waiting, snapshot.closings) == (set(), {line.room_id})
    await services.rooms.close(line)
    await seen_by(other, made)
    assert snapshot.closings == set()


async def test_change_that_commits_late_is_found(
    services: Services, other: Services, owner: Owner
) -> None:
    """Its transaction is older than changes that were read before it committed."""
    _, late, early = await concerts(services, 3)
    await seen_by(other, early)
    pause = "UPDATE waiting_room SET paused = true WHERE concert_id = $1"
    async with owner.transaction():
        await owner.execute(pause, late.concert_id)
        await services.rooms.pause(early.concert_id, paused=True)
        assert (await seen_by(other, early)).paused
        assert not (await seen_by(other, late)).paused
    assert (await seen_by(other, late)).paused


async def test_change_of_a_waiting_line_that_commits_late_is_found(
    services: Services, other: Services, owner: Owner
) -> None:
    """The same where only the row's own transaction shows it."""
    _, late, early = await concerts(services, 3, policy=ONE)
    for made in (late, early):
        for _ in range(3):
            await join(services, made.concert_id)
    await seen_by(other, early)
    async with owner.transaction():
        await owner.execute(
            "UPDATE waiting_room SET session_seconds = 9, paused = true WHERE concert_id = $1",
            late.concert_id,
        )
        await admit_all(services, early.concert_id)
        assert (await seen_by(other, early)).serving == 1
        assert not (await seen_by(other, late)).paused
    assert (await seen_by(other, late)).paused


async def test_other_database_is_read_as_a_whole(
    services: Services, other: Services, owner: Owner, reads: list[list[int]]
) -> None:
    """After a failover, all lines are read; those that it lacks are dropped."""
    kept, gone = await concerts(services, 2)
    await seen_by(other, gone)
    snapshot = other.rooms.snapshot
    rooms = sorted(snapshot.lines)
    await owner.execute("DELETE FROM policy_change WHERE room_id = $1", rooms[1])
    await owner.execute("DELETE FROM waiting_room WHERE room_id = $1", rooms[1])
    snapshot._origin = "another server"
    reads.clear()
    await snapshot.refresh()
    assert reads[-1] == rooms[:1]
    assert list(snapshot.by_concert) == [kept.concert_id]
    reads.clear()
    await snapshot.refresh()
    assert len(reads) == 1


async def test_line_that_cannot_be_read_does_not_hide_others(
    services: Services, other: Services, owner: Owner
) -> None:
    """It is logged once and read again until it succeeds."""
    broken, well = await concerts(services, 2)
    await seen_by(other, well)
    change = "UPDATE waiting_room SET policy = $2, policy_version = 7 WHERE concert_id = $1"
    await owner.execute(change, broken.concert_id, '{"kind": "unknown"}')
    await services.rooms.pause(well.concert_id, paused=True)
    with capture_logs() as logs:
        assert (await seen_by(other, well)).paused
        await seen_by(other, well)
        await owner.execute(change, broken.concert_id, '{"kind": "open"}')
        assert (await seen_by(other, broken)).policy_version == 7
    assert [log["event"] for log in logs] == ["a line fails", "a line works again"]
    assert {(log["job"], log["concert"]) for log in logs} == {("snapshot", str(broken.concert_id))}
    assert other.rooms.snapshot._failed == set()


async def test_revision_changes_with_what_waiting_users_see(
    services: Services, other: Services
) -> None:
    """Not with each read; with a leaver, an admission, the seats left."""
    _, made = await concerts(services, 2, policy=ONE, seats=10)
    holder = await buyer(services, made.concert_id)
    places = [await join(services, made.concert_id) for _ in range(3)]
    revisions = [(await seen_by(other, made)).revision]

    async def read() -> None:
        revisions.append((await seen_by(other, made)).revision)

    await read()
    assert revisions[0] == revisions[1]
    await services.reservations.leave(places[2])
    await read()
    await services.reservations.hold(holder, made.shows[0], [1], None)
    await other.rooms.snapshot.refresh_counts()
    await read()
    await services.reservations.leave(holder)
    await admit_all(services, made.concert_id)
    await read()
    assert len(set(revisions[1:])) == len(revisions[1:])


async def test_first_read_counts_held_and_sold_seats(
    services: Services, database: Database
) -> None:
    """A concert whose remaining seats are held isn't shown with free ones."""
    made = await make_concert(services, seats=4)
    show = made.shows[0]
    payer = await buyer(services, made.concert_id, 100_000)
    held, _ = await services.reservations.hold(payer, show, [1], None)
    await services.payments.pay(payer, held.reservation_id, 50_000, None)
    holder = await buyer(services, made.concert_id)
    await services.reservations.hold(holder, show, [2, 3, 4], None)
    async with services_on(database) as first:
        line = first.rooms.snapshot.by_concert[made.concert_id]
        assert (line.seats_available, line.seats_held) == (0, 3)


async def test_counts_follow_every_change_of_the_seats(
    services: Services, other: Services, database: Database
) -> None:
    """Seats held, released, expired, and sold elsewhere; the end of the sale."""
    made = (await concerts(services, 2, seats=10, hold_seconds=60))[1]
    place = await buyer(services, made.concert_id, 100_000)
    await seen_by(other, made)
    snapshot = other.rooms.snapshot

    async def seats() -> tuple[int, int, str]:
        await snapshot.refresh_counts()
        line = snapshot.by_concert[made.concert_id]
        return line.seats_available, line.seats_held, line.sale

    show = made.shows[0]
    assert await seats() == (10, 0, "open")
    held, _ = await services.reservations.hold(place, show, [1, 2], None)
    assert await seats() == (8, 2, "open")
    await services.reservations.release(held.reservation_id, place.user_id, place)
    assert await seats() == (10, 0, "open")
    held, _ = await services.reservations.hold(place, show, [3], None)
    assert await seats() == (9, 1, "open")
    await services.payments.pay(place, held.reservation_id, 50_000, None)
    await services.payments.fold_stock()
    assert await seats() == (9, 0, "open")
    late = await buyer(services, made.concert_id)
    await services.reservations.hold(late, show, [4], None)
    assert await seats() == (8, 1, "open")
    await pass_time(database, 60)
    assert await seats() == (9, 0, "open")
    await services.reservations.expire()
    assert await seats() == (9, 0, "open")
    await pass_time(database, 31 * 24 * 3600)
    assert await seats() == (0, 0, "ended")
