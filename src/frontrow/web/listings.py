"""Lists that several calls return: the concerts on sale, pages of payments."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from frontrow.concerts.model import Concert
from frontrow.services import Services
from frontrow.waiting_room.model import RoomState


class ListedConcert(Concert, frozen=True):
    """A concert with the state of its waiting room."""

    state: Annotated[RoomState, Meta(description="The state of its waiting room.")]


async def on_sale(services: Services) -> list[ListedConcert]:
    """Returns the concerts on sale, each with the state of its waiting room."""
    lines = services.rooms.snapshot.by_concert
    return [
        ListedConcert(**msgspec.structs.asdict(concert), state=lines[concert.concert_id].state)
        for concert in await services.catalogue.concerts()
        if concert.concert_id in lines
    ]


class PaymentsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page of a list of payments."""

    limit: Annotated[int, Meta(ge=1, le=100, description="Maximum size of the page.")] = 20
    after: Annotated[UUID | None, Meta(description="`next` of the previous page.")] = None
