"""Pages out of templates: what every template needs, in each language."""

from collections.abc import Sequence

from markupsafe import Markup

from frontrow.web.i18n.catalogs import LANGUAGES
from frontrow.web.i18n.texts import Texts
from frontrow.web.pages.account import Standing
from frontrow.web.pages.assets import Files
from frontrow.web.templates import ENVIRONMENT

REFRESH_SECONDS = 10
"""After this time a browser without scripts loads the page again."""


class PageTemplate:
    """A page's template with its texts and styles."""

    def __init__(
        self, files: Files, name: str, catalogs: Sequence[str], styles: Sequence[str]
    ) -> None:
        self._template = ENVIRONMENT.get_template(f"pages/templates/{name}.html")
        self.texts = {language: Texts(language, *catalogs) for language in LANGUAGES}
        shared = {
            "files": files,
            # One file: each further one delays the first paint.
            "styles": "+".join(f"styles/{style}.css" for style in styles),
            "refresh_seconds": REFRESH_SECONDS,
        }
        self._values = {
            language: shared | {"t": self.texts[language], "other_language": other}
            for language, other in zip(LANGUAGES, reversed(LANGUAGES), strict=True)
        }

    def render(self, language: str, standing: Standing, **values: object) -> bytes:
        """Returns the page in a language."""
        return self.fragment(language, standing=standing.value, **values).encode()

    def fragment(self, language: str, **values: object) -> Markup:
        """Returns a part of a page in a language."""
        return Markup(self._template.render(self._values[language], **values))  # noqa: S704 - escaped there
