"""Many buyers at once, and what became of what they asked for."""

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
    """So many admitted guests, in order of their numbers, each with a charged ``balance``."""
    places = await asyncio.gather(*(join(services, concert_id) for _ in range(people)))
    await admit_all(services, concert_id)
    if balance:
        await asyncio.gather(*(services.ledger.charge(place, balance, None) for place in places))
    return sorted(places, key=lambda place: place.number)


async def after(turns: int, call: Awaitable[object]) -> object:
    """A call, and a head start for the other side: so many turns of the event loop."""
    for _ in range(turns):
        await asyncio.sleep(0)
    return await call


async def answers(calls: Iterable[Awaitable[Answer]]) -> list[Answer | DomainError]:
    """All calls at once; each one's answer or refusal, in their order. Anything else is raised."""
    found: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    for answer in found:
        if isinstance(answer, BaseException) and not isinstance(answer, DomainError):
            raise answer
    return found


def refused(found: Iterable[Any]) -> list[DomainError]:
    """The refusals among answers."""
    return [answer for answer in found if isinstance(answer, DomainError)]


def granted(found: Iterable[Answer | DomainError]) -> list[Answer]:
    """The answers without the refusals."""
    return [answer for answer in found if not isinstance(answer, DomainError)]
