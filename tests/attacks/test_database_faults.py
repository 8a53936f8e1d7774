"""A database that refuses, cancels or loses statements: 503, a cause, and one line in the log."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from frontrow.db.cluster import APP
from frontrow.db.faults import Faults, classify
from frontrow.db.migrate import migrate
from frontrow.db.server import EmbeddedServer
from frontrow.errors import Fault
from testkit.database import Database
from testkit.desk import BASE, Desk, Fan, check_problem, eventually, open_desk
from testkit.server import scratch
from tests.integration.accounts import needs_root
from tests.programs import missing

REFUSED = "the database fails"


@contextlib.asynccontextmanager
async def failing(desk: Desk, state: str, table: str = "transfer") -> AsyncIterator[None]:
    """Makes every new row of a table fail with an error code of PostgreSQL."""
    await desk.owner.execute(f"""
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$;
        CREATE TRIGGER fail BEFORE INSERT ON {table} EXECUTE FUNCTION fail();
    """)
    try:
        yield
    finally:
        await desk.owner.execute("DROP FUNCTION fail CASCADE")


async def is_ready(desk: Desk) -> bool:
    """Whether the server reports that it is ready."""
    return (await desk.ask("GET", "//readyz")).status_code == 200


async def exported(desk: Desk, sample: str) -> float:
    """Returns a sample of the server's metrics; 0 if it is missing."""
    lines = (await desk.ask("GET", "//metrics")).text.splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith(sample + " ")), 0)


async def until_exported(desk: Desk, sample: str, is_wanted: Callable[[float], bool]) -> None:
    """Waits for a value in the metrics, which are rendered once a second."""

    async def is_exported() -> bool:
        return is_wanted(await exported(desk, sample))

    await eventually(is_exported)


async def charge_is_unavailable(fan: Fan, key: str) -> None:
    """Fails unless a charge is 503 with Retry-After."""
    path = f"/users/{fan.user_id}/balance/charges"
    refused = await fan.by_token("POST", path, json={"amount": 1}, headers={"Idempotency-Key": key})
    check_problem(refused, 503, "unavailable")
    assert refused.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ("53100", "disk_full"),
        ("53200", "out_of_resources"),
        ("57014", "canceled"),
        ("58030", "io_error"),
        ("25006", "read_only"),
    ],
)
async def test_refusing_database_is_unavailable(desk: Desk, state: str, cause: str) -> None:
    """Writes are 503 soon; readiness and metrics have the cause, reads go on; then it recovers."""
    fan = await desk.buyer(await desk.concert())
    faults = f'frontrow_database_faults_total{{cause="{cause}"}}'
    unready = f'frontrow_unready{{cause="{cause}"}}'
    counted = await exported(desk, faults)
    with capture_logs() as log:
        async with failing(desk, state), asyncio.timeout(30):
            await asyncio.gather(*(charge_is_unavailable(fan, f"{state}-{n}") for n in range(20)))
            check_problem(await desk.ask("GET", "//readyz"), 503, "unavailable", cause=cause)
            await until_exported(desk, unready, lambda value: value == 1)
            await until_exported(desk, faults, lambda value: value >= counted + 1)
            assert (await fan.status())["state"] == "admitted"
            assert (await desk.ask("GET", "//healthz")).status_code == 200
            assert (await fan.by_key("GET", "/users/me")).json()["balance"] == 0
        assert (await fan.charge(5))["balance"] == 5
        await eventually(lambda: is_ready(desk))
        await until_exported(desk, unready, lambda value: value == 0)
    assert [line for line in log if line["event"] == "a call failed"] == []


async def test_bug_in_a_statement_is_no_fault_of_the_database(desk: Desk) -> None:
    """Control: another error is 500, and the server stays ready."""
    fan = await desk.buyer(await desk.concert())
    async with failing(desk, "22012"):
        path = f"/users/{fan.user_id}/balance/charges"
        headers = {"Authorization": f"Bearer {fan.token}"}
        # The document has no 500: desk.ask would fail.
        refused = await desk.http.post(BASE + path, json={"amount": 1}, headers=headers)
        check_problem(refused, 500, "internal_error")
        assert await is_ready(desk)


async def test_fault_outside_batches_is_unavailable(desk: Desk) -> None:
    """Calls without a batch, such as a new concert, and pages, have the same answer."""
    async with failing(desk, "53100", table="concert"):
        body = {"title": "x", "shows": [{"starts_at": "2099-01-01T10:00:00Z", "price": 1}]}
        refused = await desk.operate("POST", "/admin/concerts", json=body)
        check_problem(refused, 503, "unavailable")
        assert refused.headers["retry-after"] == "1"
        check_problem(await desk.ask("GET", "//readyz"), 503, "unavailable", cause="disk_full")


async def test_read_only_database_is_not_ready(desk: Desk) -> None:
    """A database that became read-only is found without a call that writes."""
    name = desk.database.name
    await eventually(lambda: is_ready(desk))
    await desk.owner.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await desk.cut_connections()
    try:

        async def is_read_only() -> bool:
            found = await desk.ask("GET", "//readyz")
            return found.status_code == 503 and found.json().get("cause") == "read_only"

        await eventually(is_read_only)
    finally:
        await desk.owner.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await desk.cut_connections()
    await eventually(lambda: is_ready(desk))


@pytest.mark.parametrize(
    ("state", "fault"),
    [
        ("08006", Fault.LOST),
        ("25P03", Fault.LOST),
        ("53300", Fault.LOST),
        ("57P01", Fault.LOST),
        ("57P03", Fault.LOST),
        ("25006", Fault.UNAVAILABLE),
        ("53000", Fault.UNAVAILABLE),
        ("53100", Fault.UNAVAILABLE),
        ("57014", Fault.UNAVAILABLE),
        ("58000", Fault.UNAVAILABLE),
        ("58P01", Fault.UNAVAILABLE),
        ("40P01", Fault.CONFLICT),
        ("40001", Fault.CONFLICT),
        ("22012", Fault.ITEM),
        ("54000", Fault.ITEM),
        ("P0001", Fault.ITEM),
        ("XX000", Fault.ITEM),
    ],
)
def test_error_codes_have_their_class(state: str, fault: Fault) -> None:
    """Each error code of PostgreSQL has the meaning of its class."""
    error = asyncpg.PostgresError.new({"S": "ERROR", "C": state, "M": "no"})
    assert classify(error) is fault


def test_wrong_parameter_is_no_lost_connection() -> None:
    """Asyncpg's error for a parameter of the wrong type is the item's own; others are losses."""
    assert classify(asyncpg.exceptions._base.DataError("no")) is Fault.ITEM
    assert classify(asyncpg.InterfaceError("connection is closed")) is Fault.LOST
    assert classify(ConnectionResetError()) is Fault.LOST


def test_faults_are_logged_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line a minute with the number of failures since; a success ends the cause."""
    now = 1000.0
    monkeypatch.setattr("frontrow.db.faults.monotonic", lambda: now)
    faults, full = Faults(), asyncpg.DiskFullError("no space")
    with capture_logs() as log:
        for _ in range(100):
            faults.note("pay", full)
        assert faults.cause == "disk_full"
        faults.clear("pay")
        assert faults.cause is None
        now += 60
        faults.note("hold", full)
        now += 11
        assert faults.cause is None
    assert [(line["event"], line["call"], line["failures"]) for line in log] == [
        (REFUSED, "pay", 1),
        (REFUSED, "hold", 100),
    ]


@contextlib.contextmanager
def small_disk() -> Iterator[Path]:
    """Yields a folder on a disk of its own of 256 MB."""
    with scratch() as folder:
        disk = folder / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256m,mode=755", "tmpfs", disk], check=False
        )
        if mounted.returncode != 0:
            missing("a small disk is missing: this container can't mount one")
        try:
            yield disk
        finally:
            subprocess.run(["umount", disk], check=True)


@needs_root
async def test_full_disk_is_unavailable_until_there_is_room() -> None:
    """On a really full disk: no charge is 500, readiness says why, and all goes on afterwards."""
    with small_disk() as disk, EmbeddedServer(disk / "data") as server:
        await migrate(server.owner_url, app_role=APP)
        database = Database("frontrow", server.owner_url, server.app_url)
        async with open_desk(database) as desk:
            fan = await desk.buyer(await desk.concert())
            filler = disk / "filler"
            fill(filler)
            answers = await asyncio.gather(*(try_charge(fan, 1_000) for _ in range(50)))
            assert set(answers) <= {201, 503}
            refused = await desk.ask("GET", "//readyz")
            check_problem(refused, 503, "unavailable", cause="disk_full")
            assert (await fan.status())["state"] == "admitted"
            filler.unlink()
            await eventually(lambda: is_ready(desk))
            assert await try_charge(fan, 1) == 201


def fill(file: Path) -> None:
    """Fills the disk of a file, to the last byte."""
    with file.open("wb", buffering=0) as written:
        for size in (2**20, 2**12, 1):
            with contextlib.suppress(OSError):
                while written.write(bytes(size)) == size:
                    pass


async def try_charge(fan: Fan, amount: int) -> int:
    """Charges; returns the status."""
    path = f"/users/{fan.user_id}/balance/charges"
    return (await fan.by_token("POST", path, json={"amount": amount})).status_code
