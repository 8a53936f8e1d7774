"""The user keys that a process has verified, so that a call needs no look-up.

What is remembered must not outlive a revocation. The process reads every so often which keys have
been revoked since (``Users.read_revocations``), and a look-up that was under way while it learnt of
one isn't remembered: it may have read what stood before. Nor does it outlive the key's own end.
"""

from collections.abc import Callable, Iterable
from time import monotonic
from uuid import UUID


class RememberedKeys:
    """Whose key it is, by the key's hash; the oldest is forgotten first.

    A hash of 256 random bits: nothing can be learnt from how long a look-up of it takes.

    Args:
        limit: most keys remembered.
        now: a clock that never goes back, in seconds.
    """

    def __init__(self, limit: int, *, now: Callable[[], float] = monotonic) -> None:
        self._limit = limit
        self._now = now
        self._users: dict[bytes, tuple[UUID, float | None]] = {}
        self._forgettings = 0

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._users)

    @property
    def moment(self) -> int:
        """To be taken before the database is asked, for ``add``."""
        return self._forgettings

    def user_of(self, key_hash: bytes) -> UUID | None:
        """The user, if the key is remembered and hasn't ended."""
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
        """Remembers a key that the database knew after ``moment``, for as long as it lasts."""
        if moment != self._forgettings:
            return
        while len(self._users) >= self._limit:
            del self._users[next(iter(self._users))]
        self._users[key_hash] = user_id, None if seconds is None else self._now() + seconds

    def forget(self, key_hashes: Iterable[bytes]) -> None:
        """Forgets keys that have been revoked."""
        self._forgettings += 1
        for key_hash in key_hashes:
            self._users.pop(key_hash, None)

    def forget_all(self) -> None:
        """Forgets every key: some may have been revoked unheard."""
        self._forgettings += 1
        self._users.clear()
