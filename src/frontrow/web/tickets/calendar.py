"""A ticket as a calendar entry (RFC 5545), without its code: calendars are shared."""

from importlib.metadata import version

from icalendar import Calendar, Event

from frontrow.payments.model import Ticket
from frontrow.web.tickets.wording import place, texts_of


def calendar(ticket: Ticket, language: str) -> bytes:
    """Returns the show as an event without a duration: its end is unknown.

    A ticket has always the same entry: importing it again replaces the previous one. A void
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
