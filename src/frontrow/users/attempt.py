"""Sign-in attempts: the state that the browser keeps while the user signs in at the issuer."""

import hashlib
import hmac
import re
import secrets
import time

from itsdangerous.encoding import base64_decode, base64_encode
from itsdangerous.exc import BadData

from frontrow.errors import SignInFailed
from frontrow.users.id_token import SKEW_SECONDS

ATTEMPT_SECONDS = 600
"""Time limit for signing in at the issuer."""
LONGEST_BACK = 512
"""Characters, of the path to return to."""

_KEPT = re.compile(r"(?P<begun>\d{1,12})\.[\w-]{43}\.(?P<back>[\w-]{0,700})", re.ASCII)


class Attempt:
    """One sign-in attempt, as the browser keeps it in a cookie: ``begun.secret.back``.

    State, nonce and verifier are digests of the whole cookie. The first two appear in URLs and in
    tokens, yet reveal nothing about the verifier, and an altered cookie no longer fits the state.

    Args:
        kept: value of the cookie.

    Raises:
        SignInFailed: the value is malformed.
    """

    def __init__(self, kept: str) -> None:
        found = _KEPT.fullmatch(kept)
        if found is None:
            raise SignInFailed("expired")
        self.kept = kept
        self._begun = int(found["begun"])
        try:
            self.back = base64_decode(found["back"]).decode("ascii")
        except (BadData, UnicodeDecodeError):
            raise SignInFailed("expired") from None

    @classmethod
    def begin(cls, back: str, *, now: float | None = None) -> "Attempt":
        """Returns a new attempt that returns to the path ``back``."""
        begun = int(time.time() if now is None else now)
        return cls(f"{begun}.{secrets.token_urlsafe(32)}.{base64_encode(back).decode()}")

    @property
    def state(self) -> str:
        """Binds the issuer's answer to this browser."""
        return base64_encode(self._digest("state")).decode()

    @property
    def nonce(self) -> str:
        """Binds the ID token to this browser."""
        return base64_encode(self._digest("nonce")).decode()

    @property
    def verifier(self) -> str:
        """Binds the code to this browser (RFC 7636, section 4.1)."""
        return base64_encode(self._digest("verifier")).decode()

    @property
    def digest(self) -> bytes:
        """Single-use marker: an attempt opens one session."""
        return self._digest("used")

    def check(self, state: str | None, *, now: float | None = None) -> None:
        """Checks that an answer of the issuer belongs to this attempt and is in time.

        Raises:
            SignInFailed: it doesn't, or it is late.
        """
        age = (time.time() if now is None else now) - self._begun
        is_own = hmac.compare_digest((state or "").encode(), self.state.encode())
        # The clock of the machine where the attempt began may be ahead.
        if not is_own or not -SKEW_SECONDS <= age <= ATTEMPT_SECONDS:
            raise SignInFailed("expired")

    def _digest(self, use: str) -> bytes:
        return hashlib.sha256(f"{use}.{self.kept}".encode()).digest()
