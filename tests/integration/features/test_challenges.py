"""Proof of work before a guest account: solved by ALTCHA's own client code, used once."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import altcha
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.errors import ChallengeFailed
from frontrow.keys.ring import KeyRing, SigningKey, rotate
from frontrow.rotation import key_states, retire_key
from frontrow.services import Services
from frontrow.users.challenge import PURPOSE, Challenges, Solved, new_key
from frontrow.users.queries import SolvedGuestItem
from frontrow.users.service import Guest
from testkit.database import Database
from tests.buyers import Owner, pass_time, refused, services_on

Json = dict[str, Any]


@asynccontextmanager
async def challenging(
    database: Database, tries: int = 20
) -> AsyncIterator[tuple[Services, Challenges]]:
    """Yields the services of a process that requires proof of work."""
    async with services_on(database, guest_challenge=tries) as services:
        assert services.challenges is not None
        yield services, services.challenges


@pytest.fixture
async def asked(database: Database) -> AsyncIterator[tuple[Services, Challenges]]:
    """One such process."""
    async with challenging(database) as opened:
        yield opened


def solve(challenge: Json) -> Json:
    """Returns the payload of a client that has found the key, before it is encoded."""
    parsed = altcha.Challenge.from_dict(challenge)
    solution = altcha.solve_challenge(parsed)
    assert solution is not None
    return altcha.Payload(parsed, solution).to_dict()


def encoded(payload: object) -> str:
    """Returns a payload as it is sent."""
    return base64.b64encode(json.dumps(payload).encode()).decode()


async def add_guest(services: Services, challenges: Challenges, payload: str) -> Guest:
    """Calls the service as the handler does."""
    return await services.users.add_guest(await challenges.check(payload))


async def test_solved_challenge_gives_an_account(
    asked: tuple[Services, Challenges], owner: Owner
) -> None:
    """One account, whose key works; the challenge has its difficulty and its key id."""
    services, challenges = asked
    challenge = challenges.new()
    payload = solve(challenge)
    assert 0 <= payload["solution"]["counter"] < 20
    guest = await add_guest(services, challenges, encoded(payload))
    assert await services.users.user_of(guest.user_key) == guest.user_id
    row = await owner.fetchrow("SELECT * FROM used_challenge")
    assert (row["nonce"].hex(), row["user_id"]) == (
        challenge["parameters"]["nonce"],
        guest.user_id,
    )


async def test_challenge_is_used_once(
    asked: tuple[Services, Challenges], database: Database, owner: Owner
) -> None:
    """Of many concurrent uses of a challenge, over two processes, one gets an account."""
    services, challenges = asked
    payload = encoded(solve(challenges.new()))
    async with challenging(database) as (other, theirs):
        done = await asyncio.gather(
            *(add_guest(*each, payload) for each in [(services, challenges), (other, theirs)] * 10),
            return_exceptions=True,
        )
    refusals = [one for one in done if isinstance(one, ChallengeFailed)]
    assert [refusal.fields for refusal in refusals] == [{"reason": "used"}] * 19
    assert len(done) - len(refusals) == 1
    assert await owner.fetchval("SELECT count(*) FROM app_user") == 1
    async with refused(database, ChallengeFailed, reason="used"):
        await add_guest(services, challenges, payload)


async def test_repeated_batch_gets_the_same_answers(
    asked: tuple[Services, Challenges], owner: Owner
) -> None:
    """After a lost connection: the account exists, also if the challenge has ended meanwhile."""
    services, challenges = asked
    solved = await challenges.check(encoded(solve(challenges.new())))
    guest = await services.users.add_guest(solved)
    key_hash = await owner.fetchval("SELECT key_hash FROM user_key")
    await owner.execute("UPDATE used_challenge SET expires_at = expires_at - interval '1 hour'")
    ended = solved._replace(expires_at=solved.expires_at - timedelta(hours=1))
    batch = [SolvedGuestItem(guest.user_id, key_hash, ended.nonce, ended.expires_at)]
    (row,) = await services.users._add_solved(batch)
    assert row.outcome == "added"
    assert await owner.fetchval("SELECT count(*) FROM app_user") == 1


async def test_end_is_by_the_clock_of_the_database(
    asked: tuple[Services, Challenges], database: Database
) -> None:
    """Whatever the clock of a process shows."""
    services, _ = asked
    over = Solved(b"n" * 16, datetime.now(UTC) - timedelta(seconds=1))
    async with refused(database, ChallengeFailed, reason="expired"):
        await services.users.add_guest(over)


async def test_ended_challenge_is_refused(
    asked: tuple[Services, Challenges], database: Database
) -> None:
    """A solution that comes too late gives no account."""
    services, challenges = asked
    challenges._now = lambda: datetime.now(UTC).timestamp() - 3600
    payload = encoded(solve(challenges.new()))
    async with refused(database, ChallengeFailed, reason="expired"):
        await add_guest(services, challenges, payload)


def damaged(payload: Json) -> list[object]:
    """Returns payloads with false claims."""
    challenge, solution = payload["challenge"], payload["solution"]
    parameters = challenge["parameters"]

    def with_parameters(**changes: object) -> Json:
        return {"challenge": challenge | {"parameters": parameters | changes}, "solution": solution}

    unsolved = solution | {"derivedKey": "00" * 32}
    return [
        {"challenge": challenge, "solution": unsolved},
        {"challenge": challenge, "solution": solution | {"derivedKey": None}},
        {"challenge": challenge, "solution": {}},
        {"challenge": challenge},
        {"challenge": challenge | {"signature": "0" * 64}, "solution": solution},
        {"challenge": {"parameters": parameters}, "solution": solution},
        with_parameters(nonce="00" * 16),
        with_parameters(expiresAt=2**40),
        with_parameters(expiresAt=None),
        with_parameters(keyPrefix=""),
        with_parameters(keySignature=None),
        with_parameters(cost=1),
        with_parameters(data={"key": "00000000"}),
        with_parameters(data={"key": ["4f3a9c21"]}),
        with_parameters(data={}),
        with_parameters(data=None),
        with_parameters(data=parameters["data"] | {"__proto__": 1}),
        with_parameters(nonce="\ud800"),
        {},
        [],
        None,
        7,
    ]


async def test_damaged_payloads_are_refused(
    asked: tuple[Services, Challenges], database: Database
) -> None:
    """A payload that differs from the challenge gives no account; a good one afterwards does."""
    services, challenges = asked
    payload = solve(challenges.new())
    for wrong in damaged(payload):
        async with refused(database, ChallengeFailed, reason="invalid"):
            await add_guest(services, challenges, encoded(wrong))
    for text in ("", "x", "ключ", "=" * 100, base64.b64encode(b"[" * 3000).decode()):
        async with refused(database, ChallengeFailed, reason="invalid"):
            await add_guest(services, challenges, text)
    await add_guest(services, challenges, encoded(payload))


class _OneKey(KeyRing):
    """A key ring that is never read."""

    def __init__(self) -> None:
        key = SigningKey("k1", b"s" * 32, signs_at=datetime.now(UTC))
        self._keys, self._signing, self._read_at = {"k1": key}, [(0.0, key)], float("inf")
        self._reading = asyncio.Lock()


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
ANY_CHALLENGE = st.fixed_dictionaries(
    {
        "challenge": st.fixed_dictionaries(
            {
                "parameters": st.fixed_dictionaries(
                    {"data": st.just({"key": "k1"})}
                    | {
                        name: ANY_JSON | st.just("00" * 16)
                        for name in ("algorithm", "nonce", "salt", "cost", "expiresAt")
                    },
                    optional={"keySignature": ANY_JSON},
                ),
                "signature": ANY_JSON | st.just("0" * 64),
            }
        ),
        "solution": st.fixed_dictionaries({"counter": ANY_JSON, "derivedKey": ANY_JSON}),
    }
)


@given(ANY_JSON | ANY_CHALLENGE)
def test_any_payload_is_refused(payload: object) -> None:
    """Any JSON value leads to a refusal and never to another error."""
    challenges = Challenges(_OneKey(), tries=1, seconds=60)
    with pytest.raises(ChallengeFailed):
        asyncio.run(challenges.check(encoded(payload)))


async def test_challenge_of_the_previous_key(asked: tuple[Services, Challenges]) -> None:
    """It is accepted until that key is retired."""
    services, challenges = asked
    old = challenges.ring.signing.key_id
    first, second = [encoded(solve(challenges.new())) for _ in range(2)]
    await rotate(services.pool, PURPOSE, new_key(), lead_seconds=0)
    await challenges.ring.refresh()
    await add_guest(services, challenges, first)
    await add_guest(services, challenges, encoded(solve(challenges.new())))
    await retire_key(services.pool, old)
    await challenges.ring.refresh()
    with pytest.raises(ChallengeFailed):
        await add_guest(services, challenges, second)
    states = {state.key_id: state.state for state in await key_states(services.pool)}
    assert states[old] == "retired"


async def test_ended_used_challenges_are_deleted(
    asked: tuple[Services, Challenges], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some time after their end, in any number; not before."""
    services, challenges = asked
    for _ in range(5):
        await add_guest(services, challenges, encoded(solve(challenges.new())))
    monkeypatch.setattr("frontrow.users.service._PRUNED_AT_ONCE", 2)
    await pass_time(database, 300)
    assert await services.users.prune_challenges() == 0
    await pass_time(database, 310)
    assert await services.users.prune_challenges() == 5
    assert await services.users.prune_challenges() == 0


async def test_no_challenge_by_default(services: Services, owner: Owner) -> None:
    """Without challenges there is no key for them."""
    assert services.challenges is None
    await services.users.add_guest()
    purposes = await owner.fetch("SELECT purpose FROM signing_key WHERE purpose = 'challenge'")
    assert purposes == []
