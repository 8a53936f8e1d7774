"""Renders the metrics in Prometheus' text format; also the program of the process that does it.

    python -m frontrow.exposition.text FOLDER [PID]

reads a line of JSON for each text: the gauges of the lines. It writes the size of the text in a
line, and the text. It ends with its input, so it never outlives the server that started it.
"""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Metric,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from frontrow.exposition.lines import LINE_GAUGES, Reading

_NICE = 5


class LineGauges(Collector):
    """The gauges of some lines, as the client library collects them."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        """Yields every gauge with its values."""
        families = {
            name: GaugeMetricFamily(name, says, labels=["concert", *labels])
            for name, says, labels in LINE_GAUGES
        }
        for name, labels, value in self._readings:
            families[name].add_metric(labels, value)
        yield from families.values()


class _OnlyConcerts(Collector):
    """Leaves out the series of other concerts than those given.

    The files that processes share can't remove a label, so it is filtered here.
    """

    def __init__(self, source: Collector, concerts: set[str]) -> None:
        self._source = source
        self._concerts = concerts

    def collect(self) -> Iterator[Metric]:
        for family in self._source.collect():
            family.samples = [
                sample
                for sample in family.samples
                if "concert" not in sample.labels or sample.labels["concert"] in self._concerts
            ]
            yield family


def render(
    readings: Iterable[Reading], folder: Path | None = None, process: int | None = None
) -> bytes:
    """Returns all metrics as text; takes some tens of milliseconds.

    Args:
        readings: the gauges of the lines; other concerts have no series.
        folder: the directory of the shared files; ``None``: the metrics of this process.
        process: the process whose memory, CPU and files are reported.
    """
    readings = list(readings)
    source: Collector = REGISTRY
    registry = CollectorRegistry()
    if folder is not None:
        source = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]
    if process is not None:
        ProcessCollector(pid=lambda: process, registry=registry)
    registry.register(_OnlyConcerts(source, {labels[0] for _, labels, _ in readings}))
    registry.register(LineGauges(readings))
    return generate_latest(registry)


def main() -> None:
    """Renders a text for each line of the input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the server, and that this process
    os.nice(_NICE)
    folder, process = Path(sys.argv[1]), [int(pid) for pid in sys.argv[2:]]
    with contextlib.suppress(BrokenPipeError):  # the server has ended meanwhile
        for line in sys.stdin.buffer:
            text = render(json.loads(line), folder, *process)
            sys.stdout.buffer.write(b"%d\n%b" % (len(text), text))
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
