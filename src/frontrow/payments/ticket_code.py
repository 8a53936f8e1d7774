"""Encodes, decodes and verifies the code of a ticket (docs/guides/tickets.md), without a server.

A code names a ticket, its show and its seat, but no person. It is signed with Ed25519 (RFC 8032),
so a
gate verifies it with the public key alone. 105 bytes are 140 characters of base64url (RFC 4648)
without unused bits: no two codes have the same content.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from struct import Struct
from typing import NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

VERSION = 1
CODE_LENGTH = 140
"""The number of characters of every code."""

_ALPHABET = re.compile(f"[A-Za-z0-9_-]{{{CODE_LENGTH}}}")
_PAYLOAD = Struct(">B4s16s16sI")
"""Version, key id, ticket id, show id, seat number."""
_KEY_ID_BYTES = 4


class TicketCode(NamedTuple):
    """The content of a code, and the id of the key that signs it."""

    key_id: str
    ticket_id: UUID
    show_id: UUID
    number: int

    def payload(self) -> bytes:
        """Returns the bytes that are signed."""
        return _PAYLOAD.pack(
            VERSION,
            bytes.fromhex(self.key_id),
            self.ticket_id.bytes,
            self.show_id.bytes,
            self.number,
        )

    def signed(self, signature: bytes) -> str:
        """Returns the code with the signature of its payload."""
        return base64.urlsafe_b64encode(self.payload() + signature).decode()


def key_id_of(public_key: bytes) -> str:
    """Returns the id of a key in codes: the first four bytes of its SHA-256, in hexadecimal."""
    return hashlib.sha256(public_key).digest()[:_KEY_ID_BYTES].hex()


def read(code: str) -> tuple[TicketCode, bytes]:
    """Returns the content of a code and its signature, unchecked.

    Raises:
        ValueError: it isn't a code.
    """
    # The decoder would accept other characters for some of these.
    if not _ALPHABET.fullmatch(code):
        raise ValueError(f"a code has {CODE_LENGTH} characters of base64url")
    whole = base64.urlsafe_b64decode(code)
    version, key_id, ticket_id, show_id, number = _PAYLOAD.unpack_from(whole)
    if version != VERSION:
        raise ValueError(f"a code of version {version}")
    said = TicketCode(key_id.hex(), UUID(bytes=ticket_id), UUID(bytes=show_id), number)
    return said, whole[_PAYLOAD.size :]


def verify(code: str, public_keys: Mapping[str, bytes]) -> TicketCode:
    """Returns the content of a genuine code. ``public_keys``: the accepted keys, by id.

    Raises:
        ValueError: it isn't genuine; the message says why.
    """
    said, signature = read(code)
    public_key = public_keys.get(said.key_id)
    if public_key is None:
        raise ValueError(f"signed with an unknown key, {said.key_id}")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, said.payload())
    except InvalidSignature:
        raise ValueError("the signature is wrong") from None
    return said
