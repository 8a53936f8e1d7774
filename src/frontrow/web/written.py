"""Money and dates as the pages that the server renders write them."""

from collections.abc import Mapping
from datetime import date, datetime

from frontrow.web.languages import text

_SIGNS = {"EUR": "€", "GBP": "£", "JPY": "¥", "KRW": "₩", "USD": "$"}
# ISO 4217: how many digits the minor unit has where it isn't two.
_DIGITS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "UGX": 0} | dict.fromkeys(
    ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3
)


def money(amount: int, currency: str) -> str:
    """An amount in the currency's minor unit."""
    digits = _DIGITS.get(currency, 2)
    return f"{_SIGNS.get(currency, currency + ' ')}{amount / 10**digits:,.{digits}f}"


def days(first: date, last: date, texts: Mapping[str, str]) -> str:
    """One day, or the days from one to another."""
    if first == last:
        return day(first, texts)
    return text(texts, "dates", first=day(first, texts), last=day(last, texts))


def day(which: date, texts: Mapping[str, str]) -> str:
    """A calendar day, without its year."""
    return text(
        texts,
        "date",
        weekday=texts[f"weekday.{which.weekday()}"],
        month=texts[f"month.{which.month}"],
        day=which.day,
    )


def moment(at: datetime, texts: Mapping[str, str]) -> str:
    """A moment, in the time zone that it is given in."""
    return text(texts, "moment", day=day(at.date(), texts), time=f"{at:%H:%M}")
