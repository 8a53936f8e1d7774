"""The documents about a show's seats: JSON in several variants, built once for all readers."""

import asyncio
import gzip
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from frontrow.concerts.model import Seat, SeatMap, SeatState
from frontrow.concerts.seat_states import AVAILABLE, HELD, SOLD, SeatStates

Form: TypeAlias = Literal["plain", "compact"]

# Most documents of one show that are kept until a seat changes: clients ask for changes since few
# versions.
_MOST_KEPT = 64
# Even without a change, a version must not become too old to continue from.
_RENEWED_AFTER = timedelta(seconds=60)
# Compression doesn't make shorter documents faster.
_WORTH_COMPRESSING_BYTES = 1_024
# Below this size, a thread costs more than the delay of other calls.
_COMPRESSED_IN_THREAD_BYTES = 131_072
# Levels of zlib. 50,000 seats are 3.5 MB in the plain form, 180 KB at level 4 and less than 150 at
# level 8; in the compact form 60 KB, 15 at level 4 and hardly less at higher ones.
_COMPRESSION: dict[Form, int] = {"plain": 8, "compact": 4}
# The share of changed seats whose document is as long as that of all seats: in the compact form, a
# number and a letter against one letter.
_SHARE_AS_LONG: dict[Form, float] = {"plain": 1, "compact": 1 / 7}

_STATES: dict[int, SeatState] = {AVAILABLE: "available", HELD: "held", SOLD: "sold"}
_encode = msgspec.json.Encoder().encode


class Variant(NamedTuple):
    """A variant of the document: its form, only free seats, or only changes since a version."""

    form: Form = "plain"
    only_available: bool = False
    since: str | None = None


class Document:
    """A document that many readers share: JSON, plain and compressed.

    Args:
        body: the JSON.
        read_at: the time of its version.
        level: of its compression.
    """

    __slots__ = ("_compressed", "_level", "body", "read_at")

    def __init__(self, body: bytes, read_at: datetime, level: int) -> None:
        self.body = body
        self.read_at = read_at
        self._level = level
        self._compressed: asyncio.Future[bytes] | None = None

    async def gzipped(self) -> bytes | None:
        """Returns the body compressed with gzip, once for all readers; ``None`` if it is short."""
        size = len(self.body)
        if size < _WORTH_COMPRESSING_BYTES:
            return None
        if self._compressed is None:
            loop = asyncio.get_running_loop()
            if size < _COMPRESSED_IN_THREAD_BYTES:
                self._compressed = loop.create_future()
                self._compressed.set_result(self._compress())
            else:
                self._compressed = loop.run_in_executor(None, self._compress)
        # A reader that disconnects doesn't cancel the compression for the others.
        return await asyncio.shield(self._compressed)

    def _compress(self) -> bytes:
        return gzip.compress(self.body, self._level, mtime=0)


class Documents:
    """The documents about one show, kept until one of its seats changes."""

    def __init__(self) -> None:
        self._tag = b""
        self._whole: dict[Variant, Document] = {}
        self._changes: dict[Variant, Document] = {}

    def get(self, seats: SeatStates, variant: Variant) -> Document:
        """Returns a document, perhaps of an older version with the same seats."""
        if self._tag != seats.tag:
            self._whole.clear()
            self._changes.clear()
            self._tag = seats.tag
        kept = self._whole if variant.since is None else self._changes
        found = kept.get(variant)
        if found is None or seats.now - found.read_at > _RENEWED_AFTER:
            if len(kept) >= _MOST_KEPT:
                kept.clear()
            found = kept[variant] = self._build(seats, variant)
        return found

    @property
    def kept(self) -> int:
        """The number of documents that are kept."""
        return len(self._whole) + len(self._changes)

    def _build(self, seats: SeatStates, variant: Variant) -> Document:
        level = _COMPRESSION[variant.form]
        if variant.since is None:
            return Document(_body(seats, variant, None), seats.now, level)
        changed = seats.since(variant.since)
        if changed is None or len(changed) >= len(seats.states) * _SHARE_AS_LONG[variant.form]:
            return self.get(seats, variant._replace(since=None))
        return Document(_body(seats, variant, changed), seats.now, level)


def _body(seats: SeatStates, variant: Variant, changed: list[int] | None) -> bytes:
    """Returns the JSON of all seats, or of those that have ``changed``."""
    show, states = seats.show, seats.states
    fields: dict[str, object] = {}
    if changed is None:
        fields["sections"] = seats.sections
    if variant.form == "plain":
        numbers = range(1, len(states) + 1) if changed is None else changed
        fields["seats"] = _seats(seats, numbers, only_available=variant.only_available)
    elif changed is None:
        fields["states"] = states.decode()
    else:
        fields["numbers"] = changed
        fields["states"] = bytes(states[number - 1] for number in changed).decode()
    return _encode(
        SeatMap(
            show_id=show.show_id,
            date=show.date,
            starts_at=show.starts_at,
            version=seats.version,
            complete=changed is None,
            seats_available=seats.available,
            **fields,  # type: ignore[arg-type]
        )
    )


def _seats(seats: SeatStates, numbers: range | list[int], *, only_available: bool) -> list[Seat]:
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
