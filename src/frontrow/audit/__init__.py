"""The invariants, checked on a live database. It reads every table and writes none."""

from frontrow.audit.service import INVARIANTS, Finding, audit, run

__all__ = ["INVARIANTS", "Finding", "audit", "run"]
