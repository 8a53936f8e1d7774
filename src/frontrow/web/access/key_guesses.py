"""Limits on wrong operator keys, which slow guesses only.

Wrong keys are counted by address, for IPv6 also by the networks around it, since one customer may
have a whole /48; and by the first characters of the key, since many addresses may try the rest of
a key of which they know the start. An address that holds a valid session is never refused.

The start of a key that a person chose may be guessed, and nobody must lock out its owner with it.
So while too many wrong keys have one start, each address still has a few tries of it: the right key
is accepted from an address that has made no guesses itself, and many addresses guess slowly.
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
_SITE_BITS = 48
"""The network of IPv6 whose tries of one start are counted together."""


class Limit(Protocol):
    """The part of a rate limit that is used here."""

    def check(self, ask: Ask, key: str) -> None:
        """Checks that a request is within the limit. Raises RateLimited."""

    def take(self, ask: Ask, key: str) -> None:
        """Counts a request. Raises RateLimited."""

    def is_exceeded(self, key: str) -> bool:
        """Whether a further request would be refused."""


class KeyGuesses:
    """The limits on wrong operator keys of one process.

    Args:
        by_address: the limit of one address; ``None``: there is none.
        wider: returns the limit of one address, times a number.
        of_start: the limit of one address on keys whose start is being guessed.
    """

    def __init__(
        self,
        by_address: Limit | None,
        wider: Callable[[int], Limit | None],
        of_start: Limit | None,
    ) -> None:
        self._by_address = by_address
        self._by_network = {bits: wider(times) for bits, times in _WIDER.items()}
        self._by_prefix = wider(_OF_PREFIX)
        self._of_start = of_start
        # So that neither the log nor the memory has a part of a key.
        self._salt = secrets.token_bytes(16)

    def check(self, ask: Ask) -> None:
        """Checks that the operator key of a request may be tried.

        Raises:
            RateLimited: too many were wrong.
        """
        if self._is_exempt(ask):
            return
        for limit, key in self._of_address(ask):
            limit.check(ask, key)
        if self._by_prefix is not None and self._of_start is not None:
            start = self._start(ask)
            if self._by_prefix.is_exceeded(start):
                self._of_start.check(ask, f"{start} from {_site(ask)}")

    def count_wrong(self, ask: Ask) -> None:
        """Counts a wrong operator key, by every limit.

        Raises:
            RateLimited: a limit is exceeded.
        """
        WRONG_OPERATOR_KEYS.inc()
        if self._is_exempt(ask):
            return
        refused: RateLimited | None = None
        start = self._start(ask)
        for limit, key in [*self._of_address(ask), (self._by_prefix, start)]:
            try:
                if limit is not None:
                    limit.take(ask, key)
            except RateLimited as error:
                refused = error
                if limit is self._by_prefix and self._of_start is not None:
                    self._of_start.take(ask, f"{start} from {_site(ask)}")
        if refused is not None:
            raise refused

    def _is_exempt(self, ask: Ask) -> bool:
        return ask.address is None or operator_sessions(ask.services).is_held_at(ask.address)

    def _of_address(self, ask: Ask) -> list[tuple[Limit, str]]:
        """Returns the limits of the address of a request, each with its key."""
        address = ask.address or ""
        counted = [(self._by_address, address)]
        if ":" in address:
            network = IPv6Network(address)
            counted += [
                (limit, str(network.supernet(new_prefix=bits)))
                for bits, limit in self._by_network.items()
            ]
        return [(limit, key) for limit, key in counted if limit is not None]

    def _start(self, ask: Ask) -> str:
        try:
            start = bearer(ask.request)[:_PREFIX_BYTES]
        except (CredentialInvalid, CredentialMissing):
            start = b""
        return f"key {blake2b(start, key=self._salt, digest_size=8).hexdigest()}"


def _site(ask: Ask) -> str:
    address = ask.address or ""
    return str(IPv6Network(address).supernet(new_prefix=_SITE_BITS)) if ":" in address else address
