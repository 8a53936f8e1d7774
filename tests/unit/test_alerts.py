"""The alert rules are well formed, use existing metrics, and each fires when it should."""

import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client import REGISTRY

from frontrow import metrics
from frontrow.exposition.lines import LINE_GAUGES
from tests.programs import program

PROMETHEUS = Path(__file__).parents[2] / "deploy/prometheus"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
NAMES = [rule["alert"] for rule in RULES]
FRONTROW = re.compile(r"\bfrontrow_\w+")

Series = dict[str, str]
"""Samples at every 5 seconds, in promtool's notation, by series."""

C = '{concert="c",instance="a"}'
UNBOUNDED = "1000000000000x180"
"""promtool can't write +Inf; this value stands for no limit."""
WELL: Series = {
    'up{job="frontrow",instance="a"}': "1x180",
    'frontrow_snapshot_timestamp_seconds{instance="a"}': "0+5x180",
    'frontrow_upkeep_failures_total{task="snapshot",instance="a"}': "0x180",
    'frontrow_http_requests_total{call="hold",status="201",instance="a"}': "0+5000x180",
    'frontrow_http_requests_total{call="hold",status="500",instance="a"}': "0x180",
    'frontrow_http_requests_total{call="hold",status="503",instance="a"}': "0x180",
    'frontrow_http_request_seconds_count{call="hold",instance="a"}': "0+5000x180",
    'frontrow_http_request_seconds_bucket{call="hold",le="1",instance="a"}': "0+5000x180",
    'frontrow_http_request_seconds_bucket{call="hold",le="2.5",instance="a"}': "0+5000x180",
    'frontrow_http_request_seconds_bucket{call="hold",le="+Inf",instance="a"}': "0+5000x180",
    'frontrow_wrong_operator_keys_total{instance="a"}': "0x180",
    'frontrow_unready{cause="disk_full",instance="a"}': "0x180",
    'frontrow_unready{cause="unreachable",instance="a"}': "0x180",
    f"frontrow_line_waiting{C}": "9000x180",
    f"frontrow_line_active{C}": "90x180",
    f"frontrow_line_cap{C}": "100x180",
    f"frontrow_line_rate{C}": UNBOUNDED,
    'frontrow_line_state{concert="c",state="open",instance="a"}': "1x180",
    'frontrow_line_state{concert="c",state="paused",instance="a"}': "0x180",
    'frontrow_line_state{concert="c",state="sold_out",instance="a"}': "0x180",
    f"frontrow_admitted_total{C}": "0+50x180",
    'frontrow_admission_delay_seconds_bucket{le="0.1",instance="a"}': "0+50x180",
    'frontrow_admission_delay_seconds_bucket{le="0.25",instance="a"}': "0+50x180",
    'frontrow_admission_delay_seconds_bucket{le="0.5",instance="a"}': "0+50x180",
    'frontrow_admission_delay_seconds_bucket{le="+Inf",instance="a"}': "0+50x180",
    f"frontrow_forecasts_judged{C}": "5000x180",
    'frontrow_forecast_share{concert="c",forecast="p50",instance="a"}': "0.51x180",
    'frontrow_forecast_share{concert="c",forecast="p90",instance="a"}': "0.91x180",
}
"""15 minutes of a healthy server and line, from time 0."""
FREE = f"frontrow_admitted_total{C}"
STALE = 'frontrow_snapshot_timestamp_seconds{instance="a"}'
FAILS = 'frontrow_upkeep_failures_total{task="snapshot",instance="a"}'
REFUSED = 'frontrow_http_requests_total{call="hold",status="503",instance="a"}'


FULL = 'frontrow_unready{cause="disk_full",instance="a"}'
UNREACHABLE = 'frontrow_unready{cause="unreachable",instance="a"}'
LOST = 'frontrow_database_faults_total{cause="unreachable",instance="a"}'
CANCELED = 'frontrow_database_faults_total{cause="canceled",instance="a"}'


@dataclass
class Scenario:
    """A deviation from the healthy series, and the alerts that it fires."""

    name: str
    differs: Series
    fires: set[str] = field(default_factory=set)


SCENARIOS = (
    Scenario("healthy", {}),
    Scenario(
        "the process is down", {'up{job="frontrow",instance="a"}': "1x60 0x120"}, {"FrontrowDown"}
    ),
    Scenario(
        "the database is unavailable",
        {
            STALE: "0+5x60 300x120",
            FAILS: "0x60 0+5x120",
            REFUSED: "0x60 0+500x120",
            UNREACHABLE: "0x61 1x119",
            LOST: "0x60 0+500x120",
        },
        {"FrontrowDatabaseUnavailable", "FrontrowSnapshotStale", "FrontrowUpkeepFails"},
    ),
    Scenario(
        "the disk is full", {FULL: "0x60 1x120", REFUSED: "0x60 0+500x120"}, {"FrontrowWritesFail"}
    ),
    Scenario("commits wait without end", {UNREACHABLE: "0x60 1x120"}, {"FrontrowWritesFail"}),
    Scenario("the disk was full for a moment", {FULL: "0x162 1x4 0x14"}),
    Scenario(
        "statements of another worker process are canceled",
        {CANCELED: "0x60 0+50x120", REFUSED: "0x60 0+50x120"},
        {"FrontrowWritesFail"},
    ),
    Scenario("an administrator cancels a statement", {CANCELED: "0x160 1x20"}),
    Scenario("one round of upkeep fails", {FAILS: "0x162 1x18"}),
    Scenario("a process hangs", {STALE: "0+5x60 300x120"}, {"FrontrowSnapshotStale"}),
    Scenario(
        "admission fails",
        {
            'frontrow_upkeep_failures_total{task="admission",instance="a"}': "0+5x180",
            FREE: "0x180",
        },
        {"FrontrowUpkeepFails", "FrontrowLineStalled"},
    ),
    Scenario("more calls than the server can queue", {REFUSED: "0+500x180"}, {"FrontrowRefuses"}),
    Scenario(
        "one call in two hundred fails",
        {'frontrow_http_requests_total{call="hold",status="500",instance="a"}': "0+25x180"},
        {"FrontrowErrors"},
    ),
    Scenario(
        "one call in twenty takes two seconds",
        {'frontrow_http_request_seconds_bucket{call="hold",le="1",instance="a"}': "0+4750x180"},
        {"FrontrowSlow"},
    ),
    Scenario(
        "an operator mistypes the key",
        {'frontrow_wrong_operator_keys_total{instance="a"}': "0x60 3x120"},
    ),
    Scenario(
        "operator keys are guessed",
        {'frontrow_wrong_operator_keys_total{instance="a"}': "0x60 0+2x120"},
        {"FrontrowKeyGuesses"},
    ),
    Scenario("admission has stopped", {FREE: "0+50x60 3000x120"}, {"FrontrowLineStalled"}),
    Scenario("the room is full", {FREE: "3000x180", f"frontrow_line_active{C}": "100x180"}),
    Scenario("the line is empty", {FREE: "3000x180", f"frontrow_line_waiting{C}": "0x180"}),
    Scenario(
        "the line is paused",
        {
            FREE: "3000x180",
            'frontrow_line_state{concert="c",state="open",instance="a"}': "0x180",
            'frontrow_line_state{concert="c",state="paused",instance="a"}': "1x180",
        },
    ),
    Scenario(
        "the policy admits one in 100 s",
        {f"frontrow_line_cap{C}": UNBOUNDED, f"frontrow_line_rate{C}": "0.01x180", FREE: "0x180"},
    ),
    Scenario(
        "another server admits",
        {FREE: "3000x180", 'frontrow_admitted_total{concert="c",instance="b"}': "0+50x180"},
    ),
    Scenario(
        "the cap is exceeded", {f"frontrow_line_active{C}": "101x180"}, {"FrontrowActiveAboveCap"}
    ),
    Scenario(
        "the cap is lowered",
        {f"frontrow_line_cap{C}": "100x159 50x21", FREE: "0+50x159 7950x21"},
    ),
    Scenario(
        "one admission in ten is late",
        {'frontrow_admission_delay_seconds_bucket{le="0.25",instance="a"}': "0+45x180"}
        | {'frontrow_admission_delay_seconds_bucket{le="0.1",instance="a"}': "0+45x180"},
        {"FrontrowCallsLate"},
    ),
    Scenario(
        "three waits in ten exceed the p90 forecast",
        {
            f"frontrow_forecasts_judged{C}": "5000x180",
            'frontrow_forecast_share{concert="c",forecast="p90",instance="a"}': "0.7x180",
        },
        {"FrontrowForecastBad"},
    ),
    Scenario(
        "three in ten, of few waits",
        {
            f"frontrow_forecasts_judged{C}": "10x180",
            'frontrow_forecast_share{concert="c",forecast="p90",instance="a"}': "0.7x180",
        },
    ),
    Scenario(
        "the show is sold out",
        {
            'frontrow_line_state{concert="c",state="open",instance="a"}': "0x180",
            'frontrow_line_state{concert="c",state="sold_out",instance="a"}': "1x180",
        },
        {"FrontrowSoldOut"},
    ),
)


def test_rules_are_complete() -> None:
    """Each has a duration, a severity, a summary and a description of what to do."""
    assert len(NAMES) == len(set(NAMES)) == 14
    for rule in RULES:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule
        assert rule["alert"].startswith("Frontrow")
        assert re.fullmatch(r"\d+[sm]", rule["for"])
        assert rule["labels"].keys() == {"severity"}
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"].keys() == {"summary", "description"}
        assert len(rule["annotations"]["description"]) > 100
        for text in rule["annotations"].values():
            assert text.endswith(".")


def test_rules_name_metrics_that_exist() -> None:
    """Names as Prometheus stores them, except the series that Prometheus adds itself."""
    assert metrics.ADMITTED in REGISTRY._collector_to_names
    known: set[str] = set()
    for family in REGISTRY.collect():
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        known.update(family.name + end for end in ends.get(family.type, ("",)))
    known.update(name for name, _, _ in LINE_GAUGES)
    for rule in RULES:
        named = set(FRONTROW.findall(rule["expr"]))
        assert named <= known, rule
        assert named or rule["alert"] == "FrontrowDown"


def test_each_rule_has_a_scenario() -> None:
    """No scenario names an unknown rule."""
    assert {name for scenario in SCENARIOS for name in scenario.fires} == set(NAMES)


def test_configuration_loads_the_rules() -> None:
    """It loads the file beside it, and its job has the name that the rules use."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert config["rule_files"] == ["alerts.yml"]
    (job,) = config["scrape_configs"]
    down = next(rule for rule in RULES if rule["alert"] == "FrontrowDown")
    assert f'job="{job["job_name"]}"' in down["expr"]


@pytest.fixture(scope="module")
def promtool() -> str:
    """The promtool of Prometheus."""
    return program("promtool")


def test_promtool_accepts_the_files(promtool: str) -> None:
    """The program promtool finds no error and counts every rule."""
    checked = subprocess.run(
        [promtool, "check", "config", PROMETHEUS / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert f"{len(RULES)} rules found" in checked.stdout


def test_scenarios_fire_the_expected_alerts(promtool: str, tmp_path: Path) -> None:
    """At the end of each scenario exactly the expected alerts fire."""
    # JSON is YAML; one run, since starting promtool takes longer than all scenarios.
    file = tmp_path / "stories.yml"
    file.write_text(
        json.dumps(
            {
                "rule_files": [str(PROMETHEUS / "alerts.yml")],
                "evaluation_interval": "15s",
                "tests": [_case(scenario) for scenario in SCENARIOS],
            }
        )
    )
    ran = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _case(scenario: Scenario) -> dict[str, object]:
    """Returns a promtool test case: the series of a scenario, and the expected alerts.

    promtool compares the texts of alerts too, so the ALERTS series is queried instead, which has
    only their names.
    """
    series = WELL | scenario.differs
    return {
        "name": scenario.name,
        "interval": "5s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "14m",
                "exp_samples": [
                    {"labels": f'{{alertname="{name}"}}', "value": 1}
                    for name in sorted(scenario.fires)
                ],
            }
        ],
    }
