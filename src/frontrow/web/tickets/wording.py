"""A ticket's texts, on paper and in a calendar."""

from functools import cache

from frontrow.payments.model import Ticket
from frontrow.web.i18n.texts import Texts


@cache
def texts_of(language: str) -> Texts:
    """Returns the texts of tickets in a language."""
    return Texts(language, "ticket")


def place(ticket: Ticket, texts: Texts) -> str:
    """Returns where a ticket's seat is."""
    found = texts("ticket.place", row=str(ticket.row), seat=str(ticket.seat))
    if ticket.section is None:
        return found
    return texts("ticket.place.in_section", section=ticket.section, place=found)
