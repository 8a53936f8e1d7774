"""Token signers without a database, with a fixed set of keys."""

from collections.abc import Mapping
from datetime import UTC, datetime

from frontrow.keys.ring import SigningKey
from frontrow.waiting_room.token import TokenSigner


class FixedKeys:
    """Keys by their ids, of which one signs."""

    def __init__(self, secrets: Mapping[str, bytes], signing: str) -> None:
        now = datetime.now(UTC)
        self.keys = {name: SigningKey(name, key, signs_at=now) for name, key in secrets.items()}
        self.signing = self.keys[signing]

    async def find(self, key_id: str) -> SigningKey | None:
        """Returns ``None``: no key is added later."""
        return self.keys.get(key_id)

    async def refresh(self) -> bool:
        """Does nothing: the keys don't change."""
        return False


def signer_with(secrets: Mapping[str, bytes], signing: str, remembered: int = 10) -> TokenSigner:
    """Returns a signer with these keys."""
    return TokenSigner(FixedKeys(secrets, signing), remembered_tokens=remembered)
