"""Ids: the reference to a place that a token carries, and ids that make a write idempotent."""

import hashlib
import os
import time
from datetime import datetime
from uuid import UUID, uuid5

import msgspec

OPERATOR = UUID("00000000-0000-0000-0000-0000000000aa")
"""The owner of the operator's Idempotency-Keys; no user has this id."""

_VARIANT = 0b10 << 62
# All but version and variant, of the 80 bits behind the time.
_RANDOM_BITS = (0xFFF << 64) | (2**62 - 1)

_encoder = msgspec.json.Encoder(order="deterministic")


class PlaceRef(msgspec.Struct, frozen=True, gc=False):
    """A place in a line as its signed token identifies it."""

    user_id: UUID
    concert_id: UUID
    room_id: int
    number: int
    place_id: UUID
    issued_at: datetime


def new_id() -> UUID:
    """Returns a new id: a time-ordered UUID (RFC 9562, version 7).

    An index on such ids grows at its end only.
    """
    milliseconds = time.time_ns() // 1_000_000
    return UUID(
        int=milliseconds << 80 | 7 << 76 | int.from_bytes(os.urandom(10)) & _RANDOM_BITS | _VARIANT
    )


def write_id(owner: UUID, operation: str, idempotency_key: str | None) -> UUID:
    """Returns the id of the object that a call creates.

    With a key it is derived from owner, operation and key (RFC 9562, version 5), so that a repeated
    call finds the object; without a key it is new.
    """
    if idempotency_key is None:
        return new_id()
    return uuid5(owner, f"{operation}:{idempotency_key}")


def request_hash(request: object) -> int:
    """Returns a signed 64-bit digest of a request, to recognize a repeated request."""
    digest = hashlib.sha256(_encoder.encode(request)).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
