"""The templates: HTML files beside the code that fills them, named by their path below ``web/``.

Values are escaped, and a missing value is an error.
"""

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined


def _json(value: object, **_: object) -> str:
    return msgspec.json.encode(value).decode()


ENVIRONMENT = Environment(
    loader=PackageLoader("frontrow.web", ""),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,  # a template is compiled once
)
ENVIRONMENT.policies["json.dumps_function"] = _json
