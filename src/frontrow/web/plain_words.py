"""What the waiting page without scripts says."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from frontrow.waiting_room.model import Eta, QueueDocument, Status
from frontrow.web.languages import text


class Words(NamedTuple):
    """Its heading, its paragraphs, what its form does (``join`` or ``leave``), if it has one."""

    heading: str
    paragraphs: list[str]
    form: str | None = None
    refreshes: bool = False


def of_line(title: str, line: QueueDocument, opens: str, texts: Mapping[str, str]) -> Words:
    """For one who has no place."""
    form = None if line.state == "closed" else "join"
    return Words(title, [text(texts, f"landing.{line.state}", opens=opens)], form)


def of_place(status: Status, opens: str, texts: Mapping[str, str]) -> Words:
    """For one who has a place; ``opens``: when the sale begins."""
    if status.state == "finished":
        finished = f"finished.{status.reason}"
        return Words(texts[finished], [texts[f"{finished}.next"]], "join")
    if status.state == "admitted":
        return Words(texts["turn.title"], [texts["turn.plain"]], "leave", refreshes=True)
    is_drawn = status.position is not None
    state = status.room_state if is_drawn or status.room_state != "scheduled" else "draw"
    paragraphs = [
        _ahead(status, texts),
        f"{texts['wait.number']}: {_number(status, texts)}",
        f"{texts['wait.forecast']}: {_band(status.eta_seconds, texts)}",
        f"{texts['wait.seats']}: {text(texts, 'wait.seats_left', count=status.seats_available)}",
        text(texts, f"wait.next.{state}", opens=opens),
    ]
    return Words(texts["wait.heading"], paragraphs, "leave", refreshes=True)


def _ahead(status: Status, texts: Mapping[str, str]) -> str:
    if status.position is None:
        return texts["wait.before_draw"]
    if not status.ahead:
        return texts["wait.next_up"]
    return text(texts, "wait.ahead", count=status.ahead)


def _number(status: Status, texts: Mapping[str, str]) -> str:
    if status.position is None:
        return text(texts, "wait.entry", number=status.number)
    return text(texts, "number", number=status.position)


def _band(eta: Eta | None, texts: Mapping[str, str]) -> str:
    """A forecast as a band, in whole minutes."""
    if eta is None:
        return texts["wait.unknown"]
    first, last = (
        text(texts, "time.minutes", count=max(1, math.ceil(seconds / 60)))
        for seconds in (eta.p50, eta.p90)
    )
    return first if first == last else text(texts, "wait.band", **{"from": first, "to": last})
