"""The alert rules: well formed, about metrics that exist, and each fires when it should."""

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
"""Samples of each 5 seconds, as promtool writes them, by series."""

C = '{concert="c",instance="a"}'
UNBOUNDED = "1000000000000x180"
"""promtool can't write +Inf."""
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
"""A quarter of an hour of a server and a line that do well; its clock starts at 0."""
FREE = f"frontrow_admitted_total{C}"
STALE = 'frontrow_snapshot_timestamp_seconds{instance="a"}'
FAILS = 'frontrow_upkeep_failures_total{task="snapshot",instance="a"}'
REFUSED = 'frontrow_http_requests_total{call="hold",status="503",instance="a"}'


@dataclass
class Story:
    """How it differs from all being well, and which alerts that fires."""

    tells: str
    differs: Series
    fires: set[str] = field(default_factory=set)


STORIES = (
    Story("all is well", {}),
    Story(
        "the process is down", {'up{job="frontrow",instance="a"}': "1x60 0x120"}, {"FrontrowDown"}
    ),
    Story(
        "the database is away",
        {STALE: "0+5x60 300x120", FAILS: "0x60 0+5x120", REFUSED: "0x60 0+500x120"},
        {"FrontrowDatabaseUnavailable", "FrontrowSnapshotStale", "FrontrowUpkeepFails"},
    ),
    Story("one round of upkeep fails", {FAILS: "0x162 1x18"}),
    Story("a process hangs", {STALE: "0+5x60 300x120"}, {"FrontrowSnapshotStale"}),
    Story(
        "admission fails",
        {
            'frontrow_upkeep_failures_total{task="admission",instance="a"}': "0+5x180",
            FREE: "0x180",
        },
        {"FrontrowUpkeepFails", "FrontrowLineStalled"},
    ),
    Story("more come than can wait", {REFUSED: "0+500x180"}, {"FrontrowRefuses"}),
    Story(
        "one call in two hundred fails",
        {'frontrow_http_requests_total{call="hold",status="500",instance="a"}': "0+25x180"},
        {"FrontrowErrors"},
    ),
    Story(
        "one call in twenty takes two seconds",
        {'frontrow_http_request_seconds_bucket{call="hold",le="1",instance="a"}': "0+4750x180"},
        {"FrontrowSlow"},
    ),
    Story("nobody is called", {FREE: "0+50x60 3000x120"}, {"FrontrowLineStalled"}),
    Story("it is full", {FREE: "3000x180", f"frontrow_line_active{C}": "100x180"}),
    Story("nobody waits", {FREE: "3000x180", f"frontrow_line_waiting{C}": "0x180"}),
    Story(
        "it is paused",
        {
            FREE: "3000x180",
            'frontrow_line_state{concert="c",state="open",instance="a"}': "0x180",
            'frontrow_line_state{concert="c",state="paused",instance="a"}': "1x180",
        },
    ),
    Story(
        "its policy calls one in 100 s",
        {f"frontrow_line_cap{C}": UNBOUNDED, f"frontrow_line_rate{C}": "0.01x180", FREE: "0x180"},
    ),
    Story(
        "another server calls",
        {FREE: "3000x180", 'frontrow_admitted_total{concert="c",instance="b"}': "0+50x180"},
    ),
    Story(
        "the cap isn't kept", {f"frontrow_line_active{C}": "101x180"}, {"FrontrowActiveAboveCap"}
    ),
    Story(
        "the cap is lowered",
        {f"frontrow_line_cap{C}": "100x159 50x21", FREE: "0+50x159 7950x21"},
    ),
    Story(
        "one call in ten comes late",
        {'frontrow_admission_delay_seconds_bucket{le="0.25",instance="a"}': "0+45x180"}
        | {'frontrow_admission_delay_seconds_bucket{le="0.1",instance="a"}': "0+45x180"},
        {"FrontrowCallsLate"},
    ),
    Story(
        "three waits in ten are longer than told",
        {
            f"frontrow_forecasts_judged{C}": "5000x180",
            'frontrow_forecast_share{concert="c",forecast="p90",instance="a"}': "0.7x180",
        },
        {"FrontrowForecastBad"},
    ),
    Story(
        "three of ten, of few",
        {
            f"frontrow_forecasts_judged{C}": "10x180",
            'frontrow_forecast_share{concert="c",forecast="p90",instance="a"}': "0.7x180",
        },
    ),
    Story(
        "the seats are gone",
        {
            'frontrow_line_state{concert="c",state="open",instance="a"}': "0x180",
            'frontrow_line_state{concert="c",state="sold_out",instance="a"}': "1x180",
        },
        {"FrontrowSoldOut"},
    ),
)


def test_rules_have_what_a_reader_needs() -> None:
    """A time that it lasts, how bad it is, what is wrong and what to do."""
    assert len(NAMES) == len(set(NAMES)) == 12
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
    """By the names that Prometheus gives them; all but the one that Prometheus makes itself."""
    assert metrics.ADMITTED in REGISTRY._collector_to_names
    known: set[str] = set()
    for family in REGISTRY.collect():
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        known.update(family.name + end for end in ends.get(family.type, ("",)))
    for rule in RULES:
        named = set(FRONTROW.findall(rule["expr"]))
        assert named <= known, rule
        assert named or rule["alert"] == "FrontrowDown"


def test_each_rule_has_a_story() -> None:
    """And none is told of a rule that isn't there."""
    assert {name for story in STORIES for name in story.fires} == set(NAMES)


def test_the_configuration_reads_the_rules() -> None:
    """It loads the file beside it, and its job has the name that the rules ask for."""
    told = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert told["rule_files"] == ["alerts.yml"]
    (job,) = told["scrape_configs"]
    down = next(rule for rule in RULES if rule["alert"] == "FrontrowDown")
    assert f'job="{job["job_name"]}"' in down["expr"]


@pytest.fixture(scope="module")
def promtool() -> str:
    """Prometheus' own program."""
    return program("promtool")


def test_prometheus_takes_the_files(promtool: str) -> None:
    """Its own check finds nothing wrong, and all of the rules."""
    checked = subprocess.run(
        [promtool, "check", "config", PROMETHEUS / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert f"{len(RULES)} rules found" in checked.stdout


def test_what_fires(promtool: str, tmp_path: Path) -> None:
    """What fires at the end of each story is what should, and nothing else."""
    # JSON is YAML; one run, since to start promtool costs more than all stories.
    file = tmp_path / "stories.yml"
    file.write_text(
        json.dumps(
            {
                "rule_files": [str(PROMETHEUS / "alerts.yml")],
                "evaluation_interval": "5s",
                "tests": [_case(story) for story in STORIES],
            }
        )
    )
    ran = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _case(story: Story) -> dict[str, object]:
    """What is measured in a story, and what should fire.

    Asked for as alerts, promtool wants every text that they carry. Prometheus' own series has the
    names alone.
    """
    series = WELL | story.differs
    return {
        "name": story.tells,
        "interval": "5s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "14m",
                "exp_samples": [
                    {"labels": f'{{alertname="{name}"}}', "value": 1}
                    for name in sorted(story.fires)
                ],
            }
        ],
    }
