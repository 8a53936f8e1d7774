"""The operator's key, and the browser sessions that it opens.

Everything here is derived from the key alone: every process can check it without a look-up, and a
new key ends all sessions.
"""

import hashlib
import hmac
import secrets
import time
from functools import lru_cache

from itsdangerous import BadSignature, Signer

from frontrow.errors import CredentialInvalid

SESSION_SECONDS = 12 * 3600
"""How long a browser stays signed in as the operator."""

_REMEMBERED_SESSIONS = 64


class OperatorKey:
    """Checks the operator's key, stored as a digest, and signs the operator's sessions.

    A session is ``expiry.random.signature``; the browser never holds the key.

    Args:
        key: the key.
    """

    def __init__(self, key: str) -> None:
        self._digest = _digest(key.encode())
        self._signer = Signer(
            key,
            salt=b"frontrow operator session",
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )
        self._reissue_key = hmac.digest(key.encode(), b"frontrow reissued user keys", "sha256")
        # Genuine sessions only: an error is not cached.
        self._expiry_of = lru_cache(_REMEMBERED_SESSIONS)(self._read_session)

    def check(self, credential: bytes) -> None:
        """Compares a credential with the key, in constant time.

        Raises:
            CredentialInvalid: they differ.
        """
        if not hmac.compare_digest(_digest(credential), self._digest):
            raise CredentialInvalid

    def new_session(self) -> tuple[str, int]:
        """Returns a new session, and the Unix time at which it expires."""
        expires = int(time.time()) + SESSION_SECONDS
        return self._signer.sign(f"{expires}.{secrets.token_hex(8)}").decode(), expires

    def check_session(self, session: bytes) -> None:
        """Checks the signature of a session, in constant time, and its expiry.

        Raises:
            CredentialInvalid: the signature is invalid, or the session has expired.
        """
        if self._expiry_of(session) <= time.time():
            raise CredentialInvalid

    def _read_session(self, session: bytes) -> int:
        """Returns the Unix time at which a session expires."""
        try:
            return int(self._signer.unsign(session).partition(b".")[0])
        except BadSignature:
            raise CredentialInvalid from None

    def reissue_secret(self, idempotency_key: str | None) -> bytes | None:
        """Returns the random part of a user key that is reissued; ``None``: take a new one.

        It is derived from the ``Idempotency-Key``: a lost response can be repeated, although a
        user key is stored only as a hash.
        """
        if idempotency_key is None:
            return None
        return hmac.digest(self._reissue_key, idempotency_key.encode(), "sha256")


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
