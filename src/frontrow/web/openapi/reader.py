"""The OpenAPI document as a page: plain HTML, made here, that needs nothing from anywhere else."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from frontrow.web.openapi.schemas import Json

_TEMPLATE = Template(files("frontrow.web.openapi").joinpath("reader.html").read_text("utf-8"))
_STYLE = files("frontrow.web.openapi").joinpath("reader.css").read_text("utf-8")

POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src "
    f"'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
).encode()
"""The page's Content-Security-Policy: its own style, and nothing else."""

_CODE = re.compile("`([^`]+)`")
_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "default": "default {}",
    "const": "always {}",
}


def page(document: Json) -> str:
    """The page for a document of ``openapi.py``."""
    info, components = document["info"], document["components"]
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    groups = [
        (tag, [each for each in operations if each[2]["tags"] == [tag["name"]]])
        for tag in document["tags"]
    ]
    return _TEMPLATE.substitute(
        title=escape(info["title"]),
        version=escape(info["version"]),
        style=_STYLE,
        introduction=_paragraphs(info["description"]),
        contents=_contents(groups),
        credentials=_rows(
            (_name(name), _text(scheme["description"]))
            for name, scheme in components["securitySchemes"].items()
        ),
        groups="\n".join(_group(tag, calls) for tag, calls in groups),
        errors="\n".join(
            _error(code, example, components["schemas"])
            for code, example in components["examples"].items()
        ),
        schemas="\n".join(
            _schema(name, schema)
            for name, schema in components["schemas"].items()
            if "properties" in schema and not {"code", "detail"} <= schema["properties"].keys()
        ),
    )


def _contents(groups: list[tuple[Json, list[tuple[str, str, Json]]]]) -> str:
    parts = ['<a href="#credentials">Credentials</a>']
    for tag, calls in groups:
        links = "".join(
            f'<li><a href="#call-{escape(call["operationId"])}">{escape(call["summary"])}</a></li>'
            for _, _, call in calls
        )
        parts.append(f'<a href="#{_slug(tag["name"])}">{escape(tag["name"])}</a><ul>{links}</ul>')
    parts += ['<a href="#errors">Errors</a>', '<a href="#schemas">Schemas</a>']
    return "<ul>" + "".join(f"<li>{part}</li>" for part in parts) + "</ul>"


def _group(tag: Json, calls: list[tuple[str, str, Json]]) -> str:
    return (
        f'<section id="{_slug(tag["name"])}"><h2>{escape(tag["name"])}</h2>'
        f"<p>{_text(tag['description'])}</p>{''.join(_call(*call) for call in calls)}</section>"
    )


def _call(method: str, path: str, call: Json) -> str:
    parts = [
        f"<h3>{escape(call['summary'])}</h3>",
        f'<p><code class="method">{method}</code> <code>{escape(path)}</code></p>',
        _paragraphs(call["description"]),
        "<h4>Parameters</h4>",
        _rows(
            (
                _name(parameter["name"]) + f' <span class="faint">{parameter["in"]}</span>',
                _type(parameter["schema"]),
                _text(parameter["description"]),
                _value(parameter["example"]),
            )
            for parameter in call["parameters"]
        ),
    ]
    if "requestBody" in call:
        body = call["requestBody"]["content"]["application/json"]
        parts += [f"<h4>Body: {_type(body['schema'])}</h4>", _json(body["example"])]
    refusals = []
    for status, answer in call["responses"].items():
        problem = answer.get("content", {}).get("application/problem+json")
        if problem is None:
            parts.append(_answer(status, answer))
        else:
            links = ", ".join(f'<a href="#{c}"><code>{c}</code></a>' for c in problem["examples"])
            refusals.append((f"<code>{status}</code>", links))
    parts += ["<h4>Refusals</h4>", _rows(refusals)]
    return f'<article id="call-{escape(call["operationId"])}">{"".join(parts)}</article>'


def _answer(status: str, answer: Json) -> str:
    headers = ", ".join(f"<code>{escape(name)}</code>" for name in answer["headers"])
    parts = [
        f"<h4>{status}: {_text(answer['description'])}</h4>",
        f'<p class="faint">Headers: {headers}</p>',
    ]
    for media_type, content in answer.get("content", {}).items():
        example = content["example"]
        parts.append(f"<p><code>{escape(media_type)}</code> {_type(content['schema'])}</p>")
        parts.append(
            f"<pre>{escape(example)}</pre>" if isinstance(example, str) else _json(example)
        )
    return "".join(parts)


def _error(code: str, example: Json, schemas: Json) -> str:
    (schema,) = (
        schema
        for schema in schemas.values()
        if schema.get("properties", {}).get("code", {}).get("const") == code
    )
    plain = set(schemas["Problem"]["properties"])
    further = [
        (_name(name), _type(field), _text(field["description"]))
        for name, field in schema["properties"].items()
        if name not in plain
    ]
    return (
        f'<article id="{code}"><h3><code>{code}</code> '
        f'<span class="faint">{example["value"]["status"]}</span></h3>'
        f"<p>{_text(example['summary'])}</p>{_rows(further) if further else ''}"
        f"{_json(example['value'])}</article>"
    )


def _schema(name: str, schema: Json) -> str:
    required = schema.get("required", ())
    fields = _rows(
        (
            _name(field),
            _type(described)
            + ("" if field in required else ' <span class="faint">optional</span>'),
            _text(described.get("description", "")),
        )
        for field, described in schema["properties"].items()
    )
    return (
        f'<article id="schema-{escape(name)}"><h3>{escape(name)}</h3>'
        f"<p>{_text(schema['description'])}</p>{fields}</article>"
    )


def _type(schema: Json) -> str:
    """What a value may be, in a few words, with links to the named schemas."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#schema-{escape(name)}">{escape(name)}</a>'
    if "anyOf" in schema:
        words = " or ".join(_type(part) for part in schema["anyOf"])
    elif "enum" in schema:
        words = ", ".join(_value(value) for value in schema["enum"])
    elif schema.get("type") == "array":
        words = f"list of {_type(schema['items'])}"
    else:
        words = escape(str(schema.get("format", schema.get("type"))))
    bounds = [text.format(_value(schema[key])) for key, text in _BOUNDS.items() if key in schema]
    return words + (f' <span class="faint">({", ".join(bounds)})</span>' if bounds else "")


def _rows(rows: Iterable[tuple[str, ...]]) -> str:
    """A table; the cells are HTML."""
    lines = (
        f'<tr><th scope="row">{name}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        for name, *cells in rows
    )
    return f"<table>{''.join(lines)}</table>"


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_text(paragraph)}</p>" for paragraph in text.split("\n\n"))


def _text(text: str) -> str:
    """Text with `code` in it."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _name(name: str) -> str:
    return f"<code>{escape(name)}</code>"


def _value(value: Any) -> str:  # noqa: ANN401 - any JSON
    return f"<code>{escape(json.dumps(value, ensure_ascii=False))}</code>"


def _json(value: Any) -> str:  # noqa: ANN401 - any JSON
    return f"<pre>{escape(json.dumps(value, ensure_ascii=False, indent=2))}</pre>"


def _slug(name: str) -> str:
    return "group-" + name.lower().replace(" ", "-")
