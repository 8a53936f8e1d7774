"""ID tokens (OpenID Connect Core 1.0, section 3.1.3.7) and the users that they name.

The algorithm is fixed by the settings. The user's id is derived from issuer and subject, so the
subject itself is never stored.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry
from joserfc.jwt import ClaimsOption, JWTClaimsRegistry
from joserfc.util import urlsafe_b64decode

from frontrow.errors import CredentialInvalid
from frontrow.users.issuer_keys import IssuerKeys

SKEW_SECONDS = 30
"""Largest difference between the clocks of issuer and server."""
LONGEST_SUBJECT = 255
"""OpenID Connect Core 1.0, section 2."""


class SignedIn(NamedTuple):
    """The user that an ID token names, and the Unix time until which it is valid."""

    user_id: UUID
    until: float


class IdTokens:
    """Verifies the ID tokens of one issuer.

    Args:
        keys: the issuer's keys.
        issuer: required ``iss``: the issuer's URL.
        audience: required ``aud``: the client id of this installation at the issuer.
        algorithm: required ``alg``.
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
        self.algorithm = algorithm
        self._now = now
        # Unknown header members are ignored, except those that `crit` names (RFC 7515, section 4).
        self._registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        self._claims = self._claims_registry()

    def _claims_registry(self, **more: ClaimsOption) -> JWTClaimsRegistry:
        return JWTClaimsRegistry(
            now=lambda: int(self._now()),
            leeway=SKEW_SECONDS,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._audience},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            azp={"value": self._audience},
            **more,
        )

    async def read(self, token: bytes, *, nonce: str | None = None) -> SignedIn:
        """Verifies a token and returns its user.

        Args:
            token: the token.
            nonce: required ``nonce``, if the token was requested with one.

        Raises:
            CredentialInvalid: it isn't a token of this issuer for this audience at this time.
            Unavailable: its key is unknown, and the issuer can't be reached.
        """
        header = read_header(token)
        if header is None or header.get("alg") != self.algorithm:
            raise CredentialInvalid
        # Other kinds of JWT of the same issuer name their kind (RFC 8725, section 3.11).
        kind, key_id = header.get("typ", "JWT"), header.get("kid")
        if not isinstance(kind, str) or kind.upper() != "JWT" or not isinstance(key_id, str | None):
            raise CredentialInvalid
        key = await self._keys.find(key_id)
        if key is None:
            raise CredentialInvalid
        required = self._claims
        if nonce is not None:
            required = self._claims_registry(nonce={"essential": True, "value": nonce})
        try:
            claims = jwt.decode(token, key, registry=self._registry).claims
            required.validate(claims)
            user_id = user_id_of(self._issuer, claims["sub"])
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise CredentialInvalid from error
        if not 1 <= len(claims["sub"]) <= LONGEST_SUBJECT:
            raise CredentialInvalid
        return SignedIn(user_id, claims["exp"] + SKEW_SECONDS)


def user_id_of(issuer: str, subject: str) -> UUID:
    """Returns the user id of a subject of an issuer (UUIDv5, RFC 9562)."""
    return uuid5(uuid5(NAMESPACE_URL, issuer), subject)


def read_header(token: bytes) -> dict[str, Any] | None:
    """Returns the unverified header of a JWT; ``None`` if it can't be decoded."""
    try:
        encoded = token.split(b".", 1)[0]
        return msgspec.json.decode(urlsafe_b64decode(encoded), type=dict[str, Any])
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None
