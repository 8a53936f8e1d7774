"""Guest accounts. A user key is 256 random bits, given out once and stored only as its SHA-256."""

import hashlib
import secrets
from collections.abc import Sequence
from uuid import UUID, uuid4

import asyncpg
import msgspec

from frontrow.db.queries import load
from frontrow.errors import CredentialInvalid
from frontrow.group_commit import Lanes

_queries = load("frontrow.users")

KEY_PREFIX = "frk_"
"""What every user key begins with, so that it is told from a queue token at a glance."""


class Guest(msgspec.Struct, frozen=True):
    """A new guest account; the key is shown this once."""

    user_id: UUID
    user_key: str


class Users:
    """Makes guest accounts and tells whose key one is."""

    def __init__(self, pool: asyncpg.Pool, lanes: Lanes, *, remembered_keys: int) -> None:
        self._pool = pool
        self._adding = lanes.open("user_add", self._add, in_flight=1)
        self._finding = lanes.open("user_find", self._find)
        self._remembered_keys = remembered_keys
        # A key is 256 random bits: nothing can be learnt from how long a look-up of its hash takes.
        self._known: dict[bytes, UUID] = {}

    async def add_guest(self) -> Guest:
        """Makes a guest account."""
        guest = Guest(uuid4(), KEY_PREFIX + secrets.token_urlsafe(32))
        key_hash = _hash(guest.user_key)
        await self._adding.submit((guest.user_id, key_hash))
        self._remember(key_hash, guest.user_id)
        return guest

    async def user_of(self, user_key: str) -> UUID:
        """The user whose key this is.

        Raises:
            CredentialInvalid: nobody's.
        """
        key_hash = _hash(user_key)
        user_id = self._known.get(key_hash)
        if user_id is None:
            user_id = await self._finding.submit(key_hash)
            if user_id is None:
                raise CredentialInvalid
            self._remember(key_hash, user_id)
        return user_id

    def _remember(self, key_hash: bytes, user_id: UUID) -> None:
        while len(self._known) >= self._remembered_keys:
            del self._known[next(iter(self._known))]
        self._known[key_hash] = user_id

    async def _add(self, guests: Sequence[tuple[UUID, bytes]]) -> list[None]:
        user_ids, key_hashes = zip(*guests, strict=True)
        await _queries.add_users(self._pool, user_ids=user_ids, key_hashes=key_hashes)
        return [None] * len(guests)

    async def _find(self, key_hashes: Sequence[bytes]) -> list[UUID | None]:
        rows = await _queries.users_of_keys(self._pool, key_hashes=key_hashes)
        return [row["user_id"] for row in rows]


def _hash(user_key: str) -> bytes:
    return hashlib.sha256(user_key.encode()).digest()
