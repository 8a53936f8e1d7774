"""The command ``frontrow keys``, on the database of a running installation."""

import asyncio

from click.testing import CliRunner, Result

from frontrow.cli import main as cli
from testkit.database import Database
from tests.buyers import pass_time, services_on


async def run(database: Database, *arguments: str) -> Result:
    """Runs the command in a thread of this process."""
    return await asyncio.to_thread(
        CliRunner().invoke, cli.main, ["keys", *arguments, "--database-url", database.app_url]
    )


async def test_keys_are_listed_rotated_and_retired(database: Database) -> None:
    """Beside a running server; no secret is printed, and the signing key cannot be retired."""
    async with services_on(database) as services:
        before = await run(database, "list")
        assert before.exit_code == 0, before.output
        old = next(line.split()[0] for line in before.output.splitlines() if " token " in line)
        rotated = await run(database, "rotate")
        assert rotated.exit_code == 0, rotated.output
        new, purpose, state, _ = rotated.output.split()
        assert (purpose, state) == ("token", "coming")
        refused = await run(database, "retire", old)
        assert (refused.exit_code, refused.output) == (
            cli.USAGE,
            (
                f"frontrow: {old}: This key is signing. It can be retired after another key has "
                "taken over.\n"
            ),
        )
        await pass_time(database, 6)
        assert (await run(database, "retire", old)).exit_code == 0
        missing = await run(database, "retire", "00000000")
        assert (missing.exit_code, missing.output) == (
            cli.USAGE,
            "frontrow: there is no key 00000000\n",
        )
        ticket = await run(database, "rotate", "--purpose", "ticket")
        assert ticket.output.split()[1:3] == ["ticket", "coming"]
        after = await run(database, "list")
        states = {tuple(line.split()[:3]) for line in after.output.splitlines()}
        assert {(old, "token", "retired"), (new, "token", "signing")} <= states
        secrets = await services.pool.fetch("SELECT secret FROM signing_key")
        assert all(row["secret"].hex() not in after.output for row in secrets)
