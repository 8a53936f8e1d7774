"""Seat maps: read once, then updated by changes."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest
from prometheus_client import REGISTRY

from frontrow.concerts import seat_maps
from frontrow.concerts.seat_documents import Variant
from frontrow.errors import (
    CredentialInvalid,
    NotAdmitted,
    RecentlyReleased,
    SeatTaken,
    TokenFinished,
)
from frontrow.ids import PlaceRef
from frontrow.services import Services
from frontrow.waiting_room.policy import MaxActivePolicy
from testkit.database import Database
from tests.buyers import ConcertOnSale, Owner, buyer, join, make_concert, pass_time, services_on
from tests.integration.features.buying import PRICE, purchase
from tests.integration.features.holding import hold
from tests.integration.features.seat_map_reader import Watcher, look, states
from tests.integration.features.stored_places import forged


@pytest.fixture
async def other(database: Database) -> AsyncIterator[Services]:
    """Another process on the same database."""
    async with services_on(database) as opened:
        yield opened


# Content -----------------------------------------------------------------------------------------


async def test_states(services: Services, database: Database) -> None:
    """Available, held and sold; a seat is available after its hold, without any upkeep."""
    made = await make_concert(services, seats=6, hold_seconds=300)
    show = made.shows[0]
    await purchase(services, made, [2])
    place = await buyer(services, made.concert_id)
    await hold(services, place, made, [4, 5])
    assert await states(services, show, place) == "asahha"
    free = await look(services, show, place, only_available=True)
    assert [seat["number"] for seat in free["seats"]] == [1, 3, 6]
    assert (free["seats_available"], free["complete"]) == (3, True)
    assert (free["show_id"], free["date"]) == (str(show.show_id), show.date.isoformat())
    await pass_time(database, 300)
    assert await states(services, show, place) == "asaaaa"


async def test_hold_ends_without_a_change(services: Services, owner: Owner) -> None:
    """The end of a hold changes no row: the map makes the seat available by its clock."""
    made = await make_concert(services, hold_seconds=1)
    place = await buyer(services, made.concert_id)
    await hold(services, place, made, [2])
    watcher = Watcher(place, made.shows[0])
    assert (await watcher.follow(services))[:3] == "aha"
    logged = await owner.fetchval("SELECT count(*) FROM seat_change")
    async with asyncio.timeout(60):
        while not watcher.changed:
            await watcher.follow(services)
    assert ("".join(watcher.states), watcher.changed) == ("a" * 50, [2])
    assert await owner.fetchval("SELECT count(*) FROM seat_change") == logged


async def test_forms_are_equal(services: Services) -> None:
    """The plain and the compact form are equal, for all seats and for changes."""
    made = await make_concert(services, seats=60)
    show, place = made.shows[0], await buyer(services, made.concert_id)
    before = await look(services, show, place)
    await hold(services, place, made, [7, 60])
    plain, compact = [await look(services, show, place, form=form) for form in ("plain", "compact")]
    assert "".join(seat["state"][0] for seat in plain["seats"]) == compact["states"]
    assert [seat["number"] for seat in plain["seats"]] == list(range(1, 61))
    assert plain["sections"] == compact["sections"] == [
        {"name": None, "price": PRICE, "first_number": 1, "last_number": 60, "seats_per_row": 60}
    ]  # fmt: skip
    plain, compact = [
        await look(services, show, place, form=form, since=before["version"])
        for form in ("plain", "compact")
    ]
    assert plain["seats"] == [
        {"number": number, "section": None, "price": PRICE, "state": "held"} for number in (7, 60)
    ]
    assert (compact["numbers"], compact["states"]) == ([7, 60], "hh")
    for changes in (plain, compact):
        assert (changes["complete"], "sections" in changes) == (False, False)
        assert changes["seats_available"] == 58


async def test_document_is_built_once(services: Services) -> None:
    """Until a seat changes, all readers get the same bytes, compressed once."""
    made = await make_concert(services)
    show, place = made.shows[0], await buyer(services, made.concert_id)
    found = await asyncio.gather(*[services.seat_maps.read(place, show) for _ in range(50)])
    first = found[0].document(Variant())
    zipped = await first.gzipped()
    assert all(one.document(Variant()) is first for one in found)
    assert await found[-1].document(Variant()).gzipped() is zipped
    await hold(services, place, made, [1])
    again = await services.seat_maps.read(place, show)
    assert again.document(Variant()) is not first


async def test_readers_share_one_statement(services: Services) -> None:
    """Two hundred concurrent readers of three shows share one statement."""
    made = await make_concert(services, shows=3)
    places = [await buyer(services, made.concert_id) for _ in range(10)]
    for show in made.shows:
        await look(services, show, places[0])

    def batches() -> tuple[float, float]:
        counts = [
            REGISTRY.get_sample_value(f"frontrow_batch_items_{what}", {"lane": "seat_map"}) or 0.0
            for what in ("count", "sum")
        ]
        return counts[0], counts[1]

    calls, items = batches()
    await asyncio.gather(
        *[services.seat_maps.read(places[n % 10], made.shows[n % 3]) for n in range(200)]
    )
    assert batches() == (calls + 1, items + 200)


async def test_hold_is_in_the_next_map(services: Services, other: Services) -> None:
    """After the answer of a hold, release or payment, the next map has it, in every process."""
    made = await make_concert(services, seats=4)
    show = made.shows[0]
    place = await buyer(services, made.concert_id, PRICE)
    watchers = [Watcher(place, show) for _ in range(2)]

    async def seen() -> list[str]:
        return [
            await watcher.follow(process)
            for watcher, process in zip(watchers, (services, other), strict=True)
        ]

    assert await seen() == ["aaaa"] * 2
    first = await hold(services, place, made, [1, 3])
    assert await seen() == ["haha"] * 2
    await other.reservations.release(first.reservation_id, place.user_id, place)
    assert await seen() == ["aaaa"] * 2
    second, _ = await other.reservations.hold(place, show, [2], None)
    assert await seen() == ["ahaa"] * 2
    payment, _ = await other.payments.pay(place, second.reservation_id, PRICE, None)
    onlooker = await buyer(services, made.concert_id)
    for watcher in watchers:
        watcher.place = onlooker
    assert await seen() == ["asaa"] * 2
    await services.refunds.refund(payment.payment_id, None, None)
    assert await seen() == ["aaaa"] * 2


async def test_seats_of_ended_holds_are_free(services: Services) -> None:
    """Seats released by a payment or a leave are free in the next map."""
    made = await make_concert(services, seats=5)
    place = await buyer(services, made.concert_id, PRICE)
    watcher = Watcher(await buyer(services, made.concert_id), made.shows[0])
    bought = await hold(services, place, made, [1])
    await hold(services, place, made, [2, 3])
    assert await watcher.follow(services) == "hhhaa"
    await services.payments.pay(place, bought.reservation_id, PRICE, None)
    assert await watcher.follow(services) == "saaaa"
    leaver = await buyer(services, made.concert_id)
    await hold(services, leaver, made, [4])
    assert await watcher.follow(services) == "saaha"
    await services.reservations.leave(leaver)
    assert await watcher.follow(services) == "saaaa"


# Access ------------------------------------------------------------------------------------------


async def test_only_admitted_places_may_read(services: Services, other: Services) -> None:
    """The token is judged by the same statement: waiting, forged, just ended."""
    made = await make_concert(services, policy=MaxActivePolicy(max_active=1))
    show = made.shows[0]
    place = await buyer(services, made.concert_id)
    waiting = await join(services, made.concert_id)
    await look(services, show, place)
    found = await asyncio.gather(
        *[
            services.seat_maps.read(who, show)
            for who in (None, place, waiting, None, forged(place), place)
        ],
        return_exceptions=True,
    )
    # The operator has no place, so nothing is judged or refused.
    looked = seat_maps.CachedSeatMap
    assert [type(one) for one in found] == [
        looked, looked, NotAdmitted, looked, CredentialInvalid, looked,
    ]  # fmt: skip
    await other.reservations.leave(place)
    with pytest.raises(TokenFinished) as caught:
        await services.seat_maps.read(place, show)
    assert caught.value.fields == {"reason": "left"}


async def test_refused_token_causes_no_read(services: Services) -> None:
    """A token that isn't admitted doesn't cause a read of a show."""
    made = await make_concert(services, policy=MaxActivePolicy(max_active=1))
    await buyer(services, made.concert_id)
    waiting = await join(services, made.concert_id)
    with pytest.raises(NotAdmitted):
        await services.seat_maps.read(waiting, made.shows[0])
    assert services.seat_maps.seats_kept == 0


async def test_first_read_claims(services: Services, owner: Owner) -> None:
    """The first read of an admitted user begins the session."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    assert await owner.fetchval("SELECT claimed_at FROM place") is None
    await services.seat_maps.read(place, made.shows[0])
    assert await owner.fetchval("SELECT claimed_at FROM place") is not None


# Tags and versions -------------------------------------------------------------------------------


async def test_entity_tag_is_that_of_the_states(services: Services, other: Services) -> None:
    """A digest of the states: equal in every process, and for equal states."""
    made = await make_concert(services)
    show, place = made.shows[0], await buyer(services, made.concert_id)

    async def tags() -> set[bytes]:
        return {(await one.seat_maps.read(place, show)).etag for one in (services, other)}

    (first,) = await tags()
    held = await hold(services, place, made, [1])
    (second,) = await tags()
    assert second != first
    await services.reservations.release(held.reservation_id, place.user_id, place)
    assert await tags() == {first}
    sibling = await make_concert(services)
    stranger = await buyer(services, sibling.concert_id)
    assert (await services.seat_maps.read(stranger, sibling.shows[0])).etag != first


async def test_version_is_valid_in_every_process(services: Services, other: Services) -> None:
    """Another process continues from a version, even one that has just read the seats."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    watcher = Watcher(place, made.shows[0])
    await watcher.follow(services)
    await hold(services, place, made, [3])
    await watcher.follow(other)
    assert watcher.changed == [3]
    await hold(services, place, made, [5])
    await watcher.follow(services)
    # The first hold's transaction is known by then; only its seats may be repeated.
    assert watcher.changed == [5]


@pytest.mark.parametrize(
    "change",
    [
        ("00000000", 0, 0),
        (None, 1, 0),
        (None, 10**18, 0),
        (None, 0, 3_600_000),
        (None, 0, -540_001),
        (None, 0, 10**15),
    ],
    ids=["another log", "next", "far", "later", "too old", "never"],
)
async def test_invalid_versions_get_all_seats(
    services: Services, change: tuple[str | None, int, int]
) -> None:
    """Of another log, of the future, too old: the response has all seats."""
    made = await make_concert(services)
    show, place = made.shows[0], await buyer(services, made.concert_id)
    await hold(services, place, made, [1])
    log, first, ms = (await look(services, show, place))["version"].split("-")
    other_log, further, later = change
    since = f"{other_log or log}-{int(first) + further}-{int(ms) + later}"
    answer = await look(services, show, place, since=since)
    assert (answer["complete"], len(answer["seats"])) == (True, 50)
    old = f"{log}-{first}-{int(ms) - 530_000}"
    assert (await look(services, show, place, since=old))["complete"] is False


async def test_many_changes_are_returned_as_all_seats(services: Services) -> None:
    """If the changes are longer than all seats, the response has all seats."""
    made = await make_concert(services, seats=70, max_seats_per_user=100)
    place = await buyer(services, made.concert_id)
    watcher = Watcher(place, made.shows[0])
    await watcher.follow(services)
    await hold(services, place, made, list(range(1, 10)))
    await watcher.follow(services)
    assert watcher.changed == list(range(1, 10))
    await hold(services, place, made, list(range(11, 21)))
    await watcher.follow(services)
    assert watcher.changed is None


# The log -----------------------------------------------------------------------------------------


async def test_new_log_reads_all_seats(services: Services, owner: Owner) -> None:
    """After a crash the log is empty and has no name: all seats are read again."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    watcher = Watcher(place, made.shows[0])
    await watcher.follow(services)
    await hold(services, place, made, [2])
    await owner.execute("TRUNCATE seat_change, seat_change_log")
    assert (await watcher.follow(services))[:3] == "aha"
    assert watcher.changed is None
    await hold(services, place, made, [3])
    assert (await watcher.follow(services))[:3] == "ahh"
    assert watcher.changed == [3]


async def test_log_from_another_server(services: Services, owner: Owner) -> None:
    """A restored dump has xids that this server hasn't reached: they hide no change."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id)
    await owner.execute(
        "INSERT INTO seat_change VALUES ($1, '9000000000', '{1}', clock_timestamp())",
        made.shows[0].show_id,
    )
    watcher = Watcher(place, made.shows[0])
    await watcher.follow(services)
    await hold(services, place, made, [2])
    assert (await watcher.follow(services))[:3] == "aha"


async def test_old_changes_are_deleted(
    services: Services, database: Database, owner: Owner
) -> None:
    """The log keeps ten minutes; a client that was away for longer reads all seats."""
    made = await make_concert(services)
    place = await buyer(services, made.concert_id, PRICE)
    watcher = Watcher(place, made.shows[0])
    await watcher.follow(services)
    paid = await hold(services, place, made, [2])
    await services.payments.pay(place, paid.reservation_id, PRICE, None)
    await pass_time(database, 601)
    watcher.place = await buyer(services, made.concert_id)
    assert await services.seat_maps.forget_changes() == 2
    assert await owner.fetchval("SELECT count(*) FROM seat_change") == 1
    assert (await watcher.follow(services))[:3] == "asa"
    assert await services.seat_maps.forget_changes() == 0


# Memory ------------------------------------------------------------------------------------------


async def test_maps_are_bounded(database: Database) -> None:
    """Beyond the limit the map that was read longest ago is dropped, and read again."""
    async with services_on(database, seat_map_seats=100) as services:
        made = await make_concert(services, shows=3, seats=40)
        place = await buyer(services, made.concert_id)
        for show in made.shows:
            assert await states(services, show, place) == "a" * 40
            assert services.seat_maps.seats_kept <= 100
        assert await states(services, made.shows[0], place) == "a" * 40
        assert services.seat_maps.seats_kept == 80
        large = await make_concert(services, seats=150)
        stranger = await buyer(services, large.concert_id)
        assert await states(services, large.shows[0], stranger) == "a" * 150
        assert services.seat_maps.seats_kept == 150


async def test_idle_maps_are_dropped(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """A map that is not read is dropped; one that is read stays."""
    made = await make_concert(services, shows=2, seats=40)
    place = await buyer(services, made.concert_id)
    for show in made.shows:
        await look(services, show, place)
    assert (services.seat_maps.forget_idle(), services.seat_maps.seats_kept) == (0, 80)
    monkeypatch.setattr(seat_maps, "IDLE_SECONDS", 0.0)
    await look(services, made.shows[0], place)
    assert (services.seat_maps.forget_idle(), services.seat_maps.seats_kept) == (2, 0)


# A property --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
async def test_followed_seats_equal_the_stored_ones(
    services: Services, other: Services, database: Database, seed: int
) -> None:
    """After any calls: earlier seats and the changes since are the present seats.

    Several clients follow at their own pace, through either of two processes; after each round,
    those that ask have the states that a new process reads.
    """
    random = Random(seed)  # noqa: S311 - no secret
    made = await make_concert(
        services, seats=40, max_seats_per_user=100, session_seconds=86_400, claim_seconds=3_600
    )
    processes = (services, other)
    watchers = [Watcher(await buyer(services, made.concert_id), made.shows[0]) for _ in range(4)]
    changes = 0
    for turn in range(10):
        shoppers = [await buyer(services, made.concert_id, 40 * PRICE) for _ in range(4)]
        await asyncio.gather(*[_shop(random, processes, made, shopper) for shopper in shoppers])
        if turn % 5 == 4:
            await pass_time(database, 310)
        some = random.sample(watchers, random.randint(1, 4))
        seen = await asyncio.gather(*[one.follow(random.choice(processes)) for one in some])
        changes += sum(one.changed is not None for one in some)
        async with services_on(database) as fresh:
            assert set(seen) == {await states(fresh, made.shows[0], watchers[0].place)}
    assert changes


async def _shop(
    random: Random, processes: tuple[Services, Services], made: ConcertOnSale, place: PlaceRef
) -> None:
    """Holds some seats; then keeps, releases or pays them, leaves, or is refunded. Or gets none."""
    process = random.choice(processes)
    try:
        seats = random.sample(range(1, 41), random.randint(1, 3))
        held, _ = await process.reservations.hold(place, made.shows[0], seats, None)
        what = random.choice(["keep", "release", "leave", "pay", "refund"])
        if what == "release":
            await process.reservations.release(held.reservation_id, place.user_id, place)
        elif what == "leave":
            await process.reservations.leave(place)
        elif what in ("pay", "refund"):
            payment, _ = await process.payments.pay(place, held.reservation_id, held.amount, None)
            if what == "refund":
                await process.refunds.refund(payment.payment_id, None, None)
    except (SeatTaken, RecentlyReleased):
        pass
