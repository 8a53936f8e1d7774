"""Responses of the issuer: limited before they are read."""

import gzip

import httpx2
import pytest

from frontrow.users.issuer_document import LARGEST_BYTES, check_response

URL = "https://issuer.example/"


async def get(response: httpx2.Response) -> httpx2.Response:
    """The response as the issuer's client returns it."""
    transport = httpx2.MockTransport(lambda _: response)
    hooks = {"response": [check_response]}
    async with httpx2.AsyncClient(transport=transport, event_hooks=hooks) as client:
        return await client.get(URL)


async def test_body_of_the_largest_size_is_read() -> None:
    """One byte more is refused."""
    body = b"x" * LARGEST_BYTES
    assert (await get(httpx2.Response(200, stream=httpx2.ByteStream(body)))).content == body
    with pytest.raises(ValueError, match="larger than 262144 bytes"):
        await get(httpx2.Response(200, stream=httpx2.ByteStream(body + b"x")))


async def test_compressed_body_is_not_unpacked() -> None:
    """So a small body can't become a large one."""
    packed = gzip.compress(b"x" * 100 * LARGEST_BYTES)
    assert len(packed) < LARGEST_BYTES
    headers = {"Content-Encoding": "gzip"}
    response = await get(httpx2.Response(200, headers=headers, stream=httpx2.ByteStream(packed)))
    assert response.content == packed


@pytest.mark.parametrize(
    ("status", "is_error"), [(200, False), (400, False), (429, True), (503, True)]
)
async def test_busy_issuer_is_an_error(status: int, is_error: bool) -> None:
    """With any body. A refusal is not an error: its body has the reason."""
    response = httpx2.Response(status, stream=httpx2.ByteStream(b"{}"))
    if is_error:
        with pytest.raises(httpx2.HTTPStatusError):
            await get(response)
    else:
        assert (await get(response)).json() == {}
