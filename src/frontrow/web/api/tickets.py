"""Calls about tickets: as data, QR code, printable page and calendar entry; and the public keys."""

import asyncio
from uuid import UUID

from blacksheep import Content, Response

from frontrow.errors import NotFound, TicketVoid
from frontrow.payments.model import Ticket
from frontrow.payments.ticket_keys import TicketKeys, jwks
from frontrow.web.calls import Answer, Ask, Call, Who
from frontrow.web.endpoint import JSON, encode, ok
from frontrow.web.i18n.negotiation import language_of
from frontrow.web.openapi.examples import CONCERT, TICKET
from frontrow.web.tickets import print_page
from frontrow.web.tickets.calendar import calendar
from frontrow.web.tickets.wording import texts_of

# Rendering blocks the interpreter for two milliseconds: one at a time, in a thread.
_rendering = asyncio.Semaphore(1)


async def keys(ask: Ask) -> Response:
    """Returns the public keys for gates."""
    ring = ask.services.tickets.signer.ring
    known = jwks(key.public_key for key in ring.keys.values() if key.public_key is not None)
    return Response(200, [(b"cache-control", b"public, max-age=5")], Content(JSON, encode(known)))


async def ticket(ask: Ask) -> Response:
    """Returns a ticket."""
    return ok(await _ticket(ask))


async def qr(ask: Ask) -> Response:
    """Returns a ticket's QR code."""
    code, language = _code(await _ticket(ask)), language_of(ask.request)
    title = texts_of(language)("ticket.qr")
    async with _rendering:
        svg = await asyncio.to_thread(print_page.qr_svg, code, title)
    policy = (b"content-security-policy", b"default-src 'none'")
    return _file(b"image/svg+xml", language, svg, policy)


async def printable(ask: Ask) -> Response:
    """Returns a ticket as a printable page."""
    shown = await _ticket(ask)
    code, language = _code(shown), language_of(ask.request)
    async with _rendering:
        page = await asyncio.to_thread(print_page.page, shown, code, language)
    return _file(
        b"text/html; charset=utf-8",
        language,
        page.encode(),
        (b"content-security-policy", print_page.POLICY),
        (b"referrer-policy", b"no-referrer"),
    )


async def entry(ask: Ask) -> Response:
    """Returns a ticket as a calendar entry. Not from a cache: a change would reach it late."""
    revision = await ask.services.tickets.revision(ask.user_id, ask.params["ticket_id"])
    shown = await _ticket(ask)
    language = language_of(ask.request)
    name = f'attachment; filename="ticket-{shown.ticket_id}.ics"'.encode()
    method, written = calendar(shown, revision, language)
    kind = f"text/calendar; charset=utf-8; method={method}".encode()
    return _file(
        kind, language, written, (b"content-disposition", name), cache_control=b"private, no-cache"
    )


async def _ticket(ask: Ask) -> Ticket:
    return await ask.services.tickets.ticket(ask.user_id, ask.params["ticket_id"])


def _code(shown: Ticket) -> str:
    """Returns the code of a ticket.

    Raises:
        TicketVoid: the ticket is void.
    """
    if shown.code is None:
        raise TicketVoid(reason=shown.void_reason)
    return shown.code


def _file(
    media_type: bytes,
    language: str,
    body: bytes,
    *headers: tuple[bytes, bytes],
    cache_control: bytes = b"private, max-age=300",
) -> Response:
    """Returns a file that only its owner's browser may cache, by default for five minutes."""
    common = [
        (b"cache-control", cache_control),
        (b"content-language", language.encode()),
        (b"vary", b"authorization, cookie, accept-language"),
        (b"x-content-type-options", b"nosniff"),
    ]
    return Response(200, [*common, *headers], Content(media_type, body))


_ONE = {"ticket_id": UUID}
_FILE_HEADERS = {
    "Cache-Control": "Private, five minutes.",
    "Content-Language": "`en` or `ko`: the language chosen on a page, else by Accept-Language.",
    "Vary": "The headers that may hold the credential, and the language.",
}

_CALENDAR = "".join(
    f"{line}\r\n"
    for line in (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Frontrow//Frontrow//EN",
        "METHOD:PUBLISH",
        "BEGIN:VEVENT",
        f"UID:{TICKET}",
        "DTSTAMP:20261122T100211Z",
        "SEQUENCE:0",
        "DTSTART:20270314T103000Z",
        f"ORGANIZER:urn:uuid:{CONCERT}",
        "SUMMARY:An evening",
        "LOCATION:The Hall\\, Seoul",
        "DESCRIPTION:Row 1\\, Seat 7",
        "STATUS:CONFIRMED",
        "END:VEVENT",
        "END:VCALENDAR",
    )
)

CALLS = (
    Call(
        method="GET",
        path="/tickets/keys",
        name="ticket_keys",
        group="Tickets",
        summary="Get the public keys of tickets",
        says=(
            "A gate verifies codes with them without the server. It reads them again when a code "
            "has an unknown key id."
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
        summary="Get a ticket",
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
        summary="Get a ticket's QR code",
        says="It has no size of its own and fills its container.",
        who=Who.USER,
        params=_ONE,
        answers=(
            Answer(
                200,
                "An SVG image.",
                str,
                "image/svg+xml",
                example='<svg viewBox="0 0 57 57">…</svg>',
                headers=_FILE_HEADERS,
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
        summary="Get a printable ticket",
        says="A page that loads nothing: no script, no font, no image.",
        who=Who.USER,
        params=_ONE,
        answers=(
            Answer(
                200, "A page.", str, "text/html", example="<!doctype html>…", headers=_FILE_HEADERS
            ),
        ),
        refusals=(NotFound, TicketVoid),
        handler=printable,
    ),
    Call(
        method="GET",
        path="/tickets/{ticket_id}/calendar.ics",
        name="ticket_calendar",
        group="Tickets",
        summary="Get a calendar entry of a ticket",
        says=(
            "It does not contain the code. A later version has a higher SEQUENCE and DTSTAMP; of a "
            "void ticket or a cancelled show it is a cancellation (METHOD:CANCEL, RFC 5546)."
        ),
        who=Who.USER,
        params=_ONE,
        answers=(
            Answer(
                200,
                "An event (RFC 5545).",
                str,
                "text/calendar",
                example=_CALENDAR,
                headers={
                    **_FILE_HEADERS,
                    "Cache-Control": "Private; validated each time.",
                    "Content-Disposition": "The name of the file.",
                },
            ),
        ),
        refusals=(NotFound,),
        handler=entry,
    ),
)
