"""Public keys of the OpenID issuer: fetched from its JWK set and cached.

A call waits for the network only when its key is unknown; concurrent calls share one fetch. A
failed fetch leaves the known keys in force, up to a maximum age.
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
from frontrow.users.issuer_document import (
    FETCH_ERRORS,
    FETCH_SECONDS,
    RETRY_SECONDS,
    IssuerDocument,
    endpoint_of,
)

PublicKey: TypeAlias = RSAKey | ECKey

MOST_KEYS = 100
LEAST_RSA_BITS = 2048
"""RFC 7518, sections 3.3 and 3.5."""

_log = structlog.get_logger(__name__)


class IssuerKeys:
    """The keys of one issuer that sign ID tokens with one algorithm.

    Args:
        document: the issuer's discovery document.
        jwks_url: URL of the JWK set; ``None``: as named by the discovery document.
        algorithm: algorithm of the ID tokens.
        stale_seconds: how long keys stay in force while they can't be fetched again.
        now: a monotonic clock, in seconds.
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
        """How often a fetch found a key withdrawn or replaced: tokens must be verified again."""

    async def find(self, key_id: str | None) -> PublicKey | None:
        """Returns the key of this id, or ``None`` if the issuer has no such key.

        A ``key_id`` of ``None`` means the only key of the issuer.

        Raises:
            Unavailable: the key is unknown, and the issuer can't be reached.
        """
        found = self._known(key_id)
        if found is None and self._now() - self._tried_at >= RETRY_SECONDS:
            await self._fetched()
            found = self._known(key_id)
        elif found is None and self._fetching is not None:
            await asyncio.shield(self._fetching)
            found = self._known(key_id)
        if found is None and self._failing:
            raise Unavailable("The keys of this ID token's issuer can't be read. Try again.")
        return found

    async def refresh(self) -> None:
        """Fetches the keys again.

        Raises:
            Unavailable: the fetch failed; the reason is logged.
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
        """Waits for the running fetch, or starts one. A cancelled caller doesn't cancel it."""
        if self._fetching is None:
            self._tried_at = self._now()
            self._fetching = asyncio.create_task(self._fetch())
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                keys = read_keys(await self._document.get(await self._address()), self._algorithm)
        except FETCH_ERRORS as error:
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
        """Returns the URL of the JWK set."""
        if self._jwks_url is not None:
            return self._jwks_url
        return endpoint_of(await self._document.read(), "jwks_uri")


def read_keys(jwks: Mapping[str, Any], algorithm: str) -> dict[str | None, PublicKey]:
    """Returns the keys of a JWK set (RFC 7517) that sign with this algorithm, by key id.

    Raises:
        ValueError: there is no such key.
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
    """Returns the key; ``None`` if it is for another use or invalid."""
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
