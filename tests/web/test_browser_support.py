"""The pages' scripts and styles use nothing that a supported browser lacks.

Supported are Chrome and Edge 111, Firefox 111, Safari 16.4, Samsung Internet 22, and newer ones
(docs/guides/pages.md). The type checker checks the language itself: ``lib`` in tsconfig.json.
"""

import re
from collections.abc import Mapping

from frontrow.web.pages.assets import Files

# With the first versions, where a supported browser has none or only a later one.
SCRIPTS: Mapping[str, str] = {
    r"AbortSignal\.any\b": "Safari 17.4, Firefox 124",
    r"\brandomUUID\b": "secure contexts only",
    r"\b(?:Map|Object)\.groupBy\b": "Safari 17.4, Firefox 119",
    r"\bPromise\.(?:withResolvers|try)\b": "Safari 17.4, Firefox 121",
    r"\bArray\.fromAsync\b": "Chrome 121, Firefox 115",
    r"\bURL\.(?:canParse|parse)\b": "Chrome 120, Safari 17",
    r"\.(?:toSorted|toReversed|toSpliced)\(": "Firefox 115",
    r"\.(?:isSubsetOf|isSupersetOf|isDisjointFrom|symmetricDifference)\(": "Firefox 127",
    r"\.(?:keys|values|entries)\(\)\.(?:map|filter|find|some|every|reduce|take)\(": "Safari 18.4",
    r"\.(?:checkVisibility|(?:show|hide|toggle)Popover|moveBefore|requestClose)\(": "Firefox 125",
    r"\b(?:startViewTransition|requestIdleCallback|setHTML)\b": "Safari 18 or none",
    r"\b(?:scheduler|navigation|cookieStore)\.": "Safari 26 or none",
    r"\b(?:Temporal|DurationFormat|Segmenter)\b": "Firefox 125 or later",
    r"\bUint8Array\.from(?:Hex|Base64)\b|\.to(?:Hex|Base64)\(": "Chrome 140",
    r"\bRegExp\.escape\b|\bReadableStream\.from\b": "Safari 18.2 or none",
    r"\bcrypto\.subtle\b": "secure contexts only",
    r"\bnavigator\.(?:clipboard|wakeLock|serviceWorker|share)\b": "secure contexts only",
    r"\bBarcodeDetector\b|\bnavigator\.mediaDevices\b": "secure contexts, or none",
}
STYLES: Mapping[str, str] = {
    r"(?m)^\s*&|\{[^{}]*\{(?=[^{}]*&)": "Safari 17.2, Firefox 117",
    r"light-dark\(|contrast-color\(|\bif\(": "Safari 17.5 or later",
    r"@(?:starting-style|scope|property|view-transition|position-try)\b": "Firefox 128 or later",
    r"\b(?:field-sizing|anchor-name|position-anchor|interpolate-size)\s*:": "Safari 26 or none",
    r"\bscrollbar-(?:gutter|width|color)\s*:": "Safari 18.2",
    r":user-(?:in)?valid\b|:open\b|:popover-open\b": "Chrome 119 or later",
    r":has\(": "Firefox 121",
}
# They test for it, and have another way.
TESTED = {
    ("shared/proof.js", r"\bcrypto\.subtle\b"),
    ("console/gate/camera.js", r"\bBarcodeDetector\b|\bnavigator\.mediaDevices\b"),
    # Without it a hint is shown too often, and the footer stays below the bar.
    ("styles/shop.css", r":has\("),
    ("styles/fan.css", r":has\("),
}


def found() -> set[tuple[str, str]]:
    """Returns the files that use something newer, with what it is."""
    return {
        (path, pattern)
        for path, source in Files().sources.items()
        if not path.startswith("vendor/")
        for suffix, patterns in ((".js", SCRIPTS), (".css", STYLES))
        if path.endswith(suffix)
        for pattern in patterns
        if re.search(pattern, source.decode())
    }


def test_pages_use_nothing_that_a_supported_browser_lacks() -> None:
    """Every newer function has a fallback in the file that uses it."""
    assert found() == TESTED
