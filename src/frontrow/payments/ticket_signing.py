"""Signs and checks the codes of tickets with the keys on the ring.

An Ed25519 signature is determined by key and payload (RFC 8032), so codes are not stored: a code is
created again when it is needed. A code is checked in the same way: signing its content again and
comparing costs a third of a verification (docs/design/adr/0014-ticket-codes.md).
"""

import asyncio
import hmac
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias
from uuid import UUID

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frontrow.errors import NotFound
from frontrow.keys.ring import KeyRing, NewKey, open_ring
from frontrow.payments.scanned_text import possible_codes, why_unreadable
from frontrow.payments.ticket_code import TicketCode, key_id_of, read

PURPOSE = "ticket"
"""Purpose of the keys on the ring."""

_REMEMBERED_CODES = 10_000
# Longer lists are signed in a thread, to keep the event loop free. A few codes are not: the thread
# costs more than it saves (docs/design/adr/0014-ticket-codes.md).
_SIGNED_IN_PLACE = 16


SignedSeat: TypeAlias = tuple[UUID, UUID, int]
"""The content of a code to sign: the ticket, its show, the seat's number."""


class TicketSigner:
    """Signs and checks the codes of tickets."""

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring
        self._remembered = lru_cache(_REMEMBERED_CODES)(_sign)

    async def codes(self, seats: Sequence[SignedSeat]) -> list[str]:
        """Returns the codes of tickets, signed with the current key: the same until it changes."""
        key = self.ring.signing

        def sign() -> list[str]:
            return [self._remembered(key.secret, TicketCode(key.key_id, *seat)) for seat in seats]

        return await asyncio.to_thread(sign) if len(seats) > _SIGNED_IN_PLACE else sign()

    async def read(self, text: str) -> TicketCode:
        """Returns the content of a scanned code.

        Raises:
            NotFound: it is forged or not a code, or names a key that isn't accepted. The detail
                says how the text differs from a code.
        """
        # More than one is rare: a code without "-" and "_", which may have been typed on a QWERTZ
        # keyboard.
        for code in possible_codes(text):
            try:
                said, signature = read(code)
            except ValueError:
                continue  # of another version
            key = await self.ring.find(said.key_id)
            if key is not None and hmac.compare_digest(
                _private_key(key.secret).sign(said.payload()), signature
            ):
                return said
        raise NotFound(why_unreadable(text))


def _sign(secret: bytes, said: TicketCode) -> str:
    return said.signed(_private_key(secret).sign(said.payload()))


@lru_cache(maxsize=32)
def _private_key(secret: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(secret)


def new_key() -> NewKey:
    """Returns a new key for codes."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return NewKey(key_id_of(public), private.private_bytes_raw(), public)


async def load_ticket_signer(pool: asyncpg.Pool) -> TicketSigner:
    """Returns the signer of this installation; the first process creates its key."""
    return TicketSigner(await open_ring(pool, PURPOSE, new_key()))
