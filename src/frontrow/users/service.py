"""Accounts and their keys: 256 random bits each, shown once and stored only as SHA-256."""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from time import time
from uuid import UUID

import asyncpg
import msgspec

from frontrow.db.outcomes import check
from frontrow.errors import ChallengeFailed, CredentialInvalid, SignInFailed
from frontrow.group_commit import Lanes
from frontrow.ids import new_id
from frontrow.users.challenge import Solved
from frontrow.users.queries import (
    GuestItem,
    KeyOwnerRow,
    SessionItem,
    SessionRow,
    SolvedGuestItem,
    SolvedGuestRow,
    queries,
)
from frontrow.users.remembered import KeyLookUp, RememberedKeys

KEY_PREFIX = "frk_"
"""Prefix of every user key; no queue token has it."""

SESSION_PREFIX = KEY_PREFIX + "session_"
"""Prefix of the key of a session."""

MOST_KEYS = 10
"""Limit of the active keys of a user, and of the active sessions."""

_DERIVED = 5
"""The version of the ids of an issuer's users (UUIDv5, RFC 9562), as in ``user_is_guest``."""
_PRUNED_AT_ONCE = 10_000
# Revoked keys are kept for at least a day (``frontrow prune``): a process that reads revocations
# more often than this misses none.
_LONGEST_SILENCE_SECONDS = 3_600.0


class UserKey(msgspec.Struct, frozen=True):
    """A user's new key, shown only once."""

    user_id: UUID
    user_key: str


class Guest(UserKey, frozen=True):
    """A new guest account; the key is shown only once."""


class Users:
    """Creates accounts, issues and revokes keys, and finds the user of a key."""

    def __init__(self, pool: asyncpg.Pool, lanes: Lanes, *, remembered_keys: int) -> None:
        self._pool = pool
        self._adding = lanes.open("user_add", self._add, in_flight=1)
        self._adding_solved = lanes.open("user_add_solved", self._add_solved, in_flight=1)
        self._adding_accounts = lanes.open("account_add", self._add_accounts, in_flight=1)
        self._opening = lanes.open("session_open", self._open_sessions, in_flight=1)
        self._finding = lanes.open("user_find", self._find)
        self._known = RememberedKeys(remembered_keys)
        # The last revocation that this process knows of.
        self._revocation: int | None = None
        self._asked_at = time()
        # Never dropped, since they are few: ID tokens of erased users are refused by this.
        self._erased: set[UUID] = set()

    async def add_guest(self, solved: Solved | None = None) -> Guest:
        """Creates a guest account, for a solved challenge where one is required.

        Raises:
            ChallengeFailed: it was used before, or has expired by the database's clock.
        """
        guest = Guest(new_id(), new_key())
        key_hash = _hash(guest.user_key)
        moment = self._known.moment
        if solved is None:
            await self._adding.submit(GuestItem(guest.user_id, key_hash))
        else:
            added = await self._adding_solved.submit(
                SolvedGuestItem(guest.user_id, key_hash, solved.nonce, solved.expires_at)
            )
            if added.outcome != "added":
                raise ChallengeFailed(reason=added.outcome)
        self._known.add(key_hash, guest.user_id, moment)
        return guest

    async def add_account(self, user_id: UUID) -> None:
        """Creates the account of a user of the issuer, without a key, unless it exists.

        Raises:
            CredentialInvalid: the user has been erased.
        """
        if await self._adding_accounts.submit(user_id):
            raise CredentialInvalid

    async def open_session(self, user_id: UUID, sign_in: bytes, seconds: int) -> UserKey:
        """Opens a session for a user of the issuer: a key that expires.

        The oldest of more than ``MOST_KEYS`` sessions of a user are ended.

        Args:
            user_id: the user, whose account is created unless it exists.
            sign_in: the digest of the sign-in attempt, 32 bytes: it opens one session.
            seconds: how long the session lasts.

        Raises:
            CredentialInvalid: the user has been erased.
            SignInFailed: the attempt opened another session before.
        """
        issued = UserKey(user_id, new_key(prefix=SESSION_PREFIX))
        key_hash = _hash(issued.user_key)
        row = await self._opening.submit(SessionItem(user_id, key_hash, sign_in, seconds))
        check(row)
        if row.outcome == "used":
            raise SignInFailed("expired")
        return issued

    async def end_session(self, user_key: str, *, lasting: bool = False) -> None:
        """Ends the session with this key, and the keys made from it.

        Args:
            user_key: the key; one that isn't a session's stays valid, unless ``lasting``.
            lasting: whether a key without an end, such as a guest's, is revoked too.
        """
        if not (lasting or is_session(user_key)):
            return
        self._known.forget(
            await queries.end_session(self._pool, key_hash=_hash(user_key), lasting=lasting)
        )

    def check_not_erased(self, user_id: UUID) -> None:
        """Rejects a user who has been erased, as far as this process knows.

        Raises:
            CredentialInvalid: the user has been erased.
        """
        if user_id in self._erased:
            raise CredentialInvalid

    async def user_of(self, user_key: str) -> UUID:
        """Returns the user of a key.

        Raises:
            CredentialInvalid: the key is unknown or revoked.
        """
        known = self.look_up(user_key)
        if isinstance(known, UUID):
            return known
        row = await self._finding.submit(known.key_hash)
        if row.user_id is None:
            raise CredentialInvalid
        known.found(row.user_id, row.seconds_left)
        return row.user_id

    def look_up(self, user_key: str) -> UUID | KeyLookUp:
        """Returns the user of a cached key, else what another statement needs to look it up."""
        key_hash = _hash(user_key)
        return self._known.user_of(key_hash) or KeyLookUp(self._known, key_hash)

    async def exchange_key(self, user_id: UUID, user_key: str, *, keep: bool) -> UserKey:
        """Issues a new key in exchange for the key of the request, revoked unless ``keep``.

        Raises:
            CredentialInvalid: the key of the request has been revoked meanwhile.
            KeyLimit: it is kept, and the user has ``MOST_KEYS`` keys.
        """
        issued = UserKey(user_id, new_key())
        await self._issue(issued, _hash(user_key), keep=keep)
        return issued

    async def reissue_key(self, user_id: UUID, user_key: str) -> tuple[UserKey, bool]:
        """Issues this key to a user who lost the old one; revokes all others.

        Returns the key, and whether it had been issued before: then nothing was revoked.

        Raises:
            NotFound: there is no such user.
            IdempotencyKeyReused: the key was issued to another user.
        """
        issued = UserKey(user_id, user_key)
        return issued, await self._issue(issued, None, keep=False)

    async def revoke_keys(self, user_id: UUID, *, kept: str | None = None) -> None:
        """Revokes all keys of a user, except ``kept``, the key of the request.

        Raises:
            NotFound: there is no such user.
            CredentialInvalid: ``kept`` has been revoked meanwhile.
        """
        done = await queries.revoke_keys(
            self._pool, user_id=user_id, kept=None if kept is None else _hash(kept)
        )
        self._known.forget(done.revoked)
        check(done)

    async def prune_challenges(self) -> int:
        """Drops the used challenges that have expired. Returns their number."""
        pruned = total = await queries.prune_challenges(self._pool, most=_PRUNED_AT_ONCE)
        while pruned == _PRUNED_AT_ONCE:
            pruned = await queries.prune_challenges(self._pool, most=_PRUNED_AT_ONCE)
            total += pruned
        return total

    def forget_erased(self, user_id: UUID, key_hashes: Iterable[bytes]) -> None:
        """Notes that a user has been erased, and drops the user's keys from the cache."""
        self._erased.add(user_id)
        self._known.forget(key_hashes)

    async def read_revocations(self) -> None:
        """Drops keys revoked, and notes users erased, by any process since the last call.

        Drops all keys if that was long ago: the row of a revocation may have been pruned since.
        """
        asked_at = time()
        if self._revocation is None:
            self._revocation = await queries.revocations(self._pool)
            self._erased.update(await queries.erased_users(self._pool))
            return
        rows = await queries.revoked_since(self._pool, after=self._revocation)
        if rows:
            self._known.forget(row.key_hash for row in rows if row.key_hash)
            self._erased.update(row.erased_user for row in rows if row.erased_user)
            self._revocation = rows[-1].revocation
        if abs(asked_at - self._asked_at) > _LONGEST_SILENCE_SECONDS:
            self._known.forget_all()
        self._asked_at = asked_at

    async def _issue(self, issued: UserKey, asked_with: bytes | None, *, keep: bool) -> bool:
        done = await queries.issue_key(
            self._pool,
            user_id=issued.user_id,
            key_hash=_hash(issued.user_key),
            asked_with=asked_with,
            keep=keep,
            most=MOST_KEYS,
        )
        self._known.forget(done.revoked)
        check(done)
        return done.outcome == "replayed"

    async def _add(self, items: Sequence[GuestItem]) -> list[None]:
        await queries.add_users(self._pool, items)
        return [None] * len(items)

    async def _add_solved(self, items: Sequence[SolvedGuestItem]) -> list[SolvedGuestRow]:
        return await queries.add_solved(self._pool, items)

    async def _add_accounts(self, user_ids: Sequence[UUID]) -> list[bool]:
        return await queries.add_accounts(self._pool, user_ids=user_ids)

    async def _open_sessions(self, items: Sequence[SessionItem]) -> list[SessionRow]:
        return await queries.open_sessions(self._pool, items, most=MOST_KEYS)

    async def _find(self, key_hashes: Sequence[bytes]) -> list[KeyOwnerRow]:
        return await queries.users_of_keys(self._pool, key_hashes=key_hashes)


def new_key(secret: bytes | None = None, prefix: str = KEY_PREFIX) -> str:
    """Returns a user key with these 32 bytes, or with random ones."""
    secret = secrets.token_bytes(32) if secret is None else secret
    return prefix + urlsafe_b64encode(secret).decode().rstrip("=")


def is_guest(user_id: UUID) -> bool:
    """Returns whether a user has no account at the issuer."""
    return user_id.version != _DERIVED


def is_session(user_key: str) -> bool:
    """Returns whether a key is that of a session, by its prefix."""
    return user_key.startswith(SESSION_PREFIX)


def _hash(user_key: str) -> bytes:
    return hashlib.sha256(user_key.encode()).digest()
