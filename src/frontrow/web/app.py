"""The application that a worker process serves.

Start-up opens the services, starts the upkeep and fills the router from the table of calls.
Shutdown answers waiting calls, finishes running batches, and closes the services.
"""

import asyncio
import contextlib
import gc
from collections.abc import Callable

import structlog
from blacksheep import Application, Request, Response, Router

from frontrow.errors import RateLimited
from frontrow.metrics import CallTally
from frontrow.services import Services, open_services
from frontrow.settings import Settings
from frontrow.upkeep.jobs import running
from frontrow.web.access.credentials import operator_key
from frontrow.web.access.rate_limits import Limits
from frontrow.web.calls import Ask
from frontrow.web.endpoint import add_rate_limit_headers, endpoint, request_id
from frontrow.web.pages import routes
from frontrow.web.pages.assets import Files
from frontrow.web.pages.error_page import ErrorPage
from frontrow.web.problems import problem
from frontrow.web.router import Handler, add_route, nothing_here
from frontrow.web.routes import ALL_CALLS, docs_file

_log = structlog.get_logger(__name__)

_REFUSALS = 400  # statuses from here on
_FLUSH_SECONDS = 1.0


class FrontrowApplication(Application):
    """The application; its server calls ``drain`` before it waits for running calls to end.

    ``drain`` answers long polls and ends streams at once. (The framework's ``on_stop`` runs too
    late: after all calls have ended.)
    """

    def __init__(self) -> None:
        # A router of its own: the framework's default router is shared within the process.
        super().__init__(router=Router(), show_error_details=False)
        self.drain: Callable[[], None] = lambda: None


def create_app(settings: Settings | None = None) -> FrontrowApplication:
    """Creates the application, by default with the settings of the environment."""
    application = FrontrowApplication()
    resources = contextlib.AsyncExitStack()
    settings = settings or Settings()

    @application.on_start
    async def start(app: Application) -> None:
        services = await resources.enter_async_context(open_services(settings))
        application.drain = services.stopping.set
        await resources.enter_async_context(running(services))
        tallies = _route(app, services)
        _spare_the_collector()
        resources.push_async_callback(_end, asyncio.create_task(_flush_for_ever(tallies)), tallies)

        async def drain() -> None:
            services.stopping.set()
            await services.lanes.drained()

        resources.push_async_callback(drain)

    @application.on_stop
    async def stop(app: Application) -> None:
        await resources.aclose()

    return application


def _spare_the_collector() -> None:
    """Makes garbage collection rare, and exempts the objects that exist by now.

    These live as long as the process, and calls create no reference cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _route(app: Application, services: Services) -> list[CallTally]:
    """Fills the router. Returns the tallies of the calls."""
    operator, limits = operator_key(services), Limits(services.settings)
    tallies = []
    files = Files()
    errors = ErrorPage(files)
    for route in routes.routes(files, services, limits):
        add_route(app, route.method, route.path, _limited(route.handler, services, limits, errors))
        tallies.append(route.tally)
    for base, call in ALL_CALLS:
        tally = CallTally(call.name)
        tallies.append(tally)
        handler = endpoint(call, services, operator, limits, tally)
        add_route(app, call.method, base + call.path, handler)
    docs = _with_error_page(docs_file, errors)
    add_route(app, "GET", "/docs/{name}", _limited(docs, services, limits, errors))
    app.router.apply_routes()
    fallback = _with_error_page(nothing_here(app), errors)
    app.router.fallback = _limited(fallback, services, limits, errors)
    return tallies


def _with_error_page(handler: Handler, errors: ErrorPage) -> Handler:
    """Returns a handler whose refusals are pages for a browser that opens an address."""

    async def respond(request: Request) -> Response:
        response = await handler(request)
        return response if response.status < _REFUSALS else errors.instead_of(request, response)

    return respond


def _limited(handler: Handler, services: Services, limits: Limits, errors: ErrorPage) -> Handler:
    """Returns a page's handler behind the address limit that all calls have."""

    async def respond(request: Request) -> Response:
        ask = Ask(request, services)
        try:
            limits.count_request(ask)
        except RateLimited as error:
            response = problem(error)
            response.add_header(b"x-request-id", request_id(request))
            if ask.rate_limit is not None:
                add_rate_limit_headers(response, ask.rate_limit)
            return errors.instead_of(request, response)
        return await handler(request)

    return respond


async def _flush_for_ever(tallies: list[CallTally]) -> None:
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        for tally in tallies:
            tally.flush()


async def _end(flushing: "asyncio.Task[None]", tallies: list[CallTally]) -> None:
    flushing.cancel()
    for tally in tallies:
        tally.flush()
