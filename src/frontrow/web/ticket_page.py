"""A ticket to look at: its QR code, and a page to print that needs nothing from anywhere else."""

import base64
import hashlib
from functools import lru_cache
from html import escape
from importlib.resources import files
from io import BytesIO
from string import Template
from zoneinfo import ZoneInfo

import segno

from frontrow.payments.model import Ticket

_TEMPLATE = Template(files("frontrow.web").joinpath("ticket.html").read_text("utf-8"))
_STYLE = files("frontrow.web").joinpath("ticket.css").read_text("utf-8")
# One of the eight patterns that a reader knows. The encoder tries all of them for the least regular
# drawing, which takes four times as long; most of a code is random already.
_MASK = 3
_REMEMBERED_DRAWINGS = 1_000

POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src "
    f"'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
).encode()
"""The page's Content-Security-Policy: its own style, and nothing else."""


@lru_cache(maxsize=_REMEMBERED_DRAWINGS)
def qr_svg(code: str) -> bytes:
    """The QR code (ISO/IEC 18004) of a ticket's code as an SVG image, as large as its frame.

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
        title="QR code of the ticket",
        svgclass=None,
        lineclass=None,
    )
    return drawn.getvalue()


def page(ticket: Ticket, code: str) -> str:
    """A ticket as a page; the time is the venue's."""
    starts_at = ticket.starts_at.astimezone(ZoneInfo(ticket.timezone))
    details = [
        ("Date", f"{starts_at:%A}, {starts_at.day} {starts_at:%B %Y}"),
        ("Time", f"{starts_at:%H:%M} ({ticket.timezone})"),
        ("Venue", ticket.venue),
        ("Section", ticket.section),
        ("Row", str(ticket.row)),
        ("Seat", str(ticket.seat)),
    ]
    notice = ""
    if ticket.checked_in_at is not None:
        used_at = ticket.checked_in_at.astimezone(ZoneInfo(ticket.timezone))
        notice = f'<p class="notice">Used at {used_at:%H:%M on %d %B %Y}.</p>'
    return _TEMPLATE.substitute(
        title=escape(ticket.title),
        style=_STYLE,
        notice=notice,
        details="\n".join(
            f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in details if value
        ),
        code_drawing=qr_svg(code).decode(),
        ticket_id=ticket.ticket_id,
    )
