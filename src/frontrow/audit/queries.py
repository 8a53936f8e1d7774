"""The typed queries of the audit: one for each invariant, all with the same row."""

from datetime import datetime

from frontrow.db.queries import Row, bind_alike


class CheckRow(Row, frozen=True):
    """The rows that an invariant covers, those that violate it, and up to five of these."""

    checked: int
    violations: int
    examples: list[str]


checks = bind_alike(CheckRow, {"now": datetime})
