"""The files of the pages: read once, and cached by browsers without expiry.

They are below ``/site/<version>/``. The version is a digest of all files, so modules that import
each other by relative paths need no build step, and no cached file is ever outdated.
"""

import hashlib
import posixpath
import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from blacksheep import Request, Response

from frontrow.web.bodies import Body

_MEDIA_TYPES = {
    "css": b"text/css; charset=utf-8",
    "html": b"text/html; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "json": b"application/json",
    "svg": b"image/svg+xml",
    "txt": b"text/plain; charset=utf-8",
    "webmanifest": b"application/manifest+json",
}
_FOR_GOOD = b"public, max-age=31536000, immutable"
_ASK_AGAIN = b"public, no-cache"
_REMARKS = re.compile(
    rb"^[ \t]*(?://[^\n]*\n|/\*\*(?:(?!\*/).)*\*/\n|\n)|^[ \t]+", re.MULTILINE | re.DOTALL
)
"""Comments on lines of their own, blank lines, and indentation."""
_IMPORT = re.compile(r"""^(?:import|export)\b(?:[^;"]*?from)?\s+"(\.[^"]+)";""", re.MULTILINE)


class Files:
    """Everything below ``web/site``, in memory. Scripts lack their comments and indentation."""

    def __init__(self) -> None:
        found = dict(_walk(files("frontrow.web").joinpath("site"), ""))
        digest = hashlib.sha256()
        for path in sorted(found):
            digest.update(b"%s\0%d\0%s" % (path.encode(), len(found[path]), found[path]))
        self.version = digest.hexdigest()[:12]
        self.sources: Mapping[str, bytes] = found
        self._bodies = {
            path: Body.of(content, _MEDIA_TYPES[path.rpartition(".")[2]])
            for path, content in found.items()
        }

    def url(self, path: str) -> str:
        """Returns the address of a file; ``a.css+b.css`` is both in one."""
        if path not in self._bodies:
            whole = b"\n".join(self.sources[part] for part in path.split("+"))
            self._bodies[path] = Body.of(whole, _MEDIA_TYPES[path.rpartition(".")[2]])
        return f"/site/{self.version}/{path}"

    def modules(self, path: str) -> list[str]:
        """Returns the addresses of a script and of all that it imports; its own first."""
        found = [path]
        for module in found:
            source = self.sources[module].decode()
            for relative in _IMPORT.findall(source):
                imported = posixpath.normpath(posixpath.join(posixpath.dirname(module), relative))
                if imported not in found:
                    found.append(imported)
        return [self.url(module) for module in found]

    def answer(self, request: Request, version: str, path: str) -> Response | None:
        """Returns a file; ``None`` if there is none.

        While a new release replaces an old one, a page may request another version: it gets this
        one, which is not cached.
        """
        body = self._bodies.get(path)
        if body is None:
            return None
        response = body.answer(request, _FOR_GOOD if version == self.version else _ASK_AGAIN)
        response.add_header(b"x-content-type-options", b"nosniff")
        return response


def _walk(folder: Traversable, below: str) -> list[tuple[str, bytes]]:
    found = []
    for item in folder.iterdir():
        if item.is_dir():
            found += _walk(item, f"{below}{item.name}/")
        else:
            found.append((below + item.name, _reduced(below + item.name, item.read_bytes())))
    return found


def _reduced(path: str, content: bytes) -> bytes:
    """Returns a script without what only its readers need; any other file as it is."""
    is_readable = path.endswith(".js") and not path.endswith(".min.js")
    return _REMARKS.sub(b"", content) if is_readable else content
