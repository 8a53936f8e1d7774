"""Calls about all that is stored of a user: to have it, and to have it erased."""

from blacksheep import Response

from frontrow.errors import BalanceRemains
from frontrow.retention.export import export_user
from frontrow.retention.model import UserExport
from frontrow.web import exports
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import JSON, no_content

_room = exports.room()


async def export(ask: Ask) -> Response:
    """Gives a user all that is stored of them."""
    running = exports.Export(
        export_user(
            ask.services.pool,
            ask.user_id,
            connect_seconds=ask.services.settings.deadline_seconds,
            reader_seconds=exports.EXPORT_SECONDS,
        ),
        _room,
    )
    running.start()
    first = await running.next_page()  # what it is refused with can be told only now
    return Response(200, [_PRIVATE], running.content(ask.request, JSON, first))


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
        summary="Get everything that is stored about the user",
        says=(
            "At one moment. Takes a while in a large house, and of one process only a few run at "
            "once."
        ),
        who=Who.USER,
        answers=(
            Answer(200, "All of it.", UserExport, headers={"Cache-Control": "For nobody else."}),
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
            "At once, the user leaves all lines, holds are let go and every credential ends, here "
            "at once, on every process within a second. Soon after, places and holds that ended "
            "without a purchase are nobody's. Transfers, payments and tickets stay, under the "
            "user's id; tickets get their holders in. It can't be undone."
        ),
        who=Who.USER,
        answers=(Answer(204, "The user is erased."),),
        refusals=(BalanceRemains,),
        handler=erase,
    ),
)
