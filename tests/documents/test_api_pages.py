"""The pages of the API have every call, and each printed answer fits its schema."""

import json
import re
from pathlib import Path

import pytest

from frontrow.web.routes import document
from testkit.conformance import closed, validator
from tests.documents.test_links import ROOT
from tools.api_pages import settled

PAGES = sorted((ROOT / "docs/reference/api").glob("*.md"))
_ANSWER = re.compile(r"^<!-- (\w+) (\d+) -->\n```json\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
OPERATIONS = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
}


def test_every_call_has_a_section() -> None:
    """A heading with a request and an answer."""
    text = "\n".join(page.read_text() for page in PAGES)
    headings = re.findall(r"^## (\w+ /\S*)$", text, re.MULTILINE)
    assert sorted(headings) == sorted(f"{method} {path}" for method, path, _ in OPERATIONS.values())
    assert text.count("```http\n") == len(OPERATIONS)


def test_only_changed_calls_are_written_again() -> None:
    """Other ids, times and counts are no change; another field, status or text is."""
    old = PAGES[0].read_text()
    heading = re.findall(r"^## .*$", old, re.MULTILINE)[0]
    another_run = re.sub(r"(?<![*\d])\d(?!\d*\*)", "7", old)
    assert another_run != old
    assert settled(old, another_run) == old
    for change in (
        another_run.replace(heading, f"{heading}\n\nAnother sentence."),
        another_run.replace("**200**", "**202**"),
    ):
        assert change != another_run
        assert settled(old, change) != old


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_printed_answers_fit_their_schemas(page: Path) -> None:
    """The present schema of the call, without unknown members."""
    strict = closed(document())
    for name, status, text in _ANSWER.findall(page.read_text()):
        _, _, operation = OPERATIONS[name]
        schema = operation["responses"][status]["content"]["application/json"]["schema"]
        validator(strict, schema).validate(json.loads(text))
