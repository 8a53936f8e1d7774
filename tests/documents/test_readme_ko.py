"""README.ko.md is README.md in Korean: the same headings, code, links and tables, in this order."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGLISH = (ROOT / "README.md").read_text("utf-8")
KOREAN = (ROOT / "README.ko.md").read_text("utf-8")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# Each names the other one.
ACROSS = {"README.md", "README.ko.md"}
# What is left of the English text: a word of four letters or more that isn't a name.
NAMES = {
    "admitted", "Frontrow", "frontrow", "make", "nginx", "OpenAPI", "PostgreSQL", "Python", "kill",
    "SIGTERM", "English", "http", "docs",
}  # fmt: skip


class Section(NamedTuple):
    """What is under one heading, without its words."""

    level: int
    code: list[str]
    links: list[str]
    table: list[list[str]]
    """The code in each row's cells: names of commands and options stay as they are."""
    paragraphs: int
    points: int


def sections(text: str) -> list[Section]:
    """The structure of a page, heading by heading."""
    code = FENCE.findall(text)
    marked = FENCE.sub("\0", text)
    found = []
    for part in re.split(r"^(?=#{1,6} )", marked, flags=re.MULTILINE)[1:]:
        blocks = [code.pop(0) for _ in range(part.count("\0"))]
        links = [one for one in re.findall(r"\]\(([^)\s]+)\)", part) if one not in ACROSS]
        rows = re.findall(r"^\|.*\|$", part, re.MULTILINE)
        found.append(
            Section(
                level=len(part) - len(part.lstrip("#")),
                code=blocks,
                links=links,
                table=[sorted(re.findall(r"`[^`]+`", row)) for row in rows],
                paragraphs=len(re.split(r"\n{2,}", part.strip())),
                points=len(re.findall(r"^- ", part, re.MULTILINE)),
            )
        )
    return found


def test_the_structure_is_the_same() -> None:
    """Section by section, so that a difference says where it is."""
    english, korean = sections(ENGLISH), sections(KOREAN)
    for index, (one, other) in enumerate(zip(english, korean, strict=True)):
        for field in Section._fields:
            ours, theirs = getattr(one, field), getattr(other, field)
            assert theirs == ours, f"section {index}: {field}"
    assert sum(len(section.code) for section in english) > 20


def test_what_is_named_in_code_is_the_same() -> None:
    """Fields, commands and variables in the text: as many of each."""
    named = [sorted(re.findall(r"`[^`\n]+`", FENCE.sub("", text))) for text in (ENGLISH, KOREAN)]
    assert named[0] == named[1]


def test_each_leads_to_the_other() -> None:
    """At the top."""
    assert ENGLISH.splitlines()[2] == "[한국어](README.ko.md)"
    assert KOREAN.splitlines()[2] == "[English](README.md)"


def test_it_is_translated() -> None:
    """No sentence was left in English: two words in a row that aren't names."""
    text = re.sub(r"`[^`]+`|\]\([^)]*\)|http\S+", " ", FENCE.sub("", KOREAN))
    for line in text.splitlines():
        words = [word for word in re.findall(r"[A-Za-z]{4,}", line) if word not in NAMES]
        assert len(words) < 2, line
    assert len(re.findall("[가-힣]", text)) > 1_000


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("## 실행하기", "### 실행하기"),
        ("make run\n```", "make  run\n```"),
        ("](docs/guides/rate-limits.md)", "](docs/guides/mock.md)"),
        ("| `frontrow audit` |", "| `frontrow audits` |"),
        ("\n- **결제**", "\n**결제**"),
    ],
)
def test_a_difference_is_noticed(old: str, new: str) -> None:
    """A heading's level, code, a link, a table, a list."""
    assert KOREAN.count(old) == 1
    assert sections(KOREAN.replace(old, new)) != sections(ENGLISH)
