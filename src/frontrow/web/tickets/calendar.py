"""A ticket as an entry of a calendar (RFC 5545). The code isn't in it: calendars are shared."""

from importlib.metadata import version

from icalendar import Calendar, Event

from frontrow.payments.model import Ticket
from frontrow.web.tickets.wording import place, texts_of


def calendar(ticket: Ticket, language: str) -> bytes:
    """The show as an event at an instant, since nobody said when it ends.

    The same ticket is always the same entry: imported again, it replaces the one before. A void
    ticket cancels it.
    """
    void = ticket.void_at is not None
    event = Event()
    event.add("uid", str(ticket.ticket_id))
    event.add("sequence", 1 if void else 0)
    event.add("dtstamp", ticket.void_at or ticket.paid_at)
    event.add("dtstart", ticket.starts_at)
    event.add("summary", ticket.title)
    if ticket.venue:
        event.add("location", ticket.venue)
    event.add("description", place(ticket, texts_of(language)))
    event.add("status", "CANCELLED" if void else "CONFIRMED")
    whole = Calendar()
    whole.add("prodid", f"-//Frontrow//Frontrow {version('frontrow')}//{language.upper()}")
    whole.add("version", "2.0")
    whole.add_component(event)
    written: bytes = whole.to_ical()
    return written
