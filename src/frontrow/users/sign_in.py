"""Users who sign in elsewhere: an ID token in place of a user key.

A verified token is remembered until it ends, by its SHA-256: a token may have some thousand bytes.
"""

import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import httpx2

from frontrow.settings import Settings, is_loopback
from frontrow.users.code_flow import CodeFlow
from frontrow.users.id_token import IdTokens, SignedIn
from frontrow.users.issuer_document import IssuerDocument
from frontrow.users.issuer_keys import IssuerKeys
from frontrow.users.service import Users

_TIMEOUT_SECONDS = 5.0


class SignIn:
    """Tells whose ID token one is; makes the account at its first use.

    Args:
        tokens: reads them.
        keys: the issuer's keys, as ``tokens`` uses them.
        users: where the accounts are.
        pages: leads browsers to the issuer and back.
        remembered_tokens: most verified tokens remembered.
        now: the Unix time.
    """

    def __init__(
        self,
        tokens: IdTokens,
        keys: IssuerKeys,
        users: Users,
        pages: CodeFlow,
        *,
        remembered_tokens: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.keys = keys
        self.pages = pages
        self._tokens = tokens
        self._users = users
        self._remembered_tokens = remembered_tokens
        self._now = now
        self._known: dict[bytes, SignedIn] = {}
        self._losses = keys.losses

    def __len__(self) -> int:
        """How many verified tokens are remembered."""
        return len(self._known)

    async def user_of(self, token: bytes) -> UUID:
        """The user whom an ID token names.

        Raises:
            CredentialInvalid: it isn't valid here, or not any more, or the user has been erased.
            Unavailable: its key isn't known, and the issuer can't be asked.
        """
        if self._losses != self.keys.losses:
            self._losses = self.keys.losses
            self._known.clear()
        digest = hashlib.sha256(token).digest()
        signed_in = self._known.get(digest)
        if signed_in is None or signed_in.until <= self._now():
            signed_in = await self._tokens.read(token)
            losses = self.keys.losses
            await self._users.add_account(signed_in.user_id)
            if losses == self.keys.losses:  # else its key may be the one that is gone
                self._remember(digest, signed_in)
        self._users.check_not_erased(signed_in.user_id)
        return signed_in.user_id

    def _remember(self, digest: bytes, signed_in: SignedIn) -> None:
        while len(self._known) >= self._remembered_tokens:
            del self._known[next(iter(self._known))]
        self._known[digest] = signed_in


@asynccontextmanager
async def open_sign_in(settings: Settings, users: Users) -> AsyncIterator[SignIn | None]:
    """What the settings say of an issuer; ``None`` where they name none."""
    issuer, audience = settings.oidc_issuer, settings.oidc_audience
    if issuer is None or audience is None:
        yield None
        return
    algorithm = settings.oidc_algorithm
    # A proxy of the environment is for the world outside.
    outside = not is_loopback(settings.oidc_jwks_url or issuer)
    async with httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=outside) as http:
        document = IssuerDocument(http, issuer)
        keys = IssuerKeys(
            document,
            jwks_url=settings.oidc_jwks_url,
            algorithm=algorithm,
            stale_seconds=settings.oidc_stale_seconds,
        )
        tokens = IdTokens(keys, issuer=issuer, audience=audience, algorithm=algorithm)
        pages = CodeFlow(document, tokens, users, settings)
        yield SignIn(tokens, keys, users, pages, remembered_tokens=settings.cached_credentials)
