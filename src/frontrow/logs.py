"""The log: one format for our lines and those of libraries, on standard error.

Use ``structlog.get_logger()`` and pass values as keywords; never a key, a password or a token.
Each event has a limited number of lines: many of them are caused by requests of strangers.
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Hashable
from io import StringIO
from time import monotonic
from typing import TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from frontrow.text_rules import escaped

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# At level info these repeat the banner and our own lines.
CHATTY = ("asyncio", "httpx2", "uvicorn", "uvicorn.error")

MOST_LINES = 10
"""Lines of one event in ``PERIOD_SECONDS``; of failed calls, of each call."""
PERIOD_SECONDS = 60.0
_MOST_EVENTS = 1_000


class LineLimit:
    """Limits the lines of each event, and counts those that are suppressed.

    A period begins with the first line of an event. The first line after a period with suppressed
    lines has their number, as ``suppressed``.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        # By event: the end of its period, the lines in it, those of them that were suppressed.
        self._periods: dict[Hashable, tuple[float, int, int]] = {}

    def count(self, event: Hashable) -> int | None:
        """Counts a line. Returns how many were suppressed before it; ``None`` to suppress it."""
        now = self._clock()
        until, lines, suppressed = self._periods.get(event, (now, 0, 0))
        if until <= now:
            if len(self._periods) >= _MOST_EVENTS:
                self._periods.clear()
            self._periods[event] = (now + PERIOD_SECONDS, 1, 0)
            return suppressed
        refused = lines >= MOST_LINES
        self._periods[event] = (until, lines + 1, suppressed + refused)
        return None if refused else 0

    def process(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Limits a line of Frontrow (a processor of structlog).

        Raises:
            DropEvent: the line is suppressed.
        """
        suppressed = self.count((event.get("event"), event.get("call")))
        if suppressed is None:
            raise structlog.DropEvent
        if suppressed:
            event["suppressed"] = suppressed
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        """Limits a line of a library, by its logger and text without values (a logging filter)."""
        suppressed = self.count((record.name, record.msg))
        if suppressed:
            record.msg = f"{record.msg} ({suppressed} such lines were suppressed)"
        return suppressed is not None


class _StandardError:
    """The present ``sys.stderr``; tests and daemons replace it.

    A line that can't be written, such as on a full disk, is lost: no call fails because of its log.
    """

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            if sys.stderr is not None:
                sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            if sys.stderr is not None:
                sys.stderr.flush()


def configure(log_format: str = "console", log_level: str = "info") -> None:
    """Configures the log of this process. ``log_format``: console or json; see ``LEVELS``."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers = _renderers(log_format)
    limit = LineLimit()
    level = LEVELS[log_level]
    structlog.configure(
        processors=[limit.process, *shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=_StandardError()),  # type: ignore[arg-type]
    )
    handler = logging.StreamHandler(_StandardError())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    handler.addFilter(limit.filter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(level, LEVELS["warning"]) if level > 10 else level)  # noqa: PLR2004 - debug shows all


def _renderers(log_format: str) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [
        _escape_controls,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr is not None and sys.stderr.isatty(),
            exception_formatter=_escaped_traceback,
        ),
    ]


def _escape_controls(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escapes control characters: a value can't forge a line or command a terminal."""
    return {
        name: escaped(value) if isinstance(value, str) else value for name, value in event.items()
    }


def _escaped_traceback(file: TextIO, exc_info: ExcInfo) -> None:
    """Writes a traceback, with the control characters of its messages escaped except line ends.

    The default shows the variables of every frame, passwords in URLs included.
    """
    written = StringIO()
    structlog.dev.plain_traceback(written, exc_info)
    file.write(escaped(written.getvalue(), keep="\n"))
