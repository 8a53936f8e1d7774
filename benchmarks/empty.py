"""The baseline: a typed handler that decodes JSON and encodes JSON, and does nothing else.

Same framework, server and settings as Frontrow. ``?size=`` sets the length of the answer.
"""

import msgspec
from blacksheep import Application, FromJSON, FromQuery
from blacksheep.settings.json import json_settings

encode = msgspec.json.Encoder().encode

json_settings.use(  # type: ignore[no-untyped-call]
    loads=msgspec.json.decode,
    dumps=lambda value: encode(value).decode(),
)


class Message(msgspec.Struct):
    """The body of request and response."""

    text: str


app = Application()


@app.router.post("/empty")
async def empty(message: FromJSON[dict[str, str]], size: FromQuery[int]) -> Message:
    """Decodes JSON, returns JSON."""
    return Message("x" * size.value)


@app.router.get("/empty")
async def empty_get(size: FromQuery[int]) -> Message:
    """Returns JSON."""
    return Message("x" * size.value)
