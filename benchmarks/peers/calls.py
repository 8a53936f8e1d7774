"""The calls that are compared, and what their requests have in common."""

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, TypeAlias, get_args
from uuid import UUID

from benchmarks.load import Request

Call: TypeAlias = Literal["poll", "join", "seats of a date", "hold", "refused hold", "pay"]
CALLS: tuple[Call, ...] = get_args(Call)
ONCE: frozenset[Call] = frozenset({"join", "hold", "pay"})
"""Calls that change what they meet: each request is sent once."""
SEATS_OF_A_DATE = 50
PRICE = 1000


class System(Protocol):
    """A server with its stores."""

    name: str
    port: int
    pid: int

    async def requests(self, call: Call, users: int) -> tuple[list[Request], list[Request]]:
        """Fills a concert; returns the requests of a call, and those to send before it."""

    async def rush(self, users: int, seats: int) -> tuple[list[Request], UUID]:
        """Fills a show; returns one hold per user of any of its seats, and the show."""

    async def held(self, show_id: UUID) -> list[int]:
        """Returns the seats of all reservations of a show, each as often as it was given away."""


def posts(path: str, tokens: Sequence[str], bodies: Iterable[bytes]) -> list[Request]:
    """Returns a request per token, each with its body."""
    return [Request("POST", path, token, body) for token, body in zip(tokens, bodies, strict=True)]


def seat_each(show_id: UUID, users: int, seats: int) -> list[bytes]:
    """Returns a body per user that asks for a seat; if there are too few, several ask for each."""
    return [
        b'{"show_id":"%b","seats":[%d]}' % (str(show_id).encode(), user % seats + 1)
        for user in range(users)
    ]
