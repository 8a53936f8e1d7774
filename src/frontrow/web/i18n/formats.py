"""Money and dates as the pages that the server renders write them."""

from collections.abc import Mapping
from datetime import date, datetime

from frontrow.web.i18n.catalogs import text

_SIGNS = {"EUR": "€", "GBP": "£", "JPY": "¥", "KRW": "₩", "USD": "$"}
# ISO 4217: how many digits the minor unit has where it isn't two.
_DIGITS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "UGX": 0} | dict.fromkeys(
    ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3
)


def money(amount: int, currency: str) -> str:
    """An amount in the currency's minor unit."""
    digits = _DIGITS.get(currency, 2)
    return f"{_SIGNS.get(currency, currency + ' ')}{amount / 10**digits:,.{digits}f}"


def days(first: date, last: date, texts: Mapping[str, str], this_year: int) -> str:
    """One day, or the days from one to another; with years unless they are in this one."""
    if first == last:
        return _day(first, texts, has_year=first.year != this_year)
    has_year = not first.year == last.year == this_year
    written = {
        name: _day(which, texts, has_year=has_year)
        for name, which in (("first", first), ("last", last))
    }
    return text(texts, "dates", **written)


def moment(at: datetime, texts: Mapping[str, str], this_year: int) -> str:
    """A moment, in the time zone that it is given in; with its year unless it is in this one."""
    day = _day(at.date(), texts, has_year=at.year != this_year)
    return text(texts, "moment", day=day, time=f"{at:%H:%M}")


def _day(which: date, texts: Mapping[str, str], *, has_year: bool) -> str:
    return text(
        texts,
        "date.year" if has_year else "date",
        weekday=texts[f"weekday.{which.weekday()}"],
        month=texts[f"month.{which.month}"],
        day=which.day,
        year=str(which.year),
    )
