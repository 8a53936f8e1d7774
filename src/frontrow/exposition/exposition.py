"""The metrics of a server as one text, rendered at most once a second, outside its event loop.

Rendering takes tens of milliseconds of computation. A thread would share the interpreter with the
event loop, and each call would wait for it: so a process of its own does it, started by the first
text that is asked for.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from async_lru import alru_cache

from frontrow.errors import Unavailable
from frontrow.exposition.lines import LineActivity, LineSeen, Reading
from frontrow.exposition.text import render

_KEPT_SECONDS = 1.0
_PATIENCE_SECONDS = 10.0


class Exposition:
    """The metrics as text.

    Args:
        folder: the directory of the shared files; ``None``: only this process, which then renders
            the text in a thread.
        lines: the lines of this process, by concert.
        most_concerts: the maximum number of concerts that have series.
        alone: whether this process is the only one of its server.
    """

    def __init__(
        self,
        folder: Path | None,
        lines: Mapping[UUID, LineSeen],
        *,
        most_concerts: int,
        alone: bool = True,
    ) -> None:
        self._lines = lines
        self._most_concerts = most_concerts
        self.activity = LineActivity()
        self._renderer = None if folder is None else _Renderer(folder, alone=alone)
        self.text = alru_cache(maxsize=1, ttl=_KEPT_SECONDS)(self._text)
        """Returns the text. Raises Unavailable."""

    async def close(self) -> None:
        """Ends the process that renders."""
        await self.text.cache_close()
        if self._renderer is not None:
            await self._renderer.close()

    async def _text(self) -> bytes:
        readings = self.activity.readings(self._lines, self._most_concerts)
        if self._renderer is None:
            return await asyncio.to_thread(render, readings)
        return await self._renderer.render(readings)


class _Renderer:
    """The process that renders: ``frontrow.exposition.text``."""

    def __init__(self, folder: Path, *, alone: bool) -> None:
        self._arguments = [str(folder), str(os.getpid())] if alone else [str(folder)]
        self._process: asyncio.subprocess.Process | None = None
        self._asking = asyncio.Lock()

    async def render(self, readings: list[Reading]) -> bytes:
        """Returns the text.

        Raises:
            Unavailable: the process has ended or doesn't answer; the next call starts another.
        """
        async with self._asking:
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    return await self._ask(json.dumps(readings).encode() + b"\n")
            except (OSError, asyncio.IncompleteReadError) as error:
                await self.close()
                raise Unavailable("the metrics can't be rendered") from error
            except asyncio.CancelledError:
                await self.close()  # it would answer this question to the next caller
                raise

    async def _ask(self, question: bytes) -> bytes:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "frontrow.exposition.text", *self._arguments,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=_environment(),
            )  # fmt: skip
        answers, questions = self._process.stdout, self._process.stdin
        if answers is None or questions is None:
            raise BrokenPipeError
        questions.write(question)
        await questions.drain()
        size = await answers.readuntil()
        return await answers.readexactly(int(size))

    async def close(self) -> None:
        """Ends the process, if it runs."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()


def _environment() -> dict[str, str]:
    """Returns the environment of this process without the settings, which have secrets."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FRONTROW_")}
