"""The plots of docs/reference/strategies.md, as SVG: waiting, load, fairness. Needs matplotlib."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import PercentFormatter

from benchmarks.fairness import GROUPS, measure, success, waited
from benchmarks.sale_model import P95_OF_MEAN, Outcome, Sale

# The palette of Okabe and Ito, which colour-blind readers can distinguish.
COLOURS = ("#999999", "#0072B2", "#E69F00", "#56B4E9", "#009E73", "#D55E00")
STYLES = ("-", "-", "-", "--", "-", "-")
TITLES = {
    "max_active_and_rate": "both",
    "draw, max_active": "draw",
}
MINUTES_SHOWN = 16

mpl.use("svg")
mpl.rcParams.update(
    {
        # The same figures give the same file.
        "svg.hashsalt": "frontrow",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#dddddd",
        "axes.axisbelow": True,
        "savefig.facecolor": "white",
    }
)


def draw(outcomes: dict[str, Outcome], sale: Sale, folder: Path) -> None:
    """Writes the three files."""
    for name, figure in (
        ("waiting", waiting(outcomes)),
        ("load", load(outcomes, sale)),
        ("fairness", fairness(outcomes)),
    ):
        file = folder / f"{name}.svg"
        figure.savefig(file, metadata={"Date": None})
        # matplotlib leaves blanks at line ends, which a diff would show.
        lines = file.read_text().splitlines()
        file.write_text("".join(f"{line.rstrip()}\n" for line in lines))
        plt.close(figure)


def title(name: str) -> str:
    """Returns the name of a strategy in a plot."""
    return TITLES.get(name, name)


def waiting(outcomes: dict[str, Outcome]) -> Any:  # noqa: ANN401 - matplotlib's, not installed where types are checked
    """Plots the shares of the buyers who were admitted, and who held their seats, by then."""
    figure, panels = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained", sharey=True)
    for axes, label in zip(panels, ("until called", "until the seats are held"), strict=True):
        for (name, outcome), colour, style in zip(outcomes.items(), COLOURS, STYLES, strict=True):
            until = outcome.called if axes is panels[0] else outcome.held
            waits = [seconds / 60 for seconds in waited(outcome, until)]
            shares = [rank / len(waits) for rank in range(1, len(waits) + 1)]
            thin = slice(None, None, max(1, len(waits) // 300))
            axes.plot(
                waits[thin], shares[thin], style, color=colour, label=title(name), linewidth=2
            )
        axes.set(
            xlabel=f"minutes from the opening {label}",
            xlim=(-0.2, 13),
            ylim=(0, 1.02),
        )
    panels[0].set_ylabel("share of users who got seats")
    panels[0].yaxis.set_major_formatter(PercentFormatter(1))
    panels[1].legend(frameon=False, loc="lower right")
    return figure


def load(outcomes: dict[str, Outcome], sale: Sale) -> Any:  # noqa: ANN401
    """Plots the admitted users, and the answer's 95th percentile, over time."""
    figure, rows = plt.subplots(
        2, len(outcomes), figsize=(12, 5), layout="constrained", sharex=True, sharey="row"
    )
    shown: Sequence[tuple[str, Callable[[Any], float]]] = (
        ("people in", lambda second: second.active),
        ("answer, p95, s", lambda second: second.answer_ms * P95_OF_MEAN / 1000),
    )
    for axes, name in zip(rows[0], outcomes, strict=True):
        axes.set_title(title(name))
    for axes in rows[1]:
        axes.set_xlabel("minutes")
    for row, (label, of) in zip(rows, shown, strict=True):
        row[0].set_ylabel(label)
        for axes, outcome, colour in zip(row, outcomes.values(), COLOURS, strict=True):
            axes.axvspan(*(at / 60 for at in sale.trouble), color="#f3e3e3", linewidth=0)
            times = range(0, len(outcome.seconds), 4)
            axes.plot(
                [at / 60 for at in times], [of(outcome.seconds[at]) for at in times], color=colour
            )
            axes.set_yscale("log")
            axes.set_xlim(0, MINUTES_SHOWN)
            axes.set_xticks(range(0, MINUTES_SHOWN + 1, 4))
    return figure


def fairness(outcomes: dict[str, Outcome]) -> Any:  # noqa: ANN401
    """Plots who got seats, by the place in order of joining."""
    figure, row = plt.subplots(
        1, len(outcomes), figsize=(12, 3), layout="constrained", sharex=True, sharey=True
    )
    for axes, (name, outcome), colour in zip(row, outcomes.items(), COLOURS, strict=True):
        axes.stairs(success(outcome), range(GROUPS + 1), fill=True, color=colour)
        scripts = measure(outcome).scripts
        axes.set_title(f"{title(name)}\nscripts: {scripts:.0%} of the seats", fontsize=10)
        axes.set_xlabel("joined, % of the line")
        axes.xaxis.grid(visible=False)
    row[0].set(ylabel="people who got seats", xlim=(0, GROUPS), ylim=(0, 1))
    row[0].yaxis.set_major_formatter(PercentFormatter(1))
    return figure
