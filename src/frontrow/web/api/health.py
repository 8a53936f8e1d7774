"""Calls for operations: health, readiness, metrics."""

import hmac

import msgspec
from blacksheep import Content, Response
from prometheus_client import CONTENT_TYPE_LATEST

from frontrow.db.faults import Cause
from frontrow.errors import CredentialInvalid, CredentialMissing, Unavailable
from frontrow.web.access.credentials import bearer
from frontrow.web.calls import Answer, Ask, Call
from frontrow.web.endpoint import ok


class Health(msgspec.Struct, frozen=True):
    """The answer of a health check."""

    status: str


async def healthz(ask: Ask) -> Response:
    """Reports that the process answers."""
    return ok(Health("ok"))


_DETAILS: dict[Cause, str] = {
    "unreachable": "the database can't be reached",
    "read_only": "the database is read-only",
    "disk_full": "the database's disk is full",
    "out_of_resources": "the database lacks memory or another resource",
    "canceled": "statements of the database are canceled",
    "io_error": "the database can't read or write its files",
    "not_migrated": "the database isn't migrated",
    "stopping": "the server is stopping",
}


async def readyz(ask: Ask) -> Response:
    """Reports whether the database answers, is migrated, and can write."""
    services = ask.services
    cause = "stopping" if services.stopping.is_set() else await services.readiness.cause()
    if cause is not None:
        raise Unavailable(_DETAILS[cause], cause=cause)
    return ok(Health("ready"))


async def metrics(ask: Ask) -> Response:
    """Returns the metrics of all worker processes; each scrape checks the database."""
    _check_token(ask)
    await ask.services.readiness.cause()
    text = await ask.services.exposition.text()
    return Response(200, None, Content(CONTENT_TYPE_LATEST.encode(), text))


def _check_token(ask: Ask) -> None:
    """Checks the metrics token, where one is needed.

    Raises:
        CredentialMissing, CredentialInvalid: the request has none, or another one.
    """
    settings = ask.services.settings
    if not settings.metrics_need_token:
        return
    given, token = bearer(ask.request), settings.metrics_token
    if token is None or not hmac.compare_digest(given, token.get_secret_value().encode()):
        raise CredentialInvalid


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
        summary="Check that the database answers, is migrated, and can write",
        says=(
            "503 has a `cause`. Polls and reads may still be answered: route requests by "
            "`GET /healthz`. The database is checked at most once a second."
        ),
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
        says=(
            "Needs `Authorization: Bearer` with `FRONTROW_METRICS_TOKEN` if that is set, or if the "
            "server listens on another address than loopback. Rendered at most once a second; "
            "includes the concerts in use within the last hour that have most users."
        ),
        answers=(
            Answer(
                200,
                "The metrics in Prometheus' text format.",
                str,
                "text/plain",
                example='frontrow_http_requests_total{call="hold",status="201"} 41.0\n',
            ),
        ),
        refusals=(CredentialMissing, CredentialInvalid, Unavailable),
        stored=False,
        handler=metrics,
    ),
)
