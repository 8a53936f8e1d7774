"""The schemas of the OpenAPI document: the types of the calls, with descriptions and examples."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from frontrow.errors import DomainError
from frontrow.web.calls import Call
from frontrow.web.openapi.field_descriptions import DESCRIPTIONS, RULES
from frontrow.web.openapi.field_examples import EXAMPLES
from frontrow.web.problems import KINDS

Json: TypeAlias = dict[str, Any]

_PLACE = "#/components/schemas/"
_TIME = ("_at", "_until")


class Schemas:
    """The schemas of a document's components, and an example of each type."""

    def __init__(self, calls: Iterable[Call]) -> None:
        types = list(dict.fromkeys(_types(calls)))
        shapes = list(dict.fromkeys(kind.shape for kind in KINDS.values()))
        schemas, components = msgspec.json.schema_components(
            [*types, *shapes], ref_template=_PLACE + "{name}"
        )
        self._of_type: dict[Any, Json] = dict(zip(types, schemas, strict=False))
        self._components: dict[str, Json] = components
        for name, component in components.items():
            _explain(name, component)
        for name, component in components.items():
            component["examples"] = [self._example_of_component(name, component)]
        self.problems = {error: self._add_problem(error) for error in KINDS}
        """The schema of each error's response, and its example."""

    def of(self, kind: Any) -> Json:  # noqa: ANN401 - any type that the table names
        """Returns the schema of a type."""
        return self._of_type[kind]

    def example(self, kind: Any) -> Any:  # noqa: ANN401 - as its schema says
        """Returns an example of a type."""
        return self._example(self._of_type[kind], "", "")

    def fields(self, kind: Any) -> Json:  # noqa: ANN401 - any type that the table names
        """Returns the schemas of a struct's fields."""
        fields: Json = self._resolve(self._of_type[kind])["properties"]
        return fields

    def required(self, kind: Any) -> list[str]:  # noqa: ANN401 - any type that the table names
        """Returns the required fields of a struct."""
        names: list[str] = self._resolve(self._of_type[kind])["required"]
        return names

    def components(self, *, without: Iterable[Any] = ()) -> dict[str, Json]:
        """Returns all named schemas in alphabetical order."""
        hidden = {self._of_type[kind]["$ref"].removeprefix(_PLACE) for kind in without}
        return {
            name: schema for name, schema in sorted(self._components.items()) if name not in hidden
        }

    def _add_problem(self, error: type[DomainError]) -> tuple[Json, Json]:
        """Returns the schema of an error's response: its type with a constant code and status."""
        status, title, shape = KINDS[error]
        base = self._components[shape.__name__]
        fixed = {"code": error.code, "status": status, "title": title}
        example = {
            **base["examples"][0],
            **fixed,
            "type": f"/docs#{error.code}",
            "detail": error.message,
        }
        # A definition of its own even where the shape is the plain one: it names the code.
        name = error.__name__ + "Problem"
        self._components[name] = {
            **base,
            "title": name,
            "description": f"`{error.code}`: {error.message}",
            "properties": {
                field: {
                    **schema,
                    **({"const": fixed[field]} if field in ("code", "status") else {}),
                    "examples": [example[field]],
                }
                for field, schema in base["properties"].items()
            },
            "examples": [example],
        }
        return {"$ref": _PLACE + name}, example

    def _resolve(self, schema: Json) -> Json:
        if "$ref" in schema:
            return self._components[schema["$ref"].removeprefix(_PLACE)]
        return schema

    def _example_of_component(self, name: str, component: Json) -> Json:
        """Returns the example of a type, or one built from the examples of its fields."""
        return EXAMPLES.get(name) or {
            field: self._example(schema, name, field)
            for field, schema in component["properties"].items()
        }

    def _example(self, schema: Json, owner: str, field: str) -> Any:  # noqa: ANN401 - as the schema says
        """Returns the example of a field, or one built from its schema."""
        known = _example_of_field(owner, field)
        if known is not None:
            return known[0]
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(_PLACE)
            return self._example_of_component(name, self._components[name])
        if "anyOf" in schema:
            return self._example(schema["anyOf"][0], owner, field)
        if "enum" in schema:
            return schema["enum"][0]
        if schema.get("type") == "array":
            return [self._example(schema["items"], owner, "")]
        return {"object": {}, "string": "…", "integer": 1, "boolean": False}[schema["type"]]


def _types(calls: Iterable[Call]) -> Iterable[Any]:
    for call in calls:
        yield from (kind for kind in (call.body, call.query) if kind is not None)
        yield from (answer.body for answer in call.answers if answer.body is not None)


def _explain(owner: str, component: Json) -> None:
    """Adds descriptions, examples and the format of times, which the types lack."""
    component["description"] = component.get("description", "").replace("``", "`")
    component.update(RULES.get(owner, {}))
    for field, schema in component["properties"].items():
        _lift_description(schema)
        schema.update(RULES.get(f"{owner}.{field}", {}))
        described = _look_up(DESCRIPTIONS, owner, field)
        if described is not None and (
            "description" not in schema or f"{owner}.{field}" in DESCRIPTIONS
        ):
            schema["description"] = described[0]
        if field.endswith(_TIME):
            for part in (schema, *schema.get("anyOf", ())):
                if part.get("type") == "string":
                    part["format"] = "date-time"
        example = _example_of_field(owner, field)
        if example is not None:
            schema["examples"] = example


def _lift_description(schema: Json) -> None:
    """Moves the description from the value of an optional field to the field."""
    for part in schema.get("anyOf", ()):
        if "description" in part and "$ref" not in part:
            schema.setdefault("description", part.pop("description"))


def _example_of_field(owner: str, field: str) -> list[Any] | None:
    """Returns the field's example from the example of its type, or its own; in a list."""
    whole = EXAMPLES.get(owner, {})
    return [whole[field]] if field in whole else _look_up(EXAMPLES, owner, field)


def _look_up(words: Mapping[str, Any], owner: str, field: str) -> list[Any] | None:
    """Returns the entry of ``owner.field`` or ``field``; in a list, since it may be ``None``."""
    return next(([words[key]] for key in (f"{owner}.{field}", field) if key in words), None)
