"""Users of an OpenID issuer: an ID token in place of a user key.

Verified tokens are cached until they expire, by their SHA-256: a token may have thousands of bytes.
"""

import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from frontrow.settings import Settings
from frontrow.users.code_flow import CodeFlow
from frontrow.users.id_token import IdTokens, SignedIn, read_header
from frontrow.users.issuer_document import IssuerDocument, issuer_client
from frontrow.users.issuer_keys import IssuerKeys
from frontrow.users.service import Users


class SignIn:
    """Finds the user of an ID token, and creates the account at its first use.

    Args:
        tokens: verifies ID tokens.
        keys: the issuer's keys, as ``tokens`` uses them.
        users: stores the accounts.
        pages: signs browsers in at the issuer.
        remembered_tokens: most verified tokens in the cache.
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
        """Returns the number of verified tokens in the cache."""
        return len(self._known)

    def recognizes(self, token: bytes) -> bool:
        """Returns whether a JWT has the algorithm of ID tokens; queue tokens have another."""
        header = read_header(token)
        return header is not None and header.get("alg") == self._tokens.algorithm

    async def user_of(self, token: bytes) -> UUID:
        """Returns the user of an ID token.

        Raises:
            CredentialInvalid: the token is invalid or expired, or the user has been erased.
            Unavailable: its key is unknown, and the issuer can't be reached.
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
            if losses == self.keys.losses:  # else its key may have been withdrawn meanwhile
                self._remember(digest, signed_in)
        self._users.check_not_erased(signed_in.user_id)
        return signed_in.user_id

    def _remember(self, digest: bytes, signed_in: SignedIn) -> None:
        while len(self._known) >= self._remembered_tokens:
            del self._known[next(iter(self._known))]
        self._known[digest] = signed_in


@asynccontextmanager
async def open_sign_in(settings: Settings, users: Users) -> AsyncIterator[SignIn | None]:
    """Yields the sign-in at the issuer of the settings; ``None`` if they name no issuer."""
    issuer, audience = settings.oidc_issuer, settings.oidc_audience
    if issuer is None or audience is None:
        yield None
        return
    algorithm = settings.oidc_algorithm
    async with issuer_client(settings) as http:
        document = IssuerDocument(http, issuer)
        keys = IssuerKeys(
            document,
            jwks_url=settings.oidc_jwks_url,
            algorithm=algorithm,
            stale_seconds=settings.oidc_stale_seconds,
        )
        tokens = IdTokens(keys, issuer=issuer, audience=audience, algorithm=algorithm)
        pages = CodeFlow(http, document, tokens, users, settings)
        yield SignIn(tokens, keys, users, pages, remembered_tokens=settings.cached_credentials)
