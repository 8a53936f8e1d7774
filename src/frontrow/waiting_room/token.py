"""Queue tokens: signed JWTs (RFC 7519, HS256) that name a place.

A token proves only which place it names: whether the place is admitted or finished is decided in
the database. So a verified token may be cached as long as its key is on the ring.

Tokens are signed and verified here, without a JWT library, for a quarter of its time. Verification
accepts one algorithm, three header members, and base64url without padding or unused bits
(docs/design/adr/0003-http-stack.md).
"""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Final, Literal, Protocol
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from frontrow.errors import CredentialInvalid
from frontrow.ids import PlaceRef
from frontrow.keys.mac import HmacSha256
from frontrow.keys.ring import NewKey, SigningKey, open_ring

ISSUER: Final = "frontrow"
PURPOSE = "token"
"""The purpose of the keys on the ring."""
LONGEST_TOKEN = 1024
"""The most characters of a token; longer ones are rejected without being parsed."""


_LAST_SECOND = 253_402_300_799  # of the year 9999


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    """The header of a token (RFC 7515, section 4), in the order in which it is written."""

    typ: Literal["JWT"]
    alg: Literal["HS256"]
    kid: str


class _Claims(msgspec.Struct, omit_defaults=True):
    """The claims of a token (RFC 7519, section 4). Unknown ones are ignored."""

    iss: Literal["frontrow"]
    sub: UUID
    jti: UUID
    iat: Annotated[int, Meta(ge=0, le=_LAST_SECOND)]
    concert: UUID
    room: int
    number: int
    # These restrict a token. No token has one, and nothing here would check it.
    aud: None = None
    exp: None = None
    nbf: None = None


_encode = msgspec.json.Encoder().encode
_decode_header = msgspec.json.Decoder(_Header).decode
_decode_claims = msgspec.json.Decoder(_Claims).decode


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
        claims = _Claims(
            iss=ISSUER,
            sub=place.user_id,
            jti=place.place_id,
            iat=int(place.issued_at.timestamp()),
            concert=place.concert_id,
            room=place.room_id,
            number=place.number,
        )
        signed = b"%b.%b" % (_header_of(key.key_id), _base64url(_encode(claims)))
        token = b"%b.%b" % (signed, _base64url(_mac_of(key.secret).digest(signed)))
        return token.decode()

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
        signed, _, signature = token.rpartition(b".")
        header, _, payload = signed.partition(b".")
        try:
            expected = _base64url(self._mac_for(header).digest(signed))
            if not hmac.compare_digest(expected, signature):
                raise CredentialInvalid
            claims = _decode_claims(_from_base64url(payload))
        except (ValueError, msgspec.DecodeError) as error:
            raise CredentialInvalid from error
        return PlaceRef(
            user_id=claims.sub,
            concert_id=claims.concert,
            room_id=claims.room,
            number=claims.number,
            place_id=claims.jti,
            issued_at=datetime.fromtimestamp(claims.iat, UTC),
        )

    def _mac_for(self, header: bytes) -> HmacSha256:
        """Returns the MAC of the key that a header names.

        Raises:
            UnknownKey: it isn't on the ring as last read.
            ValueError, msgspec.DecodeError: it is not the header of a token.
        """
        key_id = _key_id_in(header)
        key = self._ring.keys.get(key_id)
        if key is None:
            raise UnknownKey(key_id)
        return _mac_of(key.secret)


@lru_cache(maxsize=32)
def _header_of(key_id: str) -> bytes:
    """Returns the encoded header of a key's tokens."""
    return _base64url(_encode(_Header(typ="JWT", alg="HS256", kid=key_id)))


@lru_cache(maxsize=32)
def _key_id_in(header: bytes) -> str:
    """Returns the id of the key that an encoded header names.

    Raises:
        ValueError, msgspec.DecodeError: it is not the header of a token.
    """
    return _decode_header(_from_base64url(header)).kid


@lru_cache(maxsize=32)
def _mac_of(secret: bytes) -> HmacSha256:
    return HmacSha256(secret)


def _base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _from_base64url(text: bytes) -> bytes:
    """Decodes base64url without padding (RFC 7515, appendix C).

    Raises:
        ValueError: it is padded, or not in the only encoding of its bytes.
    """
    data = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    if _base64url(data) != text:
        raise ValueError("not base64url")
    return data


def new_key() -> NewKey:
    """Returns a new key for tokens."""
    return NewKey(secrets.token_hex(4), secrets.token_bytes(32))


async def load_signer(pool: asyncpg.Pool, *, remembered_tokens: int) -> TokenSigner:
    """Returns the signer of this installation; the first process creates its key."""
    return TokenSigner(
        await open_ring(pool, PURPOSE, new_key()), remembered_tokens=remembered_tokens
    )
