"""``/docs``: the error codes in plain HTML, and the calls in Swagger UI, which needs JavaScript."""

import gzip
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from frontrow.web.openapi.schemas import Json
from frontrow.web.templates import ENVIRONMENT

POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy: only this server's files and calls."""

_FOLDER = files("frontrow.web.openapi")
_SWAGGER_UI = _FOLDER.joinpath("vendor", "swagger-ui")
_FILES = {
    "docs.css": _FOLDER,
    "docs.js": _FOLDER,
    "swagger-ui.css": _SWAGGER_UI,
    "swagger-ui-bundle.js": _SWAGGER_UI,
}
_MEDIA_TYPES = {"css": b"text/css; charset=utf-8", "js": b"text/javascript; charset=utf-8"}


class Asset(NamedTuple):
    """A file of the page."""

    media_type: bytes
    plain: bytes
    packed: bytes
    """In gzip."""
    etag: bytes


@cache
def asset(name: str) -> Asset | None:
    """Returns a file of the page; ``None`` if there is none. The first time is slow."""
    folder = _FILES.get(name)
    if folder is None:
        return None
    plain = folder.joinpath(name).read_bytes()
    digest = hashlib.sha256(plain).hexdigest()[:16].encode()
    media_type = _MEDIA_TYPES[name.rpartition(".")[2]]
    return Asset(media_type, plain, gzip.compress(plain, mtime=0), b'"%s"' % digest)


def page(document: Json) -> str:
    """Returns the page for an OpenAPI document of this package."""
    components = document["components"]
    return ENVIRONMENT.get_template("openapi/docs.html").render(
        info=document["info"],
        errors=[
            _error(code, example, components["schemas"])
            for code, example in components["examples"].items()
        ],
    )


def _error(code: str, example: Json, schemas: Json) -> Json:
    """Returns the page's entry for a code: its meaning, its further members, an example."""
    (schema,) = (
        schema
        for schema in schemas.values()
        if schema.get("properties", {}).get("code", {}).get("const") == code
    )
    plain = schemas["Problem"]["properties"].keys()
    return {
        "code": code,
        "summary": example["summary"],
        "example": example["value"],
        "json": json.dumps(example["value"], ensure_ascii=False, indent=2),
        "members": {
            name: field["description"]
            for name, field in schema["properties"].items()
            if name not in plain
        },
    }
