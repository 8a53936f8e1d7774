"""User keys, as a process takes them or doesn't."""

from frontrow.errors import CredentialInvalid
from frontrow.users.service import Users


async def is_known(users: Users, user_key: str) -> bool:
    """Whether a process takes this key."""
    try:
        await users.user_of(user_key)
    except CredentialInvalid:
        return False
    return True
