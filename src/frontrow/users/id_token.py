"""ID tokens (OpenID Connect Core 1.0, section 3.1.3.7): who is signed in at the issuer.

The algorithm is fixed. The user's id is derived from issuer and subject, so the subject itself is
stored nowhere.
"""

import hmac
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry
from joserfc.util import urlsafe_b64decode

from frontrow.errors import CredentialInvalid
from frontrow.users.issuer_keys import IssuerKeys

SKEW_SECONDS = 30
"""How far the clocks of issuer and server may be apart."""
LONGEST_SUBJECT = 255
"""OpenID Connect Core 1.0, section 2."""


class SignedIn(NamedTuple):
    """Who an ID token names, and until when (Unix time) it may be used."""

    user_id: UUID
    until: float


class IdTokens:
    """Reads the ID tokens of one issuer.

    Args:
        keys: the issuer's.
        issuer: its address; a token's ``iss``.
        audience: a token's ``aud``: the client id that the issuer knows this installation by.
        algorithm: the one that tokens are signed with.
        now: the Unix time.
    """

    def __init__(
        self,
        keys: IssuerKeys,
        *,
        issuer: str,
        audience: str,
        algorithm: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._algorithm = algorithm
        self._now = now
        # Members of a header that aren't known are ignored, save what `crit` names (RFC 7515, 4).
        self._registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        self._claims = JWTClaimsRegistry(
            now=lambda: int(now()),
            leeway=SKEW_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            azp={"value": audience},
        )

    async def read(self, token: bytes, *, nonce: str | None = None) -> SignedIn:
        """Who a token names.

        Args:
            token: the token.
            nonce: what its ``nonce`` has to be, where the token was asked for with one.

        Raises:
            CredentialInvalid: it isn't a token of this issuer for this audience at this time.
            Unavailable: its key isn't known, and the issuer can't be asked.
        """
        header = read_header(token)
        if header is None or header.get("alg") != self._algorithm:
            raise CredentialInvalid
        # Another kind of JWT of the same issuer names its kind (RFC 8725, section 3.11).
        kind, key_id = header.get("typ", "JWT"), header.get("kid")
        if not isinstance(kind, str) or kind.upper() != "JWT" or not isinstance(key_id, str | None):
            raise CredentialInvalid
        key = await self._keys.find(key_id)
        if key is None:
            raise CredentialInvalid
        try:
            claims = jwt.decode(token, key, registry=self._registry).claims
            self._claims.validate(claims)
            user_id = user_id_of(self._issuer, claims["sub"])
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise CredentialInvalid from error
        if not 1 <= len(claims["sub"]) <= LONGEST_SUBJECT:
            raise CredentialInvalid
        if nonce is not None and not _is(claims.get("nonce"), nonce):
            raise CredentialInvalid
        return SignedIn(user_id, claims["exp"] + SKEW_SECONDS)


def user_id_of(issuer: str, subject: str) -> UUID:
    """The user of a subject of an issuer (RFC 9562, version 5)."""
    return uuid5(uuid5(NAMESPACE_URL, issuer), subject)


def _is(claim: object, expected: str) -> bool:
    return isinstance(claim, str) and hmac.compare_digest(claim.encode(), expected.encode())


def read_header(token: bytes) -> dict[str, Any] | None:
    """The header of a JWT as it says itself; ``None`` where it can't be read."""
    try:
        encoded = token.split(b".", 1)[0]
        return msgspec.json.decode(urlsafe_b64decode(encoded), type=dict[str, Any])
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None
