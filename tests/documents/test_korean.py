"""The Korean documents have the headings, code, links and tables of the English ones."""

import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
DESIGN = ROOT / "docs/design"
# Each English document with its Korean one; records of decisions may be in English only.
PAIRS = (
    {ROOT / "README.md": ROOT / "README.ko.md"}
    | {page: DESIGN / "ko" / page.name for page in sorted(DESIGN.glob("*.md"))}
    | {DESIGN / "adr" / page.name: page for page in sorted(DESIGN.glob("ko/adr/*.md"))}
)
ENGLISH_OF = {korean: english for english, korean in PAIRS.items()}
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# In a diagram, all that isn't prose: arrows, keywords, calls, statuses, names with an underscore.
SKELETON = re.compile(
    r"-?->>?|==>|\b(?:GET|POST|PUT|PATCH|DELETE) /[\w/{}]+|\b[a-z]+_\w+|\b[2-5]\d\d\b"
    r"|^ *(?:participant|actor|Note|loop|alt|else|opt|end)\b",
    re.MULTILINE | re.ASCII,
)


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


def linked(page: Path, target: str) -> str:
    """Returns where a link leads, as the path of the English document."""
    if re.match("[a-z]+:", target):
        return target
    file = (page.parent / target.partition("#")[0]).resolve() if target[0] != "#" else page
    return str(ENGLISH_OF.get(file, file).relative_to(ROOT))


def sections(page: Path, text: str) -> list[Section]:
    """Returns the structure of a page, heading by heading."""
    code = FENCE.findall(text)
    marked = FENCE.sub("\0", text)
    found = []
    for part in re.split(r"^(?=#{1,6} )", marked, flags=re.MULTILINE)[1:]:
        blocks = [structure(code.pop(0)) for _ in range(part.count("\0"))]
        links = [
            linked(page, target)
            for target in re.findall(
                r"(?<!^\[한국어)(?<!^\[English)\]\(([^)\s]+)\)", part, re.MULTILINE
            )
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


def named(page: Path) -> list[str]:
    """Returns the code in a page's text: fields, commands, variables."""
    return sorted(re.findall(r"`[^`\n]+`", FENCE.sub("", page.read_text("utf-8"))))


each_pair = pytest.mark.parametrize(
    ("english", "korean"), PAIRS.items(), ids=[str(page.relative_to(ROOT)) for page in PAIRS]
)


@each_pair
def test_structure_is_the_same(english: Path, korean: Path) -> None:
    """Section by section, so that a failure names the place."""
    pages = [sections(page, page.read_text("utf-8")) for page in (english, korean)]
    for index, (one, other) in enumerate(zip(*pages, strict=True)):
        for field in Section._fields:
            ours, theirs = getattr(one, field), getattr(other, field)
            assert theirs == ours, f"section {index}: {field}"


@each_pair
def test_names_in_code_are_the_same(english: Path, korean: Path) -> None:
    """Each as often as in the other language."""
    assert named(english) == named(korean)


@each_pair
def test_each_links_to_the_other(english: Path, korean: Path) -> None:
    """In the third line."""
    lines = [page.read_text("utf-8").splitlines()[2] for page in (english, korean)]
    to_korean = os.path.relpath(korean, english.parent)
    to_english = os.path.relpath(english, korean.parent)
    assert lines == [f"[한국어]({to_korean})", f"[English]({to_english})"]


@each_pair
def test_no_sentence_is_left_in_english(english: Path, korean: Path) -> None:
    """Two English words in a row, other than a name or a row of data, are an English sentence."""
    shared = english.read_text("utf-8").splitlines()
    text = FENCE.sub("", korean.read_text("utf-8"))
    left = [line for line in text.splitlines() if line not in shared]
    prose = re.sub(r"`[^`]+`|\]\([^)]*\)|<!--.*-->", " ", "\n".join(left))
    found = set(re.findall(r"[a-z]{3,} [a-z]{3,}", prose))
    assert found <= {"sent events", "two kinds", "the increase", "and decrease"}
    assert len(re.findall("[가-힣]", text)) > 100


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
    english, korean = next(iter(PAIRS.items()))
    text = korean.read_text("utf-8")
    assert text.count(old) == 1
    assert sections(korean, text.replace(old, new)) != sections(english, english.read_text("utf-8"))
