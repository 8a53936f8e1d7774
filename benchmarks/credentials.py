"""The cost of credentials: ``python -m benchmarks.credentials``.

Starts an embedded PostgreSQL in a temporary folder with a hundred thousand user keys, of which a
thousand are revoked, and measures in one process, without HTTP: the periodic reads of revocations
and of signing keys, ID tokens, sessions, and proof of work.
"""

import argparse
import asyncio
import hashlib
import secrets
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import altcha
import asyncpg
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from benchmarks.timing import Figure, drive, machine
from frontrow.db.cluster import APP
from frontrow.db.migrate import migrate
from frontrow.db.server import EmbeddedServer
from frontrow.services import Services, open_services
from frontrow.settings import Settings
from frontrow.users.challenge import ITERATIONS
from testkit.issuer import AUDIENCE, Issuer, running_issuer

KEYS = 100_000
REVOKED = 1_000
TRIES = 10_000
_FILL = """
WITH new AS MATERIALIZED (
    SELECT gen_random_uuid() AS user_id, sha256(n::text::bytea) AS key_hash, n
    FROM generate_series(1, $1::int) AS n
),
added AS (INSERT INTO app_user SELECT user_id, now() FROM new)
INSERT INTO user_key
SELECT key_hash, user_id, now(), CASE WHEN n <= $2 THEN now() END, CASE WHEN n <= $2 THEN n END
FROM new
"""


async def measure(services: Services, issuer: Issuer, calls: int) -> list[Figure]:
    """Returns each figure, measured one call at a time."""
    sign_in, challenges = services.sign_in, services.challenges
    if sign_in is None or challenges is None:
        raise RuntimeError("the settings name no issuer and no challenge")
    await sign_in.keys.refresh()
    tokens = [issuer.token(nonce=number) for number in range(calls)]
    payloads = [_solved(challenges.new()) for _ in range(10)]

    async def new_challenge() -> None:
        challenges.new()

    found = []
    for what, call in (
        ("look for revoked keys", services.users.read_revocations),
        ("look for signing keys of one purpose", services.signer.refresh),
        ("make a challenge", new_challenge),
    ):
        found.append(await drive(what, range(calls), _ignoring(call), callers=1))
    found += [
        await drive("ID token (RS256), never seen", tokens, sign_in.user_of, callers=1),
        await drive("ID token, seen before", tokens, sign_in.user_of, callers=1),
        await drive("open a session", range(calls), _opening(services), callers=1),
        await drive("check a solution", payloads * (calls // 10), challenges.check, callers=1),
    ]
    return found


def _opening(services: Services) -> Callable[[int], Awaitable[object]]:
    """Opens sessions, each for another user without one."""
    return lambda _: services.users.open_session(uuid4(), secrets.token_bytes(32), 604_800)


def _ignoring(call: Callable[[], Awaitable[object]]) -> Callable[[int], Awaitable[object]]:
    return lambda _: call()


def _solved(challenge: dict[str, object]) -> str:
    parsed = altcha.Challenge.from_dict(challenge)
    solution = altcha.solve_challenge(parsed)
    if solution is None:
        raise RuntimeError("the challenge was too hard")
    return altcha.Payload(parsed, solution).to_base64()


async def run(server: EmbeddedServer, issuer: Issuer, calls: int) -> list[Figure]:
    """Fills the database and measures."""
    await migrate(server.owner_url, app_role=APP)
    settings = Settings(
        database_url=SecretStr(server.app_url),
        oidc_issuer=issuer.address,
        oidc_audience=AUDIENCE,
        guest_challenge=TRIES,
    )
    async with open_services(settings) as services:
        owner = await asyncpg.connect(server.owner_url)
        await owner.execute(_FILL, KEYS, REVOKED)
        await owner.execute("UPDATE installation SET revocations = $1", REVOKED)
        await owner.execute("ANALYZE")
        await owner.close()
        await services.users.read_revocations()
        return await measure(services, issuer, calls)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.credentials", description=__doc__)
    parser.add_argument("--calls", type=int, default=2_000)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="frontrow-bench-"))
    try:
        with EmbeddedServer(folder) as server, running_issuer() as issuer:
            found = asyncio.run(run(server, issuer, asked.calls))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    table = Table("what", "p50 ms", "p99 ms", "CPU µs a call")
    for figure in found:
        table.add_row(
            figure.what, str(figure.p50_ms), str(figure.p99_ms), str(figure.cpu_us_per_call)
        )
    console = Console()
    console.print(table)
    started = time.process_time()
    hashlib.pbkdf2_hmac("sha256", b"x" * 20, b"s" * 16, ITERATIONS * TRIES)
    seconds = (time.process_time() - started) / TRIES
    console.print(f"one try of a challenge, in native code: {seconds * 1e6:.0f} µs")
    console.print(machine())


if __name__ == "__main__":
    main()
