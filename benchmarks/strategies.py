"""The strategies of a line, compared in simulated sales: ``python -m benchmarks.strategies``.

Twenty thousand users, four hundred scripts among them, want five thousand seats; ``sale_model``
defines how they join and how the server bears them, ``fairness`` what is measured. Each strategy
has the same users, in five sales from five seeds; a figure is the mean of the five. Prints the
tables and writes ``docs/reference/strategies/results.json``; with ``--plots`` (``make strategies``,
which installs matplotlib) also the plots of the first sale. The same seeds give the same figures.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import asdict

from benchmarks.fairness import Measures, measure
from benchmarks.sale_model import Outcome, Sale, Strategy, simulate
from frontrow.waiting_room.policy import (
    AdaptivePolicy,
    MaxActiveAndRatePolicy,
    MaxActivePolicy,
    OpenPolicy,
    RatePolicy,
)

DOCUMENTS = Path(__file__).resolve().parents[1] / "docs" / "reference" / "strategies"
RESULTS = DOCUMENTS / "results.json"
SALES = 5

STRATEGIES = (
    Strategy("open", OpenPolicy()),
    Strategy("max_active", MaxActivePolicy(max_active=400)),
    Strategy("rate", RatePolicy(admit=240, every_seconds=60)),
    Strategy(
        "max_active_and_rate", MaxActiveAndRatePolicy(max_active=400, admit=240, every_seconds=60)
    ),
    Strategy("adaptive", AdaptivePolicy(min_active=100, max_active=1000, target_p95_ms=500)),
    Strategy("draw, max_active", MaxActivePolicy(max_active=400), drawn=True),
)
SERVERS = {
    "five bad minutes": Sale(),
    "a third as fast all the time": Sale(trouble=(0, Sale().longest_seconds)),
}

HEADINGS = (
    "strategy", "called after, p50 / p90 / p99", "seats held after, p50 / p90", "in, peak / mean",
    "answer p95", "over 1 s", "p95 over 0.5 s for", "sold out after", "slots empty", "in vain",
    "tau, calls / seats", "to scripts", "Gini",
)  # fmt: skip


def cells(name: str, of: Measures) -> list[str]:
    """Returns one line of a table, in the order of the headings."""
    return [
        name,
        f"{of.wait_p50_s:.0f} / {of.wait_p90_s:.0f} / {of.wait_p99_s:.0f} s",
        f"{of.held_p50_s:.0f} / {of.held_p90_s:.0f} s",
        f"{of.peak_in:,.0f} / {of.mean_in:,.0f}",
        f"{of.answer_p95_ms / 1000:,.2f} s",
        f"{of.slow:.0%}",
        f"{of.late_s:,.0f} s",
        f"never, {of.sold:.0%}" if of.sold_out_s is None else f"{of.sold_out_s:,.0f} s",
        f"{of.empty:.0%}",
        f"{of.in_vain:.0%}",
        f"{of.called_tau:.2f} / {of.held_tau:.2f}",
        f"{of.scripts:.0%}",
        f"{of.gini:.2f}",
    ]


def table(results: dict[str, Measures]) -> list[str]:
    """Returns a table in Markdown, line by line."""
    rows = [list(HEADINGS), ["---"] * len(HEADINGS)]
    rows += [cells(name, measures) for name, measures in results.items()]
    return [f"| {' | '.join(row)} |" for row in rows]


def mean_of(sales: Sequence[Measures]) -> Measures:
    """Returns each figure's mean; None if one of them is None."""
    rows = [asdict(one) for one in sales]
    figures = {name: [one[name] for one in rows] for name in rows[0]}
    return msgspec.convert(
        {
            name: None if None in each else round(statistics.fmean(each), 4)
            for name, each in figures.items()
        },
        Measures,
    )


def main() -> int:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strategies", description=__doc__)
    parser.add_argument("--plots", action="store_true", help="draw the plots (make strategies)")
    parser.add_argument("--seed", type=int, default=1, help="of the first sale [default: 1]")
    asked = parser.parse_args()
    results: dict[str, dict[str, Measures]] = {}
    first: dict[str, Outcome] = {}
    for server, sale in SERVERS.items():
        results[server] = {}
        for strategy in STRATEGIES:
            sales = []
            for seed in range(asked.seed, asked.seed + SALES):
                outcome = simulate(sale, strategy, seed)
                first.setdefault(strategy.name, outcome)
                sales.append(measure(outcome))
            results[server][strategy.name] = mean_of(sales)
        print(f"\n{server}\n", *table(results[server]), sep="\n", flush=True)
    DOCUMENTS.mkdir(exist_ok=True)
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    if asked.plots:
        from benchmarks import strategy_plots  # noqa: PLC0415 - needs what only `make strategies` has

        strategy_plots.draw(first, SERVERS["five bad minutes"], DOCUMENTS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
