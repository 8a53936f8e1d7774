"""`frontrow prune` and `frontrow users` on a database that a server could be using."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from click.testing import CliRunner, Result

from frontrow.cli import main as cli
from testkit.database import Database
from tests.buyers import buyer, make_concert, pass_time, services_on
from tests.integration.features.holding import hold


async def run(database: Database, *arguments: str, answer: str = "") -> Result:
    """Runs the command on a database with confirmation typed as given."""
    environment = {"FRONTROW_DATABASE_URL": database.app_url}

    def invoke() -> Result:
        return CliRunner().invoke(cli.main, arguments, env=environment, input=answer)

    return await asyncio.to_thread(invoke)


async def lines(database: Database, *arguments: str) -> Sequence[str]:
    """Returns the lines that a successful command prints."""
    result = await run(database, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


async def test_export_and_erase(database: Database, tmp_path: Path) -> None:
    """The export goes to the output or to a private file; erasure needs a confirmation."""
    async with services_on(database) as services:
        made = await make_concert(services)
        place = await buyer(services, made.concert_id, 50_000)
        await hold(services, place, made, [1])
    user_id = str(place.user_id)
    (written,) = await lines(database, "users", "export", user_id)
    assert json.loads(written)["user_id"] == user_id

    file = tmp_path / "export.json"
    assert await lines(database, "users", "export", user_id, "--output", str(file)) == []
    assert json.loads(file.read_text()) == json.loads(written)
    assert file.stat().st_mode & 0o777 == 0o600
    again = await run(database, "users", "export", user_id, "--output", str(file))
    assert (again.exit_code, again.stderr) == (2, f"frontrow: {file}: file exists\n")

    for answer in ("n\n", ""):
        kept = await run(database, "users", "erase", user_id, "--force", answer=answer)
        assert kept.exit_code == 130
        assert kept.stderr.splitlines()[-1] == "frontrow: not confirmed: nothing was changed"
    for options in ([], ["--yes"]):
        refused = await run(database, "users", "erase", user_id, *options)
        assert (refused.exit_code, refused.stderr) == (
            2,
            f"frontrow: {user_id} has a balance of 50,000 KRW: pay it out first, or add --force\n",
        )
    assert (await lines(database, "users", "export", user_id))[0] == written
    assert await lines(database, "users", "erase", user_id, "--yes", "--force") == [
        f"erased {user_id}"
    ]
    assert await lines(database, "users", "erase", user_id, "--yes") == [f"erased {user_id}"]
    left = json.loads((await lines(database, "users", "export", user_id))[0])
    assert (left["balance"], left["places"], left["reservations"]) == (50_000, [], [])
    assert left["erased_at"] is not None


async def test_missing_user_is_reported_in_one_line(database: Database, tmp_path: Path) -> None:
    """One line on stderr, no question, and no file."""
    user_id, file = str(uuid4()), tmp_path / "export.json"
    for arguments in (("export", user_id, "--output", str(file)), ("erase", user_id)):
        result = await run(database, "users", *arguments)
        assert (result.exit_code, result.stderr) == (2, f"frontrow: there is no user {user_id}\n")
    assert not file.exists()
    assert (await run(database, "users", "erase", "somebody")).exit_code == 2


async def test_prune_counts_and_deletes(database: Database) -> None:
    """It counts, then deletes; the printed counts are those before the deletion."""
    async with services_on(database) as services:
        made = await make_concert(services)
        place = await buyer(services, made.concert_id)
        await hold(services, place, made, [1])
        await services.reservations.leave(place)
        guest = await services.users.add_guest()
        await services.users.revoke_keys(guest.user_id)
    await pass_time(database, 3 * 86_400)
    assert _counts(await lines(database, "prune")) == ["0", "0", "0"]
    for option, did in (("--dry-run", "would delete"), ("--older-than-days=2", "deleted")):
        printed = await lines(database, "prune", "--older-than-days=2", option)
        assert printed[0] == f"{did} what ended more than 2 days ago"
        assert _counts(printed) == ["1", "1", "1"]
    assert (await run(database, "audit")).exit_code == 0


def _counts(printed: Sequence[str]) -> list[str]:
    return [line.split()[-1] for line in printed[1:]]
