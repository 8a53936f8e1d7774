"""Queue tokens name a place and can't be forged."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from frontrow.errors import CredentialInvalid
from frontrow.ids import PlaceRef
from frontrow.waiting_room.token import LONGEST_TOKEN, TokenSigner, UnknownKey
from tests.signing import signer_with

SECRET = bytes(range(32))
OTHER_SECRET = bytes(range(32, 64))
PLACE = PlaceRef(
    user_id=UUID("11111111-1111-4111-8111-111111111111"),
    concert_id=UUID("22222222-2222-4222-8222-222222222222"),
    room_id=7,
    number=123_456,
    place_id=UUID("33333333-3333-4333-8333-333333333333"),
    issued_at=datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC),
)
HEADER = {"alg": "HS256", "typ": "JWT", "kid": "k1"}
CLAIMS: dict[str, Any] = {
    "iss": "frontrow",
    "sub": str(PLACE.user_id),
    "jti": str(PLACE.place_id),
    "iat": int(PLACE.issued_at.timestamp()),
    "concert": str(PLACE.concert_id),
    "room": 7,
    "number": 123_456,
}


@pytest.fixture
def signer() -> TokenSigner:
    """A signer with one key."""
    return signer_with({"k1": SECRET}, "k1")


def encoded(part: object) -> str:
    """Returns one part of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def token_of(
    claims: dict[str, Any], *, header: dict[str, Any] | None = None, secret: bytes = SECRET
) -> bytes:
    """Returns a JWT signed with HS256 here (RFC 7515)."""
    signed = f"{encoded(HEADER if header is None else header)}.{encoded(claims)}"
    mac = hmac.digest(secret, signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}".encode()


def test_signed_values_are_read_back(signer: TokenSigner) -> None:
    """A token gives the place that was signed."""
    assert signer.verify(signer.sign(PLACE).encode()) == PLACE


def test_token_has_the_claims_of_the_contract(signer: TokenSigner) -> None:
    """Header and claims are those of the contract; admission is not part of a token."""
    header, claims, _ = signer.sign(PLACE).split(".")
    read = [json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, claims)]
    assert read == [HEADER, CLAIMS]


def test_token_built_here_is_valid(signer: TokenSigner) -> None:
    """The token built in this module is valid, so only the later changes matter."""
    assert signer.verify(token_of(CLAIMS)) == PLACE


def test_verified_token_is_cached(signer: TokenSigner) -> None:
    """The second use needs no signature check."""
    token = signer.sign(PLACE).encode()
    first = signer.verify(token)
    assert signer.verify(bytes(token)) is first
    assert signer.verify.cache_info().hits == 1


def test_refused_token_is_not_cached(signer: TokenSigner) -> None:
    """Forged tokens use no memory."""
    for _ in range(2):
        with pytest.raises(CredentialInvalid):
            signer.verify(b"a.b.c")
    assert signer.verify.cache_info().currsize == 0


def test_cache_is_bounded(signer: TokenSigner) -> None:
    """No more tokens are cached than configured."""
    for number in range(1, 31):
        signer.verify(token_of(CLAIMS | {"number": number}))
    assert signer.verify.cache_info().currsize == 10


@pytest.mark.parametrize("part", [0, 1, 2])
def test_altered_token_is_refused(signer: TokenSigner, part: int) -> None:
    """Another character anywhere makes a token invalid."""
    parts = signer.sign(PLACE).split(".")
    for at in range(len(parts[part])):
        for other in "Aa":
            changed = parts[part][:at] + other + parts[part][at + 1 :]
            if changed == parts[part]:
                continue
            forged = ".".join([*parts[:part], changed, *parts[part + 1 :]])
            with pytest.raises(CredentialInvalid):
                signer.verify(forged.encode())


def test_token_of_another_key_is_refused(signer: TokenSigner) -> None:
    """A token can't be signed without the secret."""
    with pytest.raises(CredentialInvalid):
        signer.verify(token_of(CLAIMS, secret=OTHER_SECRET))


def test_token_of_a_retired_key_is_read() -> None:
    """A token of a retired key is still read; new tokens have the new key."""
    old = signer_with({"k1": SECRET}, "k1")
    new = signer_with({"k1": SECRET, "k2": OTHER_SECRET}, "k2")
    assert new.verify(old.sign(PLACE).encode()) == PLACE
    with pytest.raises(UnknownKey):
        old.verify(new.sign(PLACE).encode())


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": "JWT", "kid": "k1"},
        {"alg": "None", "kid": "k1"},
        {"alg": "HS512", "typ": "JWT", "kid": "k1"},
        {"alg": "RS256", "typ": "JWT", "kid": "k1"},
        {"alg": "HS256", "typ": "JWT"},
        {"alg": "HS256", "typ": "JWT", "kid": "k9"},
        {"alg": "HS256", "typ": "JWT", "kid": None},
        {"alg": "HS256", "typ": "JWT", "kid": ["k1"]},
        {"alg": "HS256", "typ": "JWT", "kid": {}},
        {"alg": 256, "kid": "k1"},
        {"kid": "k1"},
        {},
    ],
)
def test_other_header_is_refused(signer: TokenSigner, header: dict[str, Any]) -> None:
    """Only the algorithm of the contract with a known key is accepted."""
    with pytest.raises(CredentialInvalid):
        signer.verify(token_of(CLAIMS, header=header))


def test_unsigned_token_is_refused(signer: TokenSigner) -> None:
    """An unsigned token is refused, with any header."""
    for header in (HEADER, {"alg": "none", "kid": "k1"}):
        with pytest.raises(CredentialInvalid):
            signer.verify(f"{encoded(header)}.{encoded(CLAIMS)}.".encode())


def test_token_of_another_issuer_is_refused(signer: TokenSigner) -> None:
    """A token that the same key signed for another purpose is refused."""
    with pytest.raises(CredentialInvalid):
        signer.verify(token_of(CLAIMS | {"iss": "frontrow-tickets"}))


@pytest.mark.parametrize("claim", CLAIMS)
def test_missing_claim_is_refused(signer: TokenSigner, claim: str) -> None:
    """Every claim is required."""
    with pytest.raises(CredentialInvalid):
        signer.verify(token_of({name: value for name, value in CLAIMS.items() if name != claim}))


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("value", [None, "x", [], {}])
def test_claim_of_another_type_is_refused(signer: TokenSigner, claim: str, value: object) -> None:
    """A claim of another type is refused."""
    with pytest.raises(CredentialInvalid):
        signer.verify(token_of(CLAIMS | {claim: value}))


def test_long_token_is_refused(signer: TokenSigner) -> None:
    """A signed token that is longer than any genuine one is refused."""
    assert signer.verify(token_of(CLAIMS | {"more": "x" * 300})) == PLACE
    long = token_of(CLAIMS | {"more": "x" * LONGEST_TOKEN})
    with pytest.raises(CredentialInvalid):
        signer.verify(long)


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b".",
        b"..",
        b"...",
        b"frk_an-ordinary-user-key",
        "ключ.ключ.ключ".encode(),
        b"\xff\xfe.\x00.\x00",
        b"e30.e30.e30",
        b"W10.W10.W10",
        b"bnVsbA.bnVsbA.",
        b"a" * LONGEST_TOKEN,
    ],
)
def test_malformed_token_is_refused(signer: TokenSigner, token: bytes) -> None:
    """Any malformed header value gives the same refusal."""
    with pytest.raises(CredentialInvalid):
        signer.verify(token)
