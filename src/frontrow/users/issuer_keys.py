"""The public keys of the OpenID issuer, fetched from its JWKS and kept.

A call waits for the network only where it needs a key that isn't there; all that wait share one
fetch. What can't be fetched leaves the keys as they are, up to an age.
"""

import asyncio
import warnings
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, TypeAlias

import structlog
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, JWKRegistry, RSAKey

from frontrow.errors import Unavailable
from frontrow.users.issuer_document import PROBLEMS, IssuerDocument, endpoint_of

PublicKey: TypeAlias = RSAKey | ECKey

LOOK_SECONDS = 10.0
"""Between two looks for a key that isn't there, or after a fetch that failed."""
FETCH_SECONDS = 10.0
"""Longest time of one fetch, discovery included."""
MOST_KEYS = 100
LEAST_RSA_BITS = 2048
"""RFC 7518, sections 3.3 and 3.5."""

_log = structlog.get_logger(__name__)


class IssuerKeys:
    """The keys of one issuer that sign ID tokens with one algorithm.

    Args:
        document: the issuer's.
        jwks_url: where its keys are; ``None``: where its discovery document says.
        algorithm: the one that its tokens are signed with.
        stale_seconds: how long keys are kept while they can't be fetched again.
        now: a clock that never goes back, in seconds.
    """

    def __init__(
        self,
        document: IssuerDocument,
        *,
        jwks_url: str | None,
        algorithm: str,
        stale_seconds: float,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._document = document
        self._jwks_url = jwks_url
        self._algorithm = algorithm
        self._stale_seconds = stale_seconds
        self._now = now
        self._keys: Mapping[str | None, PublicKey] = {}
        self._read_at = self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self._failing = False
        self.losses = 0
        """How often a key was gone: what it has signed must no longer be taken for verified."""

    async def find(self, key_id: str | None) -> PublicKey | None:
        """The key of this id, if the issuer has it; of ``None``, its only key.

        Raises:
            Unavailable: it isn't known, and the issuer can't be asked.
        """
        found = self._known(key_id)
        if found is None and self._now() - self._tried_at >= LOOK_SECONDS:
            await self._fetched()
            found = self._known(key_id)
        elif found is None and self._fetching is not None:
            await asyncio.shield(self._fetching)
            found = self._known(key_id)
        if found is None and self._failing:
            raise Unavailable("The issuer of this ID token can't be asked for its keys. Try again.")
        return found

    async def refresh(self) -> None:
        """Fetches the keys again.

        Raises:
            Unavailable: that failed; the log says why.
        """
        await self._fetched()
        if self._failing:
            raise Unavailable

    def _known(self, key_id: str | None) -> PublicKey | None:
        if self._now() - self._read_at > self._stale_seconds:
            return None
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    async def _fetched(self) -> None:
        """Waits for one fetch: the one on its way, or a new one. Who goes away doesn't end it."""
        if self._fetching is None:
            self._tried_at = self._now()
            self._fetching = asyncio.create_task(self._fetch())
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                keys = read_keys(await self._document.get(await self._address()), self._algorithm)
        except PROBLEMS as error:
            self._failing = True
            issuer = self._document.issuer
            _log.warning("the issuer's keys can't be read", issuer=issuer, error=repr(error))
        else:
            self._failing = False
            self._read_at = self._now()
            if any(self._keys[key_id] != keys.get(key_id) for key_id in self._keys):
                self.losses += 1
            self._keys = keys
        finally:
            self._fetching = None

    async def _address(self) -> str:
        """Where the keys are."""
        if self._jwks_url is not None:
            return self._jwks_url
        return endpoint_of(await self._document.read(), "jwks_uri")


def read_keys(jwks: Mapping[str, Any], algorithm: str) -> dict[str | None, PublicKey]:
    """The keys of a JWK set (RFC 7517) that sign with this algorithm, by their ids.

    Raises:
        ValueError: there is none.
    """
    entries = jwks.get("keys")
    if not isinstance(entries, list) or len(entries) > MOST_KEYS:
        raise ValueError(f"the JWK set has no list of up to {MOST_KEYS} keys")
    found = {
        entry.get("kid"): key
        for entry in entries
        if isinstance(entry, dict) and (key := _read_key(entry, algorithm)) is not None
    }
    if not found:
        raise ValueError(f"the JWK set has no key for {algorithm}")
    return found


def _read_key(entry: dict[str, Any], algorithm: str) -> PublicKey | None:
    """The key, unless it is for something else; one that is broken is skipped like that."""
    if entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) != algorithm:
        return None
    if not isinstance(entry.get("kid"), str | None):
        return None
    try:
        with warnings.catch_warnings(action="ignore", category=SecurityWarning):
            key = JWKRegistry.import_key(entry)
        if isinstance(key, RSAKey) and not algorithm.startswith("ES"):
            return key if key.public_key.key_size >= LEAST_RSA_BITS else None
        if isinstance(key, ECKey) and algorithm.startswith("ES"):
            return key
    except (JoseError, ValueError, TypeError, KeyError) as error:
        _log.warning("a key of the issuer is skipped", error=repr(error))
    return None
