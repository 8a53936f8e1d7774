"""docs/reference/glossary.md: one word for one thing."""

import re

from tests.documents.test_links import ROOT

TERMS = re.findall(
    r"^\| (?!term|---)(.+?) \| (.+?) \| (.+?) \|$",
    (ROOT / "docs/reference/glossary.md").read_text("utf-8"),
    re.MULTILINE,
)


def test_each_term_is_defined_once() -> None:
    """In English and in Korean; no word stands for two terms."""
    for column in (0, 1):
        words = [word for term in TERMS for word in term[column].split(", ")]
        assert len(words) == len(set(words))
    assert len(TERMS) > 50
    assert [term for term in TERMS if not re.search("[가-힣]", term[1])] == []


def test_korean_pages_use_its_words() -> None:
    """Not the other common word for a concert (but in venue and cancellation) or a gate."""
    catalogs = sorted((ROOT / "src/frontrow/web/site/catalogs/ko").glob("*.json"))
    other = re.compile("게이트|공연(?!장|이 취소| 취소)")
    found = [line for path in catalogs for line in path.read_text("utf-8").splitlines()]
    assert [line for line in found if other.search(line)] == []
    assert len(catalogs) > 10
