"""``waiting_room_configure``, called alone in a transaction that is rolled back."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from testkit.database import Database

CONCERT = UUID("0198c5a4-7f3a-4c5e-9d5b-0e6f7a8b9c0d")


@pytest.fixture
async def connection(template: Database) -> AsyncIterator[Any]:
    """A connection in a transaction, with one concert and its line in version 1."""
    opened = await asyncpg.connect(template.owner_url)
    transaction = opened.transaction()
    await transaction.start()
    try:
        await opened.execute(
            "INSERT INTO concert (concert_id, request_hash, title, timezone, currency,"
            " hold_seconds, max_seats_per_user, created_at)"
            " VALUES ($1, 0, 'An evening', 'Asia/Seoul', 'KRW', 300, 4, now())",
            CONCERT,
        )
        opened_line = await opened.fetchval(
            "SELECT waiting_room_open($1, '{\"kind\": \"open\"}', 600, 120, NULL, NULL, 'arrival',"
            " 'seed')",
            CONCERT,
        )
        assert opened_line is None
        yield opened
    finally:
        await transaction.rollback()
        await opened.close()


async def configure(connection: Any, known: list[int] | None, seconds: int) -> tuple[str, int, int]:
    """Sets ``session_seconds``; returns the outcome, then the stored length and version."""
    outcome = await connection.fetchval(
        "SELECT waiting_room_configure($1, '{\"kind\": \"open\"}', $2, 120, NULL, NULL, 'arrival',"
        " 'seed', $3)",
        CONCERT,
        seconds,
        known,
    )
    row = await connection.fetchrow("SELECT session_seconds, policy_version FROM waiting_room")
    return outcome, *row


@pytest.mark.parametrize("known", [None, [1], [7, 1]])
async def test_known_version_is_replaced(connection: Any, known: list[int] | None) -> None:
    """The settings are stored and the version is incremented."""
    assert await configure(connection, known, 500) == ("done", 500, 2)


@pytest.mark.parametrize("known", [[], [2], [0, 7]])
async def test_other_version_is_kept(connection: Any, known: list[int]) -> None:
    """Nothing is changed when the stored version is not among the known ones."""
    assert await configure(connection, known, 500) == ("version_conflict", 600, 1)


async def test_version_is_checked_before_the_settings(connection: Any) -> None:
    """A conflict is reported before invalid times: both may be the other's change."""
    outcome = await connection.fetchval(
        "SELECT waiting_room_configure($1, '{\"kind\": \"open\"}', 600, 120, '2020-01-01', NULL,"
        " 'arrival', 'seed', '{2}')",
        CONCERT,
    )
    assert outcome == "version_conflict"
