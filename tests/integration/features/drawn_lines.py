"""Lines with a draw: their opening, and their order by the rule."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from frontrow import audit
from frontrow.ids import PlaceRef
from frontrow.services import Services
from frontrow.upkeep import lines
from frontrow.waiting_room.model import Draw
from frontrow.waiting_room.policy import Policy
from testkit.database import Database
from tests import draws
from tests.buyers import OPEN, ConcertOnSale, join, make_concert, pass_time

TO_OPENING_SECONDS = 3600


def soon() -> datetime:
    """Returns the opening time of these tests' lines."""
    return datetime.now(UTC) + timedelta(seconds=TO_OPENING_SECONDS)


async def drawn_line(services: Services, policy: Policy = OPEN) -> ConcertOnSale:
    """Creates a concert whose line has a draw."""
    return await make_concert(services, policy=policy, opens_at=soon(), order="draw")


async def joined(services: Services, made: ConcertOnSale, people: int) -> list[PlaceRef]:
    """Joins ``count`` users; returns their places by number."""
    return [await join(services, made.concert_id) for _ in range(people)]


async def open_and_draw(services: Services, database: Database) -> None:
    """Moves time to the opening, and runs the upkeep once."""
    await pass_time(database, TO_OPENING_SECONDS)
    await services.rooms.snapshot.refresh()
    await lines.draw(services)


async def order_by_rule(
    services: Services, made: ConcertOnSale, entrants: Sequence[PlaceRef]
) -> tuple[Draw, list[int]]:
    """Returns the public draw, and the numbers in the order of the rule."""
    draw = await services.draws.draw(made.concert_id)
    entries = draws.entries_of(place.place_id for place in entrants)
    assert draw.seed is not None
    assert draw.commitment == draws.sum_of(draw.seed)
    assert (draw.entrants, draw.digest) == (len(entrants), draws.digest_of(entries))
    return draw, draws.order_of(draw.seed, entries)


async def positions(services: Services, places: Sequence[PlaceRef]) -> list[int | None]:
    """Returns the positions in the statuses of places."""
    return [(await services.rooms.status(place)).position for place in places]


async def ahead(services: Services, places: Sequence[PlaceRef]) -> list[int]:
    """Returns the users ahead in the statuses of places."""
    return [(await services.rooms.status(place)).ahead for place in places]


async def broken(database: Database) -> list[Any]:
    """Returns the broken invariants."""
    return [found for found in await audit.run(database.app_url) if found.violations]
