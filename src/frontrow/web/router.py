"""Adds calls to the framework's router, and answers where none matches."""

from collections.abc import AsyncIterator, Awaitable, Callable

from blacksheep import Application, Request, Response
from blacksheep.contents import StreamedContent

from frontrow.errors import NotFound
from frontrow.web.endpoint import request_id
from frontrow.web.problems import MethodNotAllowed, problem
from frontrow.web.routes import CALLS

Handler = Callable[[Request], Awaitable[Response]]


def add_route(app: Application, method: str, path: str, handler: Handler) -> None:
    """Adds a route; what answers GET answers HEAD too (RFC 9110, section 9.3.2)."""
    app.router.add(method, path, handler)
    if method == "GET":
        app.router.add("HEAD", path, _head(handler))


def _head(handler: Handler) -> Handler:
    """What GET would answer, without the body: the server leaves that out, but reads a stream."""

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
    """The answer where no call matches: 405 if another method would, 404 otherwise."""
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
