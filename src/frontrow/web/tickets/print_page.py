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
from frontrow.web.i18n.catalogs import text
from frontrow.web.tickets.wording import full_day, texts_of

_TEMPLATE = Template(files("frontrow.web.tickets").joinpath("print_page.html").read_text("utf-8"))
_STYLE = files("frontrow.web.tickets").joinpath("print_page.css").read_text("utf-8")
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
def qr_svg(code: str, title: str) -> bytes:
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
        title=title,
        svgclass=None,
        lineclass=None,
    )
    return drawn.getvalue()


def page(ticket: Ticket, code: str, language: str) -> str:
    """A ticket as a page; the time is the venue's."""
    texts = texts_of(language)
    starts_at = ticket.starts_at.astimezone(ZoneInfo(ticket.timezone))
    details = [
        ("date", full_day(starts_at.date(), texts)),
        ("time", f"{starts_at:%H:%M} ({ticket.timezone})"),
        ("venue", ticket.venue),
        ("section", ticket.section),
        ("row", str(ticket.row)),
        ("seat", str(ticket.seat)),
    ]
    notice = ""
    if ticket.checked_in_at is not None:
        used_at = ticket.checked_in_at.astimezone(ZoneInfo(ticket.timezone))
        day = full_day(used_at.date(), texts)
        said = text(texts, "ticket.used", time=f"{used_at:%H:%M}", date=day)
        notice = f'<p class="notice">{escape(said)}</p>'
    return _TEMPLATE.substitute(
        language=language,
        head=escape(text(texts, "ticket.head", title=ticket.title)),
        title=escape(ticket.title),
        style=_STYLE,
        notice=notice,
        details="\n".join(
            f"<dt>{escape(texts[f'ticket.label.{name}'])}</dt><dd>{escape(value)}</dd>"
            for name, value in details
            if value
        ),
        code_drawing=qr_svg(code, texts["ticket.qr"]).decode(),
        show=escape(texts["ticket.show"]),
        id=escape(text(texts, "ticket.id", id=ticket.ticket_id)),
    )
