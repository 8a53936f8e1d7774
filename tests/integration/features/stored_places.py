"""Reads places as the database has stored them."""

from uuid import uuid4

import asyncpg
import msgspec

from frontrow.ids import PlaceRef
from tests.buyers import (
    Owner,
)


async def place_row(owner: Owner, place: PlaceRef) -> asyncpg.Record:
    """Returns a stored place."""
    return await owner.fetchrow(
        "SELECT * FROM place WHERE room_id = $1 AND number = $2", place.room_id, place.number
    )


async def admitted_numbers(owner: Owner) -> list[int]:
    """Returns the numbers of the admitted, unfinished places."""
    rows = await owner.fetch("SELECT number FROM place WHERE state = 'admitted' ORDER BY number")
    return [row["number"] for row in rows]


def forged(place: PlaceRef) -> PlaceRef:
    """Returns the same room and number with another place id, as after a restored backup."""
    return msgspec.structs.replace(place, place_id=uuid4())
