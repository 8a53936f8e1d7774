"""The yardstick: a typed handler that takes JSON and gives JSON back, and does nothing else.

Same framework, server and settings as Frontrow. ``?size=`` says how long the answer is to be.
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
    """What goes in and out."""

    text: str


app = Application()


@app.router.post("/empty")
async def empty(message: FromJSON[dict[str, str]], size: FromQuery[int]) -> Message:
    """Takes JSON, gives JSON."""
    return Message("x" * size.value)


@app.router.get("/empty")
async def empty_get(size: FromQuery[int]) -> Message:
    """Gives JSON."""
    return Message("x" * size.value)
