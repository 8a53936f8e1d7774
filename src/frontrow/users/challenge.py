"""Proof of work before a guest account: challenges in ALTCHA's scheme, by its library.

A challenge has a nonce, a salt and the first bytes of a key derived from them and a counter. A
client tries counters from 0. The server derives one key to create a challenge, and none to check a
solution, since it has signed the key. Nothing is stored until a challenge is used.
"""

import base64
import hmac
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import altcha
import asyncpg
import msgspec

from frontrow.errors import ChallengeFailed
from frontrow.keys.ring import KeyRing, NewKey, open_ring

PURPOSE = "challenge"
"""Purpose of the keys on the ring."""
ALGORITHM = "PBKDF2/SHA-256"
"""Native in browsers, so that other programs have no advantage (ADR 18)."""
ITERATIONS = 100
"""Of one derivation; costs about as much as the rest of creating a challenge."""
LONGEST_PAYLOAD = 4096
"""Characters; a genuine one has about 800."""

# Errors of the decoders and of the library on malformed payloads.
_UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
    msgspec.DecodeError,
)


class Solved(NamedTuple):
    """A solved challenge, and its expiry."""

    nonce: bytes
    expires_at: datetime


class Challenges:
    """Creates challenges and checks solutions.

    Args:
        ring: keys that sign the challenges.
        tries: most derivations that a solution takes; half of them on average.
        seconds: lifetime of a challenge.
        now: the Unix time.
    """

    def __init__(
        self,
        ring: KeyRing,
        *,
        tries: int,
        seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.ring = ring
        self._tries = tries
        self._seconds = seconds
        self._now = now

    def new(self) -> dict[str, Any]:
        """Returns a new challenge for an ALTCHA client: ``{parameters, signature}``."""
        key = self.ring.signing
        challenge = altcha.create_challenge(
            ALGORITHM,
            ITERATIONS,
            counter=secrets.randbelow(self._tries),
            expires_at=int(self._now() + self._seconds),
            data={"key": key.key_id},
            hmac_secret=key.secret,
            hmac_key_secret=_second(key.secret),
        )
        return challenge.to_dict()

    async def check(self, payload: str) -> Solved:
        """Checks a payload (base64 of JSON: challenge and solution); returns its challenge.

        Whether the challenge has been used is checked in the database.

        Raises:
            ChallengeFailed: the challenge is forged, not solved, or expired.
        """
        try:
            decoded = msgspec.json.decode(base64.b64decode(payload, validate=True))
            parameters = decoded["challenge"]["parameters"]
            key_id = parameters["data"]["key"]
            key = await self.ring.find(key_id) if isinstance(key_id, str) else None
            if key is None:
                raise ChallengeFailed(reason="invalid")
            found = altcha.verify_solution(
                altcha.Payload.from_dict(decoded), key.secret, hmac_key_secret=_second(key.secret)
            )
        except _UNREADABLE:
            raise ChallengeFailed(reason="invalid") from None
        if not found.verified:
            raise ChallengeFailed(reason="expired" if found.expired else "invalid")
        return Solved(
            bytes.fromhex(parameters["nonce"]),
            datetime.fromtimestamp(parameters["expiresAt"], UTC),
        )


def _second(secret: bytes) -> bytes:
    """Returns the key that signs the derived key; the challenge is signed with another."""
    return hmac.digest(secret, b"derived key", "sha256")


def new_key() -> NewKey:
    """Returns a new key for challenges."""
    return NewKey(secrets.token_hex(4), secrets.token_bytes(32))


async def load_challenges(pool: asyncpg.Pool, *, tries: int, seconds: float) -> Challenges | None:
    """Returns the challenges of this installation; ``None`` where none are required."""
    if not tries:
        return None
    return Challenges(await open_ring(pool, PURPOSE, new_key()), tries=tries, seconds=seconds)
