"""Fixtures for races: two independent sets of services on one database, which is audited."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from frontrow import audit
from frontrow.services import Services
from testkit.database import Database
from tests.buyers import services_on

Pair = tuple[Services, Services]


@asynccontextmanager
async def two_services(database: Database) -> AsyncIterator[Pair]:
    """Settings for the services; the limit on unpaid holds is far above what a user needs."""
    async with (
        services_on(database, unpaid_holds=1_000_000) as one,
        services_on(database, unpaid_holds=1_000_000) as other,
    ):
        yield one, other


@pytest.fixture
async def pair(database: Database) -> AsyncIterator[Pair]:
    """Returns two sets of services, each with its own pool, lanes and snapshots."""
    async with two_services(database) as both:
        yield both


@pytest.fixture(autouse=True)
async def audited(database: Database) -> AsyncIterator[None]:
    """Audits the database after each race: no invariant may be broken."""
    yield
    broken = [found for found in await audit.run(database.app_url) if found.violations]
    assert broken == []
