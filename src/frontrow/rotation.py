"""Rotation of the signing keys of tokens, tickets and challenges.

A new key starts signing after a lead time in which every process reads it; the signatures of the
previous key remain valid until it is retired (``keys/ring.py``).
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from frontrow.db.queries import Database
from frontrow.errors import KeyInUse, NotFound
from frontrow.ids import OPERATOR, write_id
from frontrow.keys.ring import REFRESH_SECONDS, NewKey, describe, end, rotate
from frontrow.payments import ticket_signing
from frontrow.users import challenge
from frontrow.waiting_room import token

Purpose: TypeAlias = Literal["token", "ticket", "challenge"]

LEAD_SECONDS = 5 * REFRESH_SECONDS
"""How long a key is known before it signs; each process reads its keys several times meanwhile."""

_NEW: Mapping[Purpose, Callable[[], NewKey]] = {
    "token": token.new_key,
    "ticket": ticket_signing.new_key,
    "challenge": challenge.new_key,
}


class KeyState(msgspec.Struct, frozen=True):
    """A signing key, without its secret."""

    key_id: str
    purpose: Annotated[
        Purpose, Meta(description="What it signs: queue tokens, tickets or guests' challenges.")
    ]
    state: Annotated[
        Literal["coming", "signing", "accepted", "retired"],
        Meta(
            description=(
                "It will sign, it signs, its signatures are still accepted, or they are refused."
            )
        ),
    ]
    signs_at: Annotated[datetime, Meta(description="When it starts to sign.")]
    retired_at: Annotated[
        datetime | None, Meta(description="When its signatures were first refused.")
    ]


async def key_states(database: Database) -> list[KeyState]:
    """Returns all signing keys by purpose, in the order in which they sign."""
    return [
        KeyState(row.key_id, purpose, row.state, row.signs_at, row.retired_at)
        for purpose in _NEW
        for row in await describe(database, purpose)
    ]


async def ticket_keys(database: Database) -> list[bytes]:
    """Returns the public keys of genuine tickets: previous, current and coming ones.

    Retired keys are left out: their signatures are no longer accepted.
    """
    rows = await describe(database, ticket_signing.PURPOSE)
    return [row.public_key for row in rows if row.state != "retired"]


async def rotate_key(
    database: Database, purpose: Purpose, idempotency_key: str | None = None
) -> tuple[KeyState, bool]:
    """Adds a key that takes over after ``LEAD_SECONDS``.

    Returns:
        The key, and whether it is the replay of an earlier call.

    Raises:
        IdempotencyKeyReused: the key came with another request.
    """
    done = await rotate(
        database,
        purpose,
        _NEW[purpose](),
        write_id(OPERATOR, "rotate_key", idempotency_key),
        lead_seconds=LEAD_SECONDS,
    )
    return KeyState(done.key_id, purpose, "coming", done.signs_at, None), done.replayed


async def retire_key(database: Database, key_id: str) -> None:
    """Retires a key: within a second every process refuses its signatures.

    Raises:
        NotFound: there is no such key.
        KeyInUse: it is the key that signs now.
    """
    outcomes = {await end(database, purpose, key_id) for purpose in _NEW}
    if "signing" in outcomes:
        raise KeyInUse
    if "retired" not in outcomes:
        raise NotFound
