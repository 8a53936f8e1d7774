"""Proof of work before a guest account: challenges in ALTCHA's scheme, by its library.

A challenge is a nonce, a salt and the beginning of a key that is derived from them and a counter.
Finding the counter takes as many derivations as it is large; the server makes one, and none to
check: it has signed the key that is to be found. Nothing is stored until a challenge is used.
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
"""What the keys on the ring are for."""
ALGORITHM = "PBKDF2/SHA-256"
"""Which browsers derive as fast as any other program; a plain hash costs them a call each."""
ITERATIONS = 100
"""Of one derivation: about as dear as the rest of making a challenge."""
LONGEST_PAYLOAD = 4096
"""Characters; ours have some 800."""

# Whatever shape it has, and whatever the library makes of it.
_UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
    msgspec.DecodeError,
)


class Solved(NamedTuple):
    """A challenge that somebody has solved, and until when it counts."""

    nonce: bytes
    expires_at: datetime


class Challenges:
    """Makes challenges and checks what is said to solve them.

    Args:
        ring: the keys that sign them.
        tries: most derivations that one takes; half of them on average.
        seconds: how long one may be solved.
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
        """A challenge as ALTCHA's clients take it: ``{parameters, signature}``."""
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
        """The challenge that a payload (base64 of JSON: challenge and solution) solves.

        Whether it has been used is the database's to say.

        Raises:
            ChallengeFailed: it isn't one of ours, isn't solved, or has ended.
        """
        try:
            said = msgspec.json.decode(base64.b64decode(payload, validate=True))
            parameters = said["challenge"]["parameters"]
            key_id = parameters["data"]["key"]
            key = await self.ring.find(key_id) if isinstance(key_id, str) else None
            if key is None:
                raise ChallengeFailed(reason="invalid")
            found = altcha.verify_solution(
                altcha.Payload.from_dict(said), key.secret, hmac_key_secret=_second(key.secret)
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
    """The key for what is to be found, apart from the one for the challenge."""
    return hmac.digest(secret, b"derived key", "sha256")


def new_key() -> NewKey:
    """A new key for challenges."""
    return NewKey(secrets.token_hex(4), secrets.token_bytes(32))


async def load_challenges(pool: asyncpg.Pool, *, tries: int, seconds: float) -> Challenges | None:
    """The challenges of this installation; ``None`` where none are asked for."""
    if not tries:
        return None
    return Challenges(await open_ring(pool, PURPOSE, new_key()), tries=tries, seconds=seconds)
