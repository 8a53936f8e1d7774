"""Who and what a call is about: a place in a line, and the ids that make a write happen once."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4, uuid5

import msgspec

OPERATOR = UUID("00000000-0000-0000-0000-0000000000aa")
"""Whose Idempotency-Keys the operator's are; no user has this id."""

_encoder = msgspec.json.Encoder(order="deterministic")


class PlaceRef(msgspec.Struct, frozen=True, gc=False):
    """A place in a line, as its signed token names it."""

    user_id: UUID
    concert_id: UUID
    room_id: int
    number: int
    place_id: UUID
    issued_at: datetime


def place_arrays(places: Sequence[PlaceRef]) -> dict[str, list[object]]:
    """Places as the three arrays that the database functions take."""
    return {
        "room_ids": [place.room_id for place in places],
        "numbers": [place.number for place in places],
        "place_ids": [place.place_id for place in places],
    }


def write_id(owner: UUID, operation: str, idempotency_key: str | None) -> UUID:
    """The id of what a call is about to make.

    With a key it is derived from owner, operation and key (RFC 9562, version 5), so that the same
    call asked again finds what it made; without one it is random.
    """
    if idempotency_key is None:
        return uuid4()
    return uuid5(owner, f"{operation}:{idempotency_key}")


def request_hash(request: object) -> int:
    """A signed 64-bit digest of what a request asks for: tells the same one from another."""
    digest = hashlib.sha256(_encoder.encode(request)).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
