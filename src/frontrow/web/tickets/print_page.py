"""A ticket as a QR code, and as a page to print that loads nothing else."""

import base64
import hashlib
from functools import lru_cache
from importlib.resources import files
from io import BytesIO
from zoneinfo import ZoneInfo

import segno
from markupsafe import Markup

from frontrow.payments.model import Ticket
from frontrow.web.templates import ENVIRONMENT
from frontrow.web.tickets.wording import texts_of

_TEMPLATE = ENVIRONMENT.get_template("tickets/print_page.html")
_STYLE = files("frontrow.web.tickets").joinpath("print_page.css").read_text("utf-8")
# One of the eight masks. By default the encoder tries all of them for the least regular drawing,
# which takes four times as long; most of a code is random already.
_MASK = 3
_REMEMBERED_DRAWINGS = 1_000

POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src "
    f"'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
).encode()
"""The page's Content-Security-Policy: its own style, and nothing else."""


@lru_cache(maxsize=_REMEMBERED_DRAWINGS)
def qr_svg(code: str, title: str) -> bytes:
    """Returns the QR code (ISO/IEC 18004) of a ticket's code as an SVG image that fills its frame.

    A seventh of it may be unreadable (error correction M).
    """
    drawn = BytesIO()
    segno.make(code, error="m", boost_error=False, mask=_MASK, micro=False).save(
        drawn,
        kind="svg",
        xmldecl=False,
        omitsize=True,
        border=4,
        light="#fff",
        title=title,
        svgclass=None,
        lineclass=None,
    )
    return drawn.getvalue()


def page(ticket: Ticket, code: str, language: str) -> str:
    """Returns a ticket as a page; its times are the venue's."""
    texts, zone = texts_of(language), ZoneInfo(ticket.timezone)
    starts_at, used = ticket.starts_at.astimezone(zone), None
    if ticket.checked_in_at is not None:
        used_at = ticket.checked_in_at.astimezone(zone)
        used = texts(
            "ticket.used", time=f"{used_at:%H:%M}", date=texts.date(used_at.date(), "full")
        )
    return _TEMPLATE.render(
        t=texts,
        title=ticket.title,
        style=Markup(_STYLE),  # noqa: S704 - a file of ours
        used=used,
        details=(
            ("date", texts.date(starts_at.date(), "full")),
            ("time", f"{starts_at:%H:%M} ({ticket.timezone})"),
            ("venue", ticket.venue),
            ("section", ticket.section),
            ("row", str(ticket.row)),
            ("seat", str(ticket.seat)),
        ),
        drawing=Markup(qr_svg(code, texts("ticket.qr")).decode()),  # noqa: S704 - drawn here
        id=ticket.ticket_id,
    )
