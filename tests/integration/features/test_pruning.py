"""Pruning: old data is deleted, all other data stays, and the audit passes."""

from datetime import datetime
from uuid import UUID

import pytest

from frontrow import audit
from frontrow.audit import INVARIANTS, service
from frontrow.errors import CredentialInvalid, NotFound, SetupError
from frontrow.ids import PlaceRef
from frontrow.payments.model import Payment
from frontrow.retention.prune_queries import queries
from frontrow.retention.pruning import Pruned, prune
from frontrow.services import Services
from frontrow.waiting_room.policy import MaxActivePolicy
from frontrow.waiting_room.snapshot import Snapshot
from testkit.database import Database
from tests.buyers import (
    ConcertOnSale,
    Owner,
    admit_all,
    buyer,
    digest,
    join,
    make_concert,
    pass_time,
    services_on,
)
from tests.integration.features.holding import hold
from tests.integration.features.keys import is_known
from tests.integration.features.stored_places import forged
from tests.integration.trading import trade

DAY = 86_400
LONG = 100 * DAY
# The room that trade() has drawn.
DRAWN = 3
# The tables that stay unchanged, row by row.
BOOKS = ("transfer", "wallet", "payment", "ticket", "seat", "stock", "sold_delta", "app_user")


async def broken(database: Database) -> dict[str, list[str]]:
    """Returns the violated invariants, with examples."""
    found = await audit.run(database.app_url)
    return {finding.invariant: finding.examples for finding in found if finding.violations}


async def finished(owner: Owner) -> dict[int, list[bool]]:
    """Returns whether the kept places are finished, by room and number."""
    rows = await owner.fetch(
        """SELECT room_id - min(room_id) OVER () + 1, array_agg(state = 'finished' ORDER BY number)
        FROM (SELECT * FROM waiting_room LEFT JOIN place USING (room_id)) AS p GROUP BY room_id"""
    )
    return {room: [over for over in found if over is not None] for room, found in rows}


def _first_run(over: list[bool]) -> int:
    """Returns how many of a line's first places are finished."""
    return [*over, False].index(False)


async def end_all(services: Services, database: Database) -> None:
    """Admits every waiting user, and lets all places expire; then passes a long time."""
    lines = list(services.rooms.snapshot.lines.values())
    while any(line.waiting or line.active for line in lines):
        await pass_time(database, 4_000)
        for line in lines:
            await admit_all(services, line.concert_id)
    await services.reservations.expire()
    await pass_time(database, LONG)


async def test_old_data_is_pruned(database: Database, owner: Owner) -> None:
    """The first finished places of each line; a drawn line only after all of it has ended."""
    await trade(database)
    assert await prune(database.app_url, older_than_days=90) == Pruned(0, 0, 0)
    await pass_time(database, LONG)
    before, lines = await digest(database), await finished(owner)
    kept = {room: over[_first_run(over) :] for room, over in lines.items() if room != DRAWN}
    assert await prune(database.app_url, older_than_days=101) == Pruned(0, 0, 0)
    found = await prune(database.app_url, older_than_days=90, dry_run=True)
    assert await digest(database) == before
    progress: list[tuple[int, int]] = []
    gone = await prune(
        database.app_url, older_than_days=90, progress=lambda *done: progress.append(done)
    )
    # In the first line the end of number 6 is not recorded.
    places = sum(_first_run(over) for room, over in lines.items() if room != DRAWN)
    assert gone == found == Pruned(places, 3, 1)
    assert await finished(owner) == {**kept, DRAWN: lines[DRAWN]}
    assert (_first_run(lines[1]), len(lines[1])) == (5, 9)
    after = await digest(database)
    assert {table for table in before if before[table] != after[table]} == {
        "admission", "place", "reservation", "user_key", "waiting_room",
    }  # fmt: skip
    assert (progress[0], progress[-1]) == ((0, sum(found)), (sum(found), sum(found)))
    assert await broken(database) == {}
    assert await prune(database.app_url, older_than_days=90) == Pruned(0, 0, 0)
    assert await digest(database) == after


async def test_only_the_books_are_kept_in_the_end(database: Database, owner: Owner) -> None:
    """After the end all places go, with their admissions and draw; then the line continues."""
    await trade(database)
    books = {table: (await digest(database))[table] for table in BOOKS}
    async with services_on(database) as services:
        await end_all(services, database)
        paid = await owner.fetchval("SELECT count(*) FROM payment")
        aged = await digest(database)
        await prune(database.app_url, older_than_days=90)
        after = await digest(database)
        assert {table for table in BOOKS if aged[table] != after[table]} == set()
        assert set(books) <= set(after)
        assert not any((await finished(owner)).values())
        for table, rows in (("reservation", paid), ("admission", 0), ("drawn", 0)):
            assert await owner.fetchval(f"SELECT count(*) FROM {table}") == rows  # noqa: S608 - names above
        assert await broken(database) == {}
        await services.rooms.snapshot.refresh()
        fresh = Snapshot(services.pool)
        await fresh.refresh()
        for line in services.rooms.snapshot.lines.values():
            seen = fresh.lines[line.room_id]
            assert (line.waiting, seen.waiting) == (0, 0)
            place = await join(services, line.concert_id)
            assert place.number == line.issued == line.pruned_to + 1
            assert await admit_all(services, line.concert_id) == 1
        assert await broken(database) == {}


@pytest.mark.parametrize("step", [1, 4])
async def test_each_step_leaves_valid_data(database: Database, owner: Owner, step: int) -> None:
    """After an interruption the audit passes, and a new process reads the line."""
    await trade(database)
    async with services_on(database) as services:
        await end_all(services, database)
        before: datetime = await queries.cutoff(owner, days=90)
        for room_id, line in services.rooms.snapshot.lines.items():
            kept = line.issued
            while gone := await queries.prune_places(
                owner, room_id=room_id, before=before, limit=step
            ):
                assert gone == min(step, kept)
                kept -= gone
                assert await broken(database) == {}
                await _is_seen_as_empty(services, room_id)
            assert kept == 0
            after = 0
            while await queries.prune_drawn(owner, room_id=room_id, after=after, limit=step):
                after += step
                assert await broken(database) == {}
                await _is_seen_as_empty(services, room_id)
        last: UUID | None = UUID(int=0)
        while last is not None:
            last = (await queries.prune_holds(owner, after=last, before=before, limit=step)).last
            assert await broken(database) == {}


async def _is_seen_as_empty(services: Services, room_id: int) -> None:
    """Returns whether a process with the line, and a new one, find no waiting user in it."""
    await services.rooms.snapshot.refresh()
    fresh = Snapshot(services.pool)
    await fresh.refresh()
    assert [s.lines[room_id].waiting for s in (services.rooms.snapshot, fresh)] == [0, 0]


async def test_pruned_leaves_do_not_change_positions(
    services: Services, database: Database
) -> None:
    """Places that left while waiting are pruned too; those behind keep their count ahead."""
    made = await make_concert(services, policy=MaxActivePolicy(max_active=1))
    places = [await join(services, made.concert_id) for _ in range(6)]
    assert await admit_all(services, made.concert_id) == 1
    for place in places[:3]:
        await services.reservations.leave(place)
    await services.rooms.pause(made.concert_id, paused=True)
    await pass_time(database, LONG)
    await services.reservations.leave(places[4])
    await services.rooms.snapshot.refresh()
    before = [await services.rooms.status(place) for place in places[3:]]
    assert await prune(database.app_url, older_than_days=90) == Pruned(3, 0, 0)
    async with services_on(database) as other:
        for process in (services, other):
            await process.rooms.snapshot.refresh()
            after = [await process.rooms.status(place) for place in places[3:]]
            assert [(s.ahead, s.position, s.state, s.reason) for s in after] == [
                (s.ahead, s.position, s.state, s.reason) for s in before
            ]
            assert (await process.rooms.document(made.concert_id)).waiting == 2
    await services.rooms.pause(made.concert_id, paused=False)
    assert await admit_all(services, made.concert_id) == 1
    assert (await services.rooms.status(places[3])).state == "admitted"
    assert await broken(database) == {}


async def _bought_long_ago(
    services: Services, database: Database
) -> tuple[ConcertOnSale, PlaceRef, Payment]:
    """Makes a purchase whose place is pruned, with the keys ``hold`` and ``pay``."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    await services.ledger.charge(place, 50_000, "charge")
    held = await hold(services, place, made, [1], "hold")
    payment, _ = await services.payments.pay(place, held.reservation_id, 50_000, "pay")
    await pass_time(database, LONG)
    assert await prune(database.app_url, older_than_days=90) == Pruned(1, 0, 0)
    return made, place, payment


async def test_replay_of_a_kept_payment(services: Services, database: Database) -> None:
    """A repeated purchase whose place is pruned gets the first answer."""
    made, place, payment = await _bought_long_ago(services, database)
    (kept,) = (await services.payments.payments(place.user_id, limit=9, after=None)).payments
    for key, outcome in (("pay", "replayed"), ("another", "existing"), (None, "existing")):
        again, how = await services.payments.pay(place, payment.reservation_id, 50_000, key)
        assert how == outcome
        assert again == kept
    charge, replayed = await services.ledger.charge(place, 50_000, "charge")
    assert (charge.balance, replayed) == (50_000, True)
    held, replayed = await services.reservations.hold(place, made.shows[0], [1], "hold")
    assert (held.reservation_id, replayed) == (payment.reservation_id, True)
    assert (await services.reservations.get(payment.reservation_id, place.user_id)).state == "paid"


async def test_token_of_a_pruned_place(services: Services, database: Database) -> None:
    """It is finished without a reason. A forgery of a kept place is still a forgery."""
    made, place, _ = await _bought_long_ago(services, database)
    status = await services.rooms.status(place)
    assert (status.state, status.reason, status.number) == ("finished", "expired", 1)
    kept = await buyer(services, made.concert_id)
    with pytest.raises(CredentialInvalid):
        await services.rooms.status(forged(kept))
    # The web layer distinguishes it from a forgery by the line's watermark.
    with pytest.raises(CredentialInvalid):
        await services.rooms.enter(place)
    assert await services.rooms.is_pruned(place)
    assert not await services.rooms.is_pruned(kept)


async def test_unopened_line_is_not_pruned(
    services: Services, database: Database, owner: Owner
) -> None:
    """It may still become a drawn line, which needs all of its entrants."""
    made = await make_concert(services)
    await services.reservations.leave(await join(services, made.concert_id))
    await pass_time(database, LONG)
    await owner.execute("UPDATE waiting_room SET opens_at = now() + interval '1 hour'")
    assert await prune(database.app_url, older_than_days=90) == Pruned(0, 0, 0)
    (room_id,) = services.rooms.snapshot.lines
    before = await queries.cutoff(owner, days=90)
    assert await queries.prune_places(owner, room_id=room_id, before=before, limit=9) == 0
    await owner.execute("UPDATE waiting_room SET opens_at = NULL")
    assert await prune(database.app_url, older_than_days=90) == Pruned(1, 0, 0)


async def test_entrants_of_a_pruned_draw(services: Services, database: Database) -> None:
    """The draw itself is kept for ever, its entrants only as long as their places."""
    await trade(database)
    await services.rooms.snapshot.refresh()
    line = next(line for line in services.rooms.snapshot.lines.values() if line.positions)
    assert len((await services.draws.entries(line.concert_id, after=0, limit=99)).entries) == 12
    await end_all(services, database)
    await prune(database.app_url, older_than_days=90)
    for _ in range(2):
        with pytest.raises(NotFound):
            await services.draws.entries(line.concert_id, after=0, limit=9)
        await services.rooms.snapshot.refresh()
    assert (await services.draws.draw(line.concert_id)).entrants == 12


@pytest.mark.parametrize(
    ("damage", "breaks"),
    [
        ("DELETE FROM place WHERE room_id = {1} AND number = 6",
         {"numbers_are_gapless", "references_exist", "admission_is_logged_once"}),
        ("UPDATE waiting_room SET pruned_called = pruned_called - 1 WHERE room_id = {1}",
         {"admission_is_logged_once", "leavers_are_counted"}),
        ("UPDATE waiting_room SET left_count = left_count + 1 WHERE room_id = {1}",
         {"leavers_are_counted"}),
        ("UPDATE admission SET pruned = 1 WHERE room_id = {1} AND first_position = 6",
         {"admission_is_logged_once"}),
        ("UPDATE reservation SET place_number = 8 WHERE state = 'paid' AND room_id = {1}",
         {"sale_finishes_one_place", "hold_belongs_to_a_session"}),
        ("INSERT INTO drawn VALUES ({1}, 1, 1)", {"draw_follows_its_rule"}),
    ],
)  # fmt: skip
async def test_audit_finds_damage_after_pruning(
    database: Database, owner: Owner, damage: str, breaks: set[str]
) -> None:
    """The kept data is checked by the same rules as before."""
    await trade(database)
    await pass_time(database, LONG)
    await prune(database.app_url, older_than_days=90)
    first = await owner.fetchval("SELECT min(room_id) FROM waiting_room")
    await owner.execute(damage.replace("{1}", str(first)))
    findings = await service._findings(owner)
    assert {found.invariant for found in findings if found.violations} >= breaks
    assert breaks <= set(INVARIANTS)
    assert bool(breaks) == any(found.violations for found in findings)


async def test_revoked_keys_are_pruned(
    services: Services, database: Database, owner: Owner
) -> None:
    """Some time after the revocation; live ones stay, and a pruned key is refused."""
    guests = [await services.users.add_guest() for _ in range(3)]
    kept = [
        await services.users.exchange_key(guest.user_id, guest.user_key, keep=False)
        for guest in guests
    ]
    await pass_time(database, 2 * 86_400)
    late = await services.users.exchange_key(kept[0].user_id, kept[0].user_key, keep=False)
    assert await prune(database.app_url, older_than_days=1, dry_run=True) == Pruned(0, 0, 3)
    assert await prune(database.app_url, older_than_days=1) == Pruned(0, 0, 3)
    assert await owner.fetchval("SELECT count(*) FROM user_key") == 4
    async with services_on(database) as fresh:
        known = [await is_known(fresh.users, key.user_key) for key in (*guests, *kept, late)]
    assert known == [False] * 3 + [False, True, True, True]
    assert await broken(database) == {}


async def test_key_is_refused_after_a_missed_revocation(
    services: Services, database: Database
) -> None:
    """A process that was stopped during revocation and pruning drops the key."""
    guest = await services.users.add_guest()
    async with services_on(database) as other:
        await other.users.read_revocations()
        assert await is_known(other.users, guest.user_key)
        await services.users.revoke_keys(guest.user_id)
        await pass_time(database, 2 * 86_400)
        await prune(database.app_url, older_than_days=1)
        await other.users.read_revocations()
        assert await is_known(other.users, guest.user_key)  # the control: it can't read it
        other.users._asked_at -= 86_400
        await other.users.read_revocations()
        assert not await is_known(other.users, guest.user_key)


async def test_pruning_without_a_database(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One line reports it."""
    nowhere = tmp_path_factory.mktemp("nowhere")
    with pytest.raises(SetupError, match="nothing answers"):
        await prune(
            f"postgresql://nobody@/none?host={nowhere}",
            older_than_days=1,
            connect_timeout_seconds=0.1,
        )
