"""User keys: whether a process accepts them."""

from frontrow.errors import CredentialInvalid
from frontrow.users.service import Users


async def is_known(users: Users, user_key: str) -> bool:
    """Returns whether a process accepts this key."""
    try:
        await users.user_of(user_key)
    except CredentialInvalid:
        return False
    return True
