"""A page for each group of calls, with real requests and answers: docs/reference/api/.

The answers come from the evening that the contract's test goes through, on a real server. What is
long is cut: of a list two items are shown, of a text its beginning. Credentials aren't shown.
"""

import json
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import httpx2

from frontrow.web.routes import document

Json = dict[str, Any]
_ITEMS = 2
_CHARACTERS = 200
_LINES = 12
_WIDTH = 110


def pages(seen: dict[tuple[str, int], httpx2.Response]) -> dict[str, str]:
    """Each page by its name, from the answers by operation and status."""
    found = {}
    for tag in document()["tags"]:
        calls = list(_calls(tag["name"]))
        parts = [f"# {tag['name']}\n\n{tag['description']}\n\n{_INTRODUCTION}"]
        parts += [_call(method, path, operation, seen) for method, path, operation in calls]
        found[tag["name"].lower().replace(" ", "-")] = "\n".join(parts)
    return found


_INTRODUCTION = """\
Requests and answers as they were exchanged with a server; `make docs` writes them anew.
Errors are in [errors](../errors.md), schemas in [the OpenAPI document](../openapi.json).
"""


def _calls(tag: str) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield method.upper(), path, operation


def _call(
    method: str, path: str, operation: Json, seen: dict[tuple[str, int], httpx2.Response]
) -> str:
    says = operation["description"].replace("\n\n", "\n").strip()
    lines = [f"## {method} {path}", "", f"{operation['summary']}. {says}", ""]
    shown = False
    for status, described in operation["responses"].items():
        response = seen.get((operation["operationId"], int(status)))
        if response is None:
            continue
        if not shown:
            lines += _request(response.request)
            shown = True
        lines += [f"**{status}** {described['description']}", "", *_answer(operation, response)]
    refused = sorted(
        (int(status), code)
        for status, described in operation["responses"].items()
        for content in described.get("content", {}).values()
        for code in content.get("examples", {})
    )
    if refused:
        named = " · ".join(f"{status} [`{code}`](../errors.md#{code})" for status, code in refused)
        lines += [f"Refused with: {named}", ""]
    return "\n".join(lines)


def _request(request: httpx2.Request) -> list[str]:
    head = [f"{request.method} {request.url.raw_path.decode()}"]
    for name in ("authorization", "idempotency-key", "if-none-match", "accept"):
        value = request.headers.get(name)
        if value not in (None, "*/*"):
            head.append(f"{name.title()}: {'Bearer …' if name == 'authorization' else value}")
    body = request.content.decode()
    block = ["```http", *head]
    if body:
        block += ["Content-Type: application/json", "", _short_json(json.loads(body))]
    return [*block, "```", ""]


def _answer(operation: Json, response: httpx2.Response) -> list[str]:
    media_type = response.headers.get("content-type", "").partition(";")[0]
    if not response.content:
        return []
    if operation["operationId"] == "openapi":
        return ["[This document](../openapi.json).", ""]
    if media_type == "application/json":
        marker = f"<!-- {operation['operationId']} {response.status_code} -->"
        return [marker, "```json", _short_json(response.json()), "```", ""]
    lines = [textwrap.shorten(line, _WIDTH) for line in response.text.splitlines() if line.strip()]
    cut = ["…"] if len(lines) > _LINES else []
    return [f"`{media_type}`:", "", "```", *lines[:_LINES], *cut, "```", ""]


def _short_json(value: object) -> str:
    text = json.dumps(_short(value), ensure_ascii=False)
    if len(text) <= _WIDTH:
        return text
    return json.dumps(_short(value), ensure_ascii=False, indent=1)


def _short(value: object) -> object:
    """The value with its lists and texts cut."""
    match value:
        case dict():
            return {
                name: "…"
                if re.search("key$|^token$", name) and isinstance(part, str)
                else _short(part)
                for name, part in value.items()
            }
        case list():
            return [_short(part) for part in value[:_ITEMS]]
        case str() if len(value) > _CHARACTERS:
            return value[:_CHARACTERS] + "…"
        case _:
            return value
