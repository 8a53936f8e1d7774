"""Adds calls to the framework's router, and answers requests that match none."""

from collections.abc import AsyncIterator, Awaitable, Callable

from blacksheep import Application, Request, Response
from blacksheep.contents import StreamedContent

from frontrow.errors import NotFound
from frontrow.web.endpoint import request_id
from frontrow.web.problems import MethodNotAllowed, problem
from frontrow.web.routes import CALLS

Handler = Callable[[Request], Awaitable[Response]]


def add_route(app: Application, method: str, path: str, handler: Handler) -> None:
    """Adds a route; a route for GET answers HEAD too (RFC 9110, section 9.3.2)."""
    app.router.add(method, path, handler)
    if method == "GET":
        app.router.add("HEAD", path, _head(handler))


def _head(handler: Handler) -> Handler:
    """Returns the handler of HEAD: GET without its body. The server drops it, but reads streams."""

    async def respond(request: Request) -> Response:
        response = await handler(request)
        content = response.content
        if isinstance(content, StreamedContent):
            response.content = StreamedContent(content.type, _nothing)
        return response

    return respond


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


def nothing_here(app: Application) -> Handler:
    """Returns the handler of unmatched requests: 405 if another method matches, otherwise 404."""
    methods = sorted({call.method for call in CALLS} | {"HEAD"})

    async def respond(request: Request) -> Response:
        path = request.url.path
        allowed = [m for m in methods if app.router.get_matching_route(m, path) is not None]
        response = problem(MethodNotAllowed() if allowed else NotFound())
        if allowed:
            response.add_header(b"allow", ", ".join(allowed).encode())
        response.add_header(b"x-request-id", request_id(request))
        return response

    return respond
