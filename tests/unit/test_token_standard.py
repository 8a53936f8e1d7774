"""Queue tokens are standard JWTs: each property is checked against joserfc.

Whatever is accepted here is accepted by joserfc too, with the same claims. The reverse holds for
the tokens that a signer issues; other ones are refused by both, or only here.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import GuestProtocol, OctKey
from joserfc.jwt import JWTClaimsRegistry

from frontrow.errors import CredentialInvalid
from frontrow.ids import PlaceRef
from frontrow.keys.mac import HmacSha256
from frontrow.waiting_room.token import UnknownKey
from tests.signing import signer_with

SECRETS = {"k1": bytes(range(32)), "k2": bytes(range(32, 64))}
SIGNER = signer_with(SECRETS, "k1")
HEADER = {"typ": "JWT", "alg": "HS256", "kid": "k1"}

PLACES = st.builds(
    PlaceRef,
    user_id=st.uuids(),
    concert_id=st.uuids(),
    room_id=st.integers(1, 2**31 - 1),
    number=st.integers(1, 2**31 - 1),
    place_id=st.uuids(),
    issued_at=st.integers(0, 253_402_300_799).map(lambda at: datetime.fromtimestamp(at, UTC)),
)


def claims_of(place: PlaceRef) -> dict[str, Any]:
    """Returns the claims of the contract."""
    return {
        "iss": "frontrow",
        "sub": str(place.user_id),
        "jti": str(place.place_id),
        "iat": int(place.issued_at.timestamp()),
        "concert": str(place.concert_id),
        "room": place.room_id,
        "number": place.number,
    }


def ours(token: bytes) -> dict[str, Any] | None:
    """Returns the claims of a token as verified here; ``None`` if it is refused."""
    try:
        return claims_of(SIGNER.verify(token))
    except CredentialInvalid:
        return None


def joserfcs(token: bytes) -> dict[str, Any] | None:
    """Returns the claims of a token as joserfc verifies it; ``None`` if it is refused."""

    def key_of(guest: GuestProtocol) -> OctKey:
        return OctKey.import_key(SECRETS[guest.headers()["kid"]])

    try:
        claims = jwt.decode(token, key_of, algorithms=["HS256"]).claims
        JWTClaimsRegistry(iss={"essential": True, "value": "frontrow"}).validate(claims)
    except (JoseError, ValueError, KeyError, TypeError):
        return None
    return claims


def b64(data: bytes) -> bytes:
    """Returns the segment of a JWT."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed(header: bytes, payload: bytes, secret: bytes = SECRETS["k1"]) -> bytes:
    """Returns the token of two encoded segments, with the right signature."""
    return b".".join([header, payload, b64(hmac.digest(secret, header + b"." + payload, "sha256"))])


def with_spare_bits(segment: bytes) -> bytes:
    """Returns another spelling of a segment that has unused bits."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(segment) % 4 in (2, 3)
    after = alphabet.index(segment[-1]) + 1
    return segment[:-1] + alphabet[after : after + 1]


CLAIMS = claims_of(
    PlaceRef(
        user_id=UUID(int=1),
        concert_id=UUID(int=2),
        room_id=7,
        number=123_456,
        place_id=UUID(int=3),
        issued_at=datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC),
    )
)


def token_of(header: object, claims: object) -> bytes:
    """Returns the signed token of a header and claims."""
    return signed(b64(json.dumps(header).encode()), b64(json.dumps(claims).encode()))


GENUINE = token_of(HEADER, CLAIMS)


@given(st.binary(max_size=200), st.binary(max_size=2_000))
def test_mac_equals_that_of_the_standard_library(secret: bytes, message: bytes) -> None:
    """Also for keys that are longer than a block, and for the second message of a key."""
    mac = HmacSha256(secret)
    for each in (message, message + b"!"):
        assert mac.digest(each) == hmac.digest(secret, each, hashlib.sha256)


@given(PLACES)
def test_joserfc_verifies_ours(place: PlaceRef) -> None:
    """A signed token has the header and the claims of the contract for any JWT library."""
    token = SIGNER.sign(place)
    read = jwt.decode(token, OctKey.import_key(SECRETS["k1"]), algorithms=["HS256"])
    assert (read.header, read.claims) == (HEADER, claims_of(place))
    assert jwt.encode(HEADER, claims_of(place), OctKey.import_key(SECRETS["k1"])) == token


@given(PLACES, st.sampled_from([dict(order) for order in permutations(HEADER.items())]))
def test_ours_verifies_joserfcs(place: PlaceRef, header: dict[str, str]) -> None:
    """A token that joserfc signed is accepted, with its header in any order."""
    token = jwt.encode(header, claims_of(place), OctKey.import_key(SECRETS["k1"]))
    assert SIGNER.verify(token.encode()) == place


@given(st.data())
def test_changed_token_is_refused_by_both(data: st.DataObject) -> None:
    """A byte is replaced, removed or inserted anywhere, or the token ends early."""
    at = data.draw(st.integers(0, len(GENUINE) - 1))
    byte = data.draw(st.sampled_from(b"Ab0-_.=+/ \n\0\xff").map(lambda value: bytes([value])))
    after = data.draw(st.sampled_from([at, at + 1, len(GENUINE)]))
    changed = GENUINE[:at] + data.draw(st.sampled_from([byte, b""])) + GENUINE[after:]
    if changed != GENUINE:
        assert (ours(changed), joserfcs(changed)) == (None, None)


@given(
    st.dictionaries(
        st.sampled_from(["typ", "alg", "kid", "crit", "b64", "jwk", "jku", "cty", "x"]),
        st.sampled_from(["JWT", "HS256", "k1", "k2", "none", "HS512", "JOSE", "", None, 1, True])
        | st.sampled_from([["exp"], ["b64"], [], {}]),
    ),
    st.dictionaries(st.sampled_from([*CLAIMS, "exp", "x"]), st.integers() | st.none()),
)
def test_nothing_is_accepted_that_joserfc_refuses(
    header: dict[str, Any], claims: dict[str, Any]
) -> None:
    """Whatever header and claims are signed: if they are accepted, joserfc reads the same."""
    token = token_of(HEADER | header, CLAIMS | claims)
    read = ours(token)
    if read is not None:
        known = joserfcs(token)
        assert known is not None
        assert {name: known[name] for name in read} == read


@pytest.mark.parametrize(
    ("header", "alike"),
    [
        ({"alg": "none"}, True),
        ({"alg": "HS384"}, True),
        ({"alg": "RS256"}, True),
        ({"alg": None}, True),
        ({"kid": "k2"}, True),
        ({"kid": "k3"}, True),
        ({"kid": None}, True),
        ({"crit": ["exp"]}, True),
        ({"crit": ["kid"]}, False),
        ({"crit": []}, False),
        ({"b64": False}, True),
        ({"b64": True}, False),
        ({"jwk": {"kty": "oct", "k": "AAAA"}}, False),
        ({"jku": "https://keys.example/"}, False),
        ({"cty": "JWT"}, False),
        ({"typ": "at+jwt"}, False),
        ({"other": 1}, True),
    ],
)
def test_other_header_is_refused(header: dict[str, Any], *, alike: bool) -> None:
    """A signed header with another member or value is refused here; mostly by joserfc too."""
    token = token_of(HEADER | header, CLAIMS)
    assert ours(token) is None
    assert (joserfcs(token) is None) is alike


def test_headers_without_a_member_are_refused() -> None:
    """All three members are required; joserfc doesn't need the type."""
    for name in HEADER:
        token = token_of({k: v for k, v in HEADER.items() if k != name}, CLAIMS)
        assert ours(token) is None
        assert (joserfcs(token) is None) is (name != "typ")


RESPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "padded": lambda text: text + b"=" * (-len(text) % 4),
    "spare bits": with_spare_bits,
    "line end": lambda text: text + b"\n",
    "standard alphabet": lambda text: text.translate(bytes.maketrans(b"-_", b"+/")),
}


@pytest.mark.parametrize(
    ("part", "spelling"),
    [(1, spelling) for spelling in RESPELLINGS]
    + [(part, spelling) for part in (0, 2) for spelling in ("padded", "spare bits", "line end")],
)
def test_other_spelling_of_base64url_is_refused_by_both(part: int, spelling: str) -> None:
    """Also if it is signed: a token has one spelling, so nobody can vary it."""
    # Each segment has unused bits; the payload has characters in which the two alphabets differ.
    claims = json.dumps(CLAIMS | {"more": "ÿþ?>~" * 3}, ensure_ascii=False).encode()
    header = json.dumps(HEADER).encode()
    parts = signed(*(b64(text + b" " * (-len(text) % 3 or 3) + b" ") for text in (header, claims)))
    genuine = parts.split(b".")
    assert ours(parts) == CLAIMS
    assert joserfcs(parts) == json.loads(claims)
    genuine[part] = RESPELLINGS[spelling](genuine[part])
    token = b".".join(genuine) if part == 2 else signed(genuine[0], genuine[1])
    assert token != parts
    assert (ours(token), joserfcs(token)) == (None, None)


def test_restricted_token_is_refused() -> None:
    """An expired token is refused by both; one that ends later only here: none is issued."""
    for name, value, alike in [
        ("exp", 1, True),
        ("exp", 2**32, False),
        ("nbf", 2**32, True),
        ("aud", "another", False),
    ]:
        token = token_of(HEADER, CLAIMS | {name: value})
        assert ours(token) is None
        assert (joserfcs(token) is None) is alike


def test_token_of_a_removed_key_is_refused() -> None:
    """After a rotation both keys are accepted; once the old one is removed, only the new one."""
    token = token_of(HEADER, CLAIMS)
    both, new = signer_with(SECRETS, "k2"), signer_with({"k2": SECRETS["k2"]}, "k2")
    assert claims_of(both.verify(token)) == CLAIMS
    with pytest.raises(UnknownKey):
        new.verify(token)
    rotated = both.sign(both.verify(token)).encode()
    assert claims_of(new.verify(rotated)) == CLAIMS
    assert jwt.decode(rotated, OctKey.import_key(SECRETS["k2"])).claims == CLAIMS
