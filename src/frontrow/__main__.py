"""The entry point of ``frontrow`` and ``python -m frontrow``.

Imports only what the handler of Ctrl-C needs.
"""

import os
import signal

INTERRUPTED = 130


def run() -> None:
    """Runs the command, and ends the process.

    Its imports come after the handler: on Ctrl-C during them nothing has been started yet.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end)
    from frontrow.cli.main import main  # noqa: PLC0415 - see above
    from frontrow.cli.process import guard_output  # noqa: PLC0415

    guard_output()
    try:
        main(prog_name="frontrow")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end(_number: int, _frame: object) -> None:
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    run()
