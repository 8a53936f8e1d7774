"""What a failed statement means: for its batch, for the caller, for readiness and for the log."""

import math
from time import monotonic
from typing import Literal, TypeAlias

import asyncpg
import structlog

from frontrow.errors import Fault
from frontrow.metrics import DATABASE_FAULTS

_log = structlog.get_logger(__name__)

Cause: TypeAlias = Literal[
    "unreachable",
    "read_only",
    "disk_full",
    "out_of_resources",
    "canceled",
    "io_error",
    "not_migrated",
    "stopping",
]
"""Why calls are refused with ``Unavailable``."""

_LOG_SECONDS = 60.0
_FAILING_SECONDS = 10.0

_CONFLICT = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    # Two processes wrote a row with the same id at once: the retry finds it.
    asyncpg.UniqueViolationError,
)
_LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # asyncpg raises it for a connection that was cut just when it was acquired.
    asyncpg.InternalClientError,
    asyncpg.TargetServerAttributeNotMatched,
)
# By SQLSTATE, else by its class (PostgreSQL's manual, appendix A).
_CAUSES: dict[str, Cause] = {
    "08": "unreachable",  # connection exceptions
    "53": "out_of_resources",
    "53100": "disk_full",
    "53300": "unreachable",  # too many connections
    "57": "unreachable",  # shutdown, crash, start
    "57014": "canceled",  # also by statement_timeout
    "58": "io_error",
    "25P03": "unreachable",  # idle_in_transaction_session_timeout
    # After a failover the old primary, or a replica, may answer for a moment.
    "25006": "read_only",
}


def cause_of(error: Exception) -> Cause | None:
    """Returns why the database can't serve; ``None`` if the statement is at fault."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return _CAUSES.get(state) or _CAUSES.get(state[:2])
    # asyncpg's DataError is a ValueError: a parameter has the wrong type.
    is_lost = isinstance(error, _LOST) and not isinstance(error, ValueError)
    return "unreachable" if is_lost else None


def classify(error: Exception) -> Fault:
    """Returns the meaning of a failed statement for its batch: see ``Fault``."""
    if isinstance(error, _CONFLICT):
        return Fault.CONFLICT
    cause = cause_of(error)
    if cause is None:
        return Fault.ITEM
    return Fault.LOST if cause == "unreachable" else Fault.UNAVAILABLE


class Faults:
    """The faults of the database that one process meets; counted, and logged once a minute."""

    def __init__(self) -> None:
        self._failing: dict[str, tuple[Cause, float]] = {}
        self._failures = 0
        self.refusals = 0
        """Calls that were answered with 503."""
        self._logged_at = -math.inf

    def note(self, call: str, error: Exception) -> None:
        """Records a failed statement.

        Args:
            call: the name of its lane or call.
            error: classified as ``LOST`` or ``UNAVAILABLE``.
        """
        cause = cause_of(error)
        if cause is None:
            return
        now = monotonic()
        DATABASE_FAULTS.labels(cause).inc()
        self._failing[call] = cause, now
        self._failures += 1
        if now - self._logged_at >= _LOG_SECONDS:
            _log.error(
                "the database fails",
                cause=cause,
                call=call,
                error=repr(error),
                failures=self._failures,
            )
            self._logged_at, self._failures = now, 0

    def clear(self, call: str) -> None:
        """Records a statement that succeeded."""
        if self._failing:
            self._failing.pop(call, None)

    @property
    def cause(self) -> Cause | None:
        """Why statements failed within the last seconds and have not succeeded since.

        Lost connections don't count: they are replaced, and a check finds whether they can be.
        """
        since = monotonic() - _FAILING_SECONDS
        recent = (cause for cause, at in self._failing.values() if at >= since)
        return next((cause for cause in recent if cause != "unreachable"), None)
