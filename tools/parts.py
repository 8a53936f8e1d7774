"""The generated parts of hand-written pages: core tables, table of calls, layers of imports."""

import re
import tomllib
from pathlib import Path
from typing import Any

import asyncpg

from frontrow.web.calls import Call
from frontrow.web.routes import CALLS, PUBLIC_CALLS, document
from tools import erd

_FOLDED = ("Operator", "Sessions", "Around it")
# The tables of a purchase, with the columns that explain them.
_CORE = {
    "app_user": ("user_id",),
    "concert": ("concert_id", "title", "hold_seconds", "max_seats_per_user"),
    "waiting_room": ("room_id", "concert_id", "policy", "issued", "serving", "left_count"),
    "place": (
        "room_id", "number", "place_id", "user_id", "state", "reason", "left_seq",
        "joined_at", "admitted_at", "claimed_at", "expires_at", "finished_at",
    ),
    "show": ("show_id", "concert_id", "starts_at", "sales_end_at", "seats_total", "cancelled_at"),
    "seat": ("show_id", "number", "price", "section", "reservation_id", "held_until"),
    "reservation": (
        "reservation_id", "user_id", "show_id", "room_id", "place_number", "seats", "amount",
        "state", "held_until", "closed_at",
    ),
    "wallet": ("user_id", "balance"),
    "transfer": (
        "transfer_id", "user_id", "kind", "debit_account", "credit_account", "amount", "balance",
        "reference",
    ),
    "payment": (
        "payment_id", "reservation_id", "user_id", "amount", "state", "paid_at", "refunded_at",
    ),
    "ticket": ("ticket_id", "payment_id", "show_id", "number", "checked_in_at", "void_at"),
}  # fmt: skip


async def tables(connection: "asyncpg.Connection[Any]") -> str:
    """Returns the diagram of the core tables."""
    return "```mermaid\n" + await erd.diagram(connection, _CORE) + "```\n"


def calls() -> str:
    """Returns the table of calls in the order of the groups; some groups are folded."""
    everything = [*CALLS, *PUBLIC_CALLS]
    groups = [tag["name"] for tag in document()["tags"]]
    ordered = sorted(everything, key=lambda call: groups.index(call.group))
    shown = [call for call in ordered if call.group not in _FOLDED]
    parts = [_table(shown)]
    for group in _FOLDED:
        table = _table([call for call in ordered if call.group == group])
        parts.append(f"<details>\n<summary>{group}</summary>\n\n{table}\n</details>\n")
    return "\n".join(parts)


def _table(of: list[Call]) -> str:
    head = "| call | credential | |\n| --- | --- | --- |\n"
    return head + "".join(
        f"| `{call.method} {call.path}` | {call.who.value} | {call.summary} |\n" for call in of
    )


def layers() -> str:
    """Returns the layers of imports, as import-linter checks them."""
    pyproject = Path(__file__).resolve().parent.parent / "pyproject.toml"
    contracts = tomllib.loads(pyproject.read_text())["tool"]["importlinter"]["contracts"]
    (layered,) = (one for one in contracts if one.get("containers") == ["frontrow"])
    return "```\n" + "".join(f"{layer}\n" for layer in layered["layers"]) + "```\n"


def with_parts(text: str, parts: dict[str, str]) -> str:
    """Returns a page with its generated parts replaced."""
    for name, part in parts.items():
        text, found = re.subn(
            rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)",
            lambda match, part=part: f"{match[1]}\n{part}\n{match[2]}",  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
        if found != 1:
            raise ValueError(f"no place for {name}")
    return text
