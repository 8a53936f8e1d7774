"""The runbook has something to do for each alert, and no alert that there isn't."""

import re

import yaml  # type: ignore[import-untyped]

from tests.documents.test_links import ROOT


def test_every_alert_is_in_the_runbook() -> None:
    """By its name, as a heading."""
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    told = re.findall(
        r"^### (Frontrow\w+)$", (ROOT / "docs/guides/runbook.md").read_text(), re.MULTILINE
    )
    assert sorted(told) == sorted(alerts)
