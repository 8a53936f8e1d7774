"""Every admission policy is in the guide and in the console, in both languages, and no other."""

import json
import re
from typing import get_args

import pytest

from frontrow.waiting_room.policy import Policy
from tests.documents.test_links import ROOT

SITE = ROOT / "src/frontrow/web/site"
KINDS = {kind.__struct_config__.tag for kind in get_args(Policy)}


def test_guide_explains_every_policy() -> None:
    """docs/guides/waiting-room.md has a row for each."""
    text = (ROOT / "docs/guides/waiting-room.md").read_text()
    table = text.partition("| `kind` | ")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == KINDS


def test_console_offers_every_policy() -> None:
    """The form has the fields of each."""
    script = (SITE / "console/room/policy_form.js").read_text()
    fields = script.partition("const FIELDS = {\n")[2].partition("\n};")[0]
    assert set(re.findall(r"^  (\w+): \[", fields, re.MULTILINE)) == KINDS


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_policy_has_a_name_and_a_meaning(language: str) -> None:
    """In the catalog of the console."""
    catalog = json.loads((SITE / f"catalogs/{language}/console_policy.json").read_text("utf-8"))
    for kind in KINDS:
        assert f"policy.{kind}" in catalog
        assert f"policy.{kind}.meaning" in catalog
