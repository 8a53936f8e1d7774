"""The demo concerts: three, one for each policy, however often they are created."""

from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from frontrow.cli import demo
from frontrow.waiting_room.policy import MaxActivePolicy, OpenPolicy, RatePolicy
from testkit.database import Database
from tests.buyers import services_on


async def test_three_concerts_one_for_each_policy(database: Database) -> None:
    """Three concerts are put on sale: open, a small cap with a short claim window, a rate."""
    await demo.seed(database.app_url)
    async with services_on(database) as services:
        concerts = await services.catalogue.concerts()
        rooms = {c.title: await services.rooms.settings(c.concert_id) for c in concerts}
    assert {title: room.policy for title, room in rooms.items()} == {
        "Lanterns on the Han": OpenPolicy(),
        "Small Room, Loud Songs": MaxActivePolicy(max_active=2),
        "Northern Sky: The Homecoming": RatePolicy(admit=5, every_seconds=10),
    }
    assert rooms["Small Room, Loud Songs"].claim_seconds == 30
    assert {concert.currency for concert in concerts} == {"KRW"}


async def test_shows_are_in_the_coming_weeks(database: Database) -> None:
    """Every concert has several shows in the next weeks; one has sections."""
    await demo.seed(database.app_url)
    async with services_on(database) as services:
        runs = await services.pool.fetch(
            "SELECT count(*) AS shows, min(starts_at) AS first, max(starts_at) AS last FROM show"
            " GROUP BY concert_id"
        )
        sections = await services.pool.fetch("SELECT DISTINCT section FROM seat")
    assert sorted(run["shows"] for run in runs) == [3, 4, 4]
    now = datetime.now(UTC)
    assert now + timedelta(days=7) < min(run["first"] for run in runs)
    assert max(run["last"] for run in runs) < now + timedelta(days=60)
    assert {row["section"] for row in sections} == {None, "Floor", "Balcony R", "Balcony S"}


async def test_seeding_again_changes_nothing(database: Database) -> None:
    """Creating them twice on one day leaves three concerts."""
    await demo.seed(database.app_url)
    before = await _counts(database)
    await demo.seed(database.app_url)
    assert await _counts(database) == before == (3, 11, 990)


async def test_seeding_again_later_changes_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Creating them on a later day, with other dates, leaves the existing ones unchanged."""
    today = demo._demos

    def later(day: date, currency: str) -> list[demo._Demo]:
        return today(day + timedelta(days=100), currency)

    await demo.seed(database.app_url)
    before = await _counts(database)
    monkeypatch.setattr(demo, "_demos", later)
    await demo.seed(database.app_url)
    assert await _counts(database) == before


async def test_demo_uses_the_currency_of_the_installation(database: Database) -> None:
    """The demo concerts are priced in the currency that the installation sells in."""
    async with services_on(database, currency="EUR"):
        pass
    await demo.seed(database.app_url)
    async with services_on(database, currency="EUR") as services:
        concerts = await services.catalogue.concerts()
    assert {concert.currency for concert in concerts} == {"EUR"}


async def test_demo_does_not_set_the_currency(database: Database) -> None:
    """Creating them in a new database does not fix a currency for it."""
    await demo.seed(database.app_url, currency="JPY")
    async with services_on(database, currency="JPY") as services:
        assert services.concerts.currency == "JPY"


async def _counts(database: Database) -> tuple[int, ...]:
    """Returns the counts of concerts, shows and seats."""
    connection = await asyncpg.connect(database.app_url)
    try:
        row = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM concert), (SELECT count(*) FROM show),"
            " (SELECT count(*) FROM seat)"
        )
    finally:
        await connection.close()
    return tuple(row)
