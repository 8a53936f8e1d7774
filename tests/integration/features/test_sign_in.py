"""ID tokens in place of user keys: which are valid, and their users."""

import asyncio
import base64
import contextlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, RSAKey

from frontrow.errors import CredentialInvalid, Unavailable
from frontrow.services import Services
from frontrow.users.id_token import SKEW_SECONDS, user_id_of
from frontrow.users.service import Users
from frontrow.users.sign_in import SignIn
from testkit.database import Database
from testkit.issuer import AUDIENCE, JWKS, Issuer, as_at_its_start, running_issuer
from tests.buyers import Owner, services_on

FOREIGN = RSAKey.generate_key(2048, {"kid": "one"})


@pytest.fixture(scope="module")
def running() -> Iterator[Issuer]:
    """One issuer for the module: creating its keys is slow."""
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(running: Issuer) -> Iterator[Issuer]:
    """The issuer, reset."""
    with as_at_its_start(running) as issuer:
        yield issuer


@asynccontextmanager
async def signing_in(
    database: Database, issuer: Issuer, **settings: Any
) -> AsyncIterator[tuple[Services, SignIn]]:
    """Yields the services of a process that accepts this issuer's tokens."""
    async with services_on(
        database, oidc_issuer=issuer.address, oidc_audience=AUDIENCE, **settings
    ) as services:
        assert services.sign_in is not None
        yield services, services.sign_in


@pytest.fixture
async def sign_in(database: Database, issuer: Issuer) -> AsyncIterator[SignIn]:
    """The sign-in at the issuer."""
    async with signing_in(database, issuer) as (_, sign_in):
        yield sign_in


def encoded(content: bytes) -> str:
    """Encodes bytes as a JWT does."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def part(value: object) -> str:
    """Encodes one part of a JWT."""
    return encoded(json.dumps(value).encode())


async def test_one_account_per_subject(database: Database, issuer: Issuer, owner: Owner) -> None:
    """Also for many tokens at once, in two processes."""
    tokens = [issuer.token("a", nonce=n) for n in range(20)]
    async with signing_in(database, issuer) as (_, one), signing_in(database, issuer) as (_, other):
        found = await asyncio.gather(*(each.user_of(t) for t in tokens for each in (one, other)))
        assert set(found) == {user_id_of(issuer.address, "a")}
        assert await one.user_of(issuer.token("b")) == user_id_of(issuer.address, "b")
    rows = await owner.fetch("SELECT user_id FROM app_user")
    assert {row["user_id"] for row in rows} == {user_id_of(issuer.address, s) for s in "ab"}
    assert len(rows) == 2


def test_user_id_of_a_subject_is_stable() -> None:
    """The id is a function of issuer and subject alone: stored accounts depend on it."""
    assert user_id_of("https://login.example", "someone") == UUID(
        "d18e8bc7-2d28-56b9-b19c-140ace6068a6"
    )
    assert user_id_of("https://other.example", "someone") != user_id_of(
        "https://login.example", "someone"
    )


async def test_subject_is_not_stored(sign_in: SignIn, issuer: Issuer, owner: Owner) -> None:
    """Nor any other personal claim of the token."""
    await sign_in.user_of(issuer.token("a-very-special-subject", email="someone@mail.example"))
    (row,) = await owner.fetch("SELECT a::text AS row FROM app_user AS a")
    assert "special" not in row["row"]
    assert "mail" not in row["row"]


async def test_verified_token_is_cached(sign_in: SignIn, issuer: Issuer) -> None:
    """It is not verified again until it expires."""
    token = issuer.token(exp=int(time.time()) + 60)
    user_id = await sign_in.user_of(token)
    issuer.keys = []
    sign_in.keys._keys = {}  # nothing can be verified
    assert await sign_in.user_of(token) == user_id
    ahead = time.time() + 60 + SKEW_SECONDS
    sign_in._now = lambda: ahead
    sign_in._tokens._claims._now = lambda: int(ahead)
    with pytest.raises(CredentialInvalid):
        await sign_in.user_of(token)


async def test_cache_of_tokens_is_bounded(database: Database, issuer: Issuer) -> None:
    """The oldest token is dropped, and verified again."""
    async with signing_in(database, issuer, cached_credentials=2) as (_, sign_in):
        tokens = [issuer.token(subject) for subject in "abcd"]
        for token in [*tokens, tokens[0]]:
            await sign_in.user_of(token)
        assert len(sign_in) == 2


async def test_token_of_a_withdrawn_key_is_refused(sign_in: SignIn, issuer: Issuer) -> None:
    """Even if it was verified before."""
    old = issuer.token()
    await sign_in.user_of(old)
    issuer.keys = [RSAKey.generate_key(2048, {"kid": "two"})]
    await sign_in.user_of(old)  # the control: it is remembered
    await sign_in.keys.refresh()
    with pytest.raises(CredentialInvalid):
        await sign_in.user_of(old)
    await sign_in.user_of(issuer.token())


async def test_key_withdrawn_during_verification(
    sign_in: SignIn, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is not cached."""
    old, adding = issuer.token(), Users.add_account

    async def meanwhile(users: Users, user_id: UUID) -> None:
        await adding(users, user_id)
        issuer.keys = [RSAKey.generate_key(2048, {"kid": "two"})]
        await sign_in.keys.refresh()
        monkeypatch.undo()
        await sign_in.user_of(issuer.token())  # another call, which forgets what was verified

    monkeypatch.setattr(Users, "add_account", meanwhile)
    await sign_in.user_of(old)
    with pytest.raises(CredentialInvalid):
        await sign_in.user_of(old)


async def test_known_keys_survive_an_outage(sign_in: SignIn, issuer: Issuer) -> None:
    """Tokens of known keys are accepted, others are unavailable."""
    await sign_in.user_of(issuer.token("a"))
    issuer.away = True
    with pytest.raises(Unavailable):
        await sign_in.keys.refresh()
    await sign_in.user_of(issuer.token("b"))
    with pytest.raises(Unavailable):
        await sign_in.user_of(issuer.token(key=RSAKey.generate_key(2048, {"kid": "new"})))


class FromNow(float):
    """Seconds from the creation of the token."""


def at_once(claims: dict[str, Any]) -> dict[str, Any]:
    """Returns the claims with absolute times."""
    return {
        name: time.time() + value if isinstance(value, FromNow) else value
        for name, value in claims.items()
    }


ACCEPTED: list[dict[str, Any]] = [
    {"aud": [AUDIENCE]},
    {"aud": ["another", AUDIENCE], "azp": AUDIENCE},
    {"nbf": FromNow(-5)},
    {"iat": FromNow(SKEW_SECONDS - 10)},
    {"exp": FromNow(20.5 - SKEW_SECONDS)},
    {"sub": "x" * 255},
    {"more": {"a": [1]}},
]


@pytest.mark.parametrize("claims", ACCEPTED, ids=str)
async def test_valid_claims(sign_in: SignIn, issuer: Issuer, claims: dict[str, Any]) -> None:
    """One of several audiences, small clock differences, unknown claims."""
    await sign_in.user_of(issuer.token(**at_once(claims)))


HALF = "\ud800"
"""Half of a surrogate pair: JSON may have it, UTF-8 may not."""

REFUSED: list[dict[str, Any]] = [
    {"exp": FromNow(-SKEW_SECONDS - 1)},
    {"exp": None},
    {"exp": "tomorrow"},
    {"exp": True},
    {"nbf": FromNow(3600)},
    {"iat": FromNow(3600)},
    {"iat": None},
    {"aud": "another"},
    {"aud": ["another"]},
    {"aud": []},
    {"aud": None},
    {"aud": {AUDIENCE: True}},
    {"azp": "another"},
    {"iss": "https://login.example"},
    {"iss": ""},
    {"iss": None},
    {"sub": None},
    {"sub": ""},
    {"sub": 7},
    {"sub": "x" * 256},
    {"sub": HALF},
]


@pytest.mark.parametrize("claims", REFUSED, ids=str)
async def test_invalid_claims(
    sign_in: SignIn, issuer: Issuer, owner: Owner, claims: dict[str, Any]
) -> None:
    """Signed by the right key, but for another audience or time, or without a subject."""
    payload = json.dumps(issuer.claims(**at_once(claims)))
    header = {"alg": "RS256", "kid": "one"}
    token = jws.serialize_compact(header, payload, issuer.keys[0]).encode()
    with pytest.raises(CredentialInvalid):
        await sign_in.user_of(token)
    assert await owner.fetchval("SELECT count(*) FROM app_user") == 0


def forgeries(issuer: Issuer) -> dict[str, bytes]:
    """Returns tokens with valid claims that the issuer never signed."""
    claims = issuer.claims()
    (key,) = issuer.keys
    header = {"alg": "RS256", "kid": "one"}
    good = issuer.token().decode()
    head, body, signature = good.split(".")
    public = key.as_pem(private=False)
    confused = f"{part({'alg': 'HS256', 'kid': 'one'})}.{body}"
    mac = hmac.digest(public, confused.encode(), "sha256")
    return {
        "none": f"{part({'alg': 'none', 'kid': 'one'})}.{body}.".encode(),
        "None": f"{part({'alg': 'None', 'kid': 'one'})}.{body}.{signature}".encode(),
        "public key as a secret": f"{confused}.{encoded(mac)}".encode(),
        "no algorithm": f"{part({'kid': 'one'})}.{body}.{signature}".encode(),
        "another algorithm": jwt.encode(
            {"alg": "RS512", "kid": "one"}, claims, key, algorithms=["RS512"]
        ).encode(),
        "unknown key": jwt.encode(header | {"kid": "two"}, claims, FOREIGN).encode(),
        "foreign key of that name": jwt.encode(header, claims, FOREIGN).encode(),
        "its own key": jwt.encode(
            header | {"jwk": FOREIGN.as_dict(private=False)}, claims, FOREIGN
        ).encode(),
        "curve": jwt.encode(
            {"alg": "ES256", "kid": "one"}, claims, ECKey.generate_key("P-256")
        ).encode(),
        "no signature": f"{head}.{body}.".encode(),
        "cut": good[:-8].encode(),
        "other claims": f"{head}.{part(claims | {'sub': 'other'})}.{signature}".encode(),
        "critical": jwt.encode(header, claims, key)
        .replace(head, part(header | {"crit": ["exp"], "exp": 1}))
        .encode(),
        "an access token": jwt.encode(header | {"typ": "at+jwt"}, claims, key).encode(),
        "a logout token": jwt.encode(header | {"typ": "logout+jwt"}, claims, key).encode(),
        "key id of a wrong type": f"{part(header | {'kid': 7})}.{body}.{signature}".encode(),
        "no claims": f"{head}.{part([])}.{signature}".encode(),
        "no JSON": b"e30.e30.e30",
        "no token": b"x",
        "nothing": b"",
        "deep": base64.urlsafe_b64encode(b'{"alg":' + b"[" * 3000) + b".e30.x",
    }


async def test_forged_tokens_are_refused(sign_in: SignIn, issuer: Issuer, owner: Owner) -> None:
    """The issuer is asked once for all of them."""
    assert await sign_in.keys.find("one")
    taken = []
    for name, token in forgeries(issuer).items():
        with contextlib.suppress(CredentialInvalid):
            await sign_in.user_of(token)
            taken.append(name)
    assert taken == []
    assert issuer.asked.count(JWKS) == 1
    assert await owner.fetchval("SELECT count(*) FROM app_user") == 0
    await sign_in.user_of(issuer.token())


async def test_configured_algorithm(database: Database, issuer: Issuer) -> None:
    """With ES256, tokens of an elliptic curve are accepted and those of RSA are refused."""
    issuer.keys = [issuer.keys[0], ECKey.generate_key("P-256", {"kid": "curve"})]
    async with signing_in(database, issuer, oidc_algorithm="ES256") as (_, sign_in):
        await sign_in.user_of(issuer.token())
        with pytest.raises(CredentialInvalid):
            await sign_in.user_of(issuer.token(key=issuer.keys[0]))
