"""Texts with their values, numbers, money and dates as a language writes them (Unicode CLDR)."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache

from babel import Locale
from babel.dates import format_date
from babel.numbers import (
    format_currency,
    format_decimal,
    get_currency_precision,
    get_currency_symbol,
)

from frontrow.web.i18n.catalogs import catalog

_REMEMBERED = 4_096


class Texts:
    """The texts of some parts of a language's catalogs. Called with a key, it returns a text."""

    def __init__(self, language: str, *parts: str) -> None:
        self.language = language
        self.catalog: Mapping[str, str] = catalog(language, *parts)
        self._plural_form = Locale.parse(language).plural_form

    def __call__(self, key: str, **values: object) -> str:
        """Returns a text with its values; with a ``count``, the plural form that it takes."""
        count = values.get("count")
        if isinstance(count, int | float) and key not in self.catalog:
            key = f"{key}.{self._plural_form(count)}"
        text = self.catalog[key]
        if not values:
            return text
        written = {
            name: _number(value, self.language) if isinstance(value, int | float) else value
            for name, value in values.items()
        }
        return text.format_map(written)

    def money(self, amount: int, currency: str) -> str:
        """Returns an amount, given in the currency's minor unit."""
        return _money(amount, currency, self.language)

    def days(self, first: date, last: date, this_year: int) -> str:
        """Returns a day or a period; with its years, unless both days are in this one."""
        pattern = "day" if first.year == last.year == this_year else "day_and_year"
        if first == last:
            return self.date(first, pattern)
        return self("days", first=self.date(first, pattern), last=self.date(last, pattern))

    def moment(self, at: datetime, this_year: int) -> str:
        """Returns a date and time of day in the moment's own time zone."""
        day = self.days(at.date(), at.date(), this_year)
        return self("moment", day=day, time=f"{at:%H:%M}")

    def date(self, day: date, pattern: str) -> str:
        """Returns a date in one of the catalog's patterns (Unicode TR 35), ``pattern.<name>``."""
        return _date(day, self.catalog[f"pattern.{pattern}"], self.language)


# CLDR's rules take tens of microseconds for a value; a list of concerts repeats its values.


@lru_cache(_REMEMBERED)
def _number(value: float, language: str) -> str:
    return format_decimal(value, locale=language)


@lru_cache(_REMEMBERED)
def _money(amount: int, currency: str, language: str) -> str:
    value = Decimal(amount).scaleb(-get_currency_precision(currency))
    is_code = get_currency_symbol(currency, language).isalpha()
    # CLDR puts a space between a code and the digits, which Babel doesn't.
    pattern = "¤\N{NO-BREAK SPACE}#,##0" if is_code else None
    return format_currency(value, currency, pattern, language)


@lru_cache(_REMEMBERED)
def _date(day: date, pattern: str, language: str) -> str:
    return format_date(day, pattern, locale=language)
