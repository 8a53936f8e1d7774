"""Codes are recovered from what scanners type, or the difference is explained."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from frontrow.payments.scanned_text import (
    KEYBOARD_LAYOUT,
    LENGTH,
    LETTER_CASE,
    possible_codes,
    why_unreadable,
)
from frontrow.payments.ticket_code import TicketCode
from frontrow.web.openapi.examples import CODE

QWERTZ = str.maketrans("yzYZ-_]", "zyZYß?+")
"""What the keys of the US layout type on a German keyboard."""
SHIFT_LOCK = str.maketrans("1234567890-_", '!"§$%&/()=?ß')
"""What the same keys type with the German Caps Lock of Windows, in addition."""
NO_DASHES = CODE.replace("-", "y").replace("_", "z")
"""Also a code as typed on another keyboard: only its signature can decide."""

codes = some.builds(
    TicketCode, some.just("21fe31df"), some.uuids(), some.uuids(), some.integers(1, 2**32 - 1)
).flatmap(lambda said: some.binary(min_size=64, max_size=64).map(said.signed))
spaces = some.text(alphabet=" \t\r\n\x1d\u00a0\u200b\ufeff", max_size=5)
prefixes = some.sampled_from(["", "]Q1", "]Q3", "P01", "s"])


def qwertz_shift_lock(keys: str) -> str:
    """Returns what keys type on a German keyboard with Caps Lock on Windows."""
    letters = "".join(each.swapcase() if each.isalpha() else each for each in keys)
    return letters.translate(str.maketrans("yzYZ", "zyZY")).translate(SHIFT_LOCK)


KEYBOARDS: dict[str, Callable[[str], str]] = {
    "US": str,
    "Caps Lock": str.swapcase,
    "QWERTZ": lambda keys: keys.translate(QWERTZ),
    "QWERTZ, Caps Lock": lambda keys: keys.swapcase().translate(QWERTZ),
    "QWERTZ, Caps Lock on Linux": lambda keys: keys.swapcase().translate(QWERTZ).replace("ß", "ẞ"),
    "QWERTZ, Caps Lock on Windows": qwertz_shift_lock,
    "wide letters": lambda keys: "".join(chr(ord(each) + 0xFEE0) for each in keys),
}


@given(codes, prefixes, spaces, spaces, some.sampled_from(sorted(KEYBOARDS)))
@example(CODE, "]Q1", "", "\r\n", "QWERTZ")
def test_code_is_recovered(code: str, prefix: str, before: str, after: str, keyboard: str) -> None:
    """Under any of the keyboards, with a prefix, spaces and line ends; at most one of two codes."""
    found = possible_codes(before + KEYBOARDS[keyboard](prefix + code) + after)
    assert code in found
    assert len(found) <= 2


def test_code_that_two_keyboards_may_have_typed() -> None:
    """The code as it is comes first; the other is the one of a German keyboard."""
    assert possible_codes(NO_DASHES) == (NO_DASHES, NO_DASHES.translate(QWERTZ))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ㅁ노" + "ㅁ" * 100, KEYBOARD_LAYOUT),
        ("아" * 70, KEYBOARD_LAYOUT),
        (CODE.replace("-", ")").replace("7", "è"), KEYBOARD_LAYOUT),
        (CODE.replace("-", "/"), KEYBOARD_LAYOUT),
        (CODE.upper(), LETTER_CASE),
        (CODE.lower(), LETTER_CASE),
        (CODE[:-1], LENGTH),
        (CODE + CODE, LENGTH),
        ("https://example.org/tickets", LENGTH),
        ("", LENGTH),
        (CODE, None),
        (f"]Q1{CODE}\r", None),
    ],
)
def test_unreadable_text_is_explained(text: str, why: str | None) -> None:
    """By its characters, its length or its case."""
    assert why_unreadable(text) == why


@given(some.text(max_size=1000))
def test_other_text_is_no_code(text: str) -> None:
    """No text raises an error, and arbitrary text is never a code."""
    assert possible_codes(text) == ()
    why_unreadable(text)
