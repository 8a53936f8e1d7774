"""Validates answers against the OpenAPI document, more strictly than a client should.

A client ignores unknown members; here an answer has exactly the documented members, and every
required header.
"""

import copy
import re
from typing import Any

import httpx2
from jsonschema import Draft202012Validator, FormatChecker

Json = dict[str, Any]


def validator(document: Json, schema: Json) -> Draft202012Validator:
    """Returns a validator for a schema of a document, formats included."""
    return Draft202012Validator(
        {**schema, "components": document["components"]},
        format_checker=FormatChecker(("date", "date-time", "uuid")),
    )


def closed(document: Json) -> Json:
    """Returns the document with unknown members forbidden in every object."""
    strict = copy.deepcopy(document)
    for schema in strict["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return strict


class Conformance:
    """Validates each answer, and records which documented answers were seen."""

    def __init__(self, document: Json) -> None:
        self._document = closed(document)
        self._paths = [
            (
                re.compile(
                    re.sub(
                        r"\{\w+\}", "[^/]+", re.escape(path).replace(r"\{", "{").replace(r"\}", "}")
                    )
                ),
                path,
            )
            for path in document["paths"]
        ]
        self.successes: dict[tuple[str, int], httpx2.Response] = {}
        """By operationId and status, the first answer of each."""

    def check(self, response: httpx2.Response) -> None:
        """Fails for an answer that differs from the document."""
        request = response.request
        assert re.fullmatch("[A-Za-z0-9._-]{1,128}", response.headers["x-request-id"])
        path = next((p for pattern, p in self._paths if pattern.fullmatch(request.url.path)), None)
        if path is None:
            assert response.status_code in (404, 429)
            return
        without_body = request.method == "HEAD" and response.status_code != 405
        method = "get" if without_body else request.method.lower()
        operation = self._document["paths"][path].get(method)
        if operation is None:
            assert response.status_code in (405, 429)
            return
        name = operation["operationId"]
        documented = operation["responses"].get(str(response.status_code))
        assert documented is not None, (name, response.status_code, response.text)
        for header, reference in documented["headers"].items():
            described = self._resolve(reference) if "$ref" in reference else reference
            if described.get("required"):
                assert header in response.headers, (name, response.status_code, header)
            if header in response.headers:
                value: Any = response.headers[header]
                if described["schema"]["type"] == "integer":
                    value = int(value)
                validator(self._document, described["schema"]).validate(value)
        if without_body:
            assert response.content == b""
            return
        self._check_body(name, documented, response)
        if response.status_code < 400:
            self.successes.setdefault((name, response.status_code), response)

    def _check_body(self, name: str, documented: Json, response: httpx2.Response) -> None:
        content = documented.get("content")
        if content is None:
            assert response.content == b"", name
            return
        media_type = response.headers["content-type"].partition(";")[0]
        assert media_type in content, (name, media_type)
        value = response.json() if media_type.endswith("json") else response.text
        validator(self._document, content[media_type]["schema"]).validate(value)

    def _resolve(self, reference: Json) -> Json:
        found: Any = self._document
        for step in reference["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return dict(found)
