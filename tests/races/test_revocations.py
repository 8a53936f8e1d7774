"""A reader that continues after the last revocation misses none, in any order of commits."""

from frontrow.services import Services
from testkit.database import Database
from tests.races.rivals import fetch, rivals

READ = "SELECT coalesce(max(revocation), 0) FROM user_key"


async def test_revocations_are_numbered_as_they_commit(
    pair: tuple[Services, Services], database: Database
) -> None:
    """A revocation that begins during another one waits for it, and gets the later number."""
    first, second = [await pair[0].users.add_guest() for _ in range(2)]
    async with rivals(database) as rival:
        transaction = rival.one.transaction()
        await transaction.start()
        await rival.one.execute("SELECT FROM user_key_revoke($1, NULL)", first.user_id)
        async with rival.other_waits("SELECT (user_key_revoke($1, NULL)).outcome", second.user_id):
            assert await fetch(database, READ) == [(0,)]
            await transaction.commit()
    rows = await fetch(database, "SELECT user_id, revocation FROM user_key ORDER BY revocation")
    assert rows == [(first.user_id, 1), (second.user_id, 2)]


async def test_control_sequence_loses_a_revocation(database: Database) -> None:
    """Control: a sequence numbers before the commit, so a reader skips an invisible one."""
    async with rivals(database) as rival:
        await rival.one.execute("CREATE TABLE ended (n bigint GENERATED ALWAYS AS IDENTITY)")
        transaction = rival.one.transaction()
        await transaction.start()
        await rival.one.execute("INSERT INTO ended DEFAULT VALUES")
        await rival.other.execute("INSERT INTO ended DEFAULT VALUES")
        seen = await fetch(database, "SELECT n FROM ended")
        await transaction.commit()
        later = await fetch(database, "SELECT n FROM ended WHERE n > $1", seen[-1]["n"])
        assert (seen, later) == ([(2,)], [])
        assert await fetch(database, "SELECT count(*) FROM ended") == [(2,)]
