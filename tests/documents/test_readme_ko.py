"""README.ko.md has the headings, code, links and tables of README.md, in the same order."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGLISH = (ROOT / "README.md").read_text("utf-8")
KOREAN = (ROOT / "README.ko.md").read_text("utf-8")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# Links that only one of the two has: to each other, and to the Korean design documents.
ONE_SIDED = {"README.md", "README.ko.md", "docs/design/ko/architecture.md"}
# In a diagram, all that isn't prose: arrows, keywords, calls, statuses, names with an underscore.
SKELETON = re.compile(
    r"-?->>?|==>|\b(?:GET|POST|PUT|PATCH|DELETE) /[\w/{}]+|\b[a-z]+_\w+|\b[2-5]\d\d\b"
    r"|^ *(?:participant|actor|Note|loop|alt|else|opt|end)\b",
    re.MULTILINE | re.ASCII,
)
# English words in the Korean text: names and values.
NAMES = {
    "admitted", "asyncpg", "BlackSheep", "Chromium", "docs", "English", "events", "FastAPI",
    "frontrow", "Frontrow", "http", "HTTP", "Hypothesis", "joserfc", "kill", "Litestar", "make",
    "msgspec", "nginx", "none", "OpenAPI", "OpenID", "operator", "PostgreSQL", "PyJWT",
    "Python", "sent", "server", "token", "uvicorn",
}  # fmt: skip


class Section(NamedTuple):
    """The structure of what is under one heading."""

    level: int
    code: list[str]
    links: list[str]
    table: list[list[str]]
    """The code in the cells of each row: names of calls and fields are the same."""
    paragraphs: int
    points: int


def structure(block: str) -> str:
    """Returns what a code block must have in both languages: all of it, or its skeleton."""
    if block.startswith("```mermaid\nerDiagram"):
        return block
    if block.startswith("```mermaid"):
        return "\n".join(SKELETON.findall(block))
    if "src/" in block:
        return "\n".join(re.findall(r"^ *\S+(?: \w+\.py)*", block, re.MULTILINE))
    return block


def sections(text: str) -> list[Section]:
    """Returns the structure of a page, heading by heading."""
    code = FENCE.findall(text)
    marked = FENCE.sub("\0", text)
    found = []
    for part in re.split(r"^(?=#{1,6} )", marked, flags=re.MULTILINE)[1:]:
        blocks = [structure(code.pop(0)) for _ in range(part.count("\0"))]
        links = [
            link.replace("docs/design/ko/", "docs/design/")
            for link in re.findall(r"\]\(([^)\s]+)\)", part)
            if link not in ONE_SIDED
        ]
        rows = re.findall(r"^\|.*\|$", part, re.MULTILINE)
        found.append(
            Section(
                level=len(part) - len(part.lstrip("#")),
                code=blocks,
                links=links,
                table=sorted(sorted(re.findall(r"`[^`]+`", row)) for row in rows),
                paragraphs=len(re.split(r"\n{2,}", re.sub("<!-- .* -->", "", part).strip())),
                points=len(re.findall(r"^- ", part, re.MULTILINE)),
            )
        )
    return found


def test_structure_is_the_same() -> None:
    """Section by section, so that a failure names the place."""
    english, korean = sections(ENGLISH), sections(KOREAN)
    for index, (one, other) in enumerate(zip(english, korean, strict=True)):
        for field in Section._fields:
            ours, theirs = getattr(one, field), getattr(other, field)
            assert theirs == ours, f"section {index}: {field}"
    assert sum(len(section.code) for section in english) > 12


def test_names_in_code_are_the_same() -> None:
    """Fields, commands and variables in the text, each as often as in the other language."""
    named = [sorted(re.findall(r"`[^`\n]+`", FENCE.sub("", text))) for text in (ENGLISH, KOREAN)]
    assert named[0] == named[1]


def test_each_links_to_the_other() -> None:
    """In the third line."""
    assert ENGLISH.splitlines()[2] == "[한국어](README.ko.md)"
    assert KOREAN.splitlines()[2] == "[English](README.md)"


def test_no_sentence_is_left_in_english() -> None:
    """A line with two words of four or more letters that aren't names is English."""
    text = re.sub(r"`[^`]+`|\]\([^)]*\)|http\S+|<!--.*-->|</?\w+>", " ", FENCE.sub("", KOREAN))
    for line in text.splitlines():
        words = [word for word in re.findall(r"[A-Za-z]{4,}", line) if word not in NAMES]
        assert len(words) < 2, line
    assert len(re.findall("[가-힣]", text)) > 1_000


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("## 실행하기", "### 실행하기"),
        ("make run\n```", "make  run\n```"),
        ("](docs/guides/mock.md)", "](docs/guides/pages.md)"),
        ("| `GET /users/me` |", "| `GET /users/you` |"),
        ("\n- **결제**", "\n**결제**"),
        ("DB-->>L: seat_taken\n", "DB->>L: seat_taken\n"),
        ("    access/  ", "    entry/  "),
    ],
)
def test_difference_is_found(old: str, new: str) -> None:
    """In a heading's level, code, a link, a table, a list, a diagram, the package tree."""
    assert KOREAN.count(old) == 1
    assert sections(KOREAN.replace(old, new)) != sections(ENGLISH)
