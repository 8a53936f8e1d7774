"""The place of a queue token, read without its key."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Meta

from frontrow.waiting_room.draw import entry_of

_LONGEST_TOKEN = 1024


class Own(NamedTuple):
    """The place of a token."""

    number: int
    entry: str
    joined_at: datetime
    """Truncated to the second."""


class _Claims(msgspec.Struct):
    """The claims of a token that are read (RFC 7519)."""

    concert: UUID
    jti: UUID
    number: Annotated[int, Meta(ge=1)]
    iat: Annotated[int, Meta(ge=0, le=253_402_300_799)]


def read_token(token: str, concert_id: UUID) -> Own:
    """Returns the place of a queue token; the signature is not checked: only the server can.

    Raises:
        ValueError: it is not a queue token, or one of another concert.
    """
    header, dot, rest = token.strip().partition(".")
    payload, second_dot, _ = rest.partition(".")
    if len(token) > _LONGEST_TOKEN or not (header and dot and second_dot):
        raise ValueError("it is not a queue token")
    try:
        decoded = base64.b64decode(
            payload + "=" * (-len(payload) % 4), altchars=b"-_", validate=True
        )
        claims = msgspec.json.decode(decoded, type=_Claims)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise ValueError("it is not a queue token") from None
    if claims.concert != concert_id:
        raise ValueError("it is for another concert")
    joined_at = datetime.fromtimestamp(claims.iat, UTC)
    return Own(claims.number, entry_of(claims.jti), joined_at)
