"""The public halves of the keys that sign tickets, as JWK and PEM."""

import base64
import json
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from msgspec import Meta

from frontrow.payments.ticket_code import key_id_of

_PEM_END = "-----END PUBLIC KEY-----"


class TicketKey(msgspec.Struct, frozen=True):
    """The public half of a key that signs tickets, as a JWK (RFC 8037)."""

    kid: Annotated[str, Meta(description="The key's id in codes.")]
    kty: Annotated[Literal["OKP"], Meta(description="The key type.")]
    crv: Annotated[Literal["Ed25519"], Meta(description="The curve.")]
    x: Annotated[str, Meta(description="The public key, in base64url.")]
    use: Annotated[Literal["sig"], Meta(description="The key verifies signatures.")]


class TicketKeys(msgspec.Struct, frozen=True):
    """The keys whose tickets are or soon will be accepted, as a JWK set (RFC 7517)."""

    keys: Annotated[list[TicketKey], Meta(description="The keys, the newest last.")]


def jwks(public_keys: Iterable[bytes]) -> TicketKeys:
    """Returns keys as a JWK set."""
    return TicketKeys(
        [
            TicketKey(
                kid=key_id_of(key),
                kty="OKP",
                crv="Ed25519",
                x=base64.urlsafe_b64encode(key).rstrip(b"=").decode(),
                use="sig",
            )
            for key in public_keys
        ]
    )


def pem(public_key: bytes) -> str:
    """Returns a key as PEM (RFC 7468)."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def read_keys(text: str) -> dict[str, bytes]:
    """Returns the keys of a file by id: PEM blocks, a JWK or a JWK set.

    Raises:
        ValueError: it has no public key, or anything besides public keys.
    """
    if text.lstrip().startswith("{"):
        found = [_from_jwk(key) for key in _listed(json.loads(text))]
    else:
        blocks = text.split(_PEM_END)[:-1]
        found = [_from_pem(block + _PEM_END + "\n") for block in blocks]
    if not found:
        raise ValueError("there is no public key in it")
    return {key_id_of(key): key for key in found}


def _listed(document: dict[str, object]) -> list[object]:
    keys = document.get("keys", [document])
    return keys if isinstance(keys, list) else []


def _from_jwk(key: object) -> bytes:
    if not isinstance(key, dict) or (key.get("kty"), key.get("crv")) != ("OKP", "Ed25519"):
        raise ValueError("one of its keys is not an Ed25519 key")
    public_key = base64.urlsafe_b64decode(str(key.get("x")) + "==")
    # Checks that it has 32 bytes.
    return Ed25519PublicKey.from_public_bytes(public_key).public_bytes_raw()


def _from_pem(block: str) -> bytes:
    key = load_pem_public_key(block.encode())
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("one of its keys is not an Ed25519 key")  # noqa: TRY004 - of the file
    return key.public_bytes_raw()
