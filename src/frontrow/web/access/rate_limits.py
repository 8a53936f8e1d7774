"""How often one may ask: by address, by user, for a new account, with a wrong operator's key.

The buckets are this process's own. Requests of one address come over many connections, which are
spread over the processes: each process gives an address its share. A user has one connection or
two: each process gives a user the whole.
"""

import math
from functools import lru_cache
from time import monotonic
from uuid import UUID

import structlog

from frontrow.errors import RateLimited
from frontrow.metrics import RATE_LIMITED
from frontrow.settings import Settings
from frontrow.web.access.client_addresses import ClientAddresses
from frontrow.web.access.token_buckets import SECOND, Buckets, Empty
from frontrow.web.calls import Ask

_log = structlog.get_logger(__name__)

_LOG_SECONDS = 60.0
_MINUTE = 60


class Limit:
    """One limit: what it leaves, what it refuses, and how that is told.

    Args:
        by: its name, in headers, metrics and the log.
        per_second: requests of one key on end.
        burst: requests of one key at once.
        most_keys: bounds the memory.
    """

    def __init__(self, by: str, *, per_second: float, burst: int, most_keys: int) -> None:
        self.by = by
        self._buckets = Buckets(per_second=per_second, burst=burst, most_keys=most_keys)
        whole_seconds = math.ceil(burst * self._buckets.token_ns / SECOND)
        self._token_seconds = math.ceil(self._buckets.token_ns / SECOND)
        self._policy = f'"{by}";q={burst};w={whole_seconds}'.encode()
        self._half = burst / 2
        self._told = lru_cache(4096)(self._tell)
        self._refusals = RATE_LIMITED.labels(by)
        self._logged_at = -math.inf
        self._since_logged = 0

    def take(self, ask: Ask, key: int | str, *, tells: bool = False) -> None:
        """Counts one request.

        Args:
            ask: its answer tells what is left, if that is less than half, and if it ``tells``.
            key: whose it is: an address, or the integer of a user's id.
            tells: whether an answer that isn't this refusal tells anything. What few need to hear
                isn't told with each of all answers: two headers cost as much as the counting.

        Raises:
            RateLimited: it is one too many.
        """
        try:
            left = self._buckets.take(key)
        except Empty as empty:
            raise self._refuse(ask, key, empty) from None
        if tells and left < self._half:
            ask.rate_limit = self._told(left)

    def check(self, ask: Ask, key: int | str) -> None:
        """Counts nothing.

        Raises:
            RateLimited: one request would be one too many.
        """
        try:
            self._buckets.check(key)
        except Empty as empty:
            raise self._refuse(ask, key, empty) from None

    def _tell(self, left: int) -> tuple[bytes, bytes]:
        """RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-11)."""
        return self._policy, f'"{self.by}";r={left};t={self._token_seconds}'.encode()

    def _refuse(self, ask: Ask, key: int | str, empty: Empty) -> RateLimited:
        seconds = max(1, math.ceil(empty.wait_ns / SECOND))
        ask.rate_limit = self._policy, f'"{self.by}";r=0;t={seconds}'.encode()
        self._refusals.inc()
        self._since_logged += 1
        now = monotonic()
        if now - self._logged_at >= _LOG_SECONDS:
            _log.warning("rate limited", by=self.by, key=_named(key), refused=self._since_logged)
            self._logged_at, self._since_logged = now, 0
        return RateLimited(retry_after_seconds=seconds)


class Limits:
    """All limits of one process; each is off where the settings say 0."""

    def __init__(self, settings: Settings) -> None:
        self._client_of = ClientAddresses(settings).of
        share = 1 / settings.workers
        self._address = _limit(
            settings,
            "address",
            settings.address_requests_per_second * share,
            settings.address_burst * share,
        )
        self._guest = _limit(
            settings,
            "guest",
            settings.guests_per_minute / _MINUTE * share,
            settings.guests_per_minute * share,
        )
        self._credential = _limit(
            settings,
            "credential",
            settings.wrong_operator_keys_per_minute / _MINUTE * share,
            settings.wrong_operator_keys_per_minute * share,
        )
        self._user = _limit(
            settings, "user", settings.user_requests_per_second, settings.user_burst
        )

    def count_request(self, ask: Ask) -> None:
        """Counts a request to its address, before anything else is done with it.

        Raises:
            RateLimited: one too many.
        """
        ask.address = self._client_of(ask.request.scope)
        if ask.address is not None and self._address is not None:
            self._address.take(ask, ask.address)

    def count_user(self, ask: Ask) -> None:
        """Counts a request to the user whose key or token it has.

        Raises:
            RateLimited: one too many.
        """
        if self._user is not None:
            user_id = ask.user or ask.queue_token.user_id
            self._user.take(ask, user_id.int, tells=True)

    def count_guest(self, ask: Ask) -> None:
        """Counts the making of an account to its address.

        Raises:
            RateLimited: one too many.
        """
        if ask.address is not None and self._guest is not None:
            self._guest.take(ask, ask.address)

    def check_credential(self, ask: Ask) -> None:
        """Looks whether an operator's key from this address may be tried at all.

        Raises:
            RateLimited: too many were wrong.
        """
        if ask.address is not None and self._credential is not None:
            self._credential.check(ask, ask.address)

    def count_wrong_credential(self, ask: Ask) -> None:
        """Counts a wrong operator's key to its address.

        Raises:
            RateLimited: one too many.
        """
        if ask.address is not None and self._credential is not None:
            self._credential.take(ask, ask.address)


def _named(key: int | str) -> str:
    """A key as the log tells it: an address, or a user's id."""
    return str(UUID(int=key)) if isinstance(key, int) else key


def _limit(settings: Settings, by: str, per_second: float, burst: float) -> Limit | None:
    if per_second == 0:
        return None
    return Limit(
        by,
        per_second=per_second,
        burst=max(1, math.floor(burst)),
        most_keys=settings.rate_limit_keys,
    )
