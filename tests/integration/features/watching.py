"""Looks at the seats of a show, as an admitted guest does; and follows them."""

import json
from typing import Any

from frontrow.concerts.model import Show
from frontrow.concerts.seat_documents import Variant
from frontrow.ids import PlaceRef
from frontrow.services import Services
from tests.buyers import buyer

NAMES = {"a": "available", "h": "held", "s": "sold"}


async def look(services: Services, show: Show, place: PlaceRef | None = None, **wanted: Any) -> Any:
    """An answer about the seats, decoded; to a new guest unless told whom."""
    place = place or await buyer(services, show.concert_id)
    found = await services.seat_maps.read(place, show)
    return json.loads(found.document(Variant(**wanted)).body)


async def states(services: Services, show: Show, place: PlaceRef | None = None) -> str:
    """The states of all seats, a letter each."""
    return str((await look(services, show, place, form="compact"))["states"])


class Watcher:
    """A client that has all seats once and then asks what has changed."""

    def __init__(self, place: PlaceRef, show: Show) -> None:
        self.place = place
        self.show = show
        self.version: str | None = None
        self.states: list[str] = []
        self.told: list[int] | None = None
        """The seats of the last answer; None if it was of all."""

    async def follow(self, services: Services) -> str:
        """Goes on to the present, asking this process; the states then."""
        answer = await look(services, self.show, self.place, form="compact", since=self.version)
        self.version = answer["version"]
        if answer["complete"]:
            self.told = None
            self.states = list(answer["states"])
        else:
            self.told = answer["numbers"]
            for number, state in zip(answer["numbers"], answer["states"], strict=True):
                self.states[number - 1] = state
        assert answer["seats_available"] == self.states.count("a")
        return "".join(self.states)
