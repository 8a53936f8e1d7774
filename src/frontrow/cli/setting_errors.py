"""Describes the allowed values of settings and invalid settings; never a secret's value."""

import re
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from frontrow.settings import Settings

_LOGIN = re.compile("//[^/@]*@")
"""The user and the password of a URL."""


def describe(error: ValidationError) -> list[str]:
    """Returns a line for each invalid setting: its variable, the allowed and the given value."""
    return [_line(dict(found)) for found in error.errors(include_url=False)]


def allowed(name: str) -> str:
    """Returns the allowed values of a setting by its type; empty for any text."""
    kinds, bounds = _parts(Settings.model_fields[name])
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
        message = str(found["ctx"]["error"])
    elif values := allowed(name):
        message = f"it must be {values}"
    else:
        message = found["msg"]
    kinds, _ = _parts(Settings.model_fields[name])
    if message.startswith("it must be ") and SecretStr not in kinds:
        given = _LOGIN.sub("//…@", str(found["input"]))
        message += f", not {given if given.isprintable() else ascii(given)}"
    return f"FRONTROW_{name.upper()}: {message}"


def _bounds(bounds: list[Any]) -> str:
    """Describes the bounds of a number."""
    least, under, most = (_bound(bounds, kind) for kind in ("ge", "gt", "le"))
    if least is not None:
        return f" of at least {least:,}" if most is None else f" from {least:,} to {most:,}"
    if under is not None:
        return f" over {under:,}" if most is None else f" over {under:,} and up to {most:,}"
    return "" if most is None else f" up to {most:,}"


def _bound(bounds: list[Any], kind: str) -> Any:  # noqa: ANN401 - a number, or nothing
    """Returns the bound of one kind, if there is one."""
    return next((getattr(bound, kind) for bound in bounds if hasattr(bound, kind)), None)


def _parts(kind: Any) -> tuple[list[Any], list[Any]]:  # noqa: ANN401 - any annotation
    """Returns the types in an annotation, and their constraints."""
    if isinstance(kind, FieldInfo):
        kinds, bounds = _parts(kind.annotation)
        return kinds, [*bounds, *kind.metadata]
    if get_origin(kind) is Annotated:
        inner, *metadata = get_args(kind)
        kinds, bounds = _parts(inner)
        for one in metadata:
            bounds += one.metadata if isinstance(one, FieldInfo) else [one]
        return kinds, bounds
    if get_origin(kind) in (Union, UnionType):
        parts = [_parts(part) for part in get_args(kind)]
        return [k for kinds, _ in parts for k in kinds], [b for _, bounds in parts for b in bounds]
    return [kind], []
