"""A sign-in that returns twice concurrently creates one session."""

from uuid import uuid4

from testkit.database import Database
from tests.races.rivals import fetch, rivals

SIGN_IN = b"s" * 32
OPEN = "SELECT outcome FROM user_session_open(ARRAY[$1::uuid], ARRAY[$2::bytea], ARRAY[$3::bytea],"
OPEN += " ARRAY[600], 10)"


async def test_sign_in_returned_twice_gives_one_session(database: Database) -> None:
    """The second request waits for the first, and then gets no session."""
    async with rivals(database) as rival:
        transaction = rival.one.transaction()
        await transaction.start()
        first = (uuid4(), b"1" * 32, SIGN_IN)
        assert await rival.one.fetchval(OPEN, *first) == "opened"
        async with rival.other_waits(OPEN, uuid4(), b"2" * 32, SIGN_IN) as waiting:
            await transaction.commit()
        assert await waiting == "used"
    assert await fetch(database, "SELECT key_hash FROM user_key") == [(b"1" * 32,)]


async def test_control_reading_first_accepts_twice(database: Database) -> None:
    """Control: without the unique index, a read does not see the uncommitted use."""
    read_and_open = """
        INSERT INTO opened (key_hash, sign_in)
        SELECT $1::bytea, $2::bytea WHERE NOT EXISTS (SELECT FROM opened WHERE sign_in = $2)
    """
    async with rivals(database) as rival:
        await rival.one.execute("CREATE TABLE opened (key_hash bytea PRIMARY KEY, sign_in bytea)")
        transaction = rival.one.transaction()
        await transaction.start()
        await rival.one.execute(read_and_open, b"1", SIGN_IN)
        await rival.other.execute(read_and_open, b"2", SIGN_IN)
        await transaction.commit()
        assert await fetch(database, "SELECT count(*) FROM opened") == [(2,)]
