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

from frontrow.db.queries import load
from frontrow.errors import CredentialInvalid
from frontrow.ids import PlaceRef

ALGORITHM = "HS256"
ISSUER = "frontrow"
LONGEST_TOKEN = 1024
"""Characters; anything longer is no token of ours and isn't even read."""

_queries = load("frontrow.waiting_room")


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
    await _queries.add_signing_key(
        pool, key_id=secrets.token_hex(4), secret=secrets.token_bytes(32)
    )
    rows = await _queries.signing_keys(pool)
    return TokenSigner(
        {row["key_id"]: row["secret"] for row in rows},
        next(row["key_id"] for row in rows if row["retired_at"] is None),
        remembered_tokens=remembered_tokens,
    )
