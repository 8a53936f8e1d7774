"""The line of a concert in Redis: one round trip per call.

Sorted sets: ``line:{concert}`` has the waiting tokens by number, ``admitted:{concert}`` the
admitted tokens by the end of their session. Hashes: ``owners:{concert}`` has the user of each
token, ``tokens:{concert}`` the token of each user. A token begins with its concert's id.
"""

import secrets
import time
from typing import NamedTuple
from uuid import UUID

from redis.asyncio import Redis

SESSION_SECONDS = 600

# KEYS: tokens, issued, line, owners. ARGV: the user, a new token. Returns the token, and its rank.
_JOIN = """
local token = redis.call('HGET', KEYS[1], ARGV[1])
if not token then
    token = ARGV[2]
    redis.call('HSET', KEYS[1], ARGV[1], token)
    redis.call('HSET', KEYS[4], token, ARGV[1])
    redis.call('ZADD', KEYS[3], redis.call('INCR', KEYS[2]), token)
end
return {token, redis.call('ZRANK', KEYS[3], token)}
"""

# KEYS: line, admitted. ARGV: the time, the end of a new session, the cap.
_ADMIT = """
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[1])
local free = ARGV[3] - redis.call('ZCARD', KEYS[2])
if free <= 0 then return 0 end
local called = redis.call('ZPOPMIN', KEYS[1], free)
for i = 1, #called, 2 do redis.call('ZADD', KEYS[2], ARGV[2], called[i]) end
return #called / 2
"""


class Place(NamedTuple):
    """A place in a line. ``ahead``: how many wait in front, or ``None`` if none of them does."""

    token: str
    user_id: UUID
    concert_id: UUID
    ahead: int | None
    admitted: bool


class Line:
    """The lines of all concerts."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._join = redis.register_script(_JOIN)
        self._admit = redis.register_script(_ADMIT)

    async def join(self, concert_id: UUID, user_id: UUID) -> Place:
        """Gives a user the last place, or returns the one that the user has."""
        names = ("tokens", "issued", "line", "owners")
        token, ahead = await self._join(
            keys=[f"{name}:{concert_id}" for name in names],
            args=[str(user_id), f"{concert_id.hex}{secrets.token_hex(16)}"],
        )
        return Place(token.decode(), user_id, concert_id, ahead, admitted=ahead is None)

    async def find(self, token: str) -> Place | None:
        """Returns the place of a token, if it has one."""
        try:
            concert_id = UUID(hex=token[:32])
        except ValueError:
            return None
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hget(f"owners:{concert_id}", token)
            pipeline.zrank(f"line:{concert_id}", token)
            pipeline.zscore(f"admitted:{concert_id}", token)
            owner, ahead, until = await pipeline.execute()
        if owner is None:
            return None
        admitted = until is not None and until > time.time()
        return Place(token, UUID(owner.decode()), concert_id, ahead, admitted)

    async def admit(self, concert_id: UUID, cap: int) -> int:
        """Admits the first users in the line while fewer than ``cap`` are admitted."""
        now = time.time()
        called: int = await self._admit(
            keys=[f"line:{concert_id}", f"admitted:{concert_id}"],
            args=[now, now + SESSION_SECONDS, cap],
        )
        return called

    async def finish(self, place: Place) -> None:
        """Ends a place."""
        concert_id = place.concert_id
        async with self._redis.pipeline() as pipeline:
            pipeline.zrem(f"admitted:{concert_id}", place.token)
            pipeline.hdel(f"owners:{concert_id}", place.token)
            pipeline.hdel(f"tokens:{concert_id}", str(place.user_id))
            await pipeline.execute()
