"""A sign-in on its way: what the browser keeps of it, and what the issuer is told."""

import base64
import hashlib
import hmac
import re
import secrets
import time

from frontrow.errors import SignInFailed
from frontrow.users.id_token import SKEW_SECONDS

ATTEMPT_SECONDS = 600
"""How long somebody may take at the issuer."""
LONGEST_BACK = 512
"""Characters, of the path to come back to."""

_KEPT = re.compile(r"(?P<begun>\d{1,12})\.[\w-]{43}\.(?P<back>[\w-]{0,700})", re.ASCII)


class Attempt:
    """One sign-in on its way, as the browser keeps it in a cookie: ``begun.secret.back``.

    State, nonce and verifier are digests of the whole of it. So who sees the first two, in an
    address or in a token, learns nothing of the third, and what was altered doesn't fit the state.

    Args:
        kept: what the browser keeps.

    Raises:
        SignInFailed: it is nothing of ours.
    """

    def __init__(self, kept: str) -> None:
        found = _KEPT.fullmatch(kept)
        if found is None:
            raise SignInFailed("expired")
        self.kept = kept
        self._begun = int(found["begun"])
        try:
            encoded = found["back"]
            padding = "=" * (-len(encoded) % 4)
            self.back = base64.urlsafe_b64decode(encoded + padding).decode("ascii")
        except ValueError:
            raise SignInFailed("expired") from None

    @classmethod
    def begin(cls, back: str, *, now: float | None = None) -> "Attempt":
        """A new one, of who is to come back to this path."""
        begun = int(time.time() if now is None else now)
        encoded = base64.urlsafe_b64encode(back.encode("ascii")).decode().rstrip("=")
        return cls(f"{begun}.{secrets.token_urlsafe(32)}.{encoded}")

    @property
    def state(self) -> str:
        """Binds the issuer's answer to this browser."""
        return _text(self._digest("state"))

    @property
    def nonce(self) -> str:
        """Binds the ID token to this browser."""
        return _text(self._digest("nonce"))

    @property
    def verifier(self) -> str:
        """Binds the code to this browser (RFC 7636, section 4.1)."""
        return _text(self._digest("verifier"))

    @property
    def challenge(self) -> str:
        """What the issuer is told of the verifier (S256)."""
        return _text(hashlib.sha256(self.verifier.encode()).digest())

    @property
    def digest(self) -> bytes:
        """By which it is known that it was used."""
        return self._digest("used")

    def check(self, state: str | None, *, now: float | None = None) -> None:
        """Checks that an answer of the issuer is to this attempt, and in time.

        Raises:
            SignInFailed: it isn't.
        """
        age = (time.time() if now is None else now) - self._begun
        known = hmac.compare_digest((state or "").encode(), self.state.encode())
        # Another process may have begun it, on a machine whose clock is ahead.
        if not known or not -SKEW_SECONDS <= age <= ATTEMPT_SECONDS:
            raise SignInFailed("expired")

    def _digest(self, use: str) -> bytes:
        return hashlib.sha256(f"{use}.{self.kept}".encode()).digest()


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
