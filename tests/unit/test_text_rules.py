"""The rules of texts, for every character of Unicode."""

import re
import sys
import unicodedata

import pytest

from frontrow.text_rules import EMPTY_OR_VISIBLE_LINE, LINE, VISIBLE_LINE

BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and a symbol without ink."""
SURROGATES = range(0xD800, 0xE000)
NONCHARACTER = 0xFFFE
FIRST_EMPTY_PLANE = 0x40000


def is_invisible(character: str) -> bool:
    """Whether Unicode says that nothing known is shown: controls, formats, private use, spaces."""
    code = ord(character)
    category = unicodedata.category(character)
    if category in {"Cc", "Cf", "Co", "Zl", "Zp", "Zs"} or character in BLANK:
        return True
    is_noncharacter = code & NONCHARACTER == NONCHARACTER or 0xFDD0 <= code <= 0xFDEF
    return is_noncharacter or (category == "Cn" and code >= FIRST_EMPTY_PLANE)


@pytest.fixture(scope="module")
def characters() -> list[str]:
    """All that a text can have."""
    return [chr(code) for code in range(sys.maxunicode + 1) if code not in SURROGATES]


@pytest.mark.parametrize("rule", [VISIBLE_LINE, EMPTY_OR_VISIBLE_LINE])
def test_invisible_character_alone_is_refused(characters: list[str], rule: str) -> None:
    """Also several of them, for every character of these categories."""
    matches = re.compile(rule).search
    invisible = [one for one in characters if is_invisible(one)]
    assert [hex(ord(one)) for one in invisible if matches(one) or matches(one * 3)] == []
    assert len(invisible) > 137_468  # private use alone


def test_letters_numbers_and_symbols_are_visible(characters: list[str]) -> None:
    """Control: each is accepted alone, and beside an invisible character of its script."""
    matches = re.compile(VISIBLE_LINE).search
    shown = [
        one for one in characters if unicodedata.category(one)[0] in "LNPS" and one not in BLANK
    ]
    assert [hex(ord(one)) for one in shown if not (matches(one) and matches(f"{one}\u200d"))] == []
    assert len(shown) > 130_000


def test_invisible_characters_are_accepted_in_a_text(characters: list[str]) -> None:
    """Only controls and marks that reorder text are refused everywhere."""
    matches = re.compile(LINE).search
    refused = {one for one in characters if not matches(f"a{one}b")}
    marks = {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
    lines = {"\u2028", "\u2029"}
    annotations = {chr(code) for code in (0xFFF9, 0xFFFA, 0xFFFB, 0xFFFE, 0xFFFF)}
    controls = {one for one in characters if unicodedata.category(one) == "Cc"}
    assert refused == controls | marks | lines | annotations
