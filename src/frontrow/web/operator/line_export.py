"""The export of a line, as JSON or as CSV."""

import re
from urllib.request import parse_http_list
from uuid import UUID

from blacksheep import Request, Response

from frontrow.errors import NotFound
from frontrow.waiting_room.reports.line_export import CSV, JSON, LineExport, export_line
from frontrow.web import exports
from frontrow.web.calls import Answer, Ask, Call, Who

_JSON = b"application/json"
_CSV = b"text/csv; charset=utf-8; header=present"
_VARY = (b"vary", b"accept")
_exports = exports.Exports()
_WEIGHT = re.compile(r";\s*q\s*=\s*(0(?:\.\d*)?|1(?:\.0*)?)\s*(?:;|$)", re.IGNORECASE)


async def order(ask: Ask) -> Response:
    """Exports a line in number order."""
    request, concert_id = ask.request, ask.params["concert_id"]
    form = CSV if prefers_csv(request) else JSON
    pages = export_line(
        ask.services.pool,
        concert_id,
        form,
        connect_seconds=ask.services.settings.deadline_seconds,
        reader_seconds=exports.EXPORT_SECONDS,
    )
    if form is JSON:
        return Response(200, [_VARY], await _exports.content(request, _JSON, pages))
    name = f'attachment; filename="order-{concert_id}.csv"'.encode()
    headers = [_VARY, (b"content-disposition", name)]
    return Response(200, headers, await _exports.content(request, _CSV, pages))


def prefers_csv(request: Request) -> bool:
    """Returns whether a request prefers CSV to JSON, or names CSV with an equal weight.

    Weights are those of the most specific range in ``Accept`` (RFC 9110, 12.5.1).
    """
    weights: dict[str, float] = {}
    for accepted in parse_http_list(b",".join(request.headers.get(b"accept")).decode("latin-1")):
        media_range, mark, parameters = accepted.partition(";")
        weight = _WEIGHT.search(mark + parameters)
        name = media_range.strip().lower()
        weights[name] = max(weights.get(name, 0.0), float(weight[1]) if weight else 1.0)

    def weight_of(*ranges: str) -> float:
        return next((weights[name] for name in ranges if name in weights), 0.0)

    csv = weight_of("text/csv", "text/*", "*/*")
    json = weight_of("application/json", "application/*", "*/*")
    return csv > json or (csv == json > 0 and "text/csv" in weights)


_CSV_EXAMPLE = "".join(
    f"{line}\r\n"
    for line in (
        "number,position,state,reason,joined_at,admitted_at,finished_at",
        "1,2,finished,left,2026-11-22T09:58:12.004211Z,,2026-11-22T10:02:11.907114Z",
        "2,1,admitted,,2026-11-22T09:58:12.619440Z,2026-11-22T10:00:00.113907Z,",
    )
)
_VARIES = {"Vary": "Accept."}

CALLS = (
    Call(
        method="GET",
        path="/admin/concerts/{concert_id}/order",
        name="order",
        group="Operator",
        summary="Export a line",
        says=(
            "Every place in number order, as one snapshot; CSV with `Accept: text/csv`. May take "
            "long for a long line. An export that is not received within five minutes is cut off; "
            "each process reads only a few at the same time."
        ),
        who=Who.OPERATOR,
        params={"concert_id": UUID},
        answers=(
            Answer(200, "The line.", LineExport, headers=_VARIES),
            Answer(
                200,
                "The line as CSV with a header line.",
                str,
                "text/csv",
                example=_CSV_EXAMPLE,
                headers={**_VARIES, "Content-Disposition": "The name of the file."},
            ),
        ),
        refusals=(NotFound,),
        handler=order,
    ),
)
