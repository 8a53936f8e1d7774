"""Calls about tickets: as data, as a QR code, to print, for a calendar; and the gates' keys."""

import asyncio
from uuid import UUID

from blacksheep import Content, Response

from frontrow.errors import NotFound, TicketVoid
from frontrow.payments.model import Ticket
from frontrow.payments.ticket_keys import TicketKeys, jwks
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import JSON, encode, ok
from frontrow.web.i18n.catalogs import language_of
from frontrow.web.tickets import print_page
from frontrow.web.tickets.calendar import calendar
from frontrow.web.tickets.wording import texts_of

# Drawing holds the interpreter for two milliseconds: one at a time, beside the loop.
_drawing = asyncio.Semaphore(1)


async def keys(ask: Ask) -> Response:
    """Shows the keys that gates need."""
    ring = ask.services.tickets.signer.ring
    known = jwks(key.public_key for key in ring.keys.values() if key.public_key is not None)
    return Response(200, [(b"cache-control", b"public, max-age=5")], Content(JSON, encode(known)))


async def ticket(ask: Ask) -> Response:
    """Shows a ticket."""
    return ok(await _ticket(ask))


async def qr(ask: Ask) -> Response:
    """Draws a ticket's code."""
    code, language = _code(await _ticket(ask)), language_of(ask.request)
    title = texts_of(language)["ticket.qr"]
    async with _drawing:
        drawn = await asyncio.to_thread(print_page.qr_svg, code, title)
    policy = (b"content-security-policy", b"default-src 'none'")
    return _file(b"image/svg+xml", language, drawn, policy)


async def printable(ask: Ask) -> Response:
    """Gives a ticket as a page to print."""
    shown = await _ticket(ask)
    code, language = _code(shown), language_of(ask.request)
    async with _drawing:
        page = await asyncio.to_thread(print_page.page, shown, code, language)
    return _file(
        b"text/html; charset=utf-8",
        language,
        page.encode(),
        (b"content-security-policy", print_page.POLICY),
        (b"referrer-policy", b"no-referrer"),
    )


async def entry(ask: Ask) -> Response:
    """Gives a ticket as an entry of a calendar."""
    shown = await _ticket(ask)
    language = language_of(ask.request)
    name = f'attachment; filename="ticket-{shown.ticket_id}.ics"'.encode()
    written = calendar(shown, language)
    kind = b"text/calendar; charset=utf-8"
    return _file(kind, language, written, (b"content-disposition", name))


async def _ticket(ask: Ask) -> Ticket:
    return await ask.services.tickets.ticket(ask.user_id, ask.params["ticket_id"])


def _code(shown: Ticket) -> str:
    """The code of a ticket that has one.

    Raises:
        TicketVoid: it has none any more.
    """
    if shown.code is None:
        raise TicketVoid(reason=shown.void_reason)
    return shown.code


def _file(media_type: bytes, language: str, body: bytes, *headers: tuple[bytes, bytes]) -> Response:
    """A file that its owner's browser may keep for a while, and nobody else."""
    kept = [
        (b"cache-control", b"private, max-age=300"),
        (b"content-language", language.encode()),
        (b"vary", b"authorization, cookie, accept-language"),
        (b"x-content-type-options", b"nosniff"),
    ]
    return Response(200, [*kept, *headers], Content(media_type, body))


_ONE = {"ticket_id": UUID}
_KEPT = {
    "Cache-Control": "The owner's browser, for five minutes.",
    "Content-Language": "`en` or `ko`: as chosen on a page, else as Accept-Language says.",
    "Vary": "By whatever may be the credential, and the language.",
}

CALLS = (
    Call(
        method="GET",
        path="/tickets/keys",
        name="ticket_keys",
        group="Tickets",
        summary="Show the public keys of tickets",
        says=(
            "A gate verifies codes with them, also without the server. One that meets a key id it "
            "doesn't know asks again."
        ),
        answers=(
            Answer(200, "A JWK set.", TicketKeys, headers={"Cache-Control": "Five seconds."}),
        ),
        stored=False,
        handler=keys,
    ),
    Call(
        method="GET",
        path="/tickets/{ticket_id}",
        name="ticket",
        group="Tickets",
        summary="Show a ticket",
        who=Who.USER,
        params=_ONE,
        answers=(Answer(200, "The ticket.", Ticket),),
        refusals=(NotFound,),
        handler=ticket,
    ),
    Call(
        method="GET",
        path="/tickets/{ticket_id}/qr.svg",
        name="ticket_qr",
        group="Tickets",
        summary="Draw a ticket's code",
        says="A QR code without a size of its own: it fills its frame.",
        who=Who.USER,
        params=_ONE,
        answers=(
            Answer(
                200,
                "An SVG image.",
                str,
                "image/svg+xml",
                example='<svg viewBox="0 0 57 57">…</svg>',
                headers=_KEPT,
            ),
        ),
        refusals=(NotFound, TicketVoid),
        handler=qr,
    ),
    Call(
        method="GET",
        path="/tickets/{ticket_id}/print",
        name="ticket_print",
        group="Tickets",
        summary="Print a ticket",
        says="A page that needs nothing else: no script, no font, no image from anywhere.",
        who=Who.USER,
        params=_ONE,
        answers=(
            Answer(200, "A page.", str, "text/html", example="<!doctype html>…", headers=_KEPT),
        ),
        refusals=(NotFound, TicketVoid),
        handler=printable,
    ),
    Call(
        method="GET",
        path="/tickets/{ticket_id}/calendar.ics",
        name="ticket_calendar",
        group="Tickets",
        summary="Put a ticket into a calendar",
        says="The code isn't in it. That of a void ticket cancels the entry.",
        who=Who.USER,
        params=_ONE,
        answers=(
            Answer(
                200,
                "An event (RFC 5545).",
                str,
                "text/calendar",
                example="BEGIN:VCALENDAR\r\n…\r\nEND:VCALENDAR\r\n",
                headers={**_KEPT, "Content-Disposition": "The name of the file."},
            ),
        ),
        refusals=(NotFound,),
        handler=entry,
    ),
)
