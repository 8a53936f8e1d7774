"""Queue tokens: signed JWTs (RFC 7519, HS256) that name a place.

A token proves which place it is, nothing more: whether the place is admitted or finished is the
database's word. So a verified token may be remembered for as long as there is room.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

import asyncpg
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import GuestProtocol, OctKey

from frontrow.errors import CredentialInvalid
from frontrow.ids import PlaceRef
from frontrow.keys.ring import NewKey, open_ring

ALGORITHM = "HS256"
ISSUER = "frontrow"
PURPOSE = "token"
"""What the keys on the ring are for."""
LONGEST_TOKEN = 1024
"""Characters; anything longer is no token of ours and isn't even read."""


class TokenSigner:
    """Signs places into tokens and reads them back (as the bytes of a header).

    Args:
        secrets_by_key_id: the keys; tokens name theirs by ``kid``.
        signing_key_id: the one that new tokens are signed with.
        remembered_tokens: most verified tokens kept.
    """

    def __init__(
        self,
        secrets_by_key_id: Mapping[str, bytes],
        signing_key_id: str,
        *,
        remembered_tokens: int,
    ) -> None:
        self._keys = {
            key_id: OctKey.import_key(secret) for key_id, secret in secrets_by_key_id.items()
        }
        self._header = {"alg": ALGORITHM, "typ": "JWT", "kid": signing_key_id}
        self.verify = lru_cache(maxsize=remembered_tokens)(self._verify)
        """``_verify``, remembered; a refusal never is."""

    def sign(self, place: PlaceRef) -> str:
        """The token of a place."""
        claims = {
            "iss": ISSUER,
            "sub": str(place.user_id),
            "jti": str(place.place_id),
            "iat": int(place.issued_at.timestamp()),
            "concert": str(place.concert_id),
            "room": place.room_id,
            "number": place.number,
        }
        return jwt.encode(self._header, claims, self._keys[self._header["kid"]])

    def _verify(self, token: bytes) -> PlaceRef:
        """The place that a token names.

        Raises:
            CredentialInvalid: forged, altered, signed by an unknown key, or not a token at all.
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
        """The key that a token says it was signed with; ``KeyError`` for none of ours."""
        return self._keys[token.headers()["kid"]]


async def load_signer(pool: asyncpg.Pool, *, remembered_tokens: int) -> TokenSigner:
    """The signer of this installation; the first process to ask makes its key."""
    first = NewKey(secrets.token_hex(4), secrets.token_bytes(32))
    ring = await open_ring(pool, PURPOSE, first)
    return TokenSigner(
        {key_id: key.secret for key_id, key in ring.keys.items()},
        ring.signing.key_id,
        remembered_tokens=remembered_tokens,
    )
