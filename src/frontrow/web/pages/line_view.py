"""The values that a concert's page shows of its line.

The templates have the markup. The page's script fills the same templates with the same names
(``site/fan/line/waiting.js``), from the statuses that it receives.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from markupsafe import Markup

from frontrow.listings import ListedConcert
from frontrow.waiting_room.model import Eta, QueueDocument, Status
from frontrow.waiting_room.settings import LineOrder
from frontrow.web.i18n.texts import Texts
from frontrow.web.pages.assets import Files
from frontrow.web.pages.concert_list import is_over
from frontrow.web.pages.rendering import PageTemplate

_MINUTE = 60

_BLANK: Mapping[str, Mapping[str, object]] = {
    name: dict.fromkeys(names.split(), "")
    for name, names in {
        "waiting": "title ahead ahead_label next number forecast seats outnumbered",
        "turn": "title",
        "over": "heading title text",
        "finished": "heading title text paid join_again join_for_more",
    }.items()
}
"""The views of a place, with the names of their values."""


class Views:
    """The templates of a place's views."""

    def __init__(self, files: Files, catalogs: Sequence[str], styles: Sequence[str]) -> None:
        self._templates = {
            name: PageTemplate(files, f"views/{name}", catalogs, styles) for name in _BLANK
        }

    def render(self, language: str, name: str, values: Mapping[str, object]) -> Markup:
        """Returns a view."""
        return self._templates[name].fragment(language, **values)

    def blank(self, language: str, names: Iterable[str] = tuple(_BLANK)) -> dict[str, Markup]:
        """Returns views without values, which a script fills."""
        return {name: self.render(language, name, _BLANK[name]) for name in names}


class WaysIn(NamedTuple):
    """How a visitor without a place can get one."""

    join: bool
    """By joining: as the browser's user, or as a guest."""
    needs_script: bool = False
    """Joining takes proof of work first, which only the script can do."""
    sign_in: str | None = None
    """By signing in at this address first."""
    is_refused_guest: bool = False
    """None, until the browser forgets its guest and signs in."""


def opening(concert: ListedConcert, opens_at: datetime | None, texts: Texts) -> str:
    """Returns when a line opens, at the venue; an empty text where it has no such time."""
    if opens_at is None:
        return ""
    zone = ZoneInfo(concert.timezone)
    return texts.moment(opens_at.astimezone(zone), datetime.now(zone).year)


class Landing(NamedTuple):
    """The text for a visitor without a place."""

    text: str
    order: LineOrder
    is_over: bool
    ways: WaysIn
    refuses_cookies: bool
    """Whether the browser has kept no cookie of a form's answer."""


def landing(
    concert: ListedConcert,
    line: QueueDocument,
    opens: str,
    texts: Texts,
    *,
    ways: WaysIn,
    refuses_cookies: bool,
) -> Landing:
    """Returns the values for a visitor without a place."""
    text = texts(f"landing.{line.state}", opens=opens)
    if concert.sale != "open":
        text = f"{texts(f'over.{concert.sale}')} {texts(f'over.{concert.sale}.next')}"
    return Landing(text, line.order, is_over(concert), ways, refuses_cookies)


def place(
    concert: ListedConcert, status: Status, opens: str, texts: Texts
) -> tuple[str, dict[str, object]]:
    """Returns the view of a place, by name, and its values."""
    if status.state == "finished":
        name, values = "finished", _finished(concert, status, texts)
    elif concert.sale != "open" and status.claimed_at is None:
        name = "over"
        values = {"heading": texts(f"over.{concert.sale}")}
        values["text"] = texts(f"over.{concert.sale}.next")
    elif status.state == "admitted":
        name, values = "turn", {}
    else:
        name, values = "waiting", _waiting(status, opens, texts)
    return name, {**_BLANK[name], "title": concert.title, **values}


def _finished(concert: ListedConcert, status: Status, texts: Texts) -> dict[str, object]:
    reason = status.reason
    is_paid, can_join = reason == "paid", not is_over(concert)
    return {
        "heading": texts(f"finished.{reason}"),
        "text": texts(
            f"finished.{reason}.next" if concert.sale == "open" else f"over.{concert.sale}"
        ),
        "paid": is_paid,
        "join_again": can_join and not is_paid,
        "join_for_more": can_join and is_paid,
    }


def _waiting(status: Status, opens: str, texts: Texts) -> dict[str, object]:
    is_drawn = status.position is not None
    state = status.room_state if is_drawn or status.room_state != "scheduled" else "draw"
    outnumbered = status.seats_outnumbered and status.room_state != "sold_out"
    return {
        **_ahead(status, texts),
        "next": texts(f"wait.next.{state}", opens=opens),
        "number": (
            texts("number", number=status.position)
            if is_drawn
            else texts("wait.entry", number=status.number)
        ),
        "forecast": _band(status.eta_seconds, texts),
        "seats": texts("wait.seats_left", count=status.seats_available),
        "outnumbered": texts("wait.outnumbered") if outnumbered else "",
    }


def _ahead(status: Status, texts: Texts) -> dict[str, object]:
    if status.position is None:
        return {"ahead_label": texts("wait.before_draw")}
    if not status.ahead:
        return {"ahead_label": texts("wait.next_up")}
    return {
        "ahead": texts("number", number=status.ahead),
        "ahead_label": texts("wait.ahead_label", count=status.ahead),
    }


def _band(eta: Eta | None, texts: Texts) -> str:
    if eta is None:
        return texts("wait.unknown")
    first, last = _roughly(eta.p50, texts), _roughly(eta.p90, texts)
    return first if first == last else texts("wait.band", first=first, last=last)


def _roughly(seconds: float, texts: Texts) -> str:
    """Returns a length of time in minutes, or in half hours from 90 minutes on."""
    if seconds < _MINUTE:
        return texts("time.under_a_minute")
    if seconds < 90 * _MINUTE:
        return texts("time.minutes", count=round(seconds / _MINUTE))
    return texts("time.hours", count=round(seconds / (30 * _MINUTE)) / 2)
