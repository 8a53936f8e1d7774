"""A ticket in the words of a language, on paper and in a calendar."""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from importlib.resources import files

from frontrow.payments.model import Ticket
from frontrow.web.i18n.catalogs import catalog, text

_PARTS = ("list", "ticket")


@lru_cache
def texts_of(language: str) -> Mapping[str, str]:
    """The texts of a ticket."""
    site = files("frontrow.web").joinpath("site")
    paths = (f"catalogs/{language}/{part}.json" for part in _PARTS)
    return catalog({path: site.joinpath(path).read_bytes() for path in paths}, language, *_PARTS)


def full_day(which: date, texts: Mapping[str, str]) -> str:
    """A calendar day, with its year."""
    return text(
        texts,
        "ticket.date",
        weekday=texts[f"ticket.weekday.{which.weekday()}"],
        month=texts[f"month.{which.month}"],
        day=which.day,
        year=str(which.year),
    )


def place(ticket: Ticket, texts: Mapping[str, str]) -> str:
    """Where its seat is."""
    found = text(texts, "ticket.place", row=str(ticket.row), seat=str(ticket.seat))
    if ticket.section is None:
        return found
    return text(texts, "ticket.place.in_section", section=ticket.section, place=found)
