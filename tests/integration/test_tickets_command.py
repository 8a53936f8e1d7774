"""The command ``frontrow tickets public-key``, on the database of a running installation."""

import asyncio
from pathlib import Path

from click.testing import CliRunner, Result

from frontrow.cli import main as cli
from frontrow.keys.ring import end, rotate
from frontrow.payments.ticket_code import read
from frontrow.payments.ticket_keys import read_keys
from frontrow.payments.ticket_signing import PURPOSE, new_key
from testkit.database import Database
from tests.buyers import make_concert, services_on
from tests.integration.features.buying import purchase


async def run(*arguments: str) -> Result:
    """Runs the command in a thread of this process."""
    return await asyncio.to_thread(CliRunner().invoke, cli.main, ["tickets", *arguments])


async def test_public_keys_verify_codes_offline(database: Database, tmp_path: Path) -> None:
    """The printed keys verify each genuine code offline; a retired key is not printed."""
    at = ("--database-url", database.app_url)
    file = tmp_path / "keys"
    async with services_on(database) as services:
        _, payment = await purchase(services, await make_concert(services), [7])
        code = str(payment.tickets[0].code)
        old = read(code)[0].key_id
        for form in ((), ("--jwks",)):
            file.write_text((await run("public-key", *form, *at)).output)
            assert list(read_keys(file.read_text())) == [old]
            assert (await run("verify", code, "--public-key", str(file))).exit_code == 0
        new, coming = new_key(), new_key()
        await rotate(services.pool, PURPOSE, new, lead_seconds=0)
        await rotate(services.pool, PURPOSE, coming, lead_seconds=60)
        for form in ((), ("--jwks",)):
            file.write_text((await run("public-key", *form, *at)).output)
            assert list(read_keys(file.read_text())) == [old, new.key_id, coming.key_id]
            assert (await run("verify", code, "--public-key", str(file))).exit_code == 0
            assert "PRIVATE" not in file.read_text()
        await end(services.pool, PURPOSE, old)
        file.write_text((await run("public-key", *at)).output)
        assert list(read_keys(file.read_text())) == [new.key_id, coming.key_id]
        refused = await run("verify", code, "--public-key", str(file))
        assert refused.output == f"refused  signed with an unknown key, {old}\n"
