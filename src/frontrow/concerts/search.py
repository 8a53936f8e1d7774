"""What is searched in the list of concerts, and for what: texts without differences of case."""

import unicodedata


def folded(text: str) -> str:
    """Returns a text as it is compared: any case and width, composed or not."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def searched(title: str, artist: str | None, venue: str | None) -> str:
    """Returns what is searched of a concert: a line each."""
    return "\n".join(folded(text or "") for text in (title, artist, venue))
