"""Queue tokens: signed JWTs (RFC 7519, HS256) that name a place.

A token proves only which place it names: whether the place is admitted or finished is decided in
the database. So a verified token may be cached as long as its key is on the ring.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol
from uuid import UUID

import asyncpg
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import GuestProtocol, OctKey

from frontrow.errors import CredentialInvalid
from frontrow.ids import PlaceRef
from frontrow.keys.ring import NewKey, SigningKey, open_ring

ALGORITHM = "HS256"
ISSUER = "frontrow"
PURPOSE = "token"
"""The purpose of the keys on the ring."""
LONGEST_TOKEN = 1024
"""The most characters of a token; longer ones are rejected without being parsed."""


class UnknownKey(CredentialInvalid):
    """A token is signed by a key that this process has not read (yet)."""

    def __init__(self, key_id: str) -> None:
        super().__init__()
        self.key_id = key_id


class Keys(Protocol):
    """The part of the key ring that a signer uses."""

    @property
    def keys(self) -> Mapping[str, SigningKey]:
        """The keys by id: the ``kid`` of a token."""

    @property
    def signing(self) -> SigningKey:
        """The key that signs new tokens."""

    async def find(self, key_id: str) -> SigningKey | None:
        """Returns the key with this id, even if it was just added."""

    async def refresh(self) -> bool:
        """Reads the ring again."""


class TokenSigner:
    """Signs tokens of places, and verifies them (as the bytes of a header).

    Args:
        ring: the keys.
        remembered_tokens: most verified tokens in the cache.
    """

    def __init__(self, ring: Keys, *, remembered_tokens: int) -> None:
        self._ring = ring
        self._accepted = set(ring.keys)
        self.verify = lru_cache(maxsize=remembered_tokens)(self._verify)
        """``_verify`` with a cache; errors are not cached."""

    def sign(self, place: PlaceRef) -> str:
        """Returns the token of a place."""
        key = self._ring.signing
        header = {"alg": ALGORITHM, "typ": "JWT", "kid": key.key_id}
        claims = {
            "iss": ISSUER,
            "sub": str(place.user_id),
            "jti": str(place.place_id),
            "iat": int(place.issued_at.timestamp()),
            "concert": str(place.concert_id),
            "room": place.room_id,
            "number": place.number,
        }
        return jwt.encode(header, claims, _oct_key(key.secret))

    async def refresh(self) -> None:
        """Reads the ring again; drops cached tokens of removed keys."""
        await self._ring.refresh()
        self._forget_retired()

    async def read(self, token: bytes) -> PlaceRef:
        """Returns the place of a token, signed by any process.

        Raises:
            CredentialInvalid: the token is invalid.
        """
        try:
            return self.verify(token)
        except UnknownKey as unknown:
            return await self._verify_unknown(token, unknown)

    async def _verify_unknown(self, token: bytes, unknown: UnknownKey) -> PlaceRef:
        """Verifies a token whose key another process may just have added.

        Raises:
            CredentialInvalid: there is no such key, or the token is invalid.
        """
        key = await self._ring.find(unknown.key_id)
        self._forget_retired()
        if key is None:
            raise CredentialInvalid
        return self.verify(token)

    def _forget_retired(self) -> None:
        gone = self._accepted - self._ring.keys.keys()
        self._accepted = set(self._ring.keys)
        if gone:
            self.verify.cache_clear()

    def _verify(self, token: bytes) -> PlaceRef:
        """Returns the place that a token names.

        Raises:
            UnknownKey: it is signed by a key that isn't on the ring as last read.
            CredentialInvalid: it is forged, altered, or not a token.
        """
        if len(token) > LONGEST_TOKEN:
            raise CredentialInvalid
        try:
            claims = jwt.decode(token, self._key_of, algorithms=[ALGORITHM]).claims
            if claims["iss"] != ISSUER:
                raise CredentialInvalid
            return PlaceRef(
                user_id=UUID(claims["sub"]),
                concert_id=UUID(claims["concert"]),
                room_id=int(claims["room"]),
                number=int(claims["number"]),
                place_id=UUID(claims["jti"]),
                issued_at=datetime.fromtimestamp(claims["iat"], UTC),
            )
        except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CredentialInvalid from error

    def _key_of(self, token: GuestProtocol) -> OctKey:
        """Returns the key that a token names."""
        key_id = token.headers()["kid"]
        if not isinstance(key_id, str):
            raise CredentialInvalid
        key = self._ring.keys.get(key_id)
        if key is None:
            raise UnknownKey(key_id)
        return _oct_key(key.secret)


@lru_cache(maxsize=32)
def _oct_key(secret: bytes) -> OctKey:
    return OctKey.import_key(secret)


def new_key() -> NewKey:
    """Returns a new key for tokens."""
    return NewKey(secrets.token_hex(4), secrets.token_bytes(32))


async def load_signer(pool: asyncpg.Pool, *, remembered_tokens: int) -> TokenSigner:
    """Returns the signer of this installation; the first process creates its key."""
    return TokenSigner(
        await open_ring(pool, PURPOSE, new_key()), remembered_tokens=remembered_tokens
    )
