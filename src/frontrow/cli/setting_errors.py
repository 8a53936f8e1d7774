"""What a setting may be, and what is wrong with one, in words; never a secret's value."""

import re
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

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
        return ("a whole number" if int in kinds else "a number") + _bounds(bounds)
    least = _bound(bounds, "min_length")
    if least is None:
        return ""
    return f"at least {least} characters" if least > 1 else "not empty"


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


def _bounds(bounds: list[Any]) -> str:
    """The least and the most of a number."""
    least, under, most = (_bound(bounds, kind) for kind in ("ge", "gt", "le"))
    if least is not None:
        return f" of at least {least:,}" if most is None else f" from {least:,} to {most:,}"
    if under is not None:
        return f" over {under:,}" if most is None else f" over {under:,} and up to {most:,}"
    return "" if most is None else f" up to {most:,}"


def _bound(bounds: list[Any], kind: str) -> Any:  # noqa: ANN401 - a number, or nothing
    """The bound of one kind, if there is one."""
    return next((getattr(bound, kind) for bound in bounds if hasattr(bound, kind)), None)


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
