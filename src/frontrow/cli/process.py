"""The process of a command: its signals, and its standard output and error."""

import contextlib
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, TextIO

from frontrow.errors import SetupError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FAILED = 3
BROKEN_PIPE = 128 + signal.SIGPIPE
"""The exit code of programs that a closed pipe ends, as shells report it."""


class OutputError(SetupError):
    """Standard output can't be written; ``silent`` if its reader has ended."""

    def __init__(self, error: OSError) -> None:
        self.silent = error.errno == errno.EPIPE
        reason = (error.strerror or str(error)).lower()
        super().__init__(
            f"can't write the output: {reason}", exit_code=BROKEN_PIPE if self.silent else FAILED
        )


class _Output(io.FileIO):
    """Standard output: the first failed write raises OutputError, later ones are discarded."""

    failed = False

    def write(self, data: "ReadableBuffer", /) -> int:
        if not self.failed:
            try:
                return super().write(data)
            except OSError as error:
                self.failed = True
                raise OutputError(error) from None
        return memoryview(data).nbytes


class _Errors(io.FileIO):
    """Standard error: failed writes are discarded, since there is no other place for them."""

    def write(self, data: "ReadableBuffer", /) -> int:
        with contextlib.suppress(OSError):
            return super().write(data)
        return memoryview(data).nbytes


def guard_output() -> None:
    """Gives full and closed output devices one meaning in this process: see ``OutputError``."""
    sys.stdout = _guarded(sys.stdout, _Output)
    sys.stderr = _guarded(sys.stderr, _Errors)


def _guarded(stream: TextIO | None, kind: type[io.FileIO]) -> TextIO:
    if stream is None:  # it was closed before the start
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - no path, for good
    return io.TextIOWrapper(
        io.BufferedWriter(kind(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=bool(stream.line_buffering),
    )


@contextlib.contextmanager
def ending_signals() -> Iterator[None]:
    """Makes the ending signals raise KeyboardInterrupt once; shutdown isn't interrupted again."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        for number in taken:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    # A signal that is ignored, such as SIGHUP under nohup, stays ignored.
    taken = [n for n in ENDING_SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in taken}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
