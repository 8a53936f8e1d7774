"""What a title, a name or a note may contain, as patterns for JSON Schema and Python alike.

Refused are control characters (C0, C1, line and paragraph separators), the marks that reorder the
text around them (embeddings, overrides and isolates), and codes that are no characters. The marks
that Arabic, Hebrew, Persian and emoji need (U+200C to U+200F, U+061C) are accepted. A text of
invisible characters alone is refused where it names something.
"""

import re

_CONTROLS = (
    "\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029"
    "\\u202a-\\u202e\\u2066-\\u2069"
    "\\ufff9-\\ufffb\\ufffe\\uffff"
)
# What shows nothing, or nothing that is known: Unicode's Default_Ignorable_Code_Point, the blank
# Braille pattern, the categories Cf (format) and Co (private use), and of Cn (unassigned) what will
# stay so. Gaps between other characters may be filled by the next version of Unicode.
_INVISIBLE = (
    "\\u00ad\\u034f\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2"
    "\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2060-\\u206f\\u2800\\u3164"
    "\\ue000-\\uf8ff\\ufdd0-\\ufdef\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufff8"
)
# Python and JSON Schema have no common escape for these: they are literal characters.
_INVISIBLE += "".join(
    f"{chr(first)}-{chr(last)}"
    for first, last in (
        (0x110BD, 0x110BD),
        (0x110CD, 0x110CD),
        (0x13430, 0x1343F),
        (0x1BCA0, 0x1BCA3),
        (0x1D173, 0x1D17A),
        (0x1FFFE, 0x1FFFF),
        (0x2FFFE, 0x2FFFF),
        (0x3FFFE, 0x10FFFF),
    )
)
# Python's "$" also matches before a line end at the end of the text.
_END = "$(?!\\n)"
_VISIBLE = f"[^{_CONTROLS}]*[^\\s{_CONTROLS}{_INVISIBLE}][^{_CONTROLS}]*"

LINE = f"^[^{_CONTROLS}]*{_END}"
"""Any text of one line, also an empty one."""
VISIBLE_LINE = f"^{_VISIBLE}{_END}"
"""A text of one line with at least one visible character."""
EMPTY_OR_VISIBLE_LINE = f"^(?:{_VISIBLE})?{_END}"
"""The same, or an empty text."""
VISIBLE_TEXT = f"^(?:[^{_CONTROLS}]|\\n)*[^\\s{_CONTROLS}{_INVISIBLE}](?:[^{_CONTROLS}]|\\n)*{_END}"
"""A text of any number of lines with at least one visible character."""

RULES = {
    LINE: "control characters are not allowed",
    VISIBLE_LINE: "needs a visible character, and no control characters",
    EMPTY_OR_VISIBLE_LINE: "needs a visible character, and no control characters",
    VISIBLE_TEXT: "needs a visible character, and no control characters but line ends",
}
"""What each pattern demands, for people."""

_NOT_IN_A_LOG_LINE = re.compile(f"[{_CONTROLS}]")
_NOT_IN_A_FILE = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]")


def escaped(text: str, *, keep: str = "") -> str:
    """Returns a text with its control characters as Python escapes, except those of ``keep``."""
    return _NOT_IN_A_LOG_LINE.sub(
        lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1], text
    )


def without_controls(text: str) -> str:
    """Returns a text with control characters (RFC 5545, 3.1) replaced by U+FFFD; lines stay."""
    return _NOT_IN_A_FILE.sub("\ufffd", text)
