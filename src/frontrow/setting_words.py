"""What a setting may be, and what is wrong with one, in words; never a secret's value."""

import re
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from frontrow.settings import Settings

_LOGIN = re.compile("//[^/@]*@")
"""The user and the password of a URL."""


def in_words(error: ValidationError) -> list[str]:
    """One line for each setting that is wrong: its variable, what is allowed, what was given."""
    return [_line(dict(found)) for found in error.errors(include_url=False)]


def allowed(name: str) -> str:
    """What a setting may be, as far as its type says: empty where that is any text."""
    kinds, bounds = _taken_apart(Settings.model_fields[name])
    choices = [choice for kind in kinds for choice in get_args(kind)]
    if choices:
        return " or ".join([", ".join(choices[:-1]), choices[-1]])
    if bool in kinds:
        return "true or false"
    if int in kinds or float in kinds:
        number = "a whole number" if int in kinds else "a number"
        return " ".join([number, *_bounds(bounds)])
    least = [bound.min_length for bound in bounds if isinstance(bound, MinLen)]
    if least and least[0] > 1:
        return f"at least {least[0]} characters"
    return "not empty" if least else ""


def _line(found: dict[str, Any]) -> str:
    name = str(found["loc"][0])
    if found["type"] == "value_error":
        says = str(found["ctx"]["error"])
    elif words := allowed(name):
        says = f"it must be {words}"
    else:
        says = found["msg"]
    kinds, _ = _taken_apart(Settings.model_fields[name])
    if says.startswith("it must be ") and SecretStr not in kinds:
        says += f", not {_LOGIN.sub('//…@', str(found['input']))}"
    return f"FRONTROW_{name.upper()}: {says}"


def _bounds(bounds: list[Any]) -> Iterator[str]:
    """The least and the most of a number."""
    most = [bound.le for bound in bounds if isinstance(bound, Le)]
    for bound in bounds:
        match bound:
            case Ge(ge=least):
                yield f"from {least:,} to {most[0]:,}" if most else f"of at least {least:,}"
            case Gt(gt=under):
                yield f"over {under:,} and up to {most[0]:,}" if most else f"over {under:,}"


def _taken_apart(kind: Any) -> tuple[list[Any], list[Any]]:  # noqa: ANN401 - any annotation
    """The types that an annotation names, and what bounds them."""
    if isinstance(kind, FieldInfo):
        kinds, bounds = _taken_apart(kind.annotation)
        return kinds, [*bounds, *kind.metadata]
    if get_origin(kind) is Annotated:
        inner, *said = get_args(kind)
        kinds, bounds = _taken_apart(inner)
        for one in said:
            bounds += one.metadata if isinstance(one, FieldInfo) else [one]
        return kinds, bounds
    if get_origin(kind) in (Union, UnionType):
        parts = [_taken_apart(part) for part in get_args(kind)]
        return [k for kinds, _ in parts for k in kinds], [b for _, bounds in parts for b in bounds]
    return [kind], []
