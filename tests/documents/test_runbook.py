"""The runbook has a section for each alert and for no other."""

import re

import yaml  # type: ignore[import-untyped]

from tests.documents.test_links import ROOT


def test_every_alert_has_a_section() -> None:
    """Its name is the heading."""
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    runbook = (ROOT / "docs/guides/runbook.md").read_text()
    assert sorted(re.findall(r"^### (Frontrow\w+)$", runbook, re.MULTILINE)) == sorted(alerts)
