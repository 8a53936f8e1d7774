"""Queue tokens: signed JWTs (RFC 7519, HS256) that name a place.

A token proves which place it is, nothing more: whether the place is admitted or finished is the
database's word. So a verified token may be remembered for as long as there is room and its key is
on the ring.
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
"""What the keys on the ring are for."""
LONGEST_TOKEN = 1024
"""Characters; anything longer is no token of ours and isn't even read."""


class UnknownKey(CredentialInvalid):
    """A token is signed by a key that this process doesn't know, or not yet."""

    def __init__(self, key_id: str) -> None:
        super().__init__()
        self.key_id = key_id


class Keys(Protocol):
    """What a signer needs of the key ring."""

    @property
    def keys(self) -> Mapping[str, SigningKey]:
        """The keys by their ids; tokens name theirs by ``kid``."""

    @property
    def signing(self) -> SigningKey:
        """The key that new tokens are signed with."""

    async def find(self, key_id: str) -> SigningKey | None:
        """The key of this id, even if it was added just now."""

    async def refresh(self) -> bool:
        """Reads the ring."""


class TokenSigner:
    """Signs places into tokens and reads them back (as the bytes of a header).

    Args:
        ring: the keys.
        remembered_tokens: most verified tokens kept.
    """

    def __init__(self, ring: Keys, *, remembered_tokens: int) -> None:
        self._ring = ring
        self._accepted = set(ring.keys)
        self.verify = lru_cache(maxsize=remembered_tokens)(self._verify)
        """``_verify``, remembered; a refusal never is."""

    def sign(self, place: PlaceRef) -> str:
        """The token of a place."""
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
        """Reads the ring; what keys that are gone have signed is no longer remembered."""
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
        """The place that a token names whose key another process may have added just now.

        Raises:
            CredentialInvalid: there is no such key, or the token is none.
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
        """The place that a token names.

        Raises:
            UnknownKey: signed by a key that isn't on the ring as it was last read.
            CredentialInvalid: forged, altered, or not a token at all.
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
        """The key that a token says it was signed with."""
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
    """A new key for tokens."""
    return NewKey(secrets.token_hex(4), secrets.token_bytes(32))


async def load_signer(pool: asyncpg.Pool, *, remembered_tokens: int) -> TokenSigner:
    """The signer of this installation; the first process to ask makes its key."""
    return TokenSigner(
        await open_ring(pool, PURPOSE, new_key()), remembered_tokens=remembered_tokens
    )
