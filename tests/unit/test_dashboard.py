"""The dashboard and the reference name every metric, and no other."""

import itertools
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY, Metric

from frontrow import metrics
from frontrow.exposition.lines import LINE_GAUGES
from frontrow.exposition.text import LineGauges
from tests.programs import program

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy/grafana/frontrow.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]
DOCUMENT = (ROOT / "docs/reference/metrics.md").read_text()
NAME = re.compile(r"\bfrontrow_\w+")
WORDS_OF_UNITS = {
    "seconds": ("_seconds",),
    "Unix time": ("_timestamp_seconds",),
}


def families() -> dict[str, Metric]:
    """Returns the metrics by their Prometheus names: a counter ends with _total."""
    collected = itertools.chain(REGISTRY.collect(), LineGauges(()).collect())
    return {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in collected
        if family.name.startswith("frontrow_")
    }


def labels_of(name: str) -> tuple[str, ...]:
    """Returns the labels of a metric."""
    for of_line, _, further in LINE_GAUGES:
        if of_line == name:
            return ("concert", *further)
    (one,) = {
        id(found): found
        for found in vars(metrics).values()
        if hasattr(found, "_labelnames") and found._name == name.removesuffix("_total")
    }.values()
    labels: tuple[str, ...] = one._labelnames
    return labels


def samples() -> dict[str, str]:
    """Returns the metric of each name that a query may use."""
    names = {}
    for name, family in families().items():
        ends = ("_bucket", "_sum", "_count") if family.type == "histogram" else ("",)
        names.update({name + end: name for end in ends})
    return names


def expressions() -> list[str]:
    """Returns every query of the dashboard."""
    return [target["expr"] for panel in SHOWN for target in panel["targets"]]


def rows_of_the_document() -> Iterator[list[str]]:
    """Yields the cells of each row about a metric."""
    for line in DOCUMENT.splitlines():
        if line.startswith("| `frontrow_"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def test_every_query_names_metrics_that_exist() -> None:
    """Each query names at least one metric, and only existing ones."""
    known = samples()
    for expression in expressions():
        named = NAME.findall(expression)
        assert named, expression
        assert set(named) <= set(known), expression


def test_every_metric_is_shown() -> None:
    """No metric is missing on the dashboard."""
    known = samples()
    shown = {known[name] for expression in expressions() for name in NAME.findall(expression)}
    assert shown == set(families())


def test_queries_group_by_labels_that_exist() -> None:
    """The labels in groups and legends are labels of a metric of that query."""
    known = samples()
    for panel in SHOWN:
        for target in panel["targets"]:
            labels = {"instance", "le"}
            for name in NAME.findall(target["expr"]):
                labels.update(labels_of(known[name]))
            grouped = re.findall(r"\bby \(([^)]*)\)", target["expr"])
            used = {label.strip() for group in grouped for label in group.split(",")}
            used.update(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            used.update(re.findall(r"[{,](\w+)(?:=~|!~|!=|=)", target["expr"]))
            assert used <= labels, target["expr"]


def test_gauges_are_not_summed_and_counters_are_rated() -> None:
    """With several servers: no sum of a gauge that each exports, no counter without rate."""
    of_lines = [
        name
        for name, family in families().items()
        if family.type == "gauge" and "concert" in labels_of(name)
    ]
    assert len(of_lines) == 12
    for expression in expressions():
        for name in NAME.findall(expression):
            asked = expression.split(name)[0]
            if name in of_lines:
                assert re.search(r"max(?: by \([\w, ]+\))? ?\($", asked), expression
            elif not name.startswith(("frontrow_streams", "frontrow_snapshot", "frontrow_unready")):
                assert re.search(r"sum(?: by \([\w, ]+\))? ?\((rate|increase)\($", asked), (
                    expression
                )


def test_panels_are_complete() -> None:
    """A unique id, a title, a unit, a description, a legend for each query."""
    ids = [panel["id"] for panel in PANELS]
    assert len(ids) == len(set(ids))
    for panel in SHOWN:
        assert panel["title"]
        assert re.fullmatch(r"[A-Z].{20,}\.", panel["description"]), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
        references = Counter(target["refId"] for target in panel["targets"])
        assert set(references.values()) == {1}
        for target in panel["targets"]:
            assert target["legendFormat"]
            assert target["datasource"]["uid"] == "${datasource}"


def test_panels_fill_the_grid() -> None:
    """24 columns: every cell is taken exactly once, without overlap or gap."""
    cells = Counter(
        (x, y)
        for place in (panel["gridPos"] for panel in PANELS)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    )
    height = 1 + max(y for _, y in cells)
    assert cells == Counter(itertools.product(range(24), range(height)))


def test_variables_are_used() -> None:
    """The data source and the concert can be selected; both are used."""
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "concert"]
    assert variables["datasource"]["query"] == "prometheus"
    (named,) = NAME.findall(variables["concert"]["query"]["query"])
    assert "concert" in labels_of(samples()[named])
    used = set(re.findall(r"\$(\w+)", " ".join(expressions())))
    assert used == {"concert", "__rate_interval"}


def test_dashboard_can_be_imported_into_grafana_10() -> None:
    """The members that an import needs; no id of another Grafana's database."""
    assert DASHBOARD["schemaVersion"] >= 38
    assert DASHBOARD["title"] == "Frontrow"
    assert "id" not in DASHBOARD


def test_queries_are_promql(tmp_path: Path) -> None:
    """The program promtool parses each query."""
    rules = [
        {
            "record": f"query:{at}",
            "expr": one.replace("$__rate_interval", "1m").replace("$concert", ".*"),
        }
        for at, one in enumerate(expressions())
    ]
    file = tmp_path / "queries.yml"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    checked = subprocess.run(
        [program("promtool"), "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


def test_every_metric_is_documented() -> None:
    """With its type, labels, unit and meaning; no other metric is documented."""
    known = families()
    rows = list(rows_of_the_document())
    assert sorted(row[0].strip("`") for row in rows) == sorted(known)
    for cell, kind, labels, unit, meaning in rows:
        name = cell.strip("`")
        assert kind == known[name].type
        assert tuple(re.findall(r"`(\w+)`", labels)) == labels_of(name)
        assert unit
        assert meaning.endswith(".")
        for word, ends in WORDS_OF_UNITS.items():
            if unit == word:
                assert name.endswith(ends)


def test_document_names_no_other_metric() -> None:
    """In its prose too."""
    assert set(NAME.findall(DOCUMENT)) == set(families())
