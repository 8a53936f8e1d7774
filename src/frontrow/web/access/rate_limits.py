"""Rate limits: by address, by user, for new guest accounts, for wrong operator keys.

Each process has its own buckets. Requests of one address come over many connections, spread over
all processes, so that each process allows an address its share. A user has one or two connections,
so that each process allows a user the whole limit.
"""

import math
from contextlib import suppress
from functools import lru_cache
from time import monotonic
from uuid import UUID

import structlog

from frontrow.errors import RateLimited
from frontrow.metrics import RATE_LIMITED
from frontrow.settings import Settings
from frontrow.web.access.client_addresses import ClientAddresses
from frontrow.web.access.key_guesses import KeyGuesses
from frontrow.web.access.token_buckets import SECOND, Buckets, Empty
from frontrow.web.calls import Ask

_log = structlog.get_logger(__name__)

_LOG_SECONDS = 60.0
_MINUTE = 60
_HOUR = 3600
_TRIES_OF_A_START = 2
"""Wrong keys an hour from one address, while their start is guessed from many."""


class Limit:
    """One limit, with its headers, metric and log event.

    Args:
        by: name in headers, metrics and the log.
        per_second: sustained rate of one key, in requests.
        burst: burst size of one key, in requests.
        most_keys: most keys stored.
    """

    def __init__(self, by: str, *, per_second: float, burst: int, most_keys: int) -> None:
        self.by = by
        self._buckets = Buckets(per_second=per_second, burst=burst, most_keys=most_keys)
        whole_seconds = math.ceil(burst * self._buckets.token_ns / SECOND)
        self._token_seconds = math.ceil(self._buckets.token_ns / SECOND)
        self._policy = f'"{by}";q={burst};w={whole_seconds}'.encode()
        self._half = burst / 2
        self._headers_of = lru_cache(4096)(self._headers)
        self._refusals = RATE_LIMITED.labels(by)
        self._logged_at = -math.inf
        self._since_logged = 0

    def take(self, ask: Ask, key: int | str, *, reported: bool = False) -> None:
        """Counts one request.

        Args:
            ask: gets the headers for its response.
            key: an address, or the integer of a user's id.
            reported: whether successful responses have the headers too, once less than half of the
                limit is left. Two headers cost as much as the counting, so few responses do.

        Raises:
            RateLimited: the limit is exceeded.
        """
        try:
            left = self._buckets.take(key)
        except Empty as empty:
            raise self._refuse(ask, key, empty) from None
        if reported:
            self._report(ask, left)

    def take_late(self, ask: Ask, key: int | str) -> None:
        """Counts a request that has been answered, unless the limit was used up meanwhile."""
        with suppress(Empty):
            self._report(ask, self._buckets.take(key))

    def _report(self, ask: Ask, left: int) -> None:
        if left < self._half:
            ask.rate_limit = self._headers_of(left)

    def check(self, ask: Ask, key: int | str) -> None:
        """Checks that a request is within the limit; counts nothing.

        Raises:
            RateLimited: it is not.
        """
        try:
            self._buckets.check(key)
        except Empty as empty:
            raise self._refuse(ask, key, empty) from None

    def is_exceeded(self, key: int | str) -> bool:
        """Returns whether a further request would be refused."""
        try:
            self._buckets.check(key)
        except Empty:
            return True
        return False

    @property
    def may_refuse(self) -> bool:
        """Whether a key may have used up its limit."""
        return self._buckets.may_be_empty

    def _headers(self, left: int) -> tuple[bytes, bytes]:
        """Returns RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-11)."""
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
    """All limits of one process; 0 in the settings turns one off."""

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
        self._credential = _of_wrong_keys(settings, 1)
        self.guesses = KeyGuesses(
            self._credential,
            lambda times: _of_wrong_keys(settings, times),
            _of_start(settings),
        )
        self._user = _limit(
            settings, "user", settings.user_requests_per_second, settings.user_burst
        )

    def count_request(self, ask: Ask) -> None:
        """Counts a request against its address, before anything else.

        Raises:
            RateLimited: the limit is exceeded.
        """
        ask.address = self._client_of(ask.request.scope)
        if ask.address is not None and self._address is not None:
            self._address.take(ask, ask.address)

    def count_user(self, ask: Ask) -> None:
        """Counts a request against the user of its key or token.

        Raises:
            RateLimited: the limit is exceeded.
        """
        if self._user is not None:
            user_id = ask.user or ask.queue_token.user_id
            self._user.take(ask, user_id.int, reported=True)

    @property
    def allow_every_user(self) -> bool:
        """Whether the next request is within the limit, of whichever user it is."""
        return self._user is None or not self._user.may_refuse

    def count_user_late(self, ask: Ask) -> None:
        """Counts a request whose user became known with its answer.

        It is not refused: when it began, every user was within the limit.
        """
        if self._user is not None:
            self._user.take_late(ask, ask.user_id.int)

    def count_guest(self, ask: Ask) -> None:
        """Counts a new guest account against its address.

        Raises:
            RateLimited: the limit is exceeded.
        """
        if ask.address is not None and self._guest is not None:
            self._guest.take(ask, ask.address)


def _named(key: int | str) -> str:
    """Returns a key as it is logged: an address, or a user's id."""
    return str(UUID(int=key)) if isinstance(key, int) else key


def _of_wrong_keys(settings: Settings, times: int) -> Limit | None:
    """Returns a limit on wrong operator keys, some times that of one address."""
    per_minute = settings.wrong_operator_keys_per_minute * times / settings.workers
    return _limit(settings, "credential", per_minute / _MINUTE, per_minute)


def _of_start(settings: Settings) -> Limit | None:
    """Returns the limit of one address on keys whose start is being guessed."""
    if settings.wrong_operator_keys_per_minute == 0:
        return None
    return _limit(settings, "credential", _TRIES_OF_A_START / _HOUR, _TRIES_OF_A_START)


def _limit(settings: Settings, by: str, per_second: float, burst: float) -> Limit | None:
    if per_second == 0:
        return None
    return Limit(
        by,
        per_second=per_second,
        burst=max(1, math.floor(burst)),
        most_keys=settings.rate_limit_keys,
    )
