"""Recovers the code of a ticket from a scanner's text.

A scanner types a code key by key, as if on a US keyboard. Caps Lock, another keyboard layout, a
prefix for the kind of barcode and line ends change what arrives. What can be undone without a
doubt is undone, since the code's signature is checked afterwards; the rest is explained.
"""

import re
import unicodedata
from collections.abc import Iterator

from frontrow.payments.ticket_code import CODE_LENGTH

KEYBOARD_LAYOUT = (
    "The text has characters that no code has: the keyboard layout or the input language of this "
    "device isn't the one of the scanner. Set both to US English."
)
LETTER_CASE = (
    "The text has letters of one case only: the scanner or this device changes the case of letters."
)
LENGTH = f"The text isn't a ticket's code, which has {CODE_LENGTH} characters."

_LONGEST_PREFIX = 3
"""Of an AIM symbology identifier (ISO/IEC 15424), such as ``]Q1``."""
_CODE = re.compile(f".{{0,{_LONGEST_PREFIX}}}(A[A-Za-z0-9_-]{{{CODE_LENGTH - 1}}})")
"""A code, which begins with the bits of its version, after a prefix at most."""
_IGNORED = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})
"""Unicode categories of spaces, line ends, and control and format characters."""

_CERTAIN = re.compile("[-_]")
"""Characters that a QWERTZ keyboard types for no key of a code."""
_GERMAN = str.maketrans("yzYZßẞ?-_", "zyZY--_/?")
"""QWERTZ: each character, and the one of its key on the US layout."""
_GERMAN_SHIFT_LOCK = str.maketrans('yzYZ?ß!"§$%&/()=-_', "zyZY-_1234567890/?")
"""QWERTZ with Caps Lock on Windows, where it shifts the digits too."""


def possible_codes(text: str) -> tuple[str, ...]:
    """Returns the codes that a scanned text can be, unchecked; the most probable one first."""
    if _CERTAIN.search(text) and _code_in(text) == text:
        return (text,)
    typed = _typed(text)
    return tuple(dict.fromkeys(code for keys in _as_keys(typed) if (code := _code_in(keys))))


def why_unreadable(text: str) -> str | None:
    """Returns why a text isn't a code, or ``None`` if it can be one."""
    typed = _typed(text)
    if re.search(r"[^\x00-\x7f]", typed):
        return KEYBOARD_LAYOUT
    if not CODE_LENGTH <= len(typed) <= CODE_LENGTH + _LONGEST_PREFIX:
        return LENGTH
    if re.search(r"[^A-Za-z0-9_-]", typed[-CODE_LENGTH:]):
        return KEYBOARD_LAYOUT
    return LETTER_CASE if typed in (typed.upper(), typed.lower()) else None


def _typed(text: str) -> str:
    """Returns a text without spaces, line ends and prefixes of one character (FNC1)."""
    plain = unicodedata.normalize("NFKC", text)  # wide letters of an Asian input method
    return "".join(each for each in plain if unicodedata.category(each) not in _IGNORED)


def _as_keys(typed: str) -> Iterator[str]:
    """Yields the keys that a scanner can have pressed, as characters of the US layout."""
    yield typed
    yield typed.translate(_GERMAN)
    yield typed.swapcase()
    yield typed.translate(_GERMAN).swapcase()
    yield typed.translate(_GERMAN_SHIFT_LOCK).swapcase()


def _code_in(keys: str) -> str | None:
    """Returns the code at the end of a text, after a prefix at most."""
    found = _CODE.fullmatch(keys)
    return found[1] if found else None
