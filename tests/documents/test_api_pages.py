"""The pages of the API: every call is there, and what they print as answers are such answers."""

import json
import re
from pathlib import Path

import pytest

from frontrow.web.routes import document
from testkit.conformance import closed, validator
from tests.documents.test_links import ROOT

PAGES = sorted((ROOT / "docs/reference/api").glob("*.md"))
_ANSWER = re.compile(r"^<!-- (\w+) (\d+) -->\n```json\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
OPERATIONS = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
}


def test_every_call_has_its_place() -> None:
    """One heading each, with a request and an answer below it."""
    text = "\n".join(page.read_text() for page in PAGES)
    headings = re.findall(r"^## (\w+ /\S*)$", text, re.MULTILINE)
    assert sorted(headings) == sorted(f"{method} {path}" for method, path, _ in OPERATIONS.values())
    assert text.count("```http\n") == len(OPERATIONS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_answers_are_as_documented(page: Path) -> None:
    """Each printed answer fits the schema of its call now; none has a member that isn't known."""
    strict = closed(document())
    for name, status, text in _ANSWER.findall(page.read_text()):
        _, _, operation = OPERATIONS[name]
        schema = operation["responses"][status]["content"]["application/json"]["schema"]
        validator(strict, schema).validate(json.loads(text))
