"""The answer with a seat map: its forms and its entity tag, for users and operators."""

from typing import Annotated

import msgspec
from blacksheep import Content, Request, Response
from msgspec import Meta

from frontrow.concerts.seat_documents import Form, Variant
from frontrow.concerts.seat_maps import CachedSeatMap
from frontrow.concerts.seat_states import VERSION_PATTERN
from frontrow.web.calls import Answer
from frontrow.web.endpoint import JSON, knows, takes_gzip


class MapQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which seats of a show, and in which form."""

    available: Annotated[bool, Meta(description="Only available seats; in the plain form.")] = False
    form: Annotated[
        Form, Meta(description="`compact`: the states as one string instead of a list of seats.")
    ] = "plain"
    since: Annotated[
        Annotated[str, Meta(pattern=VERSION_PATTERN)] | None,
        Meta(
            description="A `version` that the caller has: only seats that may have changed since."
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.available and (self.form == "compact" or self.since is not None):
            message = "available can't be combined with form=compact or since"
            raise ValueError(message)
        if self.since is not None and self.since.endswith("\n"):  # which "$" accepts
            message = "since is not a version"
            raise ValueError(message)


async def map_answer(request: Request, found: CachedSeatMap, query: MapQuery) -> Response:
    """Returns the seats in the requested form, or 304 if the caller has them."""
    if knows(request, found.etag):
        response = Response(304)
    else:
        document = found.document(Variant(query.form, query.available, query.since))
        zipped = await document.gzipped() if takes_gzip(request) else None
        if zipped is None:
            response = Response(200, None, Content(JSON, document.body))
        else:
            response = Response(200, [(b"content-encoding", b"gzip")], Content(JSON, zipped))
    response.add_header(b"etag", found.etag)
    response.add_header(b"cache-control", b"private, no-cache")
    response.add_header(b"vary", b"accept-encoding")
    return response


MAP_HEADERS = {
    "ETag": "The version of the states of all seats, for If-None-Match.",
    "Cache-Control": "Private, revalidated each time.",
    "Vary": "Accept-Encoding: the answer may be compressed with gzip.",
}
UNCHANGED = Answer(304, "No seat has changed since the version in If-None-Match.")
