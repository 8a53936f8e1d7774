"""Looks at a line as it stands in the database."""

from uuid import uuid4

import asyncpg
import msgspec

from frontrow.ids import PlaceRef
from tests.buyers import (
    Owner,
)


async def place_row(owner: Owner, place: PlaceRef) -> asyncpg.Record:
    """A place as it stands in the database."""
    return await owner.fetchrow(
        "SELECT * FROM place WHERE room_id = $1 AND number = $2", place.room_id, place.number
    )


async def admitted_numbers(owner: Owner) -> list[int]:
    """Who has been called and is not finished."""
    rows = await owner.fetch("SELECT number FROM place WHERE state = 'admitted' ORDER BY number")
    return [row["number"] for row in rows]


def forged(place: PlaceRef) -> PlaceRef:
    """The same room and number, but another place: a token of a database that was set back."""
    return msgspec.structs.replace(place, place_id=uuid4())
