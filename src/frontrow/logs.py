"""The log: one format for our lines and those of libraries, on standard error.

Use ``structlog.get_logger()`` and pass values as keywords; never a key, a password or a token.
"""

import contextlib
import logging
import sys
from io import StringIO
from typing import TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from frontrow.text_rules import escaped

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# At level info these repeat the banner and our own lines.
CHATTY = ("asyncio", "httpx2", "uvicorn", "uvicorn.error")


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
    level = LEVELS[log_level]
    structlog.configure(
        processors=[*shared, *renderers],
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
