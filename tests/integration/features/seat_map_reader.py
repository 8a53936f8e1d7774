"""Reads the seats of a show as an admitted guest does, and follows their changes."""

import json
from typing import Any

from frontrow.concerts.model import Show
from frontrow.concerts.seat_documents import Variant
from frontrow.ids import PlaceRef
from frontrow.services import Services
from tests.buyers import buyer

NAMES = {"a": "available", "h": "held", "s": "sold"}


async def look(services: Services, show: Show, place: PlaceRef | None = None, **wanted: Any) -> Any:
    """Returns a decoded seat map, for a new guest unless a place is given."""
    place = place or await buyer(services, show.concert_id)
    found = await services.seat_maps.read(place, show)
    return json.loads(found.document(Variant(**wanted)).body)


async def states(services: Services, show: Show, place: PlaceRef | None = None) -> str:
    """Returns the states of all seats, a letter each."""
    return str((await look(services, show, place, form="compact"))["states"])


class Watcher:
    """A client that reads all seats once and then the changes."""

    def __init__(self, place: PlaceRef, show: Show) -> None:
        self.place = place
        self.show = show
        self.version: str | None = None
        self.states: list[str] = []
        self.changed: list[int] | None = None
        """The seats of the last answer; None if it was of all."""

    async def follow(self, services: Services) -> str:
        """Reads the changes from this process; returns the present states."""
        answer = await look(services, self.show, self.place, form="compact", since=self.version)
        self.version = answer["version"]
        if answer["complete"]:
            self.changed = None
            self.states = list(answer["states"])
        else:
            self.changed = answer["numbers"]
            for number, state in zip(answer["numbers"], answer["states"], strict=True):
                self.states[number - 1] = state
        assert answer["seats_available"] == self.states.count("a")
        return "".join(self.states)
