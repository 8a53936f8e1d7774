"""The issuer's keys: fetched on demand, kept through an outage, never blocking known keys."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa as rsa_keys
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.util import urlsafe_b64encode

from frontrow.errors import Unavailable
from frontrow.users import issuer_keys as module
from frontrow.users.issuer_document import (
    LARGEST_BYTES,
    RETRY_SECONDS,
    IssuerDocument,
    check_response,
)
from frontrow.users.issuer_keys import IssuerKeys, read_keys
from testkit.issuer import DISCOVERY, JWKS, Issuer, running_issuer

STALE_SECONDS = 3_600.0


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        """Returns the time."""
        return self.seconds


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """A running issuer."""
    with running_issuer() as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    """A client that ignores proxies of the environment."""
    hooks = {"response": [check_response]}
    async with httpx2.AsyncClient(trust_env=False, timeout=60, event_hooks=hooks) as client:
        yield client


@pytest.fixture
def clock() -> Clock:
    """The clock of ``keys``."""
    return Clock()


@pytest.fixture
def keys(issuer: Issuer, http: httpx2.AsyncClient, clock: Clock) -> IssuerKeys:
    """The keys of the issuer, none of them fetched yet."""
    return IssuerKeys(
        IssuerDocument(http, issuer.address),
        jwks_url=None,
        algorithm="RS256",
        stale_seconds=STALE_SECONDS,
        now=clock,
    )


async def test_concurrent_callers_share_one_fetch(keys: IssuerKeys, issuer: Issuer) -> None:
    """Later callers get the cached key."""
    found = await asyncio.gather(*(keys.find("one") for _ in range(50)))
    assert {key.kid for key in found if key} == {"one"}
    assert issuer.asked == [DISCOVERY, JWKS]
    assert await keys.find("one") is found[0]
    assert len(issuer.asked) == 2


async def test_cancelled_caller_does_not_cancel_the_fetch(keys: IssuerKeys, issuer: Issuer) -> None:
    """The other callers still get the key."""
    issuer.answering.clear()
    gone, waiting = [asyncio.create_task(keys.find("one")) for _ in range(2)]
    await asyncio.sleep(0)
    gone.cancel()
    issuer.answering.set()
    assert await waiting is not None
    assert gone.cancelled()


async def test_new_key_is_fetched(keys: IssuerKeys, issuer: Issuer, clock: Clock) -> None:
    """When a token names it; a withdrawn key counts as a loss."""
    assert await keys.find("one")
    issuer.keys.append(RSAKey.generate_key(2048, {"kid": "two"}))
    assert await keys.find("two") is None  # it was asked just now
    clock.seconds += RETRY_SECONDS
    assert await keys.find("two")
    assert keys.losses == 0
    issuer.keys.pop(0)
    await keys.refresh()
    assert await keys.find("one") is None
    assert keys.losses == 1


async def test_unknown_keys_are_fetched_once_in_ten_seconds(
    keys: IssuerKeys, issuer: Issuer, clock: Clock
) -> None:
    """However many tokens name keys that don't exist."""
    for _ in range(3):
        assert await asyncio.gather(*(keys.find(f"k{n}") for n in range(20))) == [None] * 20
        clock.seconds += RETRY_SECONDS / 2
    assert issuer.asked.count(JWKS) == 2


async def test_known_keys_survive_an_outage(keys: IssuerKeys, issuer: Issuer, clock: Clock) -> None:
    """Unknown keys are unavailable; known keys too, once they are stale."""
    assert await keys.find("one")
    issuer.away = True
    with pytest.raises(Unavailable):
        await keys.refresh()
    assert await keys.find("one")
    with pytest.raises(Unavailable):
        await keys.find("two")
    clock.seconds += STALE_SECONDS + 1
    with pytest.raises(Unavailable):
        await keys.find("one")
    issuer.away = False
    clock.seconds += RETRY_SECONDS
    assert await keys.find("one")


async def test_hanging_issuer_times_out(
    keys: IssuerKeys, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller whose key is known does not wait for the fetch."""
    assert await keys.find("one")
    issuer.answering.clear()
    refreshing = asyncio.create_task(keys.refresh())
    await asyncio.sleep(0)
    assert await keys.find("one")
    assert not refreshing.done()
    issuer.answering.set()
    await refreshing
    monkeypatch.setattr(module, "FETCH_SECONDS", 0.05)
    issuer.answering.clear()
    with pytest.raises(Unavailable):
        await keys.refresh()
    assert await keys.find("one")


@pytest.mark.parametrize(
    ("path", "document"),
    [
        (DISCOVERY, b"<html>"),
        (DISCOVERY, b"[]"),
        (DISCOVERY, b"{}"),
        (DISCOVERY, b'{"issuer": "https://other.example", "jwks_uri": "https://other.example/"}'),
        (DISCOVERY, b'{"issuer": "%(address)s", "jwks_uri": "http://other.example/keys"}'),
        (DISCOVERY, b'{"issuer": "%(address)s", "jwks_uri": "file:///etc/passwd"}'),
        (DISCOVERY, b'{"issuer": "%(address)s", "jwks_uri": "http://["}'),
        (DISCOVERY, b'{"issuer": "%(address)s", "jwks_uri": 7}'),
        (JWKS, b""),
        (JWKS, b"{}"),
        (JWKS, b'{"keys": {}}'),
        (JWKS, b'{"keys": []}'),
        (JWKS, b'{"keys": [null, {}, {"kty": "RSA"}, {"kty": 7}]}'),
        (JWKS, b'{"keys": [' + b"{}, " * 100 + b"{}]}"),
        (JWKS, b'{"keys": [], "more": "' + b"x" * LARGEST_BYTES + b'"}'),
        (JWKS, b"[" * 100_000),
    ],
)
async def test_invalid_document_changes_nothing(
    keys: IssuerKeys, issuer: Issuer, path: str, document: bytes
) -> None:
    """The known keys stay in force."""
    assert await keys.find("one")
    issuer.documents[path] = document.replace(b"%(address)s", issuer.address.encode())
    with pytest.raises(Unavailable):
        await keys.refresh()
    assert await keys.find("one")
    issuer.documents.clear()
    await keys.refresh()


def jwks(*keys: RSAKey | ECKey | OctKey | OKPKey, **more: object) -> dict[str, object]:
    """Returns a JWK set of these keys, with further members in each."""
    return {"keys": [key.as_dict(private=False) | more for key in keys]}


def test_unsuitable_keys_are_skipped() -> None:
    """Of another type, use or algorithm, or too short."""
    rsa = RSAKey.generate_key(2048, {"kid": "rsa"})
    curve = ECKey.generate_key("P-256", {"kid": "ec"})
    others = OctKey.generate_key(256, {"kid": "oct"}), OKPKey.generate_key("Ed25519", {"kid": "ed"})
    assert list(read_keys(jwks(rsa, curve, *others), "RS256")) == ["rsa"]
    assert list(read_keys(jwks(rsa, curve, *others), "ES256")) == ["ec"]
    assert list(read_keys(jwks(rsa, alg="PS256", use="sig"), "PS256")) == ["rsa"]
    weak = rsa_keys.generate_private_key(65537, 1024)  # noqa: S505 - it is to be refused
    modulus = weak.public_key().public_numbers().n
    n = urlsafe_b64encode(modulus.to_bytes(128)).decode()
    short = {"keys": [{"kty": "RSA", "n": n, "e": "AQAB"}]}
    secret = {"keys": [OctKey.generate_key(256).as_dict()]}
    for unfit in (
        short,
        jwks(rsa, use="enc"),
        jwks(rsa, alg="RS512"),
        jwks(rsa, kid=7),
        secret,
    ):
        with pytest.raises(ValueError, match="no key for RS256"):
            read_keys(json.loads(json.dumps(unfit)), "RS256")


def test_missing_key_id_means_the_only_key(keys: IssuerKeys) -> None:
    """With several keys there is no such key."""
    rsa = [RSAKey.generate_key(2048, {"kid": name}) for name in "ab"]
    keys._read_at = keys._now()
    keys._keys = read_keys(jwks(rsa[0]), "RS256")
    assert keys._known(None) is not None
    keys._keys = read_keys(jwks(*rsa), "RS256")
    assert keys._known(None) is None
