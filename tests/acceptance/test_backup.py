"""A backup during a sale, and the sale restored from it."""

import asyncio
from pathlib import Path

import asyncpg

from frontrow.db.server import EmbeddedServer
from testkit.server import frontrow, scratch, serving
from tests.acceptance.fans import Crowd

FANS = 20


async def test_backup_during_a_sale_restores_every_earlier_payment() -> None:
    """The restored sale has each payment from before the backup, no other, and passes the audit."""
    with serving() as server, scratch() as folder:
        concert = await server.concert(shows=20, seats=500)
        crowd = Crowd(server.port, concert["concert_id"])
        file = folder / "sale.dump"
        async with crowd.coming(FANS):
            await crowd.further_sales(20)
            before = {payment["payment_id"] for payment in crowd.sales}
            done = await asyncio.to_thread(server.frontrow, "backup", str(file))
            assert done.returncode == 0, done.stderr
            await crowd.further_sales(1)
        after = {payment["payment_id"] for payment in crowd.sales}
        again = await asyncio.to_thread(server.frontrow, "backup", str(file))
        assert (again.returncode, "exists" in again.stderr) == (2, True)
        assert file.stat().st_mode & 0o777 == 0o600
        done = await asyncio.to_thread(
            frontrow, "restore", str(file), f"--data-dir={folder / 'restored'}"
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "0 of" in done.stdout
        kept, superusers = await _payments(folder / "restored")
        assert superusers == 0
        assert before <= kept <= after
        assert len(before) >= 20


async def _payments(data_dir: Path) -> tuple[set[str], int]:
    """Returns the payments, and the number of tables that belong to a superuser."""
    with EmbeddedServer(data_dir) as database:
        connection = await asyncpg.connect(database.app_url)
        rows = await connection.fetch("SELECT payment_id::text FROM payment")
        superusers = await connection.fetchval(
            """SELECT count(*) FROM pg_class AS c INNER JOIN pg_roles AS r ON r.oid = c.relowner
            WHERE r.rolsuper AND c.relnamespace = 'public'::regnamespace"""
        )
        await connection.close()
    return {row["payment_id"] for row in rows}, superusers
