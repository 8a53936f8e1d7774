"""The issuer's keys: fetched when they are needed, kept through an outage, never in the way."""

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
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        """The time now."""
        return self.seconds


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """A running issuer."""
    with running_issuer() as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    """A client that nothing of the environment turns away."""
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


async def test_many_share_one_fetch(keys: IssuerKeys, issuer: Issuer) -> None:
    """The first who need a key wait for it together; after that nobody waits."""
    found = await asyncio.gather(*(keys.find("one") for _ in range(50)))
    assert {key.kid for key in found if key} == {"one"}
    assert issuer.asked == [DISCOVERY, JWKS]
    assert await keys.find("one") is found[0]
    assert len(issuer.asked) == 2


async def test_who_goes_away_ends_no_fetch(keys: IssuerKeys, issuer: Issuer) -> None:
    """A client that hangs up while the keys are fetched leaves that to those who wait on."""
    issuer.answering.clear()
    gone, waiting = [asyncio.create_task(keys.find("one")) for _ in range(2)]
    await asyncio.sleep(0)
    gone.cancel()
    issuer.answering.set()
    assert await waiting is not None
    assert gone.cancelled()


async def test_a_new_key_is_found(keys: IssuerKeys, issuer: Issuer, clock: Clock) -> None:
    """When the issuer has changed its keys, a token of the new one fetches them."""
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


async def test_unknown_keys_are_looked_for_seldom(
    keys: IssuerKeys, issuer: Issuer, clock: Clock
) -> None:
    """However many tokens name keys that nobody has, the issuer is asked once in ten seconds."""
    for _ in range(3):
        assert await asyncio.gather(*(keys.find(f"k{n}") for n in range(20))) == [None] * 20
        clock.seconds += RETRY_SECONDS / 2
    assert issuer.asked.count(JWKS) == 2


async def test_an_outage_is_outlived(keys: IssuerKeys, issuer: Issuer, clock: Clock) -> None:
    """Known keys go on, unknown ones can't be judged; in the end known ones neither."""
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


async def test_an_issuer_that_hangs_is_left(
    keys: IssuerKeys, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetch has an end; who knows the key doesn't wait for it at all."""
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
async def test_documents_that_are_not_right(
    keys: IssuerKeys, issuer: Issuer, path: str, document: bytes
) -> None:
    """Whatever the issuer says, the keys that are there stay, and nothing else happens."""
    assert await keys.find("one")
    issuer.documents[path] = document.replace(b"%(address)s", issuer.address.encode())
    with pytest.raises(Unavailable):
        await keys.refresh()
    assert await keys.find("one")
    issuer.documents.clear()
    await keys.refresh()


def jwks(*keys: RSAKey | ECKey | OctKey | OKPKey, **more: object) -> dict[str, object]:
    """A JWK set of these keys, each with more members."""
    return {"keys": [key.as_dict(private=False) | more for key in keys]}


def test_only_fitting_keys_are_taken() -> None:
    """Of the kind that the algorithm needs, to sign with, and long enough."""
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


def test_a_key_without_a_name_is_the_only_one(keys: IssuerKeys) -> None:
    """A token that names no key is one of the only key; of several it is nobody's."""
    rsa = [RSAKey.generate_key(2048, {"kid": name}) for name in "ab"]
    keys._read_at = keys._now()
    keys._keys = read_keys(jwks(rsa[0]), "RS256")
    assert keys._known(None) is not None
    keys._keys = read_keys(jwks(*rsa), "RS256")
    assert keys._known(None) is None
