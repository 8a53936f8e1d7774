"""Backups: what is written, where, and what is refused with one line."""

import asyncio
import re
from pathlib import Path

import asyncpg
import pytest

from frontrow.cli import launch
from frontrow.cli.launch import back_up, restored
from frontrow.db import backup
from frontrow.db.server import EmbeddedServer
from frontrow.errors import SetupError
from frontrow.settings import Settings
from testkit.database import Database, fresh_database
from testkit.server import scratch
from tests.buyers import services_on


async def test_restore_into_an_empty_database_only(
    engine: EmbeddedServer, template: Database, database: Database, tmp_path: Path
) -> None:
    """A dump is restored whole into a database without tables; any other is left unchanged."""
    file = tmp_path / "made.dump"
    size = await asyncio.to_thread(backup.dump, database.owner_url, file)
    assert size == file.stat().st_size > 10_000
    assert file.stat().st_mode & 0o777 == 0o600
    backup.check(file)
    async with fresh_database(engine, template) as other:
        with pytest.raises(SetupError, match="isn't empty"):
            await backup.restore(other.owner_url, file)
        owner = await asyncpg.connect(other.owner_url)
        await owner.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await backup.restore(other.owner_url, file)
        tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        original = await asyncpg.connect(database.owner_url)
        assert await owner.fetchval(tables) == await original.fetchval(tables)
        await original.close()
        await owner.close()


def test_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    """An existing file is unchanged."""
    file = tmp_path / "kept.dump"
    file.write_text("kept")
    with pytest.raises(SetupError, match="exists") as refused:
        backup.dump("postgresql://nobody@127.0.0.1:1/none", file)
    assert refused.value.exit_code == 2
    assert file.read_text() == "kept"


def test_failed_dump_leaves_no_file(tmp_path: Path) -> None:
    """No file without a database or on a write error; and no password in the message."""
    with pytest.raises(SetupError, match="pg_dump failed") as failed:
        backup.dump("postgresql://nobody:geheim@127.0.0.1:1/none", tmp_path / "file")
    assert "geheim" not in str(failed.value)
    with pytest.raises(SetupError, match="can't write"):
        backup.dump("postgresql://nobody@127.0.0.1:1/none", tmp_path / "no" / "file")
    assert not list(tmp_path.iterdir())


def test_invalid_dump_is_refused(tmp_path: Path) -> None:
    """Refused before a database is created for it."""
    file = tmp_path / "other"
    file.write_text("nothing of ours")
    with (
        pytest.raises(SetupError, match="is not a backup"),
        restored(Settings(data_dir=tmp_path / "data"), file),
    ):
        pass
    assert not (tmp_path / "data").exists()
    with pytest.raises(SetupError, match="can't read"):
        backup.check(tmp_path / "none")


def test_database_to_back_up_must_exist(tmp_path: Path) -> None:
    """None is created for it."""
    with pytest.raises(SetupError, match="there is no database"):
        back_up(Settings(data_dir=tmp_path / "none"), tmp_path / "file")
    assert not (tmp_path / "none").exists()


async def test_failed_restore_can_be_repeated(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it was interrupted; a restore that was completed isn't repeated."""
    async with services_on(database) as services:
        user = await services.users.add_guest()
    with scratch() as folder:
        file = folder / "made.dump"
        await asyncio.to_thread(backup.dump, database.owner_url, file)
        settings = Settings(data_dir=folder / "data")

        def restore() -> None:
            with restored(settings, file):
                pass

        async def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        for module, name in ((backup, "_load"), (launch, "_migrate")):
            with monkeypatch.context() as patched:
                patched.setattr(module, name, interrupted)
                with pytest.raises(KeyboardInterrupt):
                    await asyncio.to_thread(restore)
        # What the second attempt has restored is kept, and isn't taken for another backup.
        other = folder / "other.dump"
        other.write_bytes(file.read_bytes() + b"\0")
        with (
            pytest.raises(SetupError, match="isn't empty"),
            EmbeddedServer(folder / "data") as left,
        ):
            await backup.is_restored(left.owner_url, other)
        await asyncio.to_thread(restore)
        with EmbeddedServer(folder / "data") as server:
            connection = await asyncpg.connect(server.app_url)
            assert await connection.fetchval("SELECT user_id FROM app_user") == user.user_id
            await connection.close()
        with pytest.raises(SetupError, match="isn't empty"):
            await asyncio.to_thread(restore)


@pytest.mark.parametrize(
    ("url", "bare", "password"),
    [
        ("postgresql://a:b%40c@host:1/d", "postgresql://a@host:1/d", "b@c"),
        ("postgresql://a@host/d?password=x&c=1", "postgresql://a@host/d?c=1", "x"),
        ("postgresql://a:b@/d?host=%2Frun&port=5", "postgresql://a@/d?host=%2Frun&port=5", "b"),
        ("postgresql://host/d", "postgresql://host/d", None),
    ],
)
def test_password_goes_through_the_environment(url: str, bare: str, password: str | None) -> None:
    """No argument contains it."""
    shown, secret = backup._without_password(url)
    assert shown == bare
    assert secret.get("PGPASSWORD") == password
    assert re.fullmatch("(PGPASSWORD)?", "".join(secret))
