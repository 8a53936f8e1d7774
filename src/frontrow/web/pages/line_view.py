"""The line of a concert in HTML, as it is when the page is opened.

A browser without scripts gets on with that; the page's script takes over where one runs.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import NamedTuple
from zoneinfo import ZoneInfo

from frontrow.waiting_room.model import Eta, QueueDocument, Status
from frontrow.web.i18n.catalogs import text
from frontrow.web.i18n.formats import moment
from frontrow.web.listings import ListedConcert
from frontrow.web.pages.concert_list import badge, facts, is_over

Texts = Mapping[str, str]


class Ways(NamedTuple):
    """How somebody without a place may get one."""

    join: bool
    """At once: as whom the browser has, or as a guest."""
    works: bool
    """Joining takes proof of work first, which only the script can do."""
    sign_in: str | None
    """After signing in there."""


def landing(concert: ListedConcert, line: QueueDocument, texts: Texts, ways: Ways) -> str:
    """For one who has no place: what it is, and how to get one."""
    opens = _opens(concert, line.opens_at, texts)
    said = text(texts, f"landing.{line.state}", opens=opens)
    fair = escape(f"{texts[f'landing.order.{line.order}']} {texts['landing.kept']}")
    then = [_ways(ways, texts), f'<p class="soft small">{fair}</p>']
    if is_over(concert):
        then = [f'<p><a class="button" href="/">{escape(texts["all_concerts"])}</a></p>']
    if concert.sale != "open":
        said = f"{texts[f'over.{concert.sale}']} {texts[f'over.{concert.sale}.next']}"
    parts = [
        f"<p>{badge(concert, texts)}</p>",
        f'<h1 tabindex="-1">{escape(concert.title)}</h1>',
        *facts(concert, texts),
        f"<p>{escape(said)}</p>",
        *then,
    ]
    return _view("landing", parts)


def place(concert: ListedConcert, line: QueueDocument, status: Status, texts: Texts) -> str:
    """For one who has a place."""
    if status.state == "finished":
        heading, said = f"finished.{status.reason}", [texts[f"finished.{status.reason}.next"]]
        if concert.sale != "open":
            said = [texts[f"over.{concert.sale}"]]
        form = "" if is_over(concert) else _form("join", texts["join_again"], "primary")
    elif concert.sale != "open" and status.claimed_at is None:
        heading, said = f"over.{concert.sale}", [texts[f"over.{concert.sale}.next"]]
        form = _form("leave", texts["leave"])
    elif status.state == "admitted":
        heading, said = "turn.title", [texts["turn.plain"]]
        form = _form("leave", texts["leave"])
    else:
        heading = "wait.heading"
        said = _waiting(status, _opens(concert, line.opens_at, texts), texts)
        form = _form("leave", texts["leave"])
    parts = [
        f'<h1 tabindex="-1">{escape(texts[heading])}</h1>',
        f'<p class="soft">{escape(concert.title)}</p>',
        f'<section class="card stack">{"".join(f"<p>{escape(one)}</p>" for one in said)}</section>',
        f"<noscript>{form}</noscript>",
    ]
    return _view("line", parts)


def _view(name: str, parts: list[str]) -> str:
    return f'<div class="stack view-{name}">{"".join(parts)}</div>'


def _ways(ways: Ways, texts: Texts) -> str:
    join = _form("join", texts["join"], "primary large") if ways.join else ""
    told = ""
    if join and ways.works:
        needed = escape(texts["landing.needs_script"])
        told = f'<noscript><p class="hint warn">{needed}</p></noscript>'
        join = f'<div class="scripted">{join}</div>'
    if ways.sign_in is None:
        return told + join
    look, said = (
        ("button", "account.sign_in") if ways.join else ("button primary large", "landing.sign_in")
    )
    link = f'<a class="{look}" href="{escape(ways.sign_in)}">{escape(texts[said])}</a>'
    return f'{told}<div class="row">{join}{link}</div>'


def _form(do: str, label: str, look: str = "") -> str:
    """A form of one button. It works without the script, which does the same without a new page."""
    return (
        f'<form method="post"><button class="{look}" name="do" value="{do}">'
        f"{escape(label)}</button></form>"
    )


def _opens(concert: ListedConcert, opens_at: datetime | None, texts: Texts) -> str:
    if opens_at is None:
        return ""
    zone = ZoneInfo(concert.timezone)
    return moment(opens_at.astimezone(zone), texts, datetime.now(zone).year)


def _waiting(status: Status, opens: str, texts: Texts) -> list[str]:
    is_drawn = status.position is not None
    state = status.room_state if is_drawn or status.room_state != "scheduled" else "draw"
    return [
        _ahead(status, texts),
        f"{texts['wait.number']}: {_number(status, texts)}",
        f"{texts['wait.forecast']}: {_band(status.eta_seconds, texts)}",
        f"{texts['wait.seats']}: {text(texts, 'wait.seats_left', count=status.seats_available)}",
        text(texts, f"wait.next.{state}", opens=opens),
    ]


def _ahead(status: Status, texts: Texts) -> str:
    if status.position is None:
        return texts["wait.before_draw"]
    if not status.ahead:
        return texts["wait.next_up"]
    return text(texts, "wait.ahead", count=status.ahead)


def _number(status: Status, texts: Texts) -> str:
    if status.position is None:
        return text(texts, "wait.entry", number=status.number)
    return text(texts, "number", number=status.position)


def _band(eta: Eta | None, texts: Texts) -> str:
    """A forecast as a band, in whole minutes."""
    if eta is None:
        return texts["wait.unknown"]
    first, last = (
        text(texts, "time.minutes", count=max(1, math.ceil(seconds / 60)))
        for seconds in (eta.p50, eta.p90)
    )
    return first if first == last else text(texts, "wait.band", **{"from": first, "to": last})
