"""Cache of verified user keys, so that a call needs no look-up.

An entry must not outlive a revocation. The process reads regularly which keys have been revoked
(``Users.read_revocations``); a look-up that was running meanwhile is not cached, since it may have
read the key before that. Nor does an entry outlive the key's own expiry.
"""

from collections.abc import Callable, Iterable
from time import monotonic
from uuid import UUID


class KeyLookUp:
    """The look-up of a key that isn't in the cache, by a statement that does more.

    Create it before the statement begins.
    """

    __slots__ = ("_cache", "_moment", "key_hash")

    def __init__(self, cache: "RememberedKeys", key_hash: bytes) -> None:
        self._cache = cache
        self._moment = cache.moment
        self.key_hash = key_hash

    def found(self, user_id: UUID, seconds: float | None) -> None:
        """Adds the user of the key to the cache; ``seconds`` is the time until it expires."""
        self._cache.add(self.key_hash, user_id, self._moment, seconds)


class RememberedKeys:
    """Users by the hash of their key; the oldest entry is dropped first.

    The keys are 256 random bits, so that the time of a look-up by hash reveals nothing.

    Args:
        limit: most keys in the cache.
        now: a monotonic clock, in seconds.
    """

    def __init__(self, limit: int, *, now: Callable[[], float] = monotonic) -> None:
        self._limit = limit
        self._now = now
        self._users: dict[bytes, tuple[UUID, float | None]] = {}
        self._forgettings = 0

    def __len__(self) -> int:
        """Returns the number of keys in the cache."""
        return len(self._users)

    @property
    def moment(self) -> int:
        """Version of the cache, for ``add``: read it before the database is queried."""
        return self._forgettings

    def user_of(self, key_hash: bytes) -> UUID | None:
        """Returns the user, if the key is in the cache and has not expired."""
        known = self._users.get(key_hash)
        if known is None:
            return None
        user_id, until = known
        if until is not None and until <= self._now():
            del self._users[key_hash]
            return None
        return user_id

    def add(
        self, key_hash: bytes, user_id: UUID, moment: int, seconds: float | None = None
    ) -> None:
        """Adds a key that was read after ``moment``; ``seconds`` is the time until it expires."""
        if moment != self._forgettings:
            return
        while len(self._users) >= self._limit:
            del self._users[next(iter(self._users))]
        self._users[key_hash] = user_id, None if seconds is None else self._now() + seconds

    def forget(self, key_hashes: Iterable[bytes]) -> None:
        """Drops revoked keys."""
        self._forgettings += 1
        for key_hash in key_hashes:
            self._users.pop(key_hash, None)

    def forget_all(self) -> None:
        """Drops every key: revocations may have been missed."""
        self._forgettings += 1
        self._users.clear()
