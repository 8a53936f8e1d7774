"""Setting up and cancelling a draw, and which settings a draw refuses."""

from datetime import timedelta

import pytest

from frontrow.errors import InvalidRequest, NotFound
from frontrow.services import Services
from frontrow.upkeep import lines
from frontrow.waiting_room.policy import MaxActivePolicy
from frontrow.waiting_room.settings import RoomSettings
from testkit.database import Database
from tests.buyers import OPEN, Owner, admit_all, make_concert, pass_time, refused
from tests.integration.features.drawn_lines import (
    TO_OPENING_SECONDS,
    broken,
    drawn_line,
    joined,
    open_and_draw,
    order_by_rule,
    positions,
    soon,
)
from tests.integration.features.stored_places import admitted_numbers


async def test_cancelled_draw_is_set_up_with_another_seed(services: Services, owner: Owner) -> None:
    """Each draw has a new seed, so a new commitment; in between there is none."""
    made = await drawn_line(services)
    places = await joined(services, made, 3)
    by_draw = RoomSettings(policy=OPEN, opens_at=soon(), order="draw")
    by_arrival = RoomSettings(policy=OPEN, opens_at=soon())
    shown = [await services.draws.draw(made.concert_id)]
    for _ in range(3):
        await services.rooms.configure(made.concert_id, by_arrival)
        with pytest.raises(NotFound):
            await services.draws.draw(made.concert_id)
        assert await positions(services, places) == [1, 2, 3]
        await services.rooms.configure(made.concert_id, by_draw)
        shown.append(await services.draws.draw(made.concert_id))
        assert await positions(services, places) == [None, None, None]
    assert len({one.commitment for one in shown}) == 4
    assert [one.committed_at for one in shown] == sorted({one.committed_at for one in shown})
    assert await owner.fetchval("SELECT count(*) FROM draw") == 1


async def test_cancelled_draw_leaves_order_of_arrival(
    services: Services, database: Database, owner: Owner
) -> None:
    """The line is served by arrival."""
    made = await drawn_line(services, MaxActivePolicy(max_active=2))
    await joined(services, made, 4)
    by_arrival = RoomSettings(policy=MaxActivePolicy(max_active=2), opens_at=soon())
    await services.rooms.configure(made.concert_id, by_arrival)
    await open_and_draw(services, database)
    assert await admit_all(services, made.concert_id) == 2
    assert await admitted_numbers(owner) == [1, 2]
    assert await owner.fetchval("SELECT count(*) FROM drawn") == 0


async def test_other_settings_keep_the_commitment(services: Services, database: Database) -> None:
    """The commitment stays after a change of policy or time."""
    made = await drawn_line(services)
    places = await joined(services, made, 4)
    noted = await services.draws.draw(made.concert_id)
    later = soon() + timedelta(hours=1)
    await services.rooms.configure(
        made.concert_id,
        RoomSettings(policy=MaxActivePolicy(max_active=2), opens_at=later, order="draw"),
    )
    now = await services.draws.draw(made.concert_id)
    assert (now.commitment, now.committed_at) == (noted.commitment, noted.committed_at)
    assert now.opens_at == later
    await open_and_draw(services, database)
    assert (await services.draws.draw(made.concert_id)).drawn_at is None
    await pass_time(database, 3600)
    await services.rooms.snapshot.refresh()
    await lines.draw(services)
    draw, _ = await order_by_rule(services, made, places)
    assert draw.commitment == noted.commitment


async def test_completed_draw_cannot_be_changed(services: Services, database: Database) -> None:
    """No settings undo a completed draw or draw again, not even a later opening."""
    made = await drawn_line(services)
    places = await joined(services, made, 10)
    await open_and_draw(services, database)
    draw, _ = await order_by_rule(services, made, places)
    before = await positions(services, places)
    for settings in (
        RoomSettings(policy=OPEN),
        RoomSettings(policy=OPEN, order="draw"),
        RoomSettings(policy=OPEN, opens_at=soon(), order="draw"),
    ):
        await services.rooms.configure(made.concert_id, settings)
        await lines.draw(services)
        shown = await services.draws.draw(made.concert_id)
        assert (shown.commitment, shown.seed, shown.digest, shown.drawn_at) == (
            draw.commitment, draw.seed, draw.digest, draw.drawn_at,
        )  # fmt: skip
        assert await positions(services, places) == before
        assert (await services.rooms.settings(made.concert_id)).order == "draw"
    assert await broken(database) == []


async def test_postponed_opening_allows_no_draw(services: Services, database: Database) -> None:
    """A line that has admitted places can't be drawn any more."""
    made = await make_concert(services, policy=MaxActivePolicy(max_active=1))
    await joined(services, made, 3)
    await admit_all(services, made.concert_id)
    await services.rooms.configure(made.concert_id, RoomSettings(policy=OPEN, opens_at=soon()))
    by_draw = RoomSettings(policy=OPEN, opens_at=soon(), order="draw")
    detail = "the line has opened: its places keep their order"
    async with refused(database, InvalidRequest, errors=[{"pointer": "/order", "detail": detail}]):
        await services.rooms.configure(made.concert_id, by_draw)


async def test_draw_with_closed_entries_takes_place(
    services: Services, database: Database, owner: Owner
) -> None:
    """Its entries are closed and its process has ended: a later opening doesn't stop it."""
    for opens_at in (None, soon() + timedelta(days=1)):
        made = await drawn_line(services)
        (place, *_) = await joined(services, made, 3)
        await pass_time(database, TO_OPENING_SECONDS)
        assert await owner.fetchval("SELECT waiting_room_close_entries($1)", place.room_id) is True
        other = RoomSettings(policy=OPEN, opens_at=opens_at)
        await services.rooms.configure(made.concert_id, other)
        await services.rooms.snapshot.refresh()
        await lines.draw(services)
        assert (await services.draws.draw(made.concert_id)).entrants == 3


async def test_open_line_with_places_allows_no_draw(services: Services, database: Database) -> None:
    """Places keep the order of arrival; an empty or unopened line may be drawn."""
    made = await make_concert(services, policy=MaxActivePolicy(max_active=1))
    by_draw = RoomSettings(policy=OPEN, opens_at=soon(), order="draw")
    await joined(services, made, 2)
    detail = "the line has opened: its places keep their order"
    async with refused(database, InvalidRequest, errors=[{"pointer": "/order", "detail": detail}]):
        await services.rooms.configure(made.concert_id, by_draw)
    detail = "a draw needs the time at which it is drawn"
    empty = await make_concert(services)
    async with refused(
        database, InvalidRequest, errors=[{"pointer": "/opens_at", "detail": detail}]
    ):
        await services.rooms.configure(empty.concert_id, RoomSettings(order="draw"))
    await services.rooms.configure(empty.concert_id, by_draw)
    unopened = await make_concert(services, opens_at=soon())
    await joined(services, unopened, 2)
    await services.rooms.configure(unopened.concert_id, by_draw)
    for one in (empty, unopened):
        assert (await services.draws.draw(one.concert_id)).drawn_at is None
