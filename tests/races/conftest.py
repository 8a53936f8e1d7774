"""Two processes on one database, as far as the database can tell; audited when the race is over."""

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
    """Services of two processes. A race holds and lets go far more often than a fan may."""
    async with (
        services_on(database, unpaid_holds=1_000_000) as one,
        services_on(database, unpaid_holds=1_000_000) as other,
    ):
        yield one, other


@pytest.fixture
async def pair(database: Database) -> AsyncIterator[Pair]:
    """Two sets of services with their own pools, lanes and snapshots."""
    async with two_services(database) as both:
        yield both


@pytest.fixture(autouse=True)
async def audited(database: Database) -> AsyncIterator[None]:
    """Whatever a race did, no invariant is broken afterwards."""
    yield
    broken = [found for found in await audit.run(database.app_url) if found.violations]
    assert broken == []
