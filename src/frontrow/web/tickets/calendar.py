"""A ticket as a calendar entry (RFC 5545, RFC 5546), without its code: calendars are shared."""

from importlib.metadata import version
from typing import Literal

from icalendar import Calendar, Event, vCalAddress

from frontrow.payments.model import Revision, Ticket
from frontrow.text_rules import without_controls
from frontrow.web.tickets.wording import place, texts_of


def calendar(
    ticket: Ticket, revision: Revision, language: str
) -> tuple[Literal["PUBLISH", "CANCEL"], bytes]:
    """Returns the method and the file of a ticket, an event without a duration: its end is unknown.

    A ticket has always the same UID, so a calendar replaces the entry that it has by one with a
    higher SEQUENCE (RFC 5546, 2.1.5). A revision has one file: DTSTAMP is the revision's time.
    """
    method: Literal["PUBLISH", "CANCEL"] = "CANCEL" if revision.cancelled else "PUBLISH"
    event = Event()
    event.add("uid", str(ticket.ticket_id))
    event.add("sequence", revision.number)
    event.add("dtstamp", revision.revised_at)
    event.add("dtstart", ticket.starts_at)
    event.add("organizer", _organizer(ticket))
    event.add("summary", without_controls(ticket.title))
    if ticket.venue:
        event.add("location", without_controls(ticket.venue))
    event.add("description", without_controls(place(ticket, texts_of(language))))
    event.add("status", "CANCELLED" if revision.cancelled else "CONFIRMED")
    whole = Calendar()
    whole.add("prodid", f"-//Frontrow//Frontrow {version('frontrow')}//{language.upper()}")
    whole.add("version", "2.0")
    whole.add("method", method)
    whole.add_component(event)
    written: bytes = whole.to_ical()
    return method, written


def _organizer(ticket: Ticket) -> vCalAddress:
    """Returns the organizer, which each method requires: the concert, as it has no mail address."""
    return vCalAddress(f"urn:uuid:{ticket.concert_id}")
