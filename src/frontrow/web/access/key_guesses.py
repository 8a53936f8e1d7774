"""Limits on wrong operator keys, which slow guesses only.

Wrong keys are counted by address, for IPv6 also by the networks around it, since one customer may
have a whole /48; and by the first characters of the key, since many addresses may try the rest of
a key of which they know the start. An address that holds a valid session is never refused.
"""

import secrets
from collections.abc import Callable
from hashlib import blake2b
from ipaddress import IPv6Network
from typing import Protocol

from frontrow.errors import CredentialInvalid, CredentialMissing, RateLimited
from frontrow.metrics import WRONG_OPERATOR_KEYS
from frontrow.web.access.credentials import bearer, operator_sessions
from frontrow.web.calls import Ask

_PREFIX_BYTES = 8
# How many times the limit of one address the limit of a wider group is.
_WIDER = {56: 4, 48: 10}
_OF_PREFIX = 10


class Limit(Protocol):
    """The part of a rate limit that is used here."""

    def check(self, ask: Ask, key: str) -> None:
        """Checks that a request is within the limit. Raises RateLimited."""

    def take(self, ask: Ask, key: str) -> None:
        """Counts a request. Raises RateLimited."""


class KeyGuesses:
    """The limits on wrong operator keys of one process.

    Args:
        by_address: the limit of one address; ``None``: there is none.
        wider: returns the limit of one address, times a number.
    """

    def __init__(self, by_address: Limit | None, wider: Callable[[int], Limit | None]) -> None:
        self._by_address = by_address
        self._by_network = {bits: wider(times) for bits, times in _WIDER.items()}
        self._by_prefix = wider(_OF_PREFIX)
        # So that neither the log nor the memory has a part of a key.
        self._salt = secrets.token_bytes(16)

    def check(self, ask: Ask) -> None:
        """Checks that the operator key of a request may be tried.

        Raises:
            RateLimited: too many were wrong.
        """
        for limit, key in self._counted(ask):
            limit.check(ask, key)

    def count_wrong(self, ask: Ask) -> None:
        """Counts a wrong operator key, by every limit.

        Raises:
            RateLimited: a limit is exceeded.
        """
        WRONG_OPERATOR_KEYS.inc()
        refused: RateLimited | None = None
        for limit, key in self._counted(ask):
            try:
                limit.take(ask, key)
            except RateLimited as error:
                refused = error
        if refused is not None:
            raise refused

    def _counted(self, ask: Ask) -> list[tuple[Limit, str]]:
        """Returns the limits of a request, each with its key."""
        address = ask.address
        if address is None or operator_sessions(ask.services).is_held_at(address):
            return []
        counted = [(self._by_address, address), (self._by_prefix, self._prefix(ask))]
        if ":" in address:
            network = IPv6Network(address)
            counted += [
                (limit, str(network.supernet(new_prefix=bits)))
                for bits, limit in self._by_network.items()
            ]
        return [(limit, key) for limit, key in counted if limit is not None]

    def _prefix(self, ask: Ask) -> str:
        try:
            start = bearer(ask.request)[:_PREFIX_BYTES]
        except (CredentialInvalid, CredentialMissing):
            start = b""
        return f"key {blake2b(start, key=self._salt, digest_size=8).hexdigest()}"
