"""The lines for which a job fails: logged once, and left out for a moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from uuid import UUID

import structlog

from frontrow.db.faults import cause_of
from frontrow.metrics import UPKEEP_FAILURES
from frontrow.waiting_room.line import Line

_log = structlog.get_logger(__name__)

REST_SECONDS = 1.0
"""Time until a line that failed is tried again."""


def is_for_all(error: Exception) -> bool:
    """Returns whether the database is away; a canceled statement may be one line's fault."""
    return cause_of(error) not in (None, "canceled")


class LineFailures:
    """The lines for which one job fails in this process.

    Args:
        job: the job's name in the log and the metrics.
    """

    def __init__(self, job: str) -> None:
        self._job = job
        self._rests_until: dict[UUID, float] = {}

    def is_resting(self, line: Line) -> bool:
        """Returns whether the line failed a moment ago."""
        rests_until = self._rests_until.get(line.concert_id)
        return rests_until is not None and monotonic() < rests_until

    @contextmanager
    def of(self, line: Line) -> Iterator[None]:
        """Records whether the block, which works for one line, fails.

        Raises:
            Exception: the database is away, for all lines.
        """
        try:
            yield
        except Exception as error:
            if is_for_all(error):
                raise
            UPKEEP_FAILURES.labels(self._job).inc()
            if line.concert_id not in self._rests_until:
                _log.warning(
                    "a line fails", job=self._job, concert=str(line.concert_id), error=repr(error)
                )
            self._rests_until[line.concert_id] = monotonic() + REST_SECONDS
        else:
            if self._rests_until and self._rests_until.pop(line.concert_id, None) is not None:
                _log.info("a line works again", job=self._job, concert=str(line.concert_id))
