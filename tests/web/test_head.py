"""HEAD: the answer of GET without the body (RFC 9110, section 9.3.2)."""

import asyncio

import httpx2
import pytest

from frontrow.waiting_room.status_streams import STREAMS_OF_A_PLACE
from testkit.desk import BASE, SOON, Desk, eventually
from testkit.serving import OPERATOR_KEY

OWN = {"date", "x-request-id"}
"""Headers that differ in every answer."""


def headers_of(response: httpx2.Response) -> dict[str, str]:
    """Returns the headers that are the same for equal answers."""
    return {name: value for name, value in response.headers.items() if name not in OWN}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/concerts", 200),
        ("/concerts/{concert}/dates/{date}/seats", 200),
        ("/users/me", 401),
        ("/concerts/nothing/dates", 422),
        ("/admin/concerts/{concert}/order", 401),
        ("//healthz", 200),
        ("//openapi.json", 200),
        ("//", 200),
        ("//concerts/{concert}?plain=1", 200),
        ("//nothing", 404),
        ("//concerts/nothing?plain=1", 404),
    ],
)
async def test_head_has_the_headers_of_get(desk: Desk, path: str, status: int) -> None:
    """Calls, pages and refusals: status and headers of GET, including Content-Length."""
    concert = await desk.concert()
    fan = await desk.buyer(concert)
    path = path.format(concert=concert.concert_id, date=concert.date)
    url = path[1:] if path.startswith("//") else BASE + path
    credential = {"Authorization": f"Bearer {fan.token}"}
    whole, head = [
        await desk.http.request(method, url, headers=credential) for method in ("GET", "HEAD")
    ]
    assert whole.status_code == head.status_code == status
    assert headers_of(head) == headers_of(whole)
    assert (len(whole.content) > 0, head.content) == (True, b"")


async def test_unchanged_poll_is_304(desk: Desk) -> None:
    """The tag is returned, and accepted in If-None-Match."""
    fan = await desk.buyer(await desk.concert())
    tag = (await fan.by_token("HEAD", "/queue/tokens/me")).headers["etag"]
    known = await fan.by_token("HEAD", "/queue/tokens/me", headers={"If-None-Match": tag})
    assert known.status_code == 304


@pytest.mark.parametrize("path", ["/queue/tokens/me/events", "/users/me/export", "order"])
async def test_stream_is_not_opened(desk: Desk, path: str) -> None:
    """A stream is answered immediately, any number of times, and nothing stays open."""
    concert = await desk.concert()
    fan = await desk.buyer(concert)
    credential = fan.token if "queue" in path else fan.user_key
    if path == "order":
        path, credential = f"/admin/concerts/{concert.concert_id}/order", OPERATOR_KEY

    async def answered() -> bool:
        head = await desk.ask("HEAD", path, credential)
        assert head.content == b""
        return head.status_code == 200

    async with asyncio.timeout(SOON):
        for _ in range(2 * STREAMS_OF_A_PLACE):
            await eventually(answered)  # the previous one may be about to end


async def test_head_without_get_is_refused(desk: Desk) -> None:
    """405, as for any other unknown method."""
    refused = await desk.ask("HEAD", "/users")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
