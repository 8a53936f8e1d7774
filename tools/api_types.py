"""Types of the API for the scripts of the pages: ``types/api.d.ts``, from the OpenAPI document.

Each schema becomes an interface. ``Answer`` and ``Sent`` give what a call answers and takes by its
method and path, so the type checker knows both at every ``call("GET", …)``.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from frontrow.web.routes import document

PREFIX = "/api/v1"
METHODS = ("get", "post", "put", "patch", "delete")
HEAD = """\
// Types of the API, written by `make docs`. Do not edit.

type Query = "" | `?${string}`;
"""

Json = dict[str, Any]
_PLAIN = {
    "boolean": "boolean",
    "integer": "number",
    "null": "null",
    "number": "number",
    "object": "Record<string, unknown>",
    "string": "string",
}


def declaration() -> str:
    """Returns the file."""
    found = document()
    schemas = found["components"]["schemas"]
    types = [f"  type {name} = {_type(schemas[name])};" for name in sorted(schemas)]
    answers = _by_call(found["paths"], _answer)
    bodies = _by_call(found["paths"], _body)
    return "\n".join(
        [
            HEAD,
            "declare namespace Api {",
            *types,
            "}\n",
            _lookup("Answer", answers),
            _lookup("Sent", bodies),
        ]
    )


def _type(schema: Json) -> str:
    if "$ref" in schema:
        return "Api." + str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema or "enum" in schema:
        return " | ".join(map(json.dumps, schema.get("enum") or [schema["const"]]))
    if "properties" in schema:  # anyOf may restrict which go together; a type does not show that
        return _members(schema)
    for several, sign in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")):
        if several in schema:
            return sign.join(f"({_type(one)})" for one in schema[several])
    if schema.get("type") == "array":
        return f"Array<{_type(schema['items'])}>"
    return _PLAIN.get(schema.get("type", ""), "unknown")


def _members(schema: Json) -> str:
    required = schema.get("required", ())
    members = (
        f"{name}{'' if name in required else '?'}: {_type(member)}"
        for name, member in schema["properties"].items()
    )
    return "{ " + "; ".join(members) + " }"


def _by_call(paths: Json, of: Callable[[Json], str | None]) -> list[tuple[str, str, str]]:
    """Returns (method, path, type), longer paths first: a parameter also matches a slash."""
    calls = (
        (method.upper(), path.removeprefix(PREFIX), of(paths[path][method]))
        for path in sorted(paths, key=lambda path: (-path.count("/"), "{" in path, path))
        if path.startswith(PREFIX)
        for method in METHODS
        if method in paths[path]
    )
    return [(method, path, found) for method, path, found in calls if found is not None]


def _answer(operation: Json) -> str:
    for status, response in operation["responses"].items():
        content = response.get("content", {}).get("application/json")
        if status.startswith("2") and content:
            return _type(content["schema"])
    return "undefined"


def _body(operation: Json) -> str | None:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return _type(content["schema"]) if content else None


def _lookup(name: str, calls: list[tuple[str, str, str]]) -> str:
    parameters = "Method extends string, Path extends string"
    lines = [f"type {name}<{parameters}> = `${{Method}} ${{Path}}` extends infer Call ?"]
    for method, path, found in calls:
        pattern = re.sub(r"\{\w+\}", "${string}", path)
        lines.append(f"  Call extends `{method} {pattern}${{Query}}` ? {found} :")
    return "\n".join([*lines, "  unknown : never;\n"])
