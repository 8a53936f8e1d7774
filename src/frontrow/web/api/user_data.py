"""Calls about a user's data: export and erasure."""

from blacksheep import Response

from frontrow.errors import BalanceRemains
from frontrow.retention.export import export_user
from frontrow.retention.model import UserExport
from frontrow.web import exports
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import JSON, no_content

_exports = exports.Exports()


async def export(ask: Ask) -> Response:
    """Returns all data of the user."""
    pages = export_user(
        ask.services.pool,
        ask.user_id,
        connect_seconds=ask.services.settings.deadline_seconds,
        reader_seconds=exports.EXPORT_SECONDS,
    )
    content = await _exports.content(ask.request, JSON, pages, ask.user_id)
    return Response(200, [_PRIVATE], content)


async def erase(ask: Ask) -> Response:
    """Erases the user."""
    await ask.services.erasures.erase(ask.user_id)
    return no_content()


_PRIVATE = (b"cache-control", b"private, no-store")

CALLS = (
    Call(
        method="GET",
        path="/users/me/export",
        name="export_user",
        group="Users",
        summary="Export the user's data",
        says=(
            "A consistent snapshot. May take long in a large installation; a user has one export "
            "at a time, and each process reads only a few at the same time."
        ),
        who=Who.USER,
        answers=(
            Answer(200, "The user's data.", UserExport, headers={"Cache-Control": "Private."}),
        ),
        handler=export,
    ),
    Call(
        method="DELETE",
        path="/users/me",
        name="erase_user",
        group="Users",
        summary="Erase the user",
        says=(
            "The user leaves all lines, all holds are released and every credential ends: on this "
            "process at once, on the others within a second. Soon after, places and holds that "
            "ended without a payment no longer name the user. Transfers, payments and tickets are "
            "kept under the user's id, and the tickets stay valid. It can't be undone."
        ),
        who=Who.USER,
        answers=(Answer(204, "The user is erased."),),
        refusals=(BalanceRemains,),
        handler=erase,
    ),
)
