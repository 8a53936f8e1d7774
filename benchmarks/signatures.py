"""CPU time of signatures, beside the alternatives: ``python -m benchmarks.signatures``.

Queue tokens here and by joserfc, the codes of tickets by cryptography and, if it is installed, by
PyNaCl (libsodium). The alternatives take turns; the best turn of each is reported, since other work
on the machine only adds to a turn.
"""

import importlib
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OctKey
from rich.console import Console
from rich.table import Table

from frontrow.ids import PlaceRef
from frontrow.keys.ring import SigningKey
from frontrow.waiting_room.token import TokenSigner

TURNS = 15
CALLS = 1_000
PAYLOAD = bytes(41)
"""As long as the signed part of a ticket's code."""

Measured = dict[str, Callable[[], object]]


class OneKey:
    """A ring with one key."""

    def __init__(self, key: SigningKey) -> None:
        self.keys = {key.key_id: key}
        self.signing = key

    async def find(self, key_id: str) -> SigningKey | None:
        """Returns the key."""
        return self.keys.get(key_id)

    async def refresh(self) -> bool:
        """Does nothing."""
        return False


def tokens() -> Measured:
    """Returns what signs and verifies the token of a place, without a cache."""
    key = SigningKey("0123abcd", secrets.token_bytes(32), signs_at=datetime.now(UTC))
    signer = TokenSigner(OneKey(key), remembered_tokens=0)
    place = PlaceRef(uuid4(), uuid4(), 7, 123_456, uuid4(), datetime.now(UTC))
    token, joserfc_key = signer.sign(place).encode(), OctKey.import_key(key.secret)
    header = {"alg": "HS256", "kid": key.key_id}
    claims = jwt.decode(token, joserfc_key).claims
    return {
        "token signed": lambda: signer.sign(place),
        "token signed, joserfc": lambda: jwt.encode(header, claims, joserfc_key),
        "token verified": lambda: signer.verify(token),
        "token verified, joserfc": lambda: jwt.decode(token, joserfc_key, algorithms=["HS256"]),
    }


def codes() -> Measured:
    """Returns what signs and verifies the payload of a code."""
    private = Ed25519PrivateKey.generate()
    signature, public = private.sign(PAYLOAD), private.public_key()
    found: Measured = {
        "code signed, cryptography": lambda: private.sign(PAYLOAD),
        "code verified, cryptography": lambda: public.verify(signature, PAYLOAD),
    }
    try:
        nacl = importlib.import_module("nacl.signing")
    except ModuleNotFoundError:
        return found
    sodium = nacl.SigningKey(private.private_bytes_raw())
    found["code signed, libsodium"] = lambda: sodium.sign(PAYLOAD)
    found["code verified, libsodium"] = lambda: sodium.verify_key.verify(PAYLOAD, signature)
    return found


def measure(measured: Measured) -> dict[str, float]:
    """Returns the CPU time of each call, in µs."""
    best = dict.fromkeys(measured, float("inf"))
    for _ in range(TURNS):
        for name, call in measured.items():
            started = time.process_time()
            for _ in range(CALLS):
                call()
            best[name] = min(best[name], (time.process_time() - started) / CALLS * 1e6)
    return best


def main() -> None:
    """Runs the benchmark."""
    table = Table("what", "CPU µs")
    for name, cpu_us in measure(tokens() | codes()).items():
        table.add_row(name, f"{cpu_us:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
