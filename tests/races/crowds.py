"""Many concurrent buyers, and the collected results of their calls."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar
from uuid import UUID

from frontrow.errors import DomainError
from frontrow.ids import PlaceRef
from frontrow.services import Services
from tests.buyers import admit_all, join

Answer = TypeVar("Answer")


async def crowd(
    services: Services, concert_id: UUID, people: int, *, balance: int = 0
) -> list[PlaceRef]:
    """Returns the ids of ``count`` admitted guests with a charged ``balance``, by number."""
    places = await asyncio.gather(*(join(services, concert_id) for _ in range(people)))
    await admit_all(services, concert_id)
    if balance:
        await asyncio.gather(*(services.ledger.charge(place, balance, None) for place in places))
    return sorted(places, key=lambda place: place.number)


async def after(turns: int, call: Awaitable[object]) -> object:
    """Awaits a call after some turns of the event loop, as a head start for the other side."""
    for _ in range(turns):
        await asyncio.sleep(0)
    return await call


async def answers(calls: Iterable[Awaitable[Answer]]) -> list[Answer | DomainError]:
    """Runs all calls concurrently; returns each answer or refusal in order of the calls."""
    found: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    for answer in found:
        if isinstance(answer, BaseException) and not isinstance(answer, DomainError):
            raise answer
    return found


def refused(found: Iterable[Any]) -> list[DomainError]:
    """Returns the refusals among the results."""
    return [answer for answer in found if isinstance(answer, DomainError)]


def granted(found: Iterable[Answer | DomainError]) -> list[Answer]:
    """Returns the results that are not refusals."""
    return [answer for answer in found if not isinstance(answer, DomainError)]
