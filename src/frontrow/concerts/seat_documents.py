"""The seats of a show as answers: which forms there are, made once for all who ask for the same."""

import asyncio
import gzip
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from frontrow.concerts.model import Seat, SeatMap, SeatState
from frontrow.concerts.seats_now import AVAILABLE, HELD, SOLD, SeatsNow

Form: TypeAlias = Literal["plain", "compact"]

# Answers that are kept until a seat changes, of one show: few ask from more different versions.
_MOST_KEPT = 64
# Nothing has changed, and yet a version must not grow too old to go on from.
_RENEWED_AFTER = timedelta(seconds=60)
# Shorter answers don't gain by it.
_WORTH_COMPRESSING_BYTES = 1_024
# Below, a thread costs more than the compression holds the others up.
_COMPRESSED_ASIDE_BYTES = 131_072
# Levels of zlib. 50,000 seats are 3.5 MB in the plain form, 180 KB at level 4 and less than 150 at
# level 8; in the compact form 60 KB, 15 at level 4 and hardly less at higher ones.
_COMPRESSION: dict[Form, int] = {"plain": 8, "compact": 4}
# How many changed seats are as long as all of them, for each seat of the show: compact, a number
# and a letter against one letter.
_SHARE_AS_LONG: dict[Form, float] = {"plain": 1, "compact": 1 / 7}

_STATES: dict[int, SeatState] = {AVAILABLE: "available", HELD: "held", SOLD: "sold"}
_encode = msgspec.json.Encoder().encode


class Wanted(NamedTuple):
    """What is asked for: a form, only the free seats, or only what changed since a version."""

    form: Form = "plain"
    only_available: bool = False
    since: str | None = None


class Document:
    """An answer that many readers share: JSON, as it is and compressed.

    Args:
        body: the JSON.
        made_at: what time its version tells.
        level: of its compression.
    """

    __slots__ = ("_compressing", "_level", "body", "made_at")

    def __init__(self, body: bytes, made_at: datetime, level: int) -> None:
        self.body = body
        self.made_at = made_at
        self._level = level
        self._compressing: asyncio.Future[bytes] | None = None

    async def gzipped(self) -> bytes | None:
        """The body compressed with gzip, once for all; None where that isn't worth it."""
        size = len(self.body)
        if size < _WORTH_COMPRESSING_BYTES:
            return None
        if self._compressing is None:
            loop = asyncio.get_running_loop()
            if size < _COMPRESSED_ASIDE_BYTES:
                self._compressing = loop.create_future()
                self._compressing.set_result(self._compress())
            else:
                self._compressing = loop.run_in_executor(None, self._compress)
        # One reader that goes away takes nothing from the others.
        return await asyncio.shield(self._compressing)

    def _compress(self) -> bytes:
        return gzip.compress(self.body, self._level, mtime=0)


class Documents:
    """The answers about one show, kept until one of its seats changes."""

    def __init__(self) -> None:
        self._tag = b""
        self._whole: dict[Wanted, Document] = {}
        self._changes: dict[Wanted, Document] = {}

    def get(self, seats: SeatsNow, wanted: Wanted) -> Document:
        """The answer to what is wanted. It may tell an older version with the same seats."""
        if self._tag != seats.tag:
            self._whole.clear()
            self._changes.clear()
            self._tag = seats.tag
        made = self._whole if wanted.since is None else self._changes
        found = made.get(wanted)
        if found is None or seats.now - found.made_at > _RENEWED_AFTER:
            if len(made) >= _MOST_KEPT:
                made.clear()
            found = made[wanted] = self._make(seats, wanted)
        return found

    @property
    def kept(self) -> int:
        """How many answers are kept."""
        return len(self._whole) + len(self._changes)

    def _make(self, seats: SeatsNow, wanted: Wanted) -> Document:
        level = _COMPRESSION[wanted.form]
        if wanted.since is None:
            return Document(_body(seats, wanted, None), seats.now, level)
        changed = seats.since(wanted.since)
        if changed is None or len(changed) >= len(seats.states) * _SHARE_AS_LONG[wanted.form]:
            return self.get(seats, wanted._replace(since=None))
        return Document(_body(seats, wanted, changed), seats.now, level)


def _body(seats: SeatsNow, wanted: Wanted, changed: list[int] | None) -> bytes:
    """All seats, or those that have ``changed``."""
    show, states = seats.show, seats.states
    told: dict[str, object] = {}
    if changed is None:
        told["sections"] = seats.sections
    if wanted.form == "plain":
        numbers = range(1, len(states) + 1) if changed is None else changed
        told["seats"] = _seats(seats, numbers, only_available=wanted.only_available)
    elif changed is None:
        told["states"] = states.decode()
    else:
        told["numbers"] = changed
        told["states"] = bytes(states[number - 1] for number in changed).decode()
    return _encode(
        SeatMap(
            show_id=show.show_id,
            date=show.date,
            starts_at=show.starts_at,
            version=seats.version,
            complete=changed is None,
            seats_available=seats.available,
            **told,  # type: ignore[arg-type]
        )
    )


def _seats(seats: SeatsNow, numbers: range | list[int], *, only_available: bool) -> list[Seat]:
    sections = iter(seats.sections)
    section = next(sections)
    found = []
    for number in numbers:
        while number > section.last_number:
            section = next(sections)
        state = seats.states[number - 1]
        if state == AVAILABLE or not only_available:
            found.append(Seat(number, section.name, section.price, _STATES[state]))
    return found
