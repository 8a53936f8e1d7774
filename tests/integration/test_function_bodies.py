"""The bodies of the database functions, as PostgreSQL's own validators check them."""

import asyncpg

from frontrow.db.functions import function_files
from testkit.database import Database


async def test_function_bodies_have_no_finding(template: Database) -> None:
    """Installing again with all checks gives no finding; a shadowed variable is an error.

    The installer turns the checks off, because functions may call others of a later file.
    """
    connection = await asyncpg.connect(template.owner_url)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "SET LOCAL check_function_bodies = on; SET LOCAL plpgsql.extra_errors = 'all'"
        )
        for file in function_files():
            await connection.execute(file.read_text())
        await transaction.rollback()
    finally:
        await (
            connection.close()
        )  # the template is copied, which needs a database without connections
