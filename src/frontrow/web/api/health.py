"""Calls for operations: health, readiness, metrics."""

import msgspec
from blacksheep import Content, Response
from prometheus_client import CONTENT_TYPE_LATEST

from frontrow.db.migrate import pending
from frontrow.errors import Unavailable
from frontrow.metrics import exposition
from frontrow.upkeep.lines import open_concerts
from frontrow.web.calls import Answer, Ask, Call
from frontrow.web.endpoint import ok


class Health(msgspec.Struct, frozen=True):
    """The answer of a health check."""

    status: str


async def healthz(ask: Ask) -> Response:
    """Reports that the process answers."""
    return ok(Health("ok"))


async def readyz(ask: Ask) -> Response:
    """Reports whether the database answers and is migrated."""
    try:
        async with ask.services.pool.acquire(timeout=2) as connection:
            missing = await pending(connection)
    except Exception as error:
        raise Unavailable("the database can't be reached") from error
    if missing or ask.services.stopping.is_set():
        raise Unavailable("the database isn't migrated" if missing else "the server is stopping")
    return ok(Health("ready"))


async def metrics(ask: Ask) -> Response:
    """Returns the metrics of all worker processes."""
    text = exposition(ask.services.settings.metrics_dir, open_concerts(ask.services))
    return Response(200, None, Content(CONTENT_TYPE_LATEST.encode(), text))


CALLS = (
    Call(
        method="GET",
        path="/healthz",
        name="healthz",
        group="Around it",
        summary="Check that the process answers",
        answers=(Answer(200, "It answers.", Health),),
        stored=False,
        handler=healthz,
    ),
    Call(
        method="GET",
        path="/readyz",
        name="readyz",
        group="Around it",
        summary="Check that the database answers and is migrated",
        answers=(Answer(200, "It is ready.", Health, example={"status": "ready"}),),
        refusals=(Unavailable,),
        stored=False,
        handler=readyz,
    ),
    Call(
        method="GET",
        path="/metrics",
        name="metrics",
        group="Around it",
        summary="Get the metrics of all worker processes",
        answers=(
            Answer(
                200,
                "The metrics in Prometheus' text format.",
                str,
                "text/plain",
                example='frontrow_http_requests_total{call="hold",status="201"} 41.0\n',
            ),
        ),
        stored=False,
        handler=metrics,
    ),
)
