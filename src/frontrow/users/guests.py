"""Adds guest accounts, if this installation has any, and checks their proof of work."""

from frontrow.errors import ChallengeRequired, NotAllowed
from frontrow.users.challenge import Challenges
from frontrow.users.service import Guest, Users


class Guests:
    """Adds guest accounts.

    Args:
        users: stores the accounts.
        challenges: checks the proof of work; ``None`` where none is required.
        allowed: whether this installation has guest accounts.
    """

    def __init__(self, users: Users, challenges: Challenges | None, *, allowed: bool) -> None:
        self._users = users
        self._challenges = challenges
        self._allowed = allowed

    async def add(self, altcha: str | None) -> Guest:
        """Adds a guest account.

        Args:
            altcha: the solved challenge as an ALTCHA client encodes it: base64 of its JSON.

        Raises:
            NotAllowed: this installation has no guest accounts.
            ChallengeRequired, ChallengeFailed: the proof of work is missing or invalid.
        """
        if not self._allowed:
            raise NotAllowed("This server has no guest accounts: sign in and send an ID token.")
        if self._challenges is None:
            return await self._users.add_guest()
        if altcha is None:
            raise ChallengeRequired
        return await self._users.add_guest(await self._challenges.check(altcha))
